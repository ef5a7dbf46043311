"""A system is one concept: its settings, its ensemble, what it finds; and the commands know all of them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from infantjax import cli
from infantjax.cli import common
from infantjax.errors import InputError
from infantjax.methods import registry as systems
from infantjax.methods.baby_moves.preprocessing import PAPER
from infantjax.methods.network import held_out_tables
from infantjax.weights.ensemble import load_ensemble

NETWORKS = ("mam", "baby-moves", "sma")


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", systems.names())
def test_settings_give_the_same_system_again(name):
    system = systems.get(name)()
    assert json.loads(json.dumps(system.settings)) == system.settings
    if name != "groos":  # whose augmentation is a part of a part
        assert systems.get(name).configured(system.settings) == system


def test_a_setting_reaches_the_part_that_has_it():
    system = systems.get("baby-moves").configured({"features": 8, "epochs": 3, "variant": "paper", "image": [720, 480]})
    assert (system.network.features, system.training.epochs, system.preparation.variant) == (8, 3, "paper")
    assert system.image == (720, 480)
    assert system.preparation == PAPER


def test_the_network_follows_from_the_settings_of_its_system():
    assert systems.get("baby-moves").configured({"metadata": True}).network.metadata
    mam = systems.get("mam").configured({"inputs": ["velocities", "distances"], "dimensions": 3, "metadata": True})
    assert (mam.network.channels, mam.network.info) == (20, 16)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sma", {"folds": 5}, 'sma has no setting "folds"; it has aggregation, batch_size,'),
        ("mam", {"joint": "many"}, "joint is 300 if not given, a value of another kind is 'many'"),
        ("mam", {"inputs": [1]}, "inputs is .'distances'. if not given, a value of another kind is .1."),
        ("mam", {"channels": 3}, 'mam has no setting "channels"'),
        ("mam", {"dimensions": 4}, "dimensions must be 2 or 3, got 4"),
        ("baby-moves", {"threshold": 1.5}, "threshold must be within 0..1, got 1.5"),
        ("baby-moves", {"epochs": 0}, "epochs must be at least 1, got 0"),
        ("sma", {"window": 90}, "window must be at least 108 frames"),
        ("sma", {"aggregation": "best"}, 'unknown aggregation "best"'),
        ("groos", {"model": "mam"}, "mam is a network for gma; give one for risk"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name, settings, message):
    with pytest.raises(ValueError, match=message):
        systems.get(name).configured(settings)


def test_an_unknown_system_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match='unknown system "gma"; known: groos, mam, baby-moves, sma'):
        systems.get("gma")


@pytest.mark.parametrize("name", systems.names())
def test_only_the_method_whose_inside_is_not_published_is_an_interpretation(name):
    system = systems.get(name)
    assert (system.fidelity == "interpretation") == bool(system.fidelity_note) == (name == "mam")
    if system.fidelity_note:
        assert "Published:" in system.fidelity_note
        assert "Our choice:" in system.fidelity_note


# --- ensembles -------------------------------------------------------------------------------------------------------


def test_an_ensemble_that_names_no_system_is_of_the_graph_networks(ensembles):
    ensemble = load_ensemble(ensembles["mam"])
    ensemble = replace(ensemble, info={k: v for k, v in ensemble.info.items() if k != "system"})
    assert systems.name_of(ensemble) == "groos"
    with pytest.raises(InputError, match="--method: is mam, the ensemble belongs to groos"):
        systems.assessor(ensemble, "mam")


def test_an_ensemble_of_an_unknown_system_is_refused(ensembles):
    ensemble = load_ensemble(ensembles["sma"])
    with pytest.raises(InputError, match='belongs to a system "x"; known are groos'):
        systems.assessor(replace(ensemble, info={**ensemble.info, "system": "x"}))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_ensemble_whose_settings_do_not_fit_is_refused_in_one_line(name, ensembles):
    ensemble = load_ensemble(ensembles[name])
    for settings in ({"color": 1}, None, [3]):
        with pytest.raises(InputError, match="ensemble: cannot be used"):
            systems.assessor(replace(ensemble, info={**ensemble.info, "settings": settings}))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_another_size_are_refused_in_one_line(name, ensembles, cohort_of):
    ensemble = load_ensemble(ensembles[name])
    part = {"mam": ("hidden", 8), "baby-moves": ("features", 8), "sma": ("features", [3, 2, 2, 4])}[name]
    info = {**ensemble.info, "settings": {**ensemble.info["settings"], part[0]: part[1]}}
    with pytest.raises(InputError, match="has shape"):
        systems.assessor(replace(ensemble, info=info)).assess(cohort_of(name, 2).recordings[0])


def test_a_score_has_no_threshold(ensembles):
    with pytest.raises(ValueError, match="sma decides nothing and has no threshold"):
        systems.assessor(load_ensemble(ensembles["sma"]), threshold=0.5)


# --- splits ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(cohort_of):
    """Three infants with three recordings each."""
    return cohort_of("sma", 3, duration=1)


def test_a_score_is_learnt_from_all_other_infants(scored, small):
    splits = small("sma").splits(scored)
    assert [split.validation for split in splits] == [(0, 1, 2), (3, 4, 5), (6, 7, 8)]
    assert splits[1].train == (0, 1, 2, 6, 7, 8)


def test_a_single_split_holds_out_whole_infants(scored, small):
    split = small("sma").split(scored, 0.4)
    assert len(split.validation) == 3
    assert {scored.groups[row] for row in split.validation}.isdisjoint(scored.groups[row] for row in split.train)
    given = small("sma").split(scored, scored.names[3:6])
    assert given.validation == (3, 4, 5)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (("sim0003", "nobody"), "validation: the cohort has no recordings nobody; check the ids"),
        (("sim0003",), "validation: group infant0001 is on both sides; hold out whole groups"),
        (tuple(f"sim000{i}" for i in range(9)), "validation: leaves nothing to train on or to hold out"),
    ],
)
def test_ids_that_cannot_be_held_out_are_named(validation, message, scored, small):
    with pytest.raises(InputError, match=message):
        small("sma").split(scored, validation)


def test_random_splits_keep_infants_whole_and_classes_on_every_side(cohort_of, small):
    cohort = cohort_of("baby-moves", 12, duration=1)
    pairs = replace(cohort, groups=tuple(f"g{i // 2}" for i in range(12)), outcomes=(0, 0, 1, 1) * 3)
    for split in small("baby-moves", repeats=4, shares=(0.34, 0.34)).splits(pairs):
        sides = (split.train, split.validation, split.test)
        assert all({pairs.outcomes[row] for row in side} == {0, 1} for side in sides)
        assert sum(len({pairs.groups[row] for row in side}) for side in sides) == 6


def test_the_median_over_runs_stands_beside_every_run(scored):
    held = [(0, 0, 1.0), (2, 0, 4.0), (0, 1, 3.0), (2, 1, float("nan"))]
    tables = held_out_tables(scored, held, "score", True)
    assert tables["out_of_fold.csv"].splitlines()[1:] == [
        f"sim0000,2,{scored.outcomes[0]},2.0",
        f"sim0002,2,{scored.outcomes[2]},4.0",
    ]
    assert len(tables["repeats.csv"].splitlines()) == 5
    assert tables["repeats.csv"].splitlines()[4].endswith(",")
    assert set(held_out_tables(scored, held, "score", False)) == {"out_of_fold.csv"}


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the program in this process: status, lines of standard output, lines of standard error."""
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)

    def run(*arguments):
        capsys.readouterr()
        status = cli.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def chain(run, name: str, folder: Path, flags: list) -> dict:
    """Simulated cohort, cross-validation, a held-out file with a bad one beside it; the record."""
    simulate = ("simulate", "--method", name, "--duration", 12, "--prevalence", 0.4)
    assert run(*simulate, "-n", 3 if name == "sma" else 8, "-o", folder / "c")[0] == 0
    trained = run("crossval", folder / "c", "-o", folder / "e", "--method", name, *flags)
    assert trained[0] == 0, trained[2]
    assert trained[1][-1] == f"ensemble: {folder / 'e'}"
    assert any("never validated on infants" in line for line in trained[2])
    assert run(*simulate, "-n", 2, "--first", 50, "-o", folder / "new")[0] == 0
    (folder / "new" / "broken.csv").write_text("")
    files = [folder / "new" / "orgcoords_sim0050.csv", folder / "new" / "broken.csv"]
    if name == "sma":
        files[0] = folder / "new" / "orgcoords_sim0150.csv"
    assess = ("assess", *files, "-o", folder / "r", "--method", name, "--ensemble", folder / "e")
    status, out, _ = run(*assess, "--metadata", folder / "new" / "outcomes.csv")
    assert status == 1
    assert out[0].startswith(files[0].name)
    assert out[1].startswith("broken.csv  error: ")
    rows = list(csv.DictReader((folder / "r" / "summary.csv").read_text().splitlines()))
    assert [row["status"] for row in rows] == ["ok", "error"]
    return json.loads((folder / "r" / f"{files[0].stem.removeprefix('orgcoords_')}.json").read_text())


def test_the_commands_train_and_use_a_score(run, tmp_path, method_options):
    record = chain(run, "sma", tmp_path, method_options("sma"))
    assert record["metadata"]["group"] == "infant0050"
    told = json.loads((tmp_path / "e" / "crossval.json").read_text())
    assert len(told["runs"]) == 3
    held = list(csv.DictReader((tmp_path / "e" / "out_of_fold.csv").read_text().splitlines()))
    assert len(held) == 9
    # Each infant is left out with all of its visits.
    assert {len(run["held_out"]) for run in told["runs"]} == {3}


@pytest.mark.slow
def test_the_commands_train_and_use_mam(run, tmp_path, method_options):
    others = ("simulate", "--method", "mam", "-n", 4, "--first", 90, "--duration", 12, "--prevalence", 0.5)
    assert run(*others, "-o", tmp_path / "others")[0] == 0
    flags = ["--annotated", tmp_path / "others", "--metadata", *method_options("mam")]
    record = chain(run, "mam", tmp_path, flags)
    assert (record["headline"]["name"], record["quantities"][0]["name"]) == ("risk", "fms_frequency")
    assert record["method"]["fidelity"] == "interpretation"
    assert record["intervals"] is not None
    assert len(record["members"]) == 2
    # Run again, an interrupted training continues; a finished one gives the same bytes.
    before = (tmp_path / "e" / "ensemble.json").read_bytes()
    again = run("crossval", tmp_path / "c", "-o", tmp_path / "e", "--method", "mam", *flags)
    assert again[0] == 0
    assert (tmp_path / "e" / "ensemble.json").read_bytes() == before


@pytest.mark.slow
def test_the_commands_train_and_use_baby_moves_with_age_and_cohort(run, tmp_path, method_options):
    record = chain(run, "baby-moves", tmp_path, ["--metadata", *method_options("baby-moves")])
    assert record["headline"]["name"] == "risk"
    assert record["metadata"]["cohort"] in ("term", "preterm")
    told = json.loads((tmp_path / "e" / "crossval.json").read_text())
    assert "AUC of cohort alone" in told["figures"]
    # Each split has a test of its own; the table of all is beside that of medians.
    assert (tmp_path / "e" / "repeats.csv").exists()
    flags = ("--method", "baby-moves", "--validation", 0.34, *method_options("baby-moves"))
    status, _, err = run("train", tmp_path / "c", "-o", tmp_path / "one", *flags)
    assert status == 0, err
    assert json.loads((tmp_path / "one" / "training.json").read_text())["runs"][0]["run"] == 0
