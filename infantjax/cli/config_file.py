"""`--config FILE`: the options of a command in TOML, read before its command line and written beside its results.

    command = "crossval"
    cohort = "cohort"
    output = "ensemble"
    [training]
    epochs = 50

Names are those of the options without dashes; arguments without an option have the names that `--help` shows.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import tomli_w
from tyro.conf import Positional, UseAppendAction

from infantjax.cli.options.common import Command
from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.version import __version__

C = TypeVar("C", bound=Command)

HEADER = ("command", "version")
"""Keys that are no options: of which command the file is, and by which version it was written."""
POSITIONAL = get_args(Positional[int])[1]


class Option(NamedTuple):
    """An option of a command.

    Attributes:
        name: without dashes, with the names of the tables that it is in.
        value: a number, text, path, truth value, or a tuple of these.
        marks: metadata of its annotation.
    """

    name: str
    value: Any
    marks: tuple[Any, ...]


def options(command: Any, tables: str = "") -> Iterator[Option]:
    """All options of a command or of settings in it, but those of the run itself (`--quiet`, `--debug`, `--config`)."""
    hints = get_type_hints(type(command), include_extras=True)
    for field in fields(command):
        value, hint = getattr(command, field.name), hints[field.name]
        marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
        names = [mark.name for mark in marks if getattr(mark, "name", None) is not None]
        name = tables + (names[0] if names else field.name.replace("_", "-"))
        if field.name == "common" or isinstance(value, Mapping):
            continue
        if is_dataclass(value):
            yield from options(value, tables if names == [""] else f"{name}.")
        elif value is not None:
            yield Option(name, value, marks)


def to_toml(command: Command, name: str) -> str:
    """The options of a command as the text of a file for `--config`."""
    content: dict[str, Any] = {"command": name, "version": __version__}
    for option in options(command):
        if option.name in command.unwritten:
            continue
        *tables, key = option.name.split(".")
        table = content
        for part in tables:
            table = table.setdefault(part, {})
        table[key] = _plain(option.value)
    return tomli_w.dumps(content)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def read(path: Path, name: str) -> dict[str, Any]:
    """The options of a file for `--config`, nested as in the file.

    Args:
        path: of the file.
        name: of the command that reads it.

    Raises:
        InputError: it cannot be read, or is of another command.
    """
    content = read_toml(path)
    if content.get("command", name) != name:
        raise InputError(path, f'is of the command "{content["command"]}"', f"use it with {content['command']}")
    return {key: value for key, value in content.items() if key not in HEADER}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, f"is no TOML ({error})", "correct it") from None


def _flat(table: Mapping[str, Any], tables: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{tables}{key}.")
        else:
            yield tables + key.replace("_", "-"), value


def as_arguments(values: Mapping[str, Any], command: type[C]) -> tuple[list[list[str]], type[C]]:
    """Options by name as words of a command line.

    Args:
        values: by name, nested.
        command: with the options of its method.

    Returns:
        The words of each option, and the command with the arguments that have no option as defaults.
    """
    hints = get_type_hints(command, include_extras=True)
    marks = {name.replace("_", "-"): get_args(hint)[1:] for name, hint in hints.items()}
    words: list[list[str]] = []
    defaults = []
    for name, value in _flat(values):
        items = [str(item) for item in _items(value)]
        if POSITIONAL in marks.get(name, ()):
            field = name.replace("-", "_")
            defaults.append((field, hints[field], _typed(hints[field], value)))
        elif isinstance(value, bool):
            tables, dot, last = name.rpartition(".")
            words.append([f"--{name}" if value else f"--{tables}{dot}no-{last}"])
        elif UseAppendAction in marks.get(name, ()):
            words += [[f"--{name}", item] for item in items]
        else:
            words.append([f"--{name}", *items])
    if defaults:
        made = make_dataclass(command.__name__, defaults, bases=(command,), frozen=True, kw_only=True)
        made.__doc__ = command.__doc__
        return words, made
    return words, command


def _items(value: Any) -> Iterator[Any]:
    """The values of a list, of lists in it too."""
    if isinstance(value, list):
        for item in value:
            yield from _items(item)
    else:
        yield value


def _typed(hint: Any, value: Any) -> Any:
    """A value of the file as the value of an argument: a path, a text, or a tuple of them."""
    kind = get_args(hint)[0]
    if isinstance(value, list):
        item = get_args(kind)[0]
        return tuple(item(each) for each in value)
    return Path(value) if kind in (Path, Path | None) else value


def write(results: Path | None, config: Path | None, name: str, text: str) -> None:
    """Write the options of a command beside its results: `DIR/crossval.toml`, or `FILE.pose.toml`.

    Args:
        results: folder or file that the command wrote; None writes nothing.
        config: file that the options came from, which stays as it is.
        name: of the command.
        text: of `to_toml`.
    """
    if results is None or not results.parent.is_dir():
        return
    file = f"{name.replace(' ', '-')}.toml"
    target = results / file if results.is_dir() else results.with_name(f"{results.name}.{file}")
    if target.exists() and (target.read_text("utf-8") == text or (config and config.resolve() == target.resolve())):
        return
    write_atomically(target, text)
