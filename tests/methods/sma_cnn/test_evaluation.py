"""Errors of scores: both averages and the aggregation of windows, by hand."""

import json

import numpy as np
import pytest

from infantjax.methods.sma_cnn import evaluation
from infantjax.methods.sma_cnn.evaluation import LinearAggregator


def test_both_averages_of_unequal_subjects():
    means, overall = evaluation.subject_errors([10, 12, 20, 40], [12, 12, 30, 30], ["b", "b", "a", "a"])
    assert list(means.items()) == [("b", 1.0), ("a", 10.0)]
    assert (means.mean(), overall) == (5.5, 5.5)
    means, overall = evaluation.subject_errors([1, 1, 1, 9], [0, 0, 0, 0], ["a", "a", "a", "b"])
    assert (means.mean(), overall) == (5.0, 3.0)


def test_a_recording_is_the_mean_or_median_of_its_windows():
    assert evaluation.aggregate([1, 2, 6], "mean") == 3
    assert evaluation.aggregate([1, 2, 6], "median") == 2


def test_the_fence_leaves_an_outlier_out_and_includes_its_ends():
    # Quartiles 2 and 4, so the fences are -1 and 7.
    assert evaluation.aggregate([1, 2, 3, 4, 7], "fence") == pytest.approx(17 / 5)
    assert evaluation.aggregate([1, 2, 3, 4, 100], "fence") == pytest.approx(2.5)
    assert evaluation.aggregate([0, 0, 1, 2, 10], "fence") == pytest.approx(0.75)


@pytest.mark.parametrize(
    "call",
    [
        lambda: evaluation.aggregate([]),
        lambda: evaluation.aggregate([np.nan]),
        lambda: evaluation.aggregate([1.0], "mode"),
        lambda: evaluation.subject_errors([], [], []),
        lambda: evaluation.subject_errors([1.0], [2.0], ["a", "b"]),
        lambda: evaluation.subject_errors([np.nan], [2.0], ["a"]),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"got|known"):
        call()


def recordings_of(shift: float, n: int = 40) -> tuple[list[np.ndarray], list[float], list[str]]:
    """Predictions of windows that are too low by the spread of their upper half."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 72, n)
    spread = rng.uniform(0, 20, n)
    windows = [s - shift * w + w * np.linspace(-1, 1, 30) for s, w in zip(scores, spread)]
    return windows, scores.tolist(), [f"i{row // 2}" for row in range(n)]


def test_the_second_layer_learns_what_the_spread_of_windows_tells():
    windows, scores, infants = recordings_of(0.5)
    _, values = LinearAggregator.fit_out_of_fold(windows, scores, infants)
    plain = np.abs([w.mean() - s for w, s in zip(windows, scores)]).mean()
    assert np.abs(np.array(values) - scores).mean() < 0.5 * plain


def test_the_score_of_a_subject_comes_from_the_other_subjects():
    windows, scores, infants = recordings_of(0.5, 8)
    everybody, values = LinearAggregator.fit_out_of_fold(windows, scores, infants)
    changed = [1000.0, 1000.0, *scores[2:]]
    again, others = LinearAggregator.fit_out_of_fold(windows, changed, infants)
    assert others[:2] == values[:2]
    assert others[2:] != values[2:]
    assert everybody != again
    assert LinearAggregator.fit(windows[2:], scores[2:])(windows[0]) == values[0]


def test_one_recording_gives_the_mean_and_a_constant():
    found = LinearAggregator.fit([np.array([3.0, 5.0])], [10.0])
    assert found(np.array([1.0, 2.0, 9.0])) == pytest.approx(4 + 6)
    assert LinearAggregator.from_json(json.loads(json.dumps(list(found)))) == found


@pytest.mark.parametrize("content", [None, 3, [1.0], [1.0, [2.0]], [1.0, [float("nan")] * 5], ["x", [0.0] * 5]])
def test_another_content_is_no_aggregator(content):
    with pytest.raises(ValueError):
        LinearAggregator.from_json(content)
