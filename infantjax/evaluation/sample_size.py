"""How wide the intervals of an evaluation are for its number of infants, and how many infants narrow ones need."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, discrimination
from infantjax.evaluation.intervals import check_risks

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


class Precision(NamedTuple):
    """How precisely a metric can be estimated.

    Attributes:
        metric: its name.
        width: expected width of its 95 % interval for the infants at hand; NaN where it is not defined.
        target: width that counts as narrow.
        infants: how many infants with this share of outcomes it takes; NaN where it is not defined.
    """

    metric: str
    width: float
    target: float
    infants: float


def precision(risks: ArrayLike, labels: ArrayLike) -> tuple[Precision, ...]:
    """Expected width of intervals of AUC, calibration slope and calibration in the large.

    The widths are those of a recalibrated model: its AUC is that of the risks, its logits are the recalibrated ones.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.

    Returns:
        `auc`, `calibration_slope`, and `observed_to_expected`: observed cases by expected ones.

    Raises:
        ValueError: risks or labels as `check_risks`.

    Source: Riley et al. 2021 (Statistics in Medicine 40:4230) and 2024 (BMJ 384:e074821), with their targets; the
    standard error of the AUC is that of Newcombe 2006.
    """
    known, outcomes = check_risks(risks, labels)
    count, prevalence = len(known), float(outcomes.mean())
    if not 0 < prevalence < 1 or np.ptp(known) == 0:
        return tuple(Precision(name, math.nan, target, math.nan) for name, target in _TARGETS.items())
    area = discrimination.auc(known, outcomes)
    slope = _slope_error(known, outcomes) * math.sqrt(count)
    ratio = math.sqrt((1 - prevalence) / prevalence)
    # The errors of slope and ratio fall with the root of the number of infants, that of the AUC nearly so.
    errors: dict[str, Callable[[float], float]] = {
        "auc": lambda n: _auc_error(area, n, prevalence),
        "calibration_slope": lambda n: slope / math.sqrt(n),
        "observed_to_expected": lambda n: ratio / math.sqrt(n),
    }
    found = []
    for name, error in errors.items():
        target = _TARGETS[name]
        found.append(Precision(name, _width(name, error(count)), target, _infants(name, error, target)))
    return tuple(found)


_TARGETS = {"auc": 0.1, "calibration_slope": 0.2, "observed_to_expected": 0.2}


def _width(name: str, error: float) -> float:
    """Of an interval from its standard error; the ratio's is symmetric on the logarithm."""
    return 2 * math.sinh(_Z * error) if name == "observed_to_expected" else 2 * _Z * error


def _infants(name: str, error: Callable[[float], float], target: float) -> float:
    """The least number whose interval is as narrow as the target, by bisection."""
    low, high = 2, 2
    while _width(name, error(high)) > target:
        if high > 10**9:
            return math.nan
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _width(name, error(middle)) <= target else (middle, high)
    return high


def _auc_error(area: float, count: float, prevalence: float) -> float:
    """Standard error of an AUC, Newcombe's fourth method."""
    half = count / 2 - 1
    spread = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
    return math.sqrt(area * (1 - area) * spread / (count**2 * prevalence * (1 - prevalence)))


def _slope_error(risks: np.ndarray, labels: np.ndarray) -> float:
    """Standard error of the calibration slope of the recalibrated risks."""
    line = calibration.recalibration(risks, labels)
    logits = line.slope * calibration.logits(risks) + line.intercept
    return float(np.sqrt(calibration.line_covariance(calibration.Platt(1.0, 0.0), logits)[0, 0]))
