"""Linear classifiers that networks are compared with, fitted on the infants of a run, by scikit-learn.

Source: Passmore et al. (Baby Moves): ridge logistic regression and the same on a Nystroem approximation of a kernel.
Chosen, where it is silent: a search over seven decades of the penalty, an RBF kernel whose width is in the same search,
100 components, and the area under the curve as what the search maximises.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.errors import MissingExtraError

PENALTIES = tuple(10.0**k for k in range(-3, 4))
"""Inverse strengths of the penalty."""
WIDTHS = tuple(10.0**k for k in range(-5, 0))
"""Gammas of the RBF kernel, for standardised features by the hundred."""


def logistic(
    features: Float[np.ndarray, "recording feature"],
    outcomes: Sequence[int],
    train: Sequence[int],
    test: Sequence[int],
    *,
    groups: Sequence[Hashable] | None = None,
    kernel: bool = False,
    components: int = 100,
    folds: int = 5,
    seed: int = 1,
) -> Float[np.ndarray, " test"]:
    """Risks of recordings from a logistic regression that never saw them.

    Features are standardised by the training recordings; penalty and kernel width are chosen by cross-validation within
    them, groups kept whole.

    Args:
        features: `[recording, feature]`, no NaN.
        outcomes: `[recording]`, 0 or 1.
        train: rows to fit and choose on: a run's training and validation recordings.
        test: rows to predict.
        groups: `[recording]` its infant, or None where each is one of its own.
        kernel: on a Nystroem approximation of an RBF kernel.
        components: of the approximation, at most as many as there are recordings to fit on.
        folds: of the choice.
        seed: of the folds and of the approximation.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        ValueError: missing values, or fewer recordings of an outcome than folds.
    """
    try:
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise MissingExtraError("scikit-learn", "analysis") from None
    x, y, rows = np.asarray(features, np.float64), np.asarray(outcomes), np.asarray(train)
    if not np.isfinite(x).all():
        raise ValueError("features hold missing values")
    names = np.asarray([str(g) for g in groups]) if groups is not None else np.arange(len(y))
    fewest = min(len(set(names[rows[y[rows] == outcome]])) for outcome in (0, 1))
    if fewest < folds:
        raise ValueError(f"{fewest} infants of an outcome cannot be dealt to {folds} folds")
    steps: list[tuple[str, Any]] = [("scale", StandardScaler())]
    search: dict[str, Any] = {"classify__C": PENALTIES}
    if kernel:
        # In the smallest fold there must be as many recordings as components.
        most = min(components, len(rows) * (folds - 1) // folds - 1)
        steps.append(("kernel", Nystroem(n_components=most, random_state=seed)))
        search["kernel__gamma"] = WIDTHS
    steps.append(("classify", LogisticRegression(max_iter=5000)))
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    chosen = GridSearchCV(Pipeline(steps), search, scoring="roc_auc", cv=parts, error_score="raise")
    return chosen.fit(x[rows], y[rows], groups=names[rows]).predict_proba(x[np.asarray(test)])[:, 1]
