"""Makes the page `reference/commands.md` from the parsers of the commands; `hooks.py` adds it to the documentation."""

import inspect
import re
import warnings

import tyro

from infantjax import cli
from infantjax.cli.assessment.assess import ReadOptions
from infantjax.cli.evaluation.evaluate import PlotOptions
from infantjax.cli.options.video import VideoOptions
from infantjax.cli.parsing import CONFIG
from infantjax.cli.training.crossval import Crossval
from infantjax.cli.training.search import StudyOptions
from infantjax.methods.registry import DEFAULT, names

HEAD = """# Commands

`infantjax COMMAND --help` says more, with an example, as does [Which command do I need?](../start/which_command.md)
Results go to standard output, everything else to standard error. Every command also has `--quiet` (print results only)
and `--debug` (show a traceback when something fails).

exit status | meaning
--- | ---
0 | success
1 | some recordings of a batch failed or are not assessable, others are done; or results could not be printed
2 | bad input or options, or all recordings failed: one line on standard error says where, what, and what to do
130 | interrupted; completed work is kept

A value after `=` is the default, of several the first. Options with a dot are named only: `--help` says what they mean.
`--epochs` is short for `--training.epochs`, and so on.
The environment variable `INFANTJAX_CACHE` names the folder of programs and public weights, `JAX_PLATFORMS` the backend.
"""

GROUPS: dict[str, tuple[type, str]] = {
    "Keypoint files": (ReadOptions, "fps format skeleton individual"),
    "Videos": (VideoOptions, ""),
    "Cohorts": (Crossval, "cohort outcomes quality strict skip-invalid stratify"),
    "Training": (Crossval, "output method preset annotated init trainable"),
    "Logs": (Crossval, "save-every log profile distributed"),
    "Searches": (StudyOptions, ""),
    "Plots": (PlotOptions, ""),
}
"""Title -> class that has the options that several commands share, and their names; all of the class if empty."""

SETTINGS = """## Settings of the methods

Options of [crossval](#crossval), [train](#train), [search ensemble](#search-ensemble) and, where no architecture is
searched, [search](#search), by `--method`, with their
defaults. `infantjax crossval --method NAME --help` and [the reference](methods.md) tell what each means.
"""


def page() -> str:
    """The whole page."""
    groups = {title: group(*source) for title, source in GROUPS.items()}
    settings = {name: settings_of(name) for name in sorted(names("keypoints"), key=DEFAULT.__ne__)}
    hidden = set(settings[DEFAULT].values())
    lines = [HEAD, *(section(name, groups, hidden) for name in cli.COMMANDS), "## Options that commands share", ""]
    for title, rows in groups.items():
        lines += [f"### {title}", "", *rows.values(), ""]
    lines.append(SETTINGS)
    for name, rows in settings.items():
        lines += [f"### {name}", "", *compact(rows), ""]
    return "\n".join(lines)


def group(source: type, chosen: str) -> dict[str, str]:
    """Name -> line of each option of a group."""
    rows = options(source)
    return {name: rows[name] for name in chosen.split() or rows}


def settings_of(method: str) -> dict[str, str]:
    """Name -> line of each setting of a method: what `crossval` has beside its own options."""
    own = options(Crossval)
    return {name: row for name, row in options(Crossval.specialize(["--method", method])).items() if name not in own}


def section(name: str, groups: dict[str, dict[str, str]], hidden: set[str]) -> str:
    """One command: what it does and its options; those of a group by a link.

    Args:
        name: of the command.
        groups: title -> options that commands share.
        hidden: lines of the settings of a method, which are told at the end of the page.
    """
    command = cli.command_type(name)
    text = inspect.cleandoc(command.__doc__ or "").partition("\n\n")[0]
    rows = options(command.specialize([]))
    shared = {title: [o for o, row in found.items() if rows.get(o) == row] for title, found in groups.items()}
    told = {rows[option] for found in shared.values() for option in found} | hidden
    links = [_link(title, found, groups[title]) for title, found in shared.items() if found]
    if settings := [option for option, row in rows.items() if row in hidden]:
        parts = dict.fromkeys(f"`--{option.partition('.')[0]}.*`" for option in settings)
        some = f" ({', '.join(parts)})" * (len(settings) < len(hidden))
        links.append(f"[settings](#settings-of-the-methods){some}")
    lines = compact({option: row for option, row in rows.items() if row not in told})
    also = ["", f"Also {', '.join(links)}."] if links else []
    return "\n".join([f"## {name}", "", text, "", *lines, *also, ""])


def _link(title: str, found: list[str], known: dict[str, str]) -> str:
    """A link to a group of options that says which of them the command has."""
    anchor = f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    if len(found) == len(known):
        return anchor
    missing = [option for option in known if option not in found]
    few = min(missing, found, key=len)
    spelled = (re.split("[`= ]", known[option])[2] for option in few)
    return f"{anchor} ({'not ' * (few is missing)}{', '.join(f'`{option}`' for option in spelled)})"


def compact(rows: dict[str, str]) -> list[str]:
    """The lines of options; of nested ones the names and defaults only, a line for each part."""
    lines = [row for name, row in rows.items() if "." not in name]
    parts: dict[str, list[str]] = {}
    for name, row in rows.items():
        part = name.rpartition(".")[0]
        if part:
            spelled = row.partition(": ")[0]
            parts.setdefault(part, []).append(spelled.replace(f"- `--{part}.", "`"))
    return lines + [f"- `--{part}.*`: {', '.join(found)}." for part, found in parts.items()]


def options(source: type) -> dict[str, str]:
    """Name -> line of each option of a command, or of a dataclass, with its first sentence; without the common ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(source, config=CONFIG)
    found = {}
    for action in parser._actions:
        name = (action.option_strings[-1:] or [action.dest])[0].lstrip("-")
        if name in ("help", "quiet", "debug"):
            continue
        text = " ".join((action.help or "").split())
        meaning, _, default = text.rpartition("(default: " if "(default: " in text else "(")
        default = default.removesuffix(")").strip()
        default = {"None": "", "False": "", "True": "", "required": "", "repeatable": ""}.get(default, default)
        if len(words := default.split()) > 6:
            default = " ".join([*words[:4], "...", *words[-2:]])
        others = sorted(choice for choice in action.choices or () if choice not in ("None", default))
        values = "|".join([default] * bool(default) + others)
        flags = [*action.option_strings[::-1]] or [action.metavar]
        flags[0] += f"{'=' if default else ' '}{values}" * bool(values)
        spelled = ", ".join(f"`{flag}`" for flag in flags) + " (required)" * text.endswith("(required)")
        first = re.split(r"(?<=[a-z)])\. (?=[A-Z`])", meaning.strip())[0].removesuffix(".")
        found[name] = f"- {spelled}: {first}."
    return found
