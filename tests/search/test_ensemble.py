"""The ensemble of the best candidates of a search."""

import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.methods import registry
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.recording.cohort import Cohort
from infantjax.search import RandomSearch
from infantjax.search.ensemble import (
    ARCHITECTURES,
    CANDIDATES,
    Architecture,
    estimate_ensemble,
    find_candidates,
    keep_candidates,
    merge_held_out,
    train_ensemble,
)
from infantjax.search.study import read_study
from infantjax.simulation import InfantConfig, simulate
from infantjax.training.cohorts.crossval import format_summary
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import load_ensemble

# --- which candidates ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A method whose network is the graph and the width of a candidate: other choices have no effect."""

    network: tuple = ()

    def with_candidate(self, choices):
        return Named((choices["graph"], choices["width"]))


@pytest.fixture(scope="module")
def rows(searched):
    """The five candidates of the search, best first."""
    return read_study(searched).best(5)


def test_the_best_candidates_of_the_only_search_come_in_their_order(searched, rows):
    found = find_candidates(Named(), str(searched), 3)
    assert found == [{"study": "pretend", **row} for row in rows[:3]]
    assert find_candidates(Named(), str(searched), 3, "pretend") == found


def test_candidates_with_equal_networks_count_once(searched, rows):
    @dataclass(frozen=True)
    class All:
        def with_candidate(self, choices):
            return All()

    assert [row["trial"] for row in find_candidates(All(), str(searched), 1)] == [rows[0]["trial"]]
    with pytest.raises(InputError, match=r"has 1 different networks with a value, 2 are asked for; give --k 1"):
        find_candidates(All(), str(searched), 2)


def test_squeeze_and_excitation_that_is_off_makes_no_two_networks():
    choices = {"se": "null", "se_ratio": 2, "se_type": "relative"}
    other = {"se": "null", "se_ratio": 4, "se_type": "absolute"}
    assert EnsembleGCN().with_candidate(choices) == EnsembleGCN().with_candidate(other)
    assert EnsembleGCN().with_candidate(choices | {"se": "inner"}) != EnsembleGCN().with_candidate(
        other | {"se": "inner"}
    )


def test_too_few_candidates_and_other_places_are_one_line(searched, tmp_path):
    for place, count, study, message in (
        (searched, 6, None, "has 4 different networks with a value, 6 are asked for; give --k 4, or run more trials"),
        (searched, 1, "other", "has no study other; it has: pretend"),
        (tmp_path, 1, None, r"search\.db: does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            find_candidates(Named(), str(place), count, study)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        find_candidates(Named(), str(searched), 0)


def test_of_several_searches_one_is_named_or_each_gives_its_winner(pretend, searched, tmp_path, rows):
    shutil.copy(searched / "search.db", tmp_path)
    pretend.run(tmp_path, RandomSearch(), study="other", trials=2, seed=5)
    with pytest.raises(InputError, match="holds the searches other, pretend; name one by --study, or give --winners"):
        find_candidates(Named(), str(tmp_path), 1)
    winners = find_candidates(Named(), str(tmp_path), 2, winners=True)
    assert [row["study"] for row in winners] == ["other", "pretend"]
    assert winners[1]["trial"] == rows[0]["trial"]


def test_an_ensemble_keeps_the_candidates_that_it_was_begun_with(tmp_path, rows):
    begun = [{"study": "s", **row} for row in rows[:2]]
    assert keep_candidates(tmp_path, begun) == begun
    better = [{"study": "s", **row} for row in rows[2:4]]
    assert keep_candidates(tmp_path, better) == begun
    for others in (better[:1], [row | {"study": "t"} for row in better]):
        with pytest.raises(InputError, match="holds an ensemble of 2 candidates of s; give another place"):
            keep_candidates(tmp_path, others)
    (tmp_path / CANDIDATES).write_text("[{]")
    with pytest.raises(InputError, match=r"candidates\.json: cannot be read"):
        keep_candidates(tmp_path, begun)


# --- their ensemble --------------------------------------------------------------------------------------------------


def test_risks_of_a_fold_are_merged_as_an_assessment_merges_its_networks():
    one = [HeldOut(3, 0, 0.2), HeldOut(4, 1, 0.9)]
    others = [HeldOut(4, 1, 0.8), HeldOut(3, 0, 0.3)], [HeldOut(3, 0, 0.7), HeldOut(4, 1, 0.1)]
    assert merge_held_out([one, *others]) == [HeldOut(3, 0, 0.3), HeldOut(4, 1, 0.8)]


CONFIG = TrainingConfig(epochs=1, batch_size=2, samples_per_negative=1, positive_ratio=1)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Six infants of six seconds."""
    infants = (simulate(i, InfantConfig(duration=6.0, dropout_rate=0), name=f"i{i}") for i in range(6))
    recordings = tuple(replace(infant, metadata={"fold": "ab"[i // 2 % 2]}) for i, infant in enumerate(infants))
    return Cohort(recordings, (0, 1, 0, 1, 0, 1))


@pytest.fixture(scope="module")
def architectures() -> list[Architecture]:
    """Two in two folds: other weights of one network, which is compiled once."""
    methods = [
        EnsembleGCN(model="st-gcn", overrides={"widths": (2,)}, training=replace(CONFIG, seed=seed), folds="fold")
        for seed in (1, 2)
    ]
    return [Architecture(m, {"study": "s", "trial": i, "value": 0.9 - i / 10}) for i, m in enumerate(methods)]


@pytest.fixture(scope="module")
def folder(architectures, cohort, tmp_path_factory) -> Path:
    """The ensemble of both; only to be read."""
    folder = tmp_path_factory.mktemp("ensemble")
    train_ensemble(architectures, cohort, folder)
    return folder


def test_the_ensemble_holds_every_fold_of_every_architecture(folder):
    ensemble = load_ensemble(folder)
    assert [(member.runs, dict(member.overrides)) for member in ensemble.members] == [(2, {"widths": [2]})] * 2
    training = ensemble.info.training
    assert [(entry["trial"], len(entry["runs"])) for entry in training["architectures"]] == [(0, 2), (1, 2)]
    assert "2 architectures were chosen by a search" in ensemble.info.statement
    lines = format_summary(ensemble)
    assert [line.split()[:2] for line in lines[:2]] == [["architecture", "1"], ["architecture", "2"]]
    assert lines[2].startswith("held out: AUC ")


def test_out_of_fold_risks_are_those_of_all_architectures(folder, cohort):
    def risks(path: Path) -> dict[str, float]:
        lines = (path / "out_of_fold.csv").read_text().splitlines()
        return {row["id"]: float(row["value"]) for row in csv.DictReader(lines)}

    merged, parts = risks(folder), [risks(folder / ARCHITECTURES / name) for name in ("01", "02")]
    assert sorted(merged) == sorted(cohort.names)
    assert parts[0] != parts[1]
    for name, value in merged.items():
        assert value == pytest.approx(np.median([part[name] for part in parts]), rel=1e-6)
    ensemble = load_ensemble(folder)
    found = RiskCalibration.from_dict(ensemble.info.calibration)
    assert sorted(found.conformal.risks) == pytest.approx(sorted(merged.values()))
    assert not any(name in (folder / "ensemble.json").read_text() for name in cohort.names)
    record = json.loads((folder / "training.json").read_text())
    assert {name for run in record["architectures"][0]["runs"] for name in run["held_out"]} == set(cohort.names)


def test_what_an_ensemble_costs_is_known_before_it_is_trained(folder, architectures, cohort):
    known = estimate_ensemble(architectures, cohort)
    assert (known["architectures"], known["networks"], known["recordings"], known["programs"]) == (2, 4, 6, 4)
    (member, _) = load_ensemble(folder).members
    parameters = sum(leaf[0].size for leaf in jax.tree.leaves(member.variables["params"]))
    assert known["parameters"] == [parameters] * 2
    assert known["resident_bytes"] > 2 * 3 * 4 * parameters
    assert known["temporary_bytes"] > 0


def test_the_ensemble_assesses_with_a_conformal_set(folder):
    assessor = registry.assessor(load_ensemble(folder))
    recording = simulate(9, InfantConfig(duration=6.0, dropout_rate=0), name="new")
    assessment = assessor.assess(recording)
    assert len(assessment.members) == 4
    assert assessment.calibration.conformal_set in ("above", "below", "cannot tell")


class Interrupted(Exception):
    """By the test."""


def test_an_interrupted_ensemble_goes_on_to_the_same_bytes(folder, architectures, cohort, tmp_path):
    begun = []

    def stop(epoch, state):
        begun.append(epoch)
        if len(begun) == 2:  # in the second architecture
            raise Interrupted

    with pytest.raises(Interrupted):
        train_ensemble(architectures, cohort, tmp_path, TrainOptions(on_epoch=stop))
    assert not (tmp_path / "ensemble.json").exists()
    done = (tmp_path / ARCHITECTURES / "01" / "ensemble.json").stat().st_mtime_ns
    train_ensemble(architectures, cohort, tmp_path)
    names = [path.relative_to(folder) for path in folder.glob("*.*") if path.is_file()]
    assert {"ensemble.json", "training.json", "out_of_fold.csv"} <= {str(name) for name in names}
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert done <= (tmp_path / ARCHITECTURES / "01" / "ensemble.json").stat().st_mtime_ns


def test_an_architecture_without_a_fold_is_left_out(folder, architectures, cohort, tmp_path, monkeypatch):
    from infantjax.search import ensemble as module

    whole = module.train_inputs

    def diverging(method, inputs, directory, options=None):
        trained = whole(method, inputs, directory, options)
        if method is architectures[0].method:
            trained.record["runs"][1]["in_ensemble"] = False
        return trained

    monkeypatch.setattr(module, "train_inputs", diverging)
    shutil.copytree(folder, tmp_path / "copy")
    ensemble = train_ensemble(architectures, cohort, tmp_path / "copy")
    assert len(ensemble.members) == 1
    assert [entry["trial"] for entry in ensemble.info.training["architectures"]] == [1]
    with pytest.raises(InputError, match="a fold of every architecture diverged"):
        train_ensemble(architectures[:1], cohort, tmp_path / "copy")
