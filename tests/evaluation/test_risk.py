"""An evaluation collects the metrics of the other modules, as data for JSON and as lines."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from infantjax.evaluation import calibration, comparison, cross_fitting, decision, discrimination, risk
from infantjax.evaluation.intervals import UNDEFINED

FEW = {"resamples": 50}


@pytest.fixture(autouse=True)
def without_cross_fitting(monkeypatch):
    """It has tests of its own, and takes seconds."""
    known = {"brier_recalibrated": UNDEFINED._replace(value=0.1)}
    monkeypatch.setattr(cross_fitting, "cross_fitted_metrics", lambda *given: known)


def cohort(n: int = 40, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 4 == 0).astype(int)
    shift = 2.0 * labels - 1
    first, second = (1 / (1 + np.exp(-(shift * strength + rng.normal(size=n)))) for strength in (0.8, 0.3))
    return first, second, labels


def test_an_evaluation_holds_the_metrics_of_the_modules():
    risks, _, labels = cohort()
    found = risk.evaluate(risks, labels, 0.4, **FEW)
    assert (found.infants, found.cases, found.threshold) == (40, 10, 0.4)
    expected = discrimination.discrimination_metrics(risks, labels, 0.4, **FEW) | calibration.calibration_metrics(
        risks, labels, **FEW
    )
    for name, metric in expected.items():
        assert found.metrics.loc[name].tolist() == pytest.approx(metric, nan_ok=True), name
    share = decision.predictive_values(expected["sensitivity"].value, expected["specificity"].value, 0.15)
    assert found.metrics["value"][["ppv_at_0.15", "npv_at_0.15"]].tolist() == pytest.approx(share)
    assert found.metrics["value"]["brier_recalibrated"] == 0.1


def test_a_comparison_is_made_of_the_paired_tests():
    first, second, labels = cohort()
    found = risk.compare(first, second, labels, (0.5, 0.3), **FEW)
    assert found.loc["auc"].tolist()[2:] == pytest.approx(comparison.delong(first, second, labels))
    controls = labels == 0
    assert found["p"]["specificity"] == comparison.mcnemar(first[controls] < 0.5, second[controls] < 0.3)[2]
    assert found["first"]["sensitivity"] == (first[~controls] >= 0.5).mean()
    assert math.isnan(found["p"]["ppv"])
    assert (found["low"] <= found["difference"]).all()
    assert (found["difference"] <= found["high"]).all()


def test_the_published_test_takes_the_second_proportion_as_known():
    first, second, labels = cohort()
    found = risk.compare(first, second, labels, test="published", **FEW)
    counts = [discrimination.confusion_counts(risks, labels, 0.5).fractions for risks in (first, second)]
    for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv"):
        assert found["p"][name] == comparison.published_binomial(*counts[0][name], *counts[1][name])
    assert found.loc["auc"].equals(risk.compare(first, second, labels, **FEW).loc["auc"])


def test_a_method_does_not_differ_from_itself():
    risks, _, labels = cohort()
    assert not risk.compare(risks, risks, labels, **FEW)[["difference", "low", "high"]].any(axis=None)


def test_subgroups_are_evaluated_on_their_own_infants():
    risks, _, labels = cohort()
    groups = ["girl" if i % 3 else "boy" for i in range(40)]
    found = risk.evaluate_subgroups(risks, labels, groups, **FEW)
    assert list(found) == ["boy", "girl"]
    boys = np.array(groups) == "boy"
    expected = discrimination.discrimination_metrics(risks[boys], labels[boys], 0.5, **FEW)
    np.testing.assert_array_equal(found["boy"].metrics, list(expected.values()))
    assert found["boy"].infants + found["girl"].infants == 40


def test_what_one_class_cannot_give_is_null_in_json_and_nan_in_text():
    risks = np.linspace(0.1, 0.9, 5)
    found = risk.evaluate(risks, np.ones(5, int), **FEW)
    assert found.to_dict()["auc"] == found.to_dict()["calibration_slope"] == [None] * 3
    assert "nan (nan to nan)" in " ".join(" ".join(found.lines()).split())
    rows = risk.compare(risks, risks, np.ones(5, int), **FEW)
    assert rows.loc[["auc", "specificity"]].isna().all(axis=None)


def test_an_evaluation_with_everything_is_json_without_nan():
    risks, other, labels = cohort()
    found = risk.Evaluation(
        40,
        10,
        0.5,
        risk.evaluate(risks, labels, **FEW).metrics,
        risk.compare_all({"other": risk.compare(risks, other, labels, **FEW)}),
        risk.evaluate_subgroups(risks, labels, ["a", "b"] * 20, **FEW),
    )
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [*document["comparisons"]["other"]["auc"]] == ["first", "second", "difference", "low", "high", "p", "holm"]
    assert document["subgroups"]["b"]["infants"] == 20
    text = "\n".join(found.lines())
    assert "\na: 20 infants, 10 with outcome 1, threshold 0.5" in text
    assert "difference" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: risk.compare([0.1], [0.2], [1], test="t"), "test must be one of"),
        (lambda: risk.evaluate_subgroups([0.1, 0.2], [0, 1], ["a"]), "same length"),
        (lambda: risk.evaluate([], []), "must be given"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_p_values_of_several_comparisons_are_corrected_metric_by_metric():
    given = {
        name: pd.DataFrame({"p": ps}, ["auc", "ppv"]) for name, ps in {"a": (0.01, math.nan), "b": (0.04, 0.02)}.items()
    }
    found = risk.compare_all(given)["holm"]
    np.testing.assert_allclose(found, [0.02, math.nan, 0.04, 0.02])
    assert found.index[2] == ("b", "auc")


def test_an_infant_with_several_recordings_counts_once():
    risks, _, labels = cohort()
    found = risk.evaluate(np.repeat(risks, 2), np.repeat(labels, 2), groups=np.repeat(np.arange(40), 2), **FEW)
    assert (found.infants, found.cases, found.recordings) == (40, labels.sum(), 80)
    alone = risk.evaluate(risks, labels, auc_method="bootstrap", **FEW)
    # The same resamples of the same infants.
    np.testing.assert_allclose(found.metrics.loc[["auc", "brier"]], alone.metrics.loc[["auc", "brier"]])
