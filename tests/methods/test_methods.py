"""Every registered method keeps the contract of `methods.base.Method`: settings, training, ensembles, assessment."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.nn.initializers import shapes
from infantjax.training.cohorts.out_of_fold import HeldOut, write_tables
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import load_ensemble

NETWORKS = ("mam", "baby-moves", "sma-cnn", "cp-gcn-29")


def test_methods_are_the_folders_with_a_method():
    assert registry.names("depth images") == ("asy-regression",)
    assert registry.names("keypoints") == ("baby-moves", "cp-gcn-29", "ensemble-gcn", "mam", "sma-cnn")
    assert set(registry.names()) == {*registry.names("depth images"), *registry.names("keypoints")}
    assert [registry.get(name).name for name in registry.names()] == list(registry.names())
    with pytest.raises(ValueError, match='unknown method "gma"; known: asy-regression, baby-moves, cp-gcn-29'):
        registry.get("gma")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registry.names())
def test_settings_survive_json(name):
    for method in registry.get(name).presets().values():
        settings = json.loads(json.dumps(method.settings))
        assert settings == method.settings
        assert registry.get(name).from_settings(settings) == method


def test_the_network_follows_from_the_settings():
    assert registry.get("baby-moves").from_settings({"network": {"metadata": True}}).build().metadata
    one = registry.get("baby-moves").from_settings({"network": {"metadata": True, "entries": ["cohort"]}}).build()
    assert shapes(one, np.zeros((1, 1, 128, 46), np.float32))["params"]["metadata_branch"]["kernel"].shape == (1, 4)
    inputs = {"training": {"inputs": ["velocities", "distances"]}, "preprocessing": {"dimensions": 3}}
    mam = registry.get("mam").from_settings({**inputs, "network": {"metadata": True}}).build()
    assert (mam.channels, mam.info) == (20, 16)
    assert not registry.get("mam")().build().info


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sma-cnn", {"folds": 5}, 'unknown setting "folds"; known: aggregation, network'),
        ("mam", {"training": {"joint": "many"}}, "training.joint must be int, got 'many'"),
        ("mam", {"training": {"joint": True}}, "training.joint must be int, got True"),
        ("mam", {"training": {"inputs": [1]}}, "training.inputs must be one of coordinates, velocities"),
        ("mam", {"training": 3}, "training. must be settings by name, got 3"),
        ("mam", {"network": {"channels": 3}}, 'unknown setting "network.channels"'),
        ("mam", {"preprocessing": {"dimensions": 4}}, "dimensions must be one of 2, 3, got 4"),
        ("baby-moves", {"image": [640]}, "image must be tuple"),
        ("baby-moves", {"network": {"entries": []}}, "entries must name age, cohort, or both"),
        ("ensemble-gcn", {"model": "st-gcn", "without": "bone"}, "is for networks of several branches, not for st-gcn"),
        ("baby-moves", {"threshold": 1.5}, "threshold must be within 0..1, got 1.5"),
        ("baby-moves", {"training": {"epochs": 0}}, "epochs must be at least 1, got 0"),
        ("sma-cnn", {"preprocessing": {"window": 90}}, "window must be at least 108"),
        ("sma-cnn", {"aggregation": "best"}, "aggregation must be one of mean"),
        ("ensemble-gcn", {"model": "mam"}, "mam is a network for gma; give one for risk"),
        ("ensemble-gcn", {"folds": 2.5}, "folds must be str, got 2.5"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        registry.get(name).from_settings(settings)


# --- ensembles -------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_assessed_by_its_own_method(ensembles):
    ensemble = load_ensemble(ensembles["sma-cnn"])
    with pytest.raises(InputError, match="--method: is mam, the ensemble belongs to sma-cnn"):
        registry.assessor(ensemble, "mam")
    with pytest.raises(InputError, match='belongs to the method "x"; known: asy-regression'):
        registry.assessor(replace(ensemble, info=replace(ensemble.info, method="x")))
    with pytest.raises(ValueError, match="sma-cnn decides nothing and has no threshold"):
        registry.assessor(ensemble, threshold=0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_ensemble_whose_settings_do_not_fit_is_refused_in_one_line(name, ensembles):
    ensemble = load_ensemble(ensembles[name])
    for settings in ({"color": 1}, None, [3]):
        with pytest.raises(InputError, match="ensemble: cannot be used"):
            registry.assessor(replace(ensemble, info=replace(ensemble.info, settings=settings)))


@pytest.mark.parametrize(
    ("name", "network"),
    [("mam", {"hidden": 8}), ("baby-moves", {"features": 8}), ("sma-cnn", {"features": [3, 2, 2, 4]})],
)
def test_weights_of_another_size_are_refused_in_one_line(name, network, ensembles, cohort_of):
    ensemble = load_ensemble(ensembles[name])
    settings = ensemble.info.settings
    settings = {**settings, "network": {**settings["network"], **network}}
    other = replace(ensemble, info=replace(ensemble.info, settings=settings))
    with pytest.raises(InputError, match="has shape"):
        registry.assessor(other).assess(cohort_of(name, 2).recordings[0])


# --- splits ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(cohort_of):
    """Three infants with three recordings each."""
    return cohort_of("sma-cnn", 3, duration=1)


def test_a_score_is_learned_from_all_other_infants(scored, small):
    splits = small("sma-cnn").splits(scored)
    assert [split.validation for split in splits] == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    assert splits[1].train == (0, 1, 2, 6, 7, 8)


@pytest.mark.parametrize("name", ["ensemble-gcn", "mam"])
def test_methods_with_folds_can_leave_out_one_infant_at_a_time(name, cohort_of, small):
    splits = small(name, folds="infant").splits(cohort_of(name, 6, duration=1))
    assert [split.validation for split in splits] == [(row,) for row in range(6)]


def test_a_table_has_the_median_over_runs_and_another_one_every_run(scored, tmp_path):
    write_tables(tmp_path, scored, [HeldOut(0, 0, 1.0), HeldOut(2, 0, 4.0)])
    assert [path.name for path in tmp_path.iterdir()] == ["out_of_fold.csv"]
    held_out = [HeldOut(0, 0, 1.0), HeldOut(2, 0, 4.0), HeldOut(0, 1, 3.0), HeldOut(2, 1, float("nan"))]
    write_tables(tmp_path, scored, held_out)
    assert (tmp_path / "out_of_fold.csv").read_text().splitlines() == [
        "id,runs,outcome,value",
        f"sim0000,0 1,{scored.outcomes[0]},2.0",
        f"sim0002,0 1,{scored.outcomes[2]},4.0",
    ]
    every = (tmp_path / "out_of_fold_runs.csv").read_text().splitlines()
    assert (len(every), every[4]) == (5, f"sim0002,1,{scored.outcomes[2]},")


# --- training --------------------------------------------------------------------------------------------------------


def annotated_of(name: str, cohort_of) -> tuple:
    return cohort_of(name, 4, 90).recordings if registry.get(name).needs_annotated else ()


def trained(name: str, small, cohort_of, folder: Path, **options):
    method, cohort = small(name), cohort_of(name, 3 if name == "sma-cnn" else 8)
    return method.crossval(cohort, folder, TrainOptions(**options), annotated=annotated_of(name, cohort_of))


@pytest.mark.slow  # the crossval tests of the graph networks do most of it by default
@pytest.mark.parametrize("name", registry.names("keypoints"))
def test_a_continued_training_is_the_uninterrupted_one_and_a_run_alone_is_that_of_the_stack(
    name, small, cohort_of, tmp_path
):
    def interrupt(epoch, state):
        raise KeyboardInterrupt

    whole = trained(name, small, cohort_of, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        trained(name, small, cohort_of, tmp_path / "again", on_epoch=interrupt)
    epochs = []
    again = trained(name, small, cohort_of, tmp_path / "again", on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [2]
    for a, b in zip(*(jax.tree.leaves([m.variables for m in e.members]) for e in (whole, again)), strict=True):
        np.testing.assert_array_equal(a, b)

    loaded, recording = load_ensemble(tmp_path / "again"), cohort_of(name, 2, 50).recordings[0]
    assert loaded.digest == again.digest
    found = [registry.assessor(each).assess(recording).to_dict() for each in (again, loaded)]
    assert found[0] == found[1]
    assert (found[0]["method"]["name"], found[0]["validated"]) == (name, False)
    record = json.loads((tmp_path / "again" / "training.json").read_text())
    assert (record["method"], record["settings"]) == (name, small(name).settings)
    held_out = {infant for run in record["runs"] for infant in run["held_out"]}
    rows = list(csv.DictReader((tmp_path / "again" / "out_of_fold.csv").read_text().splitlines()))
    assert {row["id"] for row in rows} == held_out
    # Ids of infants do not travel with the weights.
    assert not any(infant in (tmp_path / "again" / "ensemble.json").read_text() for infant in held_out)

    method, cohort = small(name), cohort_of(name, 3 if name == "sma-cnn" else 8)
    alone = replace_splits(method, method.splits(cohort)[:1]).crossval(
        cohort, tmp_path / "alone", annotated=annotated_of(name, cohort_of)
    )
    one = [jax.tree.leaves(e.members[0].variables) for e in (whole, alone)]
    for a, b in zip(*one, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-5)


def replace_splits(method, splits):
    """The method with other splits."""
    kind = type(method)
    other = type(kind.__name__, (kind,), {"splits": lambda self, cohort, stratify=(): splits})
    return other(**{name: getattr(method, name) for name in method.__dataclass_fields__})
