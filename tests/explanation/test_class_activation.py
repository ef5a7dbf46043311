"""Contributions of joints: the formula by hand in NumPy, and what holds for any feature map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.explanation import class_activation
from infantjax.explanation.class_activation import class_weights

seeds = st.integers(0, 2**32 - 1)
contributions = jax.jit(class_activation.contributions)


def case(seed: int, windows: int = 2, frames: int = 5, joints: int = 4, channels: int = 3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(windows, frames, joints, channels)).astype(np.float32)
    return features, rng.normal(size=(1, channels, 2)).astype(np.float32)


def by_hand(features, classifier):
    """The reference implementation: `w[k] . F` for each class, medians over time, relative to the largest."""
    rows = []
    for window in features:
        maps = np.stack([window @ classifier[0, :, k] for k in range(2)])
        score = np.median(maps[1], axis=0) - np.median(maps[0], axis=0)
        rows.append(np.maximum(score / np.abs(score).max(), 0))
    return np.stack(rows)


@pytest.mark.parametrize("frames", [4, 5])
def test_contributions_are_the_reference_formula(frames):
    features, classifier = case(0, frames=frames)
    found = contributions(features, classifier)
    np.testing.assert_allclose(found, by_hand(features, classifier), rtol=0, atol=1e-6)


def test_the_medians_are_taken_for_each_class_apart():
    # Median of the difference would be 1, the difference of the medians is 2 - 0; the second joint sets the scale.
    features = np.zeros((1, 3, 2, 2), np.float32)
    features[0, :, 0, 0], features[0, :, 0, 1] = [0, 5, 0], [2, 6, 1]
    features[0, :, 1, 1] = 4
    np.testing.assert_array_equal(contributions(features, np.eye(2, dtype=np.float32)[None])[0], [0.5, 1])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_joint_of_the_largest_magnitude_has_1_for_or_against_cp(seed):
    features, classifier = case(seed)
    found = np.asarray(contributions(features, classifier))
    assert found.min() >= 0
    assert found.max() <= 1
    flipped = np.asarray(contributions(features, -classifier))
    # A compiled x / x may miss 1 by one rounding.
    np.testing.assert_allclose(np.maximum(found.max(1), flipped.max(1)), 1, rtol=0, atol=1e-6)
    # What speaks for CP does not speak against it.
    assert not ((found > 0) & (flipped > 0)).any()


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.125, 8, width=32))
def test_neither_scale_nor_order_of_frames_matters_and_the_order_of_joints_is_kept(seed, scale):
    features, classifier = case(seed)
    frames, joints = (np.random.default_rng(seed).permutation(features.shape[axis]) for axis in (1, 2))
    changed = contributions(np.float32(scale) * features[:, frames][:, :, joints], classifier)
    np.testing.assert_allclose(changed, contributions(features, classifier)[:, joints], rtol=0, atol=1e-5)


def test_what_both_classes_share_does_not_contribute():
    features, classifier = case(1)
    shared = classifier.copy()
    shared[..., 0] = shared[..., 1]
    np.testing.assert_array_equal(contributions(features, shared), 0)


def test_a_window_without_activation_gives_zeros_and_leaves_its_neighbor_alone():
    features, classifier = case(2)
    expected = contributions(features[1:], classifier)
    features[0] = 0
    found = contributions(features, classifier)
    np.testing.assert_array_equal(found[0], 0)
    np.testing.assert_allclose(found[1:], expected, rtol=0, atol=1e-6)


def test_weights_are_the_classifiers_and_exact_ones_go_through_the_pooling():
    rng = np.random.default_rng(4)
    classifier, pool = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(4, 3, 3)).astype(np.float32)
    params = {"classifier": {"kernel": classifier}, "pool": {"kernel": pool}}
    np.testing.assert_array_equal(class_weights(params), classifier[None])
    exact = class_weights(params, exact=True)
    np.testing.assert_allclose(exact, np.einsum("vco,ok->vck", pool, classifier), rtol=0, atol=1e-6)
    del params["pool"]
    np.testing.assert_array_equal(class_weights(params, exact=True), classifier[None])


def test_each_joint_has_its_own_exact_weights():
    features, _ = case(5)
    weights = np.random.default_rng(5).normal(size=(4, 3, 2)).astype(np.float32)
    maps = np.einsum("btvc,vck->kbvt", features, weights)
    score = np.median(maps[1], -1) - np.median(maps[0], -1)
    expected = np.maximum(score / np.abs(score).max(-1, keepdims=True), 0)
    np.testing.assert_allclose(contributions(features, weights), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("frames", "decimals"), [(1, 0), (6, 0), (75, 0), (38, 6)])
def test_the_median_counts_ties_as_often_as_they_occur(frames, decimals):
    maps = np.random.default_rng(frames).standard_normal((3, frames, 4, 2)).round(decimals).astype(np.float32)
    weights = np.eye(2, dtype=np.float32)[None]
    score = np.median(maps[..., 1], 1) - np.median(maps[..., 0], 1)
    largest = np.abs(score).max(-1, keepdims=True)
    expected = np.clip(np.divide(score, largest, out=np.zeros_like(score), where=largest > 0), 0, 1)
    np.testing.assert_allclose(contributions(jnp.asarray(maps), jnp.asarray(weights)), expected, rtol=0, atol=1e-6)
