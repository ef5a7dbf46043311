"""Settings of the augmentation of training windows, without importing what applies them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random transformation of a training window; the defaults are those of the reference implementation.

    Attributes:
        rotation_degrees: angles lie within plus or minus this, about the origin.
        scale: factors lie within 1 plus or minus this.
        translation: shifts of x and of y lie within plus or minus this, in standardized units (not scaled).
        discrete: sample whole degrees and hundredths, each value equally likely, as the reference implementation does;
            otherwise sample uniformly from the whole ranges.

    Raises:
        ValueError: a range is negative or not finite, a scale of 1 or more, or off the grid when discrete.

    Source: Groos et al., Paper III with supplement; reference implementation of movement outcome.
    """

    rotation_degrees: float = 45
    scale: float = 0.3
    translation: float = 0.3
    discrete: bool = True

    def __post_init__(self) -> None:
        for name, step in (("rotation_degrees", 1), ("scale", 0.01), ("translation", 0.01)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}")
            if self.discrete and not math.isclose(value / step, round(value / step), abs_tol=1e-9):
                raise ValueError(
                    f"{name} must be a multiple of {step} when discrete, got {value}; or set discrete=False"
                )
        if self.scale >= 1:
            raise ValueError(f"scale must be below 1, got {self.scale}: a factor of 1 - scale must stay above 0")
