"""Figures on the device equal those of the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from infantjax.evaluation import discrimination
from infantjax.training import metrics

AUC = jax.jit(metrics.auc)
LABELED = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=16, max_size=16).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(LABELED)
@settings(max_examples=60, deadline=None)
def test_auc_with_ties_equals_evaluation_and_scikit_learn(rows):
    scores = np.array([s / 6 for s, _ in rows], np.float32)
    labels = np.array([int(label) for _, label in rows])
    found = float(AUC(scores, labels))
    np.testing.assert_allclose(found, discrimination.auc(scores, labels), rtol=1e-7)
    np.testing.assert_allclose(found, roc_auc_score(labels, scores), rtol=1e-7)


@given(LABELED)
@settings(max_examples=30, deadline=None)
def test_padding_changes_no_bit_of_the_auc(rows):
    scores = np.array([s / 6 for s, _ in rows], np.float32)
    labels = np.array([int(label) for _, label in rows])
    padded = np.concatenate([scores, np.full(5, np.nan, np.float32)])
    weights = np.concatenate([np.ones(16, np.float32), np.zeros(5, np.float32)])
    assert float(AUC(padded, np.concatenate([labels, np.ones(5, int)]), weights)) == float(AUC(scores, labels))


def test_auc_of_one_class_is_not_a_number_and_of_a_missing_score_one_half():
    assert np.isnan(AUC(np.array([0.1, 0.2, 0.3, 0.4]), np.ones(4, int)))
    assert float(AUC(np.full(4, np.nan), np.array([0, 0, 1, 1]))) == 0.5


def test_the_median_of_an_odd_and_an_even_number_of_windows():
    risks = jnp.array([0.9, 0.1, 0.2, 0.4, 0.3, 0.8])
    index = jnp.array([[0, 1, 2, 0], [3, 4, 5, 0], [2, 3, 4, 5], [0, 0, 0, 0]])
    count = jnp.array([3, 2, 4, 0])
    found = jax.jit(metrics.median_over_windows)(risks, index, count)
    np.testing.assert_allclose(found, [0.2, 0.35, 0.35, np.nan], rtol=1e-6)


def test_cross_entropy_equals_scikit_learn():
    logits = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    labels = np.arange(20) % 2
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss(labels, probability[:, 1])
    np.testing.assert_allclose(metrics.cross_entropy(logits, labels).mean(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("total", "count", "expected"), [([2.0, 9.0], [4, 3], 1.75), ([2.0, 0.0], [4, 0], 0.5), ([0.0, 0.0], [0, 0], 0.0)]
)
def test_the_balanced_loss_is_the_mean_over_the_classes_that_are_there(total, count, expected):
    assert float(metrics.balanced(jnp.array(total), jnp.array(count, jnp.float32))) == expected
