"""Pages that mkdocs makes when it builds: the commands, the modules of each part, the keypoint sets, and notebooks."""

import pkgutil
from collections.abc import Iterator
from pathlib import Path

import generate_commands
import notebooks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import infantjax
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
    "clinic": "Clinical studies",
}
"""Part of the package -> title of its page in the reference."""
GUIDE = "python/"
"""Folder of the pages whose programs are run."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, content in pages():
        files.append(File.generated(config, uri, content=content))
    for page in [file for file in files.documentation_pages() if file.src_uri.startswith(GUIDE)]:
        for name, content in notebook_of(page).files.items():
            files.append(File.generated(config, GUIDE + name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show what the programs of the guide print."""
    return notebook_of(page.file).text if page.file.src_uri.startswith(GUIDE) else markdown


def notebook_of(file: File) -> notebooks.Notebook:
    """A page of the guide after its programs ran."""
    return notebooks.run(Path(file.abs_src_path or ""), file.content_string)


def pages() -> Iterator[tuple[str, str]]:
    """Address and content of each generated page."""
    for part, title in PARTS.items():
        yield f"reference/{part}.md", _page(title, modules_of(part))
    yield "reference/base.md", _page("The front door, errors, files, progress", base_modules())
    yield "reference/commands.md", generate_commands.page()
    yield "reference/keypoint_sets.md", keypoint_sets()


def modules_of(part: str) -> list[str]:
    """A part and the public modules in it."""
    package = __import__(f"infantjax.{part}", fromlist=[part])
    inside = pkgutil.walk_packages(getattr(package, "__path__", []), f"infantjax.{part}.")
    return [f"infantjax.{part}", *(m.name for m in inside if not m.name.rpartition(".")[2].startswith("_"))]


def base_modules() -> list[str]:
    """The package itself, and the modules that stand below all parts."""
    below = [m.name for m in pkgutil.iter_modules(infantjax.__path__) if not m.ispkg and m.name not in PARTS]
    return ["infantjax", *(f"infantjax.{name}" for name in below if not name.startswith("_"))]


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
