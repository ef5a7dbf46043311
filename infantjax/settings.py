"""Settings as frozen dataclasses: the values that a field may take, and their form in JSON.

The annotation of a field says its range, and `check_fields` holds every field to its annotation:

    @dataclass(frozen=True)
    class TrainingConfig:
        epochs: Count = 200
        momentum: Annotated[float, Range(0, below=1)] = 0.9
        optimizer: Literal["adam", "momentum"] = "adam"

        def __post_init__(self) -> None:
            check_fields(self)
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Range:
    """The range of a number, as metadata of `Annotated`. Infinite values and NaN lie outside of every range.

    Attributes:
        at_least: lowest value.
        at_most: highest value.
        above: limit below all values.
        below: limit above all values.
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float = -math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        """Whether a number lies within."""
        return (
            self.above < value < self.below
            and (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
        )

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"within {self.at_least:.12g}..{self.at_most:.12g}"
        limits = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
        named = [f"{word} {limit:.12g}" for word, limit in limits.items() if limit is not None and math.isfinite(limit)]
        return " and ".join(named) or "finite"


Precision = Literal["float32", "bfloat16"]
"""Of the activations and products of a network; bfloat16 is for accelerators."""
Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
Momentum = Annotated[float, Range(0, below=1)]


def check_fields(settings: Any) -> None:
    """Hold every field of a dataclass to its annotation; to be called in `__post_init__`.

    Checked are ranges (`Annotated` with a `Range`), alternatives (`Literal`), and both inside of tuples and optional
    fields, and in unions. All other types are left to the type checker.

    Raises:
        ValueError: a value that its annotation does not allow; the message says which are allowed.
    """
    hints = _hints(settings.__class__)
    for field in filter(lambda field: field.init, dataclasses.fields(settings)):
        _check(field.name, hints[field.name], getattr(settings, field.name))


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The annotations of a dataclass by field; those of `from __future__ import annotations` as types, not texts."""
    return get_type_hints(kind, include_extras=True)


def _check(name: str, hint: Any, value: Any) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        _check_range(name, arguments[0], arguments[1], value)
    elif hint is bool and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")
    elif origin is Literal:
        require_one_of(name, value, arguments)
    elif origin in (Union, types.UnionType):
        options = [option for option in arguments if option is not types.NoneType]
        if value is not None:
            _check_any(name, options, value)
    elif origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) != len(value):
            raise ValueError(f"{name} must have {len(kinds)} values, got {value}")
        for kind, item in zip(kinds, value):
            _check(name, kind, item)


def _check_any(name: str, hints: list[Any], value: Any) -> None:
    """Hold a value to one of several annotations; the message is that of the first."""
    errors = []
    for hint in hints:
        try:
            return _check(name, hint, value)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _check_range(name: str, kind: type, allowed: Any, value: Any) -> None:
    if not isinstance(value, Integral if kind is int else Real) or isinstance(value, bool):
        raise ValueError(f"{name} must be a {'whole ' if kind is int else ''}number {allowed}, got {value!r}")
    if value not in allowed:
        raise ValueError(f"{name} must be {allowed}, got {value}")


def require_one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Refuse a value that is none of the allowed ones; 1, 1.0 and True are different values.

    Raises:
        ValueError: the message lists the allowed ones.
    """
    if not any(type(value) is type(option) and value == option for option in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, got {value!r}")


def to_settings(value: Any) -> Any:
    """A frozen dataclass as nested dictionaries of its fields, with lists in place of tuples: as JSON gives it back."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_settings(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [to_settings(item) for item in value] if isinstance(value, tuple | list) else value


def from_settings(kind: type[Settings], values: Mapping[str, Any], where: str = "") -> Settings:
    """The inverse of `to_settings`; fields that are left out take their defaults.

    Args:
        kind: a dataclass.
        values: of its fields, nested.
        where: prefix of names in messages.

    Raises:
        ValueError: a name that it does not have, or a value of another type or out of range.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where or 'settings'} must be settings by name, got {values!r}")
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(f'unknown setting "{where}{unknown[0]}"; known: {", ".join(names)}')
    return kind(**{name: _convert(hints[name], value, f"{where}{name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, name: str) -> Any:
    """A JSON value as the type of a field."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_settings(hint, value, f"{name}.")  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        reasons = []
        for option in arguments:
            try:
                return _convert(option, value, name)
            except ValueError as error:
                reasons.append(error)
        raise reasons[-1 if type(None) not in arguments else 0]
    if origin is Literal:
        require_one_of(name, value, arguments)
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(value):
            return tuple(_convert(kind, item, name) for kind, item in zip(kinds, value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = hint is Any or (isinstance(origin or hint, type) and isinstance(value, origin or hint))
    if fits and not (isinstance(value, bool) and hint is int):
        return value
    if hint is type(None) and value is None:
        return None
    raise ValueError(f"{name} must be {getattr(hint, '__name__', hint)}, got {value!r}")
