"""The evaluation of the reference implementation: golden cases, aggregation of windows, missing values."""

import json

import numpy as np
import pytest

from infantjax.methods.ensemble_gcn.evaluation import evaluate_reference


def test_the_reference_evaluation_is_reproduced_in_every_case(shared):
    entries = json.loads((shared / "golden/evaluate/cases.json").read_text())
    inputs = {e["case"]: e for e in entries if "logits" in e}
    checked = 0
    for entry in (e for e in entries if "options" in e):
        case = inputs[entry["case"]]
        found = evaluate_reference(case["logits"], case["labels"], case["ids"], **entry["options"])
        assert set(found) == set(entry["result"])
        for name, value in entry["result"].items():
            assert found[name] == pytest.approx(value, rel=0, abs=1e-12), (entry["case"], entry["options"], name)
        checked += 1
    assert checked >= 20


def windows_of(risks, labels):
    """Logits, labels and infants of windows with these risks, one list an infant."""
    flat = np.concatenate(risks)
    sizes = [len(r) for r in risks]
    logits = np.stack([np.zeros(len(flat)), np.log(flat / (1 - flat))], axis=1)
    return logits, np.repeat(labels, sizes), np.repeat(np.arange(len(risks)), sizes)


def test_reference_infants_have_the_median_of_their_windows():
    found = evaluate_reference(*windows_of([[0.1, 0.9, 0.8], [0.2, 0.3, 0.95]], [1, 0]))
    assert (found["auc"], found["sensitivity"], found["specificity"]) == (1, 1, 1)


def test_reference_windows_give_each_infant_the_same_weight():
    case = windows_of([[0.9], [0.1, 0.2, 0.95, 0.96], [0.5]], [1, 0, 0])
    found = evaluate_reference(*case, subject=False)
    assert found["auc"] == pytest.approx((1 + 0.5) / 2)
    assert found["specificity"] == pytest.approx(2 / 5)


def test_a_reference_infant_with_a_nan_window_scores_the_threshold():
    logits, labels, ids = windows_of([[0.9, 0.9], [0.1, 0.1]], [1, 0])
    logits[0] = np.nan
    found = evaluate_reference(logits, labels, ids, prediction_threshold=0.6)
    assert (found["sensitivity"], found["auc"]) == (1, 1)


def test_reference_windows_with_a_nan_have_an_auc_of_one_half():
    logits, labels, ids = windows_of([[0.9, 0.9], [0.1, 0.1]], [1, 0])
    logits[0] = np.nan
    assert evaluate_reference(logits, labels, ids, subject=False)["auc"] == 0.5


def test_the_reference_evaluation_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"logits \[window, 2\], labels and ids must fit"):
        evaluate_reference(np.zeros((3, 2)), [0, 1], ["a", "b", "c"])
