"""Options that are addresses of a cloud: a command works on local copies, and its results are published at the end."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from infantjax import places
from infantjax.cli.options.common import WRITTEN, Command
from infantjax.errors import InputError
from infantjax.progress import LOGGER


@contextlib.contextmanager
def local(command: Command) -> Iterator[Command]:
    """The command with local copies in place of the addresses among its options.

    What it writes is published when it ends, also by an error or Ctrl-C. Output, messages and errors name the
    addresses.

    Raises:
        InputError: a place cannot be read or written.
        MissingExtraError: the library for a place is not installed.
    """
    named = _addresses(command)
    if not named:
        yield command
        return
    outputs = [address for address, written in named.items() if written]
    with places.working_copy() as copy, _addresses_shown():
        for address in outputs:
            places.require_writable(address)
        paths = {address: copy.fetch(address) for address in named}
        try:
            copied = _map(command, lambda name, address: paths[address])
            copied.check_paths()
            yield copied
        except BaseException as error:
            # The error that stopped the command is reported, whether or not this succeeds.
            with contextlib.suppress(InputError):
                _publish(paths[address] for address in outputs)
            if isinstance(error, InputError):
                raise type(error)(*map(places.shown, (error.where, error.what, error.remedy))) from error
            if isinstance(error, OSError) and error.filename:
                error.filename = places.shown(str(error.filename))
            raise
        _publish(paths[address] for address in outputs)


def _addresses(options: Any) -> dict[str, bool]:
    """Every address among the options, and whether it is written."""
    found: dict[str, bool] = {}

    def note(name: str, address: str) -> str:
        found[address] = found.get(address, False) or name in WRITTEN
        return address

    _map(options, note)
    return found


def _map(options: Any, change: Callable[[str, str], str | Path]) -> Any:
    """Options with every address changed by a function of the option's name and the address; its type stays."""

    def of(name: str, value: Any) -> Any:
        if is_dataclass(value):
            return _map(value, change)
        if isinstance(value, tuple):
            return tuple(of(name, item) for item in value)
        if not isinstance(value, (str, Path)) or (address := places.parse(value)) is None:
            return value
        return type(value)(change(name, address))

    values = {entry.name: getattr(options, entry.name) for entry in fields(options)}
    changed = {name: of(name, value) for name, value in values.items()}
    return replace(options, **{name: value for name, value in changed.items() if value != values[name]})


def _publish(paths: Iterator[Path]) -> None:
    for path in paths:
        if count := places.publish(path):
            LOGGER.info("published %d file(s): %s", count, path)


@contextlib.contextmanager
def _addresses_shown() -> Iterator[None]:
    """Show addresses in place of the paths of their copies, on standard output and in messages."""

    def rename(record: logging.LogRecord) -> bool:
        record.msg, record.args = places.shown(record.getMessage()), ()
        return True

    LOGGER.addFilter(rename)
    try:
        with contextlib.redirect_stdout(_Renaming()):
            yield
    finally:
        LOGGER.removeFilter(rename)


class _Renaming:
    """Standard output in which addresses stand in place of the paths of their copies."""

    def __init__(self) -> None:
        import sys

        self.stream: TextIO = sys.stdout

    def write(self, text: str) -> int:
        return self.stream.write(places.shown(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
