"""Class-conditional P values equal to those of crepes on the same numbers."""

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
