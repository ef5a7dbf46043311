"""The course of an infant over visits: the trend of a score, and how far two visits differ by error alone.

Both are our choice (the paper of the SMA CNN follows no infant over time) and were not validated on infants.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


class Trend(NamedTuple):
    """Change of a score with age, by least squares.

    Attributes:
        slope: points per month.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        visits: how many it is of.
    """

    slope: float
    low: float
    high: float
    visits: int


def trend(months: ArrayLike, values: ArrayLike) -> Trend | None:
    """The trend over visits, with a t interval that takes their deviations from a line as independent.

    Args:
        months: `[visit]` age, or time since any day.
        values: `[visit]` scores.

    Returns:
        None of fewer than three visits, or if all are at one age.
    """
    from scipy import stats

    x, y = np.asarray(months, np.float64), np.asarray(values, np.float64)
    if len(x) < 3 or np.ptp(x) == 0:
        return None
    fit = stats.linregress(x, y)
    reach = float(stats.t.ppf(0.975, len(x) - 2) * fit.stderr)
    slope = float(fit.slope)
    return Trend(slope, slope - reach, slope + reach, len(x))


def reliable_change(residuals: Float[np.ndarray, " recording"], infants: int) -> float:
    """The change between two visits that error alone exceeds in 5 % of cases (Jacobson and Truax 1991).

    The quantile of t has one degree of freedom less than there are infants, whose recordings are not independent. A
    constant error of an infant cancels in a change but is part of the spread: the value is rather too large.

    Args:
        residuals: predicted minus measured score of held-out recordings.
        infants: that the recordings are of.

    Returns:
        In points; NaN of fewer than two infants.
    """
    from scipy import stats

    if infants < 2:
        return math.nan
    return float(stats.t.ppf(0.975, infants - 1) * math.sqrt(2) * np.std(residuals, ddof=1))
