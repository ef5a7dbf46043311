"""From the words of a command line to a command, with each mistake as one line."""

import contextlib
import difflib
import inspect
import io
import itertools
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro
from tyro.conf import AvoidSubcommands, DisallowNone, FlagCreatePairsOff, PositionalMetavarFromFieldName

from infantjax.cli.options.common import Command, suggest
from infantjax.cli.options.methods import value_of
from infantjax.errors import InputError

C = TypeVar("C", bound=Command)

CONFIG = (AvoidSubcommands, FlagCreatePairsOff, DisallowNone, PositionalMetavarFromFieldName)
"""A nested dataclass is never a subcommand, and a flag has no second form with `--no-`."""

_FRAME = " │╭╮╰╯─"


def find_command(arguments: Sequence[str], names: Sequence[str]) -> str:
    """The command that a command line begins with; of two words where it is one of those.

    Raises:
        InputError: no command has this name; the message names the nearest ones.
    """
    if (both := " ".join(arguments[:2])) in names:
        return both
    if arguments[0] in names:
        return arguments[0]
    raise InputError("command", f'"{arguments[0]}" does not exist', suggest(arguments[0], names))


def parse(command: type[C], name: str, arguments: Sequence[str], values: Mapping[str, Any] | None = None) -> C | None:
    """Parse the options of a command.

    Args:
        command: class whose fields are the options.
        name: as the user writes it.
        arguments: the words after the name.
        values: options by name, which the words replace; None takes those of the file that `--config` names.

    Returns:
        The command, or None if its help was asked for and is printed.

    Raises:
        InputError: an option that does not exist, is missing, or has a value that it cannot have.
    """
    arguments, specialized = with_config(command, name, arguments, values)
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            parsed, unknown = tyro.cli(
                specialized,
                prog=f"infantjax {name}",
                description=inspect.cleandoc(command.__doc__ or ""),
                args=expand(arguments, specialized),
                config=CONFIG,
                return_unknown_args=True,
            )
    except SystemExit as leave:
        if not leave.code:
            return None
        raise InputError(name, _without_box(box.getvalue()), f"see infantjax {name} --help") from None
    except ValueError as error:  # settings check themselves when they are made
        raise InputError(name, str(error), f"see infantjax {name} --help") from error
    if unknown:
        word = unknown[0].partition("=")[0]
        what = f"option {word} does not exist" if word.startswith("-") else f'"{word}" is one argument too many'
        raise InputError(name, what, _suggest_option(word, options_of(specialized)) if word.startswith("-") else "")
    return parsed


def with_config(
    command: type[C], name: str, arguments: Sequence[str], values: Mapping[str, Any] | None = None
) -> tuple[list[str], type[C]]:
    """The words of a command line behind those of options by name, and the command with their arguments.

    Args:
        command: class whose fields are the options.
        name: as the user writes it.
        arguments: the words after the name.
        values: options by name; None takes those of the file that `--config` names.

    Raises:
        InputError: the file cannot be used, or an option does not exist.
    """
    from infantjax.cli import config_file

    given = value_of("--config", arguments)
    where = name if given is None else given
    if values is None:
        values = {} if given is None else config_file.read(Path(given), name)
    deciding = [
        word for key in ("method", "preset", "model") if key in values for word in (f"--{key}", str(values[key]))
    ]
    options, specialized = config_file.as_arguments(values, command.specialize([*deciding, *arguments]))
    known = options_of(specialized) if options else []
    for words in options:
        words[0] = expand(words[:1], specialized)[0]
        if words[0] not in known and _opposite(words[0]) not in known:
            raise InputError(where, f"option {words[0]} does not exist", _suggest_option(words[0], known))
    # A flag has one form only: the one that changes its default.
    return [*(word for words in options if words[0] in known for word in words), *arguments], specialized


def _opposite(option: str) -> str:
    """`--no-follow` of `--follow`, and the reverse; in tables `--film.no-blur`."""
    tables, dot, last = option.removeprefix("--").rpartition(".")
    return f"--{tables}{dot}{last.removeprefix('no-') if last.startswith('no-') else f'no-{last}'}"


def options_of(command: type[Command]) -> list[str]:
    """The options of a command, each with its dashes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(command, config=CONFIG)
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _suggest_option(word: str, known: Sequence[str]) -> str:
    """A remedy for an option that does not exist: near ones, or the settings of the method, or all."""
    by_name = {f"--{option.rpartition('.')[2].removeprefix('--')}": option for option in known}
    if near := difflib.get_close_matches(word, by_name, 3, cutoff=0.7):
        return f"did you mean {' or '.join(by_name[name] for name in near)}?"
    settings = [option for option in known if "." in option]
    return f"settings are {', '.join(settings)}" if settings else f"known are {', '.join(known)}"


def expand(arguments: Sequence[str], command: type[Command]) -> list[str]:
    """Arguments with the full names of nested options: `--epochs` is `--training.epochs` where nothing else fits."""
    known = options_of(command)
    expanded = []
    for word in arguments:
        name, equals, value = word.partition("=")
        nested = [option for option in known if option.endswith(f".{name.removeprefix('--').replace('_', '-')}")]
        is_short = name.startswith("--") and name not in known and len(nested) == 1
        expanded.append(f"{nested[0]}{equals}{value}" if is_short else word)
    return expanded


def _without_box(text: str) -> str:
    """The message of the parser as one line: its first paragraph, without the title and frame around it."""
    lines = (line.strip(_FRAME) for line in text.splitlines()[1:])
    content = itertools.dropwhile(_is_rule, lines)
    return " ".join(" ".join(itertools.takewhile(lambda line: not _is_rule(line), content)).split()).rstrip(".")


def _is_rule(line: str) -> bool:
    return not line.strip("-")
