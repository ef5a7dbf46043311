"""How a score is shared out among a few entries, by Shapley values: what a reading of MAM takes from its info branch.

An entry's value is what knowing it adds to the score, as a mean over all orders in which entries become known. An entry
that is not known is drawn from a background of other infants, one by one, as if entries were independent. With the five
entries of that reading every one of the 32 subsets is evaluated: the values are exact.

Source: Lundberg and Lee 2017, by their package `shap`. Gao et al. 2023 show SHAP values of the info branch; which of
its estimators, and which background, is not told.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from infantjax.errors import MissingExtraError
from infantjax.methods.mam.model import INFO, MAM

ENTRIES = ("video", *INFO)
"""What `of_info` shares the risk out among."""
MOST = 12
"""Most entries, of which every subset is evaluated."""
_ROWS = 1024

TableScore = Callable[[Float[np.ndarray, "row entry"]], Float[np.ndarray, " row"]]


class Shapley(NamedTuple):
    """Shares of scores: `base` and a row's values together are its score.

    Attributes:
        values: `[row, entry]`; an entry that speaks for a higher score is above 0.
        base: mean score of the background.
    """

    values: Float[np.ndarray, "row entry"]
    base: float


def shapley(
    score: TableScore, rows: Float[np.ndarray, "row entry"], background: Float[np.ndarray, "other entry"]
) -> Shapley:
    """Exact Shapley values of a score of rows.

    Args:
        score: from rows `[row, entry]` to scores; of any number of rows.
        rows: to explain, no NaN.
        background: rows whose entries stand in for those that are not known.

    Raises:
        MissingExtraError: shap is not installed.
        ValueError: shapes that do not fit, missing values, or more than `MOST` entries.
    """
    rows, background = np.asarray(rows, np.float64), np.asarray(background, np.float64)
    if rows.ndim != 2 or background.ndim != 2 or rows.shape[1] != background.shape[1] or not len(background):
        raise ValueError(f"rows and background must be [row, entry], got {rows.shape} and {background.shape}")
    if rows.shape[1] > MOST:
        raise ValueError(f"every subset of at most {MOST} entries can be evaluated, got {rows.shape[1]}")
    if not (np.isfinite(rows).all() and np.isfinite(background).all()):
        raise ValueError("rows and background must not hold missing values")
    try:
        import shap
    except ImportError:
        raise MissingExtraError("shap", "shap") from None
    masker = shap.maskers.Independent(background, max_samples=len(background))
    found = shap.explainers.Exact(score, masker)(rows, silent=True)
    return Shapley(np.asarray(found.values, np.float64), float(np.asarray(found.base_values).ravel()[0]))


def of_info(
    module: MAM,
    variables: Any,
    main: Float[np.ndarray, " video"],
    info: Float[np.ndarray, "video 4"],
    background: tuple[Float[np.ndarray, " other"], Float[np.ndarray, "other 4"]] | None = None,
) -> Shapley:
    """How the log-odds of risk are shared out among `ENTRIES`: the video, and each entry of the info branch.

    Args:
        module: with the info branch.
        variables: its weights.
        main: log-odds of the main branch (`main` of what the network returns beside its score).
        info: entries of `INFO`.
        background: the same two of other infants, for example those of training; None is the given infants.

    Raises:
        MissingExtraError: shap is not installed.
        ValueError: a network without the info branch, or as `shapley`.
    """
    if not module.info:
        raise ValueError("the network has no info branch")

    @jax.jit
    def fused(rows: Any) -> Any:
        # The main branch is known already: what `fuse` makes of empty instances is left.
        z, clips = jnp.zeros((_ROWS, 1, module.width)), jnp.zeros((_ROWS, 1, 2))
        whole, aux = module.apply(variables, z, clips, rows[:, 1:], method="fuse")  # type: ignore[misc]
        share = jax.nn.sigmoid(variables["params"]["share"])
        return whole + share * (rows[:, 0] - aux["main"])

    def score(rows: np.ndarray) -> np.ndarray:
        # One shape, or each number of rows would be compiled anew.
        padded = np.pad(rows, ((0, -len(rows) % _ROWS), (0, 0))).astype(np.float32)
        parts = [np.asarray(fused(padded[first : first + _ROWS])) for first in range(0, len(padded), _ROWS)]
        return np.concatenate(parts)[: len(rows)].astype(np.float64)

    rows = np.column_stack([main, info])
    return shapley(score, rows, rows if background is None else np.column_stack(background))
