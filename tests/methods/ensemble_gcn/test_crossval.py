"""From a cohort to an ensemble directory."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.recording import preprocessing as normalization
from infantjax.recording.cohort import Cohort
from infantjax.recording.quality import Moments, moments
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.cohorts.crossval import format_summary
from infantjax.training.cohorts.fine_tuning import Start
from infantjax.training.cohorts.out_of_fold import to_csv
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import leaves, load_ensemble

CONFIG = TrainingConfig(epochs=2, batch_size=8, samples_per_negative=2, positive_ratio=2, learning_rate=0.05)


def recording(name: str, outcome: int, frames: int = 200, fps: float = 30, **metadata) -> Recording:
    """A still infant with hands that tremble, more without CP."""
    rng = np.random.default_rng(sum(map(ord, name)))
    keypoints = 100 + 40 * np.random.default_rng(0).normal(size=(1, 19, 2)).repeat(frames, axis=0)
    keypoints[:, 8], keypoints[:, 12] = (100, 50), (100, 100)
    keypoints[:, [7, 11]] += rng.normal(scale=2 if outcome else 4, size=(frames, 2, 2)).cumsum(axis=0)
    return Recording(keypoints, fps, IN_MOTION_19, name, metadata=metadata)


def cohort(n: int = 8, groups: tuple[str, ...] | None = None) -> Cohort:
    outcomes = tuple(i % 2 for i in range(n))
    return Cohort(tuple(recording(f"i{i:02d}", o) for i, o in enumerate(outcomes)), outcomes, groups)


def method(**settings) -> EnsembleGCN:
    """A small ST-GCN in three folds."""
    defaults = {"model": "st-gcn", "overrides": {"widths": (4, 4)}, "training": CONFIG, "folds": 3}
    return EnsembleGCN(**{**defaults, **settings})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("crossval")


@pytest.fixture(scope="module")
def ensemble(folder):
    """Three folds; trained once, then read from its checkpoints."""
    return method().crossval(cohort(), folder)


def test_crossval_writes_an_ensemble_with_one_network_for_each_fold(ensemble, folder):
    loaded = load_ensemble(folder)
    assert loaded.digest == ensemble.digest
    (member,) = loaded.members
    assert (member.model, dict(member.overrides), member.runs) == ("st-gcn", {"widths": [4, 4]}, 3)
    assert set(member.variables) == {"params", "batch_stats", "constants"}
    assert loaded.info.preprocessing == normalization.REFERENCE
    assert loaded.info.validated is False
    assert "never validated" in loaded.info.statement


def test_every_infant_is_held_out_once_and_its_risk_is_written(ensemble, folder):
    data = cohort()
    rows = list(csv.DictReader((folder / "out_of_fold.csv").read_text().splitlines()))
    assert sorted(row["id"] for row in rows) == sorted(data.names)
    assert all(0 <= float(row["value"]) <= 1 for row in rows)
    record = json.loads((folder / "training.json").read_text())
    held = {run["run"]: run["held_out"] for run in record["runs"]}
    assert all(row["id"] in held[int(row["runs"])] for row in rows)
    assert {run["status"] for run in record["runs"]} == {"finished"}
    assert record["settings"]["training"]["seed"] == CONFIG.seed
    assert set(record["versions"]) >= {"infantjax", "jax"}


def test_figures_by_choices_of_the_other_infants_stand_beside_the_optimistic_ones(ensemble, folder):
    selection = json.loads((folder / "training.json").read_text())["selection"]
    assert ensemble.info.training["selection"] == selection
    assert (selection["infants"], len(selection["epochs"])) == (8, 3)
    assert set(selection["epochs"]) <= {1, 2}
    record = json.loads((folder / "training.json").read_text())
    assert selection["optimistic"]["AUC"] == record["metrics"]["AUC"]
    lines = [line for line in format_summary(ensemble) if line.startswith("epoch, threshold and calibration by the")]
    assert len(lines) == 2
    assert f"by the other infants (nested): AUC {selection['nested']['AUC']:.3f}, " in lines[1]


def test_an_ensemble_keeps_out_of_fold_risks_and_moments_but_no_ids(ensemble, folder):
    found = RiskCalibration.from_dict(load_ensemble(folder).info.calibration)
    rows = list(csv.DictReader((folder / "out_of_fold.csv").read_text().splitlines()))
    assert sorted(found.conformal.risks) == pytest.approx(sorted(float(row["value"]) for row in rows))
    assert found.counts() == (4, 4)
    assert "4 infants with the outcome and 4 without are too few" in found.reason
    assert format_summary(ensemble)[-1] == f"no calibration map: {found.reason}; finest error of conformal sets 0.2"
    assert Moments.from_dict(load_ensemble(folder).info.moments) == moments(cohort().recordings)
    assert not any(name in (folder / "ensemble.json").read_text() for name in cohort().names)


def test_the_same_training_writes_the_same_bytes_also_if_it_was_interrupted(ensemble, folder, tmp_path):
    def interrupt(epoch, state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method().crossval(cohort(), tmp_path, TrainOptions(on_epoch=interrupt))
    method().crossval(cohort(), tmp_path)
    for name in ("ensemble.json", "training.json", "out_of_fold.csv", "history.csv"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_all_unusable_recordings_are_named_in_one_line(tmp_path):
    short, without = recording("short", 0, frames=120), recording("without", 1)
    keypoints = np.array(without.keypoints)
    keypoints[:, 0] = np.nan
    data = Cohort((*cohort().recordings, short, replace(without, keypoints=keypoints)), (*cohort().outcomes, 0, 1))
    with pytest.raises(InputError) as caught:
        method(folds=2).crossval(data, tmp_path)
    assert "2 of 10 recordings cannot be used" in str(caught.value)
    assert "short lasts 4.0 s, shorter than a window of 5 s" in str(caught.value)
    assert "without missing head_top" in str(caught.value)


@pytest.mark.slow
def test_a_training_that_diverges_everywhere_is_one_line_and_writes_no_ensemble(tmp_path):
    # Several steps an epoch: the first one's weights are still finite.
    training = replace(CONFIG, learning_rate=1e38, batch_size=2)
    with pytest.raises(InputError, match="the first epoch of every run diverged; lower the learning rate"):
        method(folds=2, training=training).crossval(cohort(), tmp_path)
    assert not (tmp_path / "ensemble.json").exists()


def test_names_that_a_spreadsheet_would_run_are_defused():
    recordings = (recording("=1+1", 0), *cohort().recordings[1:])
    assert "\n'=1+1,0,0,0.5" in to_csv(Cohort(recordings, cohort().outcomes), [(0, [0], 0.5)])


# --- each infant left out --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left_out(ensemble, tmp_path_factory):
    """Five infants, one of them with outcome 1, each held out by a run that trains the head of a given network."""
    recordings = tuple(recording(f"i{i:02d}", int(i == 2)) for i in range(5))
    folder = tmp_path_factory.mktemp("infants")
    cohort = Cohort(recordings, (0, 0, 1, 0, 0))
    return method(folds="infant").crossval(cohort, folder, start=Start(ensemble, ("classifier",))), folder


def test_a_run_that_holds_out_one_infant_selects_no_epoch_by_it(left_out):
    ensemble, folder = left_out
    runs = json.loads((folder / "training.json").read_text())["runs"]
    assert [run["held_out"] for run in runs] == [["i00"], ["i01"], ["i02"], ["i03"], ["i04"]]
    assert [(run["best_epoch"], run["epochs"], run["metrics"]) for run in runs] == [(0, 2, {"AUC": None})] * 5
    assert ensemble.info.calibration["optimistic"] is False
    assert "optimistic" not in ensemble.info.statement
    selection = ensemble.info.training["selection"]
    assert selection["epochs"] is None
    assert selection["nested"]["sensitivity"] is None
    assert selection["nested"]["AUC"] == selection["optimistic"]["AUC"]
    assert format_summary(ensemble)[0] == "run 0  AUC -  (finished after epoch 2, last weights)"


def test_a_run_that_trained_on_one_outcome_is_told(left_out):
    assert left_out[0].info.notes[0] == "run 2 trained on no infant with outcome 1: its risks say little"


# --- starting from the weights of an ensemble ------------------------------------------------------------------------


def test_each_run_starts_from_a_network_and_trains_what_it_was_told_to(left_out, ensemble):
    before, after = (dict(leaves(each.members[0].variables["params"])) for each in (ensemble, left_out[0]))
    for name, values in before.items():
        started = values[[0, 1, 2, 0, 1]]
        if name.startswith("classifier/"):
            assert (after[name] != started).any(), name
        else:
            np.testing.assert_array_equal(after[name], started, name)


def test_an_ensemble_says_what_it_was_started_from(left_out, ensemble):
    found, folder = left_out
    origin = {"ensemble": ensemble.digest, "trainable": ["classifier"]}
    assert json.loads((folder / "training.json").read_text())["start"] == origin
    assert found.info.training["start"] == origin
    assert f"started from the ensemble {ensemble.digest[:12]}, only classifier trained" in found.info.notes[1]


@pytest.mark.parametrize(
    ("changes", "start", "message"),
    [
        ({"model": "kbest-gcn-2", "overrides": {}}, {}, "--init: holds networks st-gcn, not kbest-gcn-2; train the"),
        ({"overrides": {"widths": (4, 6)}}, {}, r"--init: has shape \[4.*the network needs shape \[.*; use the"),
        ({}, {"trainable": ("head",)}, 'trainable: no parameter fits "head"; layers are classifier, data_norm'),
    ],
)
def test_weights_that_do_not_fit_are_told_before_any_training(ensemble, tmp_path, changes, start, message):
    recordings = tuple(recording(f"j{i:02d}", i % 2) for i in range(8))
    with pytest.raises((InputError, ValueError), match=message):
        method(**changes).crossval(Cohort(recordings, (0, 1) * 4), tmp_path, start=Start(ensemble, **start))
    assert not list(tmp_path.iterdir())


def test_weights_that_were_trained_on_the_held_out_recordings_are_refused(ensemble, tmp_path):
    with pytest.raises(InputError, match="--init: was trained on these recordings"):
        method().crossval(cohort(), tmp_path, start=Start(ensemble))
