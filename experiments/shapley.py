"""Exact Shapley values of a score of a few entries, and of the info branch of MAM.

The value of an entry is the change of the score when the entry becomes known, as a mean over all orders in which
entries become known. Unknown entries are drawn from a background of other infants, as if entries were independent. All
subsets are evaluated: 32 for the five entries of MAM.

    found = shapley.of_info(module, variables, aux["main"], info)

Source: Lundberg and Lee 2017. Gao et al. 2023 show SHAP values of the info branch; the paper does not name the
estimator or the background.
"""

from collections.abc import Callable
from itertools import product
from math import factorial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from infantjax.methods.mam.model import INFO, MAM

ENTRIES = ("video", *INFO)
"""Entries that `of_info` explains."""
MAX_ENTRIES = 12
"""All subsets of more would take too long."""
_ROWS = 1024

TableScore = Callable[[Float[np.ndarray, "row entry"]], Float[np.ndarray, " row"]]


class Shapley(NamedTuple):
    """Contributions to scores: `base` and the values of a row add up to its score.

    Attributes:
        values: `[row, entry]`; above 0 where the entry raises the score.
        base: mean score of the background.
    """

    values: Float[np.ndarray, "row entry"]
    base: float


def shapley(
    score: TableScore, rows: Float[np.ndarray, "row entry"], background: Float[np.ndarray, "other entry"]
) -> Shapley:
    """Exact Shapley values of a score of rows.

    Args:
        score: from rows `[row, entry]` to scores, for any number of rows.
        rows: to explain, no NaN.
        background: rows whose entries replace unknown ones.

    Raises:
        ValueError: shapes that do not fit, missing values, or more than `MAX_ENTRIES` entries.
    """
    rows, background = np.asarray(rows, np.float64), np.asarray(background, np.float64)
    if rows.ndim != 2 or background.ndim != 2 or rows.shape[1] != background.shape[1] or not len(background):
        raise ValueError(f"rows and background must be [row, entry], got {rows.shape} and {background.shape}")
    count = rows.shape[1]
    if count > MAX_ENTRIES:
        raise ValueError(f"at most {MAX_ENTRIES} entries can be explained, got {count}")
    if not (np.isfinite(rows).all() and np.isfinite(background).all()):
        raise ValueError("rows and background must not hold missing values")
    subsets = np.array(list(product((False, True), repeat=count)))  # the last entry changes first
    known = subsets.sum(axis=1)
    weight = np.array([factorial(k) * factorial(max(count - k - 1, 0)) / factorial(count) for k in known])
    values = np.zeros(rows.shape)
    for number, row in enumerate(rows):
        filled = np.where(subsets[:, None], row, background)
        means = score(filled.reshape(-1, count)).reshape(len(subsets), -1).mean(axis=1)
        for entry in range(count):
            without = np.flatnonzero(~subsets[:, entry])
            gain = means[without + 2 ** (count - 1 - entry)] - means[without]
            values[number, entry] = weight[without] @ gain
    return Shapley(values, float(score(background).mean()))


def of_info(
    module: MAM,
    variables: Any,
    main: Float[np.ndarray, " video"],
    info: Float[np.ndarray, "video 4"],
    background: tuple[Float[np.ndarray, " other"], Float[np.ndarray, "other 4"]] | None = None,
) -> Shapley:
    """Contributions of `ENTRIES` to the log-odds of risk: the video, and each entry of the info branch.

    Args:
        module: with the info branch.
        variables: its weights.
        main: log-odds of the main branch (`main` in the auxiliary outputs of the network).
        info: entries of `INFO`.
        background: main and info of other infants, for example those of training; None is the given infants.

    Raises:
        ValueError: a network without the info branch, or as `shapley`.
    """
    if not module.info:
        raise ValueError("the network has no info branch")

    @jax.jit
    def fused(rows: Any) -> Any:
        # The main branch is known already: its log-odds replace those that `fuse` computes from zeros.
        z, clips = jnp.zeros((_ROWS, 1, module.width)), jnp.zeros((_ROWS, 1, 2))
        whole, aux = module.apply(variables, z, clips, rows[:, 1:], method="fuse")  # type: ignore[misc]
        share = jax.nn.sigmoid(variables["params"]["share"])
        return whole + share * (rows[:, 0] - aux["main"])

    def score(rows: np.ndarray) -> np.ndarray:
        # One shape of input, so that the function is compiled once.
        padded = np.pad(rows, ((0, -len(rows) % _ROWS), (0, 0))).astype(np.float32)
        parts = [np.asarray(fused(padded[first : first + _ROWS])) for first in range(0, len(padded), _ROWS)]
        return np.concatenate(parts)[: len(rows)].astype(np.float64)

    rows = np.column_stack([main, info])
    return shapley(score, rows, rows if background is None else np.column_stack(background))
