"""Options of the methods: their names from the registry, and their settings as options of a command."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from infantjax.methods import registry

DEFAULT = registry.DEFAULT
names = registry.names

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(registry.names())]


def method_of(arguments: Sequence[str]) -> str:
    """The method that a command line names by `--method`; the default one if it names none or an unknown one.

    The other options depend on it, so it is read before they are.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--method", nargs="?")
    name = parser.parse_known_args(list(arguments))[0].method
    return name if name in registry.names() else DEFAULT
