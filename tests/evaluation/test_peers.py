"""Conformal sets and calibration maps equal to those of MAPIE and crepes on the same numbers."""

import numpy as np
import pytest

from infantjax.evaluation.decision import conformal

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    labels = (np.arange(90) % 4 == 0).astype(int)
    return np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1).round(2), labels, rng.random(40).round(2)


def test_class_conditional_p_values_are_those_of_crepes(cohort):
    crepes = pytest.importorskip("crepes")
    risks, labels, new = cohort
    strangeness = np.where(labels == 1, 1 - risks, risks)
    peer = crepes.ConformalClassifier().fit(strangeness, bins=labels)
    columns = []
    for outcome, alphas in enumerate((new, 1 - new)):
        both = np.stack([alphas, alphas], axis=1)
        found = peer.predict_p(both, bins=np.full(len(new), outcome), smoothing=False)
        columns.append(found[:, 0])
    # Ties are exact on both sides: rounding of `1 - risk` must not decide them.
    np.testing.assert_allclose(conformal(risks, labels).p_values(new), np.stack(columns, axis=1), atol=1e-12)


class OneFold:
    """Risks as the probabilities of a classifier that is fitted: what MAPIE expects."""

    classes_ = np.array([0, 1])
    n_features_in_ = 1

    def fit(self, x, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, x):
        risk = np.asarray(x, float)[:, 0]
        return np.stack([1 - risk, risk], axis=1)

    def predict(self, x):
        return (self.predict_proba(x)[:, 1] >= 0.5).astype(int)


@pytest.mark.filterwarnings("ignore:WARNING. your conformalization dataset has less labels")
@pytest.mark.parametrize("outcome", [0, 1])
def test_sets_within_an_outcome_are_those_of_mapie(cohort, outcome):
    classification = pytest.importorskip("mapie.classification")
    from sklearn.base import BaseEstimator, ClassifierMixin

    classifier = type("Risks", (OneFold, ClassifierMixin, BaseEstimator), {})()
    risks, labels, new = cohort
    own = labels == outcome
    peer = classification.SplitConformalClassifier(classifier, confidence_level=0.85, prefit=True)
    peer.conformalize(risks[own][:, None], labels[own])
    _, sets = peer.predict_set(new[:, None])
    np.testing.assert_array_equal(conformal(risks, labels).sets(new, 0.15)[:, outcome], sets[:, outcome, 0])
