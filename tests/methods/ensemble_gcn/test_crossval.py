"""From a cohort to an ensemble directory."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from infantjax import models, training
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.models import Entry, Published
from infantjax.recording import preprocessing as normalization
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19, Skeleton
from infantjax.training.splits import Split
from infantjax.weights.ensemble import load_ensemble

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


@pytest.fixture(autouse=True)
def toy_model(toy, monkeypatch):
    def build(skeleton="in-motion-19", **overrides):
        return toy.Toy(**overrides)

    published = Published(parameters=0, flops=None, flops_unit=1, source="test")
    features = ("position", "velocity", "bone")
    entry = Entry("toy", "test", "risk", (150, 19, 6), "in-motion-19", features, published, build)
    monkeypatch.setitem(models._FILE_OF, "toy", "toy")
    monkeypatch.setitem(sys.modules, "infantjax.models.toy", SimpleNamespace(ENTRIES=(entry,)))


def test_crossval_writes_an_ensemble_with_one_instance_for_each_fold(tmp_path):
    data = cohort()
    ensemble = training.crossval(data, model="toy", directory=tmp_path, config=CONFIG, folds=3, overrides={"width": 3})
    loaded = load_ensemble(tmp_path)
    assert loaded.digest == ensemble.digest
    (member,) = loaded.members
    assert (member.model, dict(member.overrides), member.runs) == ("toy", {"width": 3}, 3)
    assert set(member.variables) == {"params", "batch_stats", "constants"}
    assert loaded.info["preprocessing"] == normalization.REFERENCE.to_dict()
    assert loaded.info["validated"] is False
    assert "never validated" in loaded.info["statement"]


def test_every_infant_is_held_out_once_and_its_risk_is_written(tmp_path):
    data = cohort()
    training.crossval(data, model="toy", directory=tmp_path, config=CONFIG, folds=3)
    rows = list(csv.DictReader((tmp_path / "out_of_fold.csv").read_text().splitlines()))
    assert sorted(row["id"] for row in rows) == sorted(data.names)
    assert all(0 <= float(row["risk"]) <= 1 for row in rows)
    record = json.loads((tmp_path / "crossval.json").read_text())
    held = {run["run"]: run["held_out"] for run in record["runs"]}
    assert all(row["id"] in held[int(row["run"])] for row in rows)
    assert {run["status"] for run in record["runs"]} == {"finished"}
    assert record["config"]["seed"] == CONFIG.seed
    assert set(record["versions"]) >= {"infantjax", "jax"}


def test_ids_of_infants_do_not_travel_with_the_weights(tmp_path):
    training.crossval(cohort(), model="toy", directory=tmp_path, config=CONFIG, folds=3)
    assert "i03" not in (tmp_path / "ensemble.json").read_text()


def test_the_same_training_writes_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        training.crossval(cohort(), model="toy", directory=tmp_path / folder, config=CONFIG, folds=3)
    for name in ("ensemble.json", "crossval.json", "out_of_fold.csv", "history.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_calling_again_changes_nothing(tmp_path):
    first = training.crossval(cohort(), model="toy", directory=tmp_path, config=CONFIG, folds=2)
    assert training.crossval(cohort(), model="toy", directory=tmp_path, config=CONFIG, folds=2).digest == first.digest


def test_groups_are_never_on_both_sides(tmp_path):
    groups = ("a", "b", "a", "b", "c", "d", "e", "f")
    data = cohort(8, groups)
    training.crossval(data, model="toy", directory=tmp_path, config=CONFIG, folds=3)
    of = dict(zip(data.names, groups))
    record = json.loads((tmp_path / "crossval.json").read_text())
    for run in record["runs"]:
        held = {of[name] for name in run["held_out"]}
        assert held.isdisjoint(of[name] for name in data.names if name not in run["held_out"])


@pytest.mark.slow
def test_a_single_split_by_share_or_by_id_gives_an_ensemble_of_one(tmp_path):
    ensemble = training.train_single(cohort(), model="toy", directory=tmp_path / "a", config=CONFIG)
    assert ensemble.members[0].runs == 1
    training.train_single(
        cohort(), model="toy", directory=tmp_path / "b", config=CONFIG, validation=["i00", "i01", "i05"]
    )
    record = json.loads((tmp_path / "b" / "training.json").read_text())
    assert record["runs"][0]["held_out"] == ["i00", "i01", "i05"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["i00", "nobody"], "no recordings nobody"),
        (["i00", "i02"], "the validation recordings do not hold both outcomes"),
        (["i01", "i03", "i05", "i07", "i00"], "the training recordings do not hold both outcomes"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(tmp_path, ids, message):
    with pytest.raises(InputError, match=message):
        training.train_single(cohort(), model="toy", directory=tmp_path, config=CONFIG, validation=ids)


def test_all_unusable_recordings_are_named_in_one_line(tmp_path):
    short, without = recording("short", 0, frames=120), recording("without", 1)
    keypoints = np.array(without.keypoints)
    keypoints[:, 0] = np.nan
    data = Cohort((*cohort().recordings, short, replace(without, keypoints=keypoints)), (*cohort().outcomes, 0, 1))
    with pytest.raises(InputError) as caught:
        training.crossval(data, model="toy", directory=tmp_path, config=CONFIG, folds=2)
    assert "2 of 10 recordings cannot be used" in str(caught.value)
    assert "short lasts 4.0 s, shorter than a window of 5 s" in str(caught.value)
    assert "without lacks head_top" in str(caught.value)


def test_a_training_that_diverges_everywhere_is_one_line_and_writes_no_ensemble(tmp_path):
    with pytest.raises(InputError, match="the first epoch of every run diverged; lower the learning rate"):
        training.crossval(
            cohort(), model="toy", directory=tmp_path, config=replace(CONFIG, learning_rate=1e38), folds=2
        )
    assert not (tmp_path / "ensemble.json").exists()


def test_an_unknown_column_to_stratify_on_is_refused(tmp_path):
    with pytest.raises(ValueError, match='no recording has a column "center"'):
        training.crossval(cohort(), model="toy", directory=tmp_path, config=CONFIG, stratify=["center"])


def test_names_that_a_spreadsheet_would_run_are_defused(tmp_path):
    recordings = (recording("=1+1", 0), *cohort().recordings[1:])
    training.crossval(Cohort(recordings, cohort().outcomes), model="toy", directory=tmp_path, config=CONFIG, folds=3)
    assert "'=1+1" in (tmp_path / "out_of_fold.csv").read_text()


@pytest.mark.slow  # `test_five_joints.py` shows it by default
def test_st_gcn_trains_on_a_skeleton_of_five_joints():
    joints = ("pelvis", "thorax", "head", "left_hand", "right_hand")
    five = Skeleton("five", joints, ("thorax",) * 5, trunk=("thorax", "pelvis"), source="test")
    rng = np.random.default_rng(0)
    data = CohortData.from_recordings([rng.normal(size=(160, 5, 2)) for _ in range(4)], [0, 1, 0, 1], five)
    module = models.get("st-gcn").build(skeleton=five, widths=(4, 4))
    states = []
    result = training.train(
        module,
        data,
        [Split((0, 1), (2, 3))],
        replace(CONFIG, batch_size=4, augmentation=None),
        names=("position",),
        on_epoch=lambda _, state: states.append(jax.tree.map(np.array, state.variables)),
    )
    assert result.status == (training.Status.FINISHED,)
    for collection, changes in (("params", True), ("batch_stats", True), ("constants", False)):
        pairs = zip(jax.tree.leaves(states[0][collection]), jax.tree.leaves(states[1][collection]))
        assert any((a != b).any() for a, b in pairs) is changes


@pytest.mark.slow
def test_real_infant_movement_goes_through_crossval(shared: Path, tmp_path):
    from infantjax.formats.cohort import read_cohort

    # Of the six recordings one has the outcome 1, which no two folds can share; these outcomes are made up.
    (tmp_path / "outcomes.csv").write_text("id;outcome\n" + "".join(f"pz10{i};{i % 2}\n" for i in range(1, 7)))
    data = read_cohort(shared / "data" / "minirgbd", tmp_path / "outcomes.csv", fps=25)
    ensemble = training.crossval(data, model="toy", directory=tmp_path / "out", config=CONFIG, folds=3)
    assert ensemble.members[0].runs == 3
    with pytest.raises(InputError, match="1 recordings with outcome 1 for 2 folds"):
        training.crossval(read_cohort(shared / "data" / "minirgbd", fps=25), model="toy", directory=tmp_path, folds=2)
