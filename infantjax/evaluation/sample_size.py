"""How wide the intervals of an evaluation are for its number of infants, and how many infants narrow ones need."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, discrimination
from infantjax.evaluation.intervals import check_risks

if TYPE_CHECKING:
    import pandas as pd

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_TARGETS = {"auc": 0.1, "calibration_slope": 0.2, "observed_to_expected": 0.2}
_MOST = 1e9


def precision(risks: ArrayLike, labels: ArrayLike) -> "pd.DataFrame":
    """Expected width of intervals of AUC, calibration slope and calibration in the large.

    The widths are those of a recalibrated model: its AUC is that of the risks, its logits are the recalibrated ones.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.

    Returns:
        Rows `auc`, `calibration_slope`, and `observed_to_expected` (observed cases by expected ones); columns `width`
        of the 95 % interval for the infants at hand, `target` (width that counts as narrow), and `infants` that it
        takes with this share of outcomes. NaN where they are not defined.

    Raises:
        ValueError: risks or labels as `check_risks`.

    Source: Riley et al. 2021 (Statistics in Medicine 40:4230) and 2024 (BMJ 384:e074821), with their targets; the
    standard error of the AUC is that of Newcombe 2006.
    """
    import pandas as pd

    known, outcomes = check_risks(risks, labels)
    count, prevalence = len(known), float(outcomes.mean())
    table = pd.DataFrame({"width": math.nan, "target": _TARGETS, "infants": math.nan}, list(_TARGETS))
    if not 0 < prevalence < 1 or np.ptp(known) == 0:
        return table
    area = discrimination.auc(known, outcomes)
    line = calibration.recalibration(known, outcomes)
    # Recalibrated logits are the logits times the slope, and have a slope of 1.
    slope = math.sqrt(line.covariance[0, 0] * count) / abs(line.slope)
    ratio = math.sqrt((1 - prevalence) / prevalence)

    def auc_error(n: float) -> float:
        """Newcombe's fourth method."""
        half = n / 2 - 1
        spread = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
        return math.sqrt(area * (1 - area) * spread / (n**2 * prevalence * (1 - prevalence)))

    # The errors of slope and ratio fall with the root of the number of infants, that of the AUC nearly so; the interval
    # of the ratio is symmetric on the logarithm.
    root, targets = math.sqrt(count), _TARGETS
    table["width"] = [2 * _Z * auc_error(count), 2 * _Z * slope / root, 2 * math.sinh(_Z * ratio / root)]
    table["infants"] = [
        _infants(lambda n: 2 * _Z * auc_error(n), targets["auc"]),
        math.ceil(max(2.0, (2 * _Z * slope / targets["calibration_slope"]) ** 2)),
        math.ceil(max(2.0, (_Z * ratio / math.asinh(targets["observed_to_expected"] / 2)) ** 2)),
    ]
    return table


def _infants(width: Callable[[float], float], target: float) -> float:
    """The least number whose interval is as narrow as the target."""
    from scipy.optimize import brentq

    if width(2) <= target:
        return 2
    return math.nan if width(_MOST) > target else math.ceil(brentq(lambda n: width(n) - target, 2, _MOST))
