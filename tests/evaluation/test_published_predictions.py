"""Predictions of a published study on 186 infants: the figures that were computed from them by other code."""

import json

import pytest

COLUMNS = ("--risk-column", "probability_class_1", "--outcome-column", "true_label")


@pytest.fixture(scope="module")
def metrics(shared) -> dict:
    import contextlib
    import io

    from infantjax import cli

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        table = str(shared / "data" / "lockbox" / "predictions.csv")
        assert cli.run(["evaluate", table, *COLUMNS, "--auc-interval", "bootstrap", "--json", "--quiet"]) == 0
    return json.loads(out.getvalue())


def test_discrimination(metrics):
    assert metrics["auc"] == pytest.approx([0.769, 0.656, 0.874], abs=0.008)
    assert metrics["auc"][0] == pytest.approx(0.769, abs=5e-4)


def test_calibration(metrics):
    expected = {
        "prevalence": 0.102,
        "mean_risk": 0.416,
        "brier": 0.192,
        "brier_of_prevalence": 0.092,
        "brier_recalibrated": 0.078,
    }
    assert {name: metrics[name][0] for name in expected} == pytest.approx(expected, abs=6e-4)
    assert metrics["calibration_intercept"][0] == pytest.approx(-2.21, abs=0.006)
    assert metrics["calibration_slope"][0] == pytest.approx(0.86, abs=0.006)


@pytest.mark.parametrize(
    ("at", "raw", "recalibrated", "treat_all"),
    [("0.1", 0.009, 0.032, 0.002), ("0.15", -0.037, 0.029, -0.056), ("0.2", -0.085, 0.014, -0.122)],
)
def test_net_benefits(metrics, at, raw, recalibrated, treat_all):
    name = f"net_benefit_at_{at}"
    assert metrics[name][0] == pytest.approx(raw, abs=6e-4)
    assert metrics[f"{name}_treat_all"][0] == pytest.approx(treat_all, abs=6e-4)
    # Other random parts of the infants move this by as much.
    assert metrics[f"{name}_recalibrated"][0] == pytest.approx(recalibrated, abs=5e-3)


def test_conformal_sets(metrics):
    # The mean over 200 random halves has a standard error of 0.01 for the 19 infants with the outcome.
    assert metrics["conformal_coverage_1"][0] == pytest.approx(0.925, abs=0.03)
    assert metrics["conformal_coverage_0"][0] == pytest.approx(0.904, abs=0.01)
    assert metrics["conformal_one_outcome"][0] == pytest.approx(0.45, abs=0.03)
