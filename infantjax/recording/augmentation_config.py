"""Settings of the augmentation of training windows, without importing what applies them."""

import math
from dataclasses import dataclass
from typing import Annotated

from infantjax.settings import NonNegative, Range, check_fields


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random transformation of a training window; the defaults are those of the reference implementation.

    Attributes:
        rotation_degrees: largest rotation about the origin to either side.
        scale: size is scaled by 1 plus or minus up to this.
        translation: largest shift of x and of y, in standardized units.
        discrete: whether to sample whole degrees and hundredths only, as the reference implementation does.

    Raises:
        ValueError: a range is negative or not finite, a scale of 1 or more, or off the grid when discrete.

    Source: Groos et al., Paper III with supplement; reference implementation of movement outcome.
    """

    rotation_degrees: NonNegative = 45
    scale: Annotated[float, Range(0, below=1)] = 0.3
    translation: NonNegative = 0.3
    discrete: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        for name, step in (("rotation_degrees", 1), ("scale", 0.01), ("translation", 0.01)):
            value = getattr(self, name)
            if self.discrete and not math.isclose(value / step, round(value / step), abs_tol=1e-9):
                raise ValueError(
                    f"{name} must be a multiple of {step} when discrete, got {value}; or set discrete=False"
                )
