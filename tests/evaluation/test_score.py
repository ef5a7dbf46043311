"""Evaluation of scores: errors, correlation, limits of agreement."""

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation import plots, score
from infantjax.evaluation.agreement import icc

MEASURED = np.linspace(5, 60, 30)
PREDICTED = MEASURED + np.random.default_rng(0).normal(2, 6, 30)


def test_the_metrics_are_those_of_the_libraries():
    found = score.evaluate(PREDICTED, MEASURED).metrics
    difference = PREDICTED - MEASURED
    spread = 1.96 * np.std(difference, ddof=1)
    of_mean = (MEASURED.mean() - MEASURED) * 30 / 29
    expected = {
        "mean_absolute_error": np.abs(difference).mean(),
        "rmse": np.sqrt((difference**2).mean()),
        "mean_absolute_error_of_mean": np.abs(of_mean).mean(),
        "rmse_of_mean": np.sqrt((of_mean**2).mean()),
        "pearson_r": stats.pearsonr(PREDICTED, MEASURED).statistic,
        "icc": icc(np.stack([PREDICTED, MEASURED], 1)).loc["ICC(A,1)", "value"],
        "bias": difference.mean(),
        "limit_low": difference.mean() - spread,
        "limit_high": difference.mean() + spread,
    }
    assert found["value"].to_dict() == pytest.approx(expected)
    assert ((found["low"] < found["value"]) & (found["value"] < found["high"])).all()
    interval = stats.t.interval(0.95, 29, difference.mean(), stats.sem(difference))
    np.testing.assert_allclose(found.loc["bias", ["low", "high"]].astype(float), interval, atol=0.4)


def test_visits_of_an_infant_are_drawn_together():
    offsets = np.repeat([-8.0, 0, 8], 10)
    wide = score.evaluate(MEASURED + offsets, MEASURED, np.repeat(["a", "b", "c"], 10))
    narrow = score.evaluate(MEASURED + offsets, MEASURED)
    assert (wide.infants, narrow.infants) == (3, 0)
    width = [f.metrics.loc["bias", "high"] - f.metrics.loc["bias", "low"] for f in (wide, narrow)]
    assert width[0] > 2 * width[1]


@pytest.mark.filterwarnings("error")
def test_what_too_few_recordings_do_not_define_is_null():
    found = score.evaluate([3.0], [1.0]).to_dict()
    assert found["mean_absolute_error"] == [2.0, None, None]
    assert found["rmse_of_mean"] == found["icc"] == found["limit_low"] == [None] * 3
    assert score.evaluate([3, 4, 5], [2, 2, 2]).to_dict()["pearson_r"] == [None] * 3
    with pytest.raises(ValueError, match="leave recordings without one out"):
        score.evaluate([1.0, np.nan], [1, 2])
    with pytest.raises(ValueError, match="a predicted and a measured score each"):
        score.evaluate([1.0], [1, 2])


def test_the_plot_has_a_point_a_recording_between_the_limits():
    axes = plots.bland_altman(PREDICTED, MEASURED, score.evaluate(PREDICTED, MEASURED).metrics).axes[0]
    points = next(line for line in axes.get_lines() if line.get_marker() == "o")
    np.testing.assert_allclose(points.get_ydata(), PREDICTED - MEASURED)
    metrics = score.evaluate(PREDICTED, MEASURED).metrics
    lines = [line.get_ydata()[0] for line in axes.get_lines() if line is not points]
    assert lines == metrics.loc[["bias", "limit_low", "limit_high"], "value"].tolist()
