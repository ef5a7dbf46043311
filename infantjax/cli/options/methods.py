"""Names of the methods, from the registry, as values of an option."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from infantjax.methods import registry

DEFAULT = registry.DEFAULT

if TYPE_CHECKING:
    MethodName = TrainedName = str
else:
    MethodName = Literal[tuple(registry.names("keypoints"))]
    TrainedName = Literal[tuple(registry.names())]


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The value of an option that decides which other options there are, so that it is read before them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(option, dest="value", nargs="?")
    return parser.parse_known_args(list(arguments))[0].value
