"""Checks jaxtyping annotations of arrays at run time: dtypes, numbers of axes, and axes of one name being equal.

`conftest.py` installs it as an import hook. mypy checks all other annotations.
"""

from collections.abc import Callable
from typing import Any, get_args

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check_arrays(function: Callable) -> Callable:
    """A typechecker for `jaxtyping.install_import_hook` that reads only the annotations with arrays."""
    hints = getattr(function, "__annotations__", {})
    function.__annotations__ = {name: hint for name, hint in hints.items() if _has_array(hint)}
    return _beartype(function) if function.__annotations__ else function


def _has_array(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_has_array(part) for part in get_args(hint))
