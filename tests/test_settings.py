"""Settings are held to the annotations of their fields."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from infantjax.settings import Count, Momentum, Positive, Range, Seed, Share, check_fields, from_settings, to_settings


@dataclass(frozen=True)
class Config:
    epochs: Count = 1
    rate: Positive | None = None
    momentum: Momentum = 0.9
    share: Share = 0.5
    part: Annotated[float, Range(above=0, at_most=1)] = 1.0
    shift: Annotated[float, Range()] = 0.0
    side: Literal[2, 3] = 2
    kind: Literal["mean", "sum"] | None = "mean"
    exact: bool = False
    checkpoints: tuple[tuple[Count, Share], ...] = ()
    image: tuple[Positive, Positive] = (640.0, 480.0)
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be a whole number at least 1, got 1.5"),
        ({"epochs": True}, "epochs must be a whole number at least 1, got True"),
        ({"rate": 0.0}, "rate must be above 0, got 0.0"),
        ({"rate": float("inf")}, "rate must be above 0, got inf"),
        ({"rate": "4"}, "rate must be a number above 0, got '4'"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, got 1.0"),
        ({"share": float("nan")}, "share must be within 0..1, got nan"),
        ({"part": 0}, "part must be above 0 and at most 1, got 0"),
        ({"shift": float("-inf")}, "shift must be finite, got -inf"),
        ({"side": 4}, "side must be one of 2, 3, got 4"),
        ({"side": 2.0}, r"side must be one of 2, 3, got 2\.0"),
        ({"kind": "max"}, "kind must be one of mean, sum, got 'max'"),
        ({"exact": 1}, "exact must be true or false, got 1"),
        ({"checkpoints": ((1, 0.5), (0, 0.5))}, "checkpoints must be at least 1, got 0"),
        ({"image": (640.0,)}, "image must have 2 values"),
        ({"seed": 2**32}, r"seed must be within 0\.\.4294967295, got 4294967296"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_range(values, message):
    with pytest.raises(ValueError, match=message):
        Config(**values)


@dataclass(frozen=True)
class Late:
    """As every class is under `from __future__ import annotations`."""

    epochs: "Count" = 1

    def __post_init__(self) -> None:
        check_fields(self)


def test_an_annotation_that_is_a_text_is_checked_too():
    assert Late(2).epochs == 2
    with pytest.raises(ValueError, match="epochs must be at least 1, got -5"):
        Late(-5)


@dataclass(frozen=True)
class Either:
    threshold: Annotated[float, Range(0, 1)] | Literal["own"] | None = 0.5

    def __post_init__(self) -> None:
        check_fields(self)


def test_one_of_several_annotations_must_allow_a_value():
    assert [Either(value).threshold for value in (0.2, "own", None)] == [0.2, "own", None]
    with pytest.raises(ValueError, match=r"threshold must be within 0\.\.1, got 2"):
        Either(2.0)


def test_values_at_the_limits_are_taken():
    config = Config(1, 1e-9, 0, 1, 1, -3, 3, None, True, ((1, 1.0),), (1, 1), 2**32 - 1)
    assert from_settings(Config, to_settings(config)) == config
