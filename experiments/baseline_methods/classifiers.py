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
Classifier = Literal["logistic", "kernel", "lda", "svm", "pls", "forest"]
TREES = 500
"""Trees of a random forest."""
COMPONENTS = 100
"""Most components of the approximation of a kernel."""
MOST_LATENT = 6
"""Largest number of latent variables of partial least squares."""


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

    `logistic`: logistic regression. `kernel`: the same on a Nystroem approximation of an RBF kernel. `lda`: linear
    discriminants with the Ledoit-Wolf covariance, which works with more features than infants. `svm`: a linear support
    vector machine, whose score is the logistic function of the distance from its plane. `pls`: regression of the
    outcome on a few latent variables, whose score is the logistic function of four times the excess over one half.
    `forest`: the mean of a random forest of 500 trees, both outcomes of equal weight (our choice). Features are
    standardized by the training recordings; penalty, kernel width and number of latent variables are selected by
    cross-validation within them, each group in one fold; how the sources select them is not published.

    Args:
        features: no NaN.
        outcomes: `[recording]`, 0 or 1.
        train: rows to fit on.
        test: rows to predict.
        classifier: name.
        groups: `[recording]` its infant; None if each is an infant of its own.
        folds: of the cross-validation.
        seed: of the folds, the approximation and the forest.

    Raises:
        ValueError: missing values, or fewer infants of an outcome than folds.

    Source: McCay et al. (LDA, SVM); Rahmati et al. 2015 (PLS); Orlandi et al. 2018 (forest).
    """
    from scipy.special import expit
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import make_scorer, roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y, rows = np.asarray(features, np.float64), np.asarray(outcomes), np.asarray(train)
    if not np.isfinite(x).all():
        raise ValueError("features hold missing values")
    names = np.asarray([str(g) for g in groups]) if groups is not None else np.arange(len(y))
    fewest = min(len(set(names[rows[y[rows] == outcome]])) for outcome in (0, 1))
    if fewest < folds:
        raise ValueError(f"{fewest} infants of an outcome cannot be split into {folds} folds")
    # In the smallest fold there must be as many recordings as components or latent variables.
    most = len(rows) * (folds - 1) // folds - 1
    regression, latent = LogisticRegression(max_iter=5000), range(1, min(MOST_LATENT, x.shape[1], most) + 1)
    kernel = Nystroem(n_components=min(COMPONENTS, most), random_state=seed)
    known: dict[Classifier, tuple[tuple[Any, ...], dict[str, Any]]] = {
        "logistic": ((regression,), {"logisticregression__C": PENALTIES}),
        "kernel": ((kernel, regression), {"logisticregression__C": PENALTIES, "nystroem__gamma": WIDTHS}),
        "lda": ((LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),), {}),
        "svm": ((SVC(kernel="linear"),), {"svc__C": PENALTIES}),
        "pls": ((PLSRegression(scale=False),), {"plsregression__n_components": latent}),
        "forest": ((RandomForestClassifier(TREES, class_weight="balanced", random_state=seed),), {}),
    }
    steps, search = known[classifier]
    model = make_pipeline(StandardScaler(), *steps)
    if search:
        area = make_scorer(roc_auc_score, response_method=("decision_function", "predict_proba", "predict"))
        parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        chosen = GridSearchCV(model, search, scoring=area, cv=parts, error_score="raise")
        model = chosen.fit(x[rows], y[rows], groups=names[rows])
    else:
        model.fit(x[rows], y[rows])
    tested = x[np.asarray(test)]
    if classifier == "svm":
        return expit(model.decision_function(tested))
    if classifier == "pls":
        return expit(4 * (model.predict(tested).ravel() - 0.5))
    return model.predict_proba(tested)[:, 1]


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
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([windows[row] for row in train])
    y = np.repeat([outcomes[row] for row in train], [len(windows[row]) for row in train])
    if not all(np.isfinite(of_one).all() for of_one in windows):
        raise ValueError("features hold missing values")
    if len(np.unique(y)) < 2:
        raise ValueError("the training recordings are of one outcome only")
    regression = PLSRegression(min(latent, x.shape[1], len(x) - 1), scale=False)
    reduced = make_pipeline(StandardScaler(), regression).fit(x, y)
    discriminants = LinearDiscriminantAnalysis().fit(reduced.transform(x), y)
    return np.array([discriminants.predict(reduced.transform(windows[row])).mean() for row in test])
