"""The 22 canonical features of a time series, by pycatch22 (GPL-3.0-or-later; nothing else here depends on it).

Source: Lubba et al. 2019; Baby Moves compares its network with logistic regression on them. Versions of the library
differ: 1.0 gives other values than the older one that the reference was made with in ten of the features.
"""

import numpy as np
from jaxtyping import Float

from infantjax.errors import MissingExtraError


def catch22(
    series: Float[np.ndarray, "time series"],
) -> Float[np.ndarray, "series feature"]:
    """The features of each series.

    Args:
        series: `[time, series]`; those of Baby Moves make 46 x 22 features, which with age and cohort are the published
            1014.

    Returns:
        float64. A series that does not vary, or holds a NaN, has zeros: the library would return numbers.

    Raises:
        MissingExtraError: pycatch22 is not installed.
        ValueError: fewer than three frames.
    """
    try:
        import pycatch22
    except ImportError:
        raise MissingExtraError("pycatch22", "baselines") from None
    series = np.asarray(series, np.float64)
    if len(series) < 3:
        raise ValueError(f"a series needs at least 3 frames, got {len(series)}")
    features = np.zeros((series.shape[1], 22))
    for row, column in zip(features, series.T):
        if np.isfinite(column).all() and np.ptp(column) > 0:
            row[:] = pycatch22.catch22_all(column.tolist())["values"]
    return features
