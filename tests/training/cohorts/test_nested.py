"""Choices of epoch, threshold and calibration that never see the infant that they judge."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from infantjax.evaluation.calibration import recalibration
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.cohorts.nested import EpochCurves, nested_selection
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.splits import Split, leave_one_group_out

STILL = np.zeros((2, 19, 2))


def cohort_of(outcomes, groups=None) -> Cohort:
    recordings = tuple(Recording(STILL, 30.0, IN_MOTION_19, f"r{row}") for row in range(len(outcomes)))
    return Cohort(recordings, tuple(map(int, outcomes)), groups)


def folds(count: int, number: int) -> list[Split]:
    """Row r is held out by fold r // 2 % number: with alternating outcomes each fold has both."""
    fold = np.arange(count) // 2 % number
    return [Split(tuple(np.flatnonzero(fold != k)), tuple(np.flatnonzero(fold == k))) for k in range(number)]


def curves_of(cohort: Cohort, splits: list[Split], risks: np.ndarray) -> tuple[EpochCurves, list[HeldOut]]:
    """Curves from `[epoch, recording]` risks, and the risks at the best epoch of each fold."""
    own = [risks[:, list(split.validation)] for split in splits]
    of_split = [np.array(cohort.outcomes)[list(split.validation)] for split in splits]
    pairs = [risks[:, y == 1, None] > risks[:, None, y == 0] for y, risks in zip(of_split, own)]
    scores = np.stack([higher.mean(axis=(1, 2)) for higher in pairs])
    held_out = [
        HeldOut(row, run, float(risks[best, row]))
        for run, (split, best) in enumerate(zip(splits, scores.argmax(axis=1)))
        for row in split.validation
    ]
    return EpochCurves(scores, np.stack(own)), held_out


def test_risks_that_know_nothing_look_good_where_the_judged_infants_choose_and_not_where_others_do():
    cohort, splits, rng = cohort_of(np.arange(60) % 2), folds(60, 5), np.random.default_rng(0)
    found = []
    for _ in range(10):
        curves, held_out = curves_of(cohort, splits, rng.uniform(size=(100, 60)))
        found.append(nested_selection(cohort, splits, held_out, curves))
    optimistic, nested = ([getattr(f, kind)["mean AUC of folds"] for f in found] for kind in ("optimistic", "nested"))
    assert np.mean(optimistic) > 0.75
    assert abs(np.mean(nested) - 0.5) < 0.06
    balanced = [(f.nested["sensitivity"] + f.nested["specificity"]) / 2 for f in found]
    assert abs(np.mean(balanced) - 0.5) < 0.06
    assert np.mean([f.nested["Brier score"] for f in found]) > 0.24


def test_figures_are_those_of_a_loop_over_the_folds():
    cohort, splits, rng = cohort_of(np.arange(60) % 2), folds(60, 3), np.random.default_rng(1)
    labels = np.array(cohort.outcomes)
    risks = 0.2 + 0.3 * labels + rng.uniform(-0.19, 0.3, size=(4, 60))
    curves, held_out = curves_of(cohort, splits, risks)
    found = nested_selection(cohort, splits, held_out, curves)
    at, above, calibrated, epochs = np.zeros(60), np.zeros(60), np.zeros(60), []
    for number, split in enumerate(splits):
        own, others = list(split.validation), list(split.train)
        epoch = np.delete(curves.scores, number, axis=0).mean(axis=0).argmax()
        false, true, thresholds = roc_curve(labels[others], risks[epoch, others], drop_intermediate=False)
        at[own], epochs = risks[epoch, own], [*epochs, int(epoch) + 1]
        above[own] = at[own] >= thresholds[np.argmax(true - false)]
        logit = np.log(at[own] / (1 - at[own]))
        calibrated[own] = recalibration(risks[epoch, others], labels[others])(logit)
    assert found.epochs == tuple(epochs)
    assert found.infants == 60
    assert found.nested == pytest.approx(
        {
            "AUC": roc_auc_score(labels, at),
            "mean AUC of folds": np.mean(
                [roc_auc_score(labels[list(s.validation)], at[list(s.validation)]) for s in splits]
            ),
            "sensitivity": above[labels == 1].mean(),
            "specificity": 1 - above[labels == 0].mean(),
            "Brier score": brier_score_loss(labels, calibrated),
        }
    )


def test_one_infant_with_the_outcome_has_no_threshold_from_the_others():
    cohort = cohort_of([0, 0, 0, 1, 0, 0])
    held_out = [HeldOut(row, row, risk) for row, risk in enumerate([0.1, 0.2, 0.3, 0.6, 0.4, 0.7])]
    found = nested_selection(cohort, leave_one_group_out(cohort.names), held_out)
    assert found.epochs is None
    assert found.optimistic["AUC"] == found.nested["AUC"] == 0.8
    assert found.optimistic["sensitivity"] == 1
    assert math.isnan(found.nested["sensitivity"])
    # The others put the threshold on 0.6: 0.7 is above.
    assert found.nested["specificity"] == pytest.approx(0.8)
    assert math.isnan(found.nested["mean AUC of folds"])
    assert math.isnan(found.nested["Brier score"])
    assert found.to_dict()["nested"]["sensitivity"] is None


def test_an_infant_counts_once():
    cohort = cohort_of([0, 0, 1, 1, 0, 1], ("a", "a", "b", "b", "c", "d"))
    splits = [Split((4, 5), (0, 1, 2, 3)), Split((0, 1, 2, 3), (4, 5))]
    held_out = [HeldOut(row, row // 4, risk) for row, risk in enumerate([0.0, 0.4, 0.3, 0.5, 0.1, 0.9])]
    found = nested_selection(cohort, splits, held_out)
    assert found.infants == 4
    assert found.nested["AUC"] == 1


def test_a_run_that_diverged_at_once_is_not_judged():
    cohort, splits, rng = cohort_of(np.arange(40) % 2), folds(40, 4), np.random.default_rng(3)
    curves, held_out = curves_of(cohort, splits, rng.uniform(size=(5, 40)))
    curves.scores[2], curves.risks[2] = np.nan, np.nan
    held_out = [entry._replace(value=math.nan) if entry.run == 2 else entry for entry in held_out]
    found = nested_selection(cohort, splits, held_out, curves)
    assert (found.infants, found.epochs[2]) == (30, 0)
    assert min(found.epochs[k] for k in (0, 1, 3)) > 0
    assert math.isfinite(found.nested["AUC"])


def test_scores_single_splits_and_repeated_splits_have_no_nested_figures():
    cohort = cohort_of([0, 1, 0, 1])
    one = Split((0, 1), (2, 3))
    assert nested_selection(cohort, [one], []) is None
    assert nested_selection(cohort, [one, one], []) is None
    assert nested_selection(cohort, [Split((0,), (1,), (2,)), Split((1,), (2,), (3,))], []) is None
    assert nested_selection(replace(cohort, score_range=(0, 1)), [one, Split((2, 3), (0, 1))], []) is None
