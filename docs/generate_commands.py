"""Writes `docs/reference/commands.md` from the parsers of the commands: `python docs/generate_commands.py`.

A test compares the page with what this writes, so it cannot be out of date.
"""

import inspect
import warnings
from pathlib import Path

import tyro

from infantjax import cli
from infantjax.cli.common import Command
from infantjax.cli.parsing import CONFIG
from infantjax.methods.registry import DEFAULT, names

PAGE = Path(__file__).parent / "reference" / "commands.md"

HEAD = """# Commands

`infantjax COMMAND --help` also shows an example, as does [Which command do I need?](../start/which_command.md)
Results go to standard output, everything else to standard error. Every command also has `--quiet` (print results only)
and `--debug` (show a traceback when something fails).

| exit status | meaning |
| --- | --- |
| 0 | success |
| 1 | some recordings of a batch failed or are not assessable, others are done; or results could not be printed |
| 2 | bad input or options, or all recordings failed: one line on standard error says where, what, and what to do |
| 130 | interrupted; completed work is kept |

The environment variable `INFANTJAX_CACHE` names the folder of programs and public weights, `JAX_PLATFORMS` the backend.
"""


def page() -> str:
    """The whole page."""
    described: dict[str, str] = {}
    return "\n".join([HEAD, *(section(name, described) for name in cli.COMMANDS)])


def section(name: str, described: dict[str, str]) -> str:
    """One command: its help and its options; of training commands the options of each method.

    Args:
        name: of the command.
        described: line of an option -> command that it was written for. Such options are named only; short lines are
            repeated.
    """
    command = cli.command_type(name)
    text = inspect.cleandoc(command.__doc__ or "").partition("Example:\n")[0]
    lines = [f"## {name}", "", text.strip(), ""]
    plain = options(command, [])
    of_method = {}
    if "method" in plain and options(command, ["--method", names()[-1]]) != plain:
        of_method = {method: options(command, ["--method", method]) for method in sorted(names(), key=DEFAULT.__ne__)}
    shared = {option: row for option, row in plain.items() if all(o.get(option) == row for o in of_method.values())}
    known: dict[str, dict[str, None]] = {}  # command -> options in their order, nested ones as `--training.*`
    for option, row in shared.items():
        if row not in described or len(row.split()) < 6:
            lines.append(row)
        else:
            shown = f"`--{option.partition('.')[0]}{'.*' if '.' in option else ''}`"
            shown = row.removeprefix("- ").partition(": ")[0] if "(required)" in row else shown
            known.setdefault(described[row], {})[shown] = None
    lines += [f"- As in [{of}](#{of.replace(' ', '-')}): {', '.join(found)}." for of, found in known.items()]
    described |= dict.fromkeys(shared.values(), name) | described
    if name in ("train", "search ensemble"):
        return "\n".join([*lines, "", "The settings of the method are those of [crossval](#crossval).", ""])
    settings: dict[tuple[str, str], str] = {}
    for method, found in of_method.items():
        rows = {option: row for option, row in found.items() if option not in shared}
        lines += ["", f"With `--method {method}`:", "", *_settings_of(method, rows, settings)]
        described |= dict.fromkeys(rows.values(), name) | described
    return "\n".join([*lines, ""])


def _settings_of(method: str, rows: dict[str, str], described: dict[tuple[str, str], str]) -> list[str]:
    """The lines of a method's settings; of those that mean what they mean for an earlier method, the defaults only."""
    lines: list[str] = []
    known: dict[str, list[str]] = {}
    for option, row in rows.items():
        spelled, _, meaning = row.removeprefix("- ").partition(": ")
        if (first := described.setdefault((option, meaning), method)) == method:
            lines.append(row)
        else:
            default = spelled.partition("`")[2].partition("`")[2]
            known.setdefault(first, []).append(f"`--{option}`{default}")
    return lines + [f"- As for `{first}`: {', '.join(found)}." for first, found in known.items()]


def options(command: type[Command], arguments: list[str]) -> dict[str, str]:
    """Name -> line of the page for each option of a command but the common ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(command.specialize(arguments), config=CONFIG)
    found = {}
    for action in parser._actions:
        name = (action.option_strings[-1:] or [action.dest])[0].lstrip("-")
        if name in ("help", "quiet", "debug"):
            continue
        text = " ".join((action.help or "").split())
        meaning, _, default = text.rpartition("(default: " if "(default: " in text else "(")
        default = default.removesuffix(")").strip()
        choices = "|".join(sorted(choice for choice in action.choices or () if choice != "None"))
        flags = [f"{option} {choices}".strip() for option in reversed(action.option_strings)]
        spelled = ", ".join(f"`{flag}`" for flag in flags) or f"`{action.metavar}`"
        default = {"None": "", "False": "", "repeatable": "", "True": "on"}.get(default, default)
        if len(words := default.split()) > 6:
            default = " ".join([*words[:4], "...", *words[-2:]])
        meaning = meaning.strip()
        found[name] = f"- {spelled}{f' ({default})' if default else ''}: {meaning}"
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
