"""Pages that mkdocs makes from the package when it builds: the modules of each part, and the keypoint sets."""

import pkgutil
from collections.abc import Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from infantjax.recording.conversion import RULES
from infantjax.skeletons import SKELETONS

PARTS = {
    "recording": "Recordings",
    "formats": "Keypoint files",
    "video": "Video",
    "skeletons": "Skeletons",
    "pose": "Pose",
    "methods": "Methods",
    "models": "Registry of networks",
    "nn": "Layers",
    "training": "Training",
    "search": "Search",
    "weights": "Weights",
    "assessment": "Assessment",
    "explanation": "Explanation",
    "evaluation": "Evaluation",
    "report": "Report",
    "simulation": "Simulation",
}
"""Part of the package -> title of its page in the reference."""
BASE = ("errors", "files", "places", "progress", "cache", "lazy")
"""Modules that stand below all parts, on one page."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, content in pages():
        files.append(File.generated(config, uri, content=content))
    return files


def pages() -> Iterator[tuple[str, str]]:
    """Address and content of each generated page."""
    for part, title in PARTS.items():
        yield f"reference/{part}.md", _page(title, modules_of(part))
    yield "reference/base.md", _page("Errors, files, progress", [f"infantjax.{name}" for name in BASE])
    yield "reference/keypoint_sets.md", keypoint_sets()


def modules_of(part: str) -> list[str]:
    """A part and the public modules in it."""
    package = __import__(f"infantjax.{part}", fromlist=[part])
    inside = pkgutil.walk_packages(getattr(package, "__path__", []), f"infantjax.{part}.")
    return [f"infantjax.{part}", *(m.name for m in inside if not m.name.rpartition(".")[2].startswith("_"))]


def keypoint_sets() -> str:
    """The points of each keypoint set, and how one becomes another."""
    lines = ["# Keypoint sets", "", "The points of each set, in its order. Missing points are NaN.", ""]
    lines += ["| name | points |", "| --- | --- |"]
    lines += [f"| `{name}` | {', '.join(skeleton.joints)} |" for name, skeleton in SKELETONS.items()]
    lines += ["", "## Conversion", "", "Between sets without a table, joints of the same name are taken.", ""]
    for (source, target), rules in RULES.items():
        lines += [f"### `{source}` to `{target}`", "", "| joint | computed as | kind |", "| --- | --- | --- |"]
        for joint in SKELETONS[target].joints:
            rule = rules.get(joint)
            lines.append(f"| `{joint}` | {f'`{rule}`' if rule else 'none'} | {rule.kind if rule else 'missing'} |")
        lines.append("")
    return "\n".join(lines)


def _page(title: str, modules: list[str]) -> str:
    return "\n\n".join([f"# {title}", *(f"::: {module}" for module in modules)]) + "\n"
