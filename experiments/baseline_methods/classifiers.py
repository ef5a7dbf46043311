"""Classifiers on features as baselines of networks, fitted on the training infants of a split, by scikit-learn.

Source: Passmore et al. (Baby Moves): ridge logistic regression and the same on a Nystroem approximation of a kernel.
Our choice, where it does not say: a search over seven decades of the penalty and over the width of an RBF kernel, 100
components, and the AUC as the metric of the search.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

PENALTIES = tuple(10.0**k for k in range(-3, 4))
"""Inverse strengths of the penalty."""
WIDTHS = tuple(10.0**k for k in range(-5, 0))
"""Gammas of the RBF kernel, for standardized features by the hundred."""
Classifier = Literal["lda", "svm", "pls", "forest"]
"""Those of `classify`."""
TREES = 500
"""Trees of a random forest."""
MOST_LATENT = 6
"""Largest number of latent variables of partial least squares."""


def logistic(
    features: Float[np.ndarray, "recording feature"],
    outcomes: Sequence[float],
    train: Sequence[int],
    test: Sequence[int],
    *,
    groups: Sequence[Hashable] | None = None,
    kernel: bool = False,
    components: int = 100,
    folds: int = 5,
    seed: int = 1,
) -> Float[np.ndarray, " test"]:
    """Risks of test recordings from a logistic regression.

    Features are standardized by the training recordings; penalty and kernel width are selected by cross-validation
    within them, each group in one fold.

    Args:
        features: `[recording, feature]`, no NaN.
        outcomes: `[recording]`, 0 or 1.
        train: rows to fit on.
        test: rows to predict.
        groups: `[recording]` its infant; None if each is an infant of its own.
        kernel: use a Nystroem approximation of an RBF kernel.
        components: of the approximation, at most as many as there are recordings to fit on.
        folds: of the cross-validation.
        seed: of the folds and of the approximation.

    Raises:
        ValueError: missing values, or fewer recordings of an outcome than folds.
    """
    x, y, rows, names = _checked(features, outcomes, train, groups, folds)
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression

    steps: list[tuple[str, Any]] = []
    search: dict[str, Any] = {"classify__C": PENALTIES}
    if kernel:
        # In the smallest fold there must be as many recordings as components.
        most = min(components, len(rows) * (folds - 1) // folds - 1)
        steps.append(("kernel", Nystroem(n_components=most, random_state=seed)))
        search["kernel__gamma"] = WIDTHS
    steps.append(("classify", LogisticRegression(max_iter=5000)))
    fitted = _fitted(steps, search, x, y, rows, names, folds, seed)
    return fitted.predict_proba(x[np.asarray(test)])[:, 1]


def classify(
    features: Float[np.ndarray, "recording feature"],
    outcomes: Sequence[float],
    train: Sequence[int],
    test: Sequence[int],
    classifier: Classifier,
    *,
    groups: Sequence[Hashable] | None = None,
    folds: int = 5,
    seed: int = 1,
) -> Float[np.ndarray, " test"]:
    """Scores of test recordings, 0..1; those of `svm` and `pls` are no probabilities.

    `lda`: linear discriminants with the Ledoit-Wolf covariance, which works with more features than infants. `svm`: a
    linear support vector machine, whose score is the logistic function of the distance from its plane. `pls`:
    regression of the outcome on a few latent variables, whose score is the logistic function of four times the excess
    over one half. `forest`: the mean of a random forest of 500 trees, both outcomes of equal weight (our choice).
    Penalty and number of latent variables are selected as in `logistic`; how the sources select them is not
    published.

    Args:
        features: as `logistic`.
        outcomes: as `logistic`.
        train: as `logistic`.
        test: as `logistic`.
        classifier: name.
        groups: as `logistic`.
        folds: as `logistic`.
        seed: of the folds, and of the forest.

    Raises:
        ValueError: an unknown classifier; missing values, or fewer recordings of an outcome than folds.

    Source: McCay et al. (LDA, SVM); Rahmati et al. 2015 (PLS); Orlandi et al. 2018 (forest).
    """
    x, y, rows, names = _checked(features, outcomes, train, groups, folds)
    from scipy.special import expit
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.svm import SVC

    # In the smallest fold there must be as many recordings as latent variables.
    most = min(MOST_LATENT, x.shape[1], len(rows) * (folds - 1) // folds - 1)
    known: dict[str, tuple[Any, dict[str, Any]]] = {
        "lda": (LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), {}),
        "svm": (SVC(kernel="linear"), {"classify__C": PENALTIES}),
        "pls": (PLSRegression(scale=False), {"classify__n_components": range(1, most + 1)}),
        "forest": (RandomForestClassifier(TREES, class_weight="balanced", random_state=seed), {}),
    }
    if classifier not in known:
        raise ValueError(f'unknown classifier "{classifier}"; known: {", ".join(known)}')
    model, search = known[classifier]
    fitted, tested = _fitted([("classify", model)], search, x, y, rows, names, folds, seed), x[np.asarray(test)]
    if classifier in ("lda", "forest"):
        return fitted.predict_proba(tested)[:, 1]
    return expit(
        fitted.decision_function(tested) if classifier == "svm" else 4 * (fitted.predict(tested).ravel() - 0.5)
    )


def window_share(
    windows: Sequence[Float[np.ndarray, "window feature"]],
    outcomes: Sequence[float],
    train: Sequence[int],
    test: Sequence[int],
    *,
    latent: int = MOST_LATENT,
) -> Float[np.ndarray, " test"]:
    """The fraction of the windows of a recording that linear discriminants on latent variables classify as positive.

    Every window has the outcome of its recording; windows are standardized by those of the training recordings.

    Args:
        windows: of each recording, for example `cima.features`; no NaN.
        outcomes: `[recording]`, 0 or 1.
        train: rows to fit on.
        test: rows to score.
        latent: variables of the partial least squares (our choice; not published).

    Raises:
        ValueError: missing values, or training recordings of one outcome only.

    Source: Ihlen et al. 2020 (CIMA); one model here, six from six folds there.
    """
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([windows[row] for row in train])
    y = np.repeat([outcomes[row] for row in train], [len(windows[row]) for row in train])
    if not all(np.isfinite(of_one).all() for of_one in windows):
        raise ValueError("features hold missing values")
    if len(np.unique(y)) < 2:
        raise ValueError("the training recordings are of one outcome only")
    scale = StandardScaler().fit(x)
    regression = PLSRegression(min(latent, x.shape[1], len(x) - 1), scale=False).fit(scale.transform(x), y)
    discriminants = LinearDiscriminantAnalysis().fit(regression.transform(scale.transform(x)), y)
    positive = [discriminants.predict(regression.transform(scale.transform(windows[row]))) for row in test]
    return np.array([windows.mean() for windows in positive])


def _checked(
    features: Float[np.ndarray, "recording feature"],
    outcomes: Sequence[float],
    train: Sequence[int],
    groups: Sequence[Hashable] | None,
    folds: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, outcomes, training rows and names of infants as arrays."""
    x, y, rows = np.asarray(features, np.float64), np.asarray(outcomes), np.asarray(train)
    if not np.isfinite(x).all():
        raise ValueError("features hold missing values")
    names = np.asarray([str(g) for g in groups]) if groups is not None else np.arange(len(y))
    fewest = min(len(set(names[rows[y[rows] == outcome]])) for outcome in (0, 1))
    if fewest < folds:
        raise ValueError(f"{fewest} infants of an outcome cannot be split into {folds} folds")
    return x, y, rows, names


def _fitted(
    steps: list[tuple[str, Any]],
    search: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    names: np.ndarray,
    folds: int,
    seed: int,
) -> Any:
    """Standardization and further steps, fitted to the rows; hyperparameters are selected by cross-validation."""
    from sklearn.metrics import make_scorer, roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    pipeline = Pipeline([("scale", StandardScaler()), *steps])
    if not search:
        return pipeline.fit(x[rows], y[rows])
    area = make_scorer(roc_auc_score, response_method=("decision_function", "predict_proba", "predict"))
    search_cv = GridSearchCV(pipeline, search, scoring=area, cv=parts, error_score="raise")
    return search_cv.fit(x[rows], y[rows], groups=names[rows])
