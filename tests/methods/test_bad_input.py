"""Bad input of every system: one line that says what, where and what to do, status 2, and what was done is kept."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infantjax import cli
from infantjax import formats as readers
from infantjax.cli.options import common
from infantjax.errors import InputError
from infantjax.formats.cohort import read_annotated, read_cohort
from infantjax.formats.outcomes import read_metadata
from infantjax.methods import registry
from infantjax.simulation import InfantConfig, write_cohort
from infantjax.weights.ensemble import load_ensemble

ALL = ("ensemble-gcn", "mam", "baby-moves", "sma-cnn", "cp-gcn-29")


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A cohort of each system: 8 infants, for sma 4 with three recordings each; 6 seconds."""
    folder, base = tmp_path_factory.mktemp("cohorts"), InfantConfig(dropout_rate=0)
    for name in ALL:
        write_cohort(
            folder / name, 4 if name == "sma-cnn" else 8, 0, 6.0, method=registry.get(name), prevalence=0.4, base=base
        )
    return {name: folder / name for name in ALL}


@pytest.fixture
def copy(folders, tmp_path) -> Callable[[str], Path]:
    """A cohort of a system of one's own, to spoil."""
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / name))


def table(folder: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    """Change the rows of the table of outcomes."""
    path = folder / "outcomes.csv"
    rows = list(csv.DictReader(path.read_text().splitlines(), delimiter=";"))
    change(rows)
    path.write_text("\n".join(";".join(row) for row in [list(rows[0]), *(list(row.values()) for row in rows)]) + "\n")


def points(folder: Path, change: Callable[[str, str], str], number: int = 0) -> None:
    """Change the cells of one recording: `change(column, cell)`."""
    path = sorted(folder.glob("orgcoords_*.csv"))[number]
    header, *lines = path.read_text().splitlines()
    names = header.split(",")
    rows = [[change(name, cell) for name, cell in zip(names, line.split(","))] for line in lines]
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")


def still(folder: Path, number: int = 0) -> None:
    """Hold one recording in its first pose."""
    first: dict[str, str] = {}
    points(folder, lambda column, cell: cell if column in ("frame", "time") else first.setdefault(column, cell), number)


@pytest.fixture
def refused(small, tmp_path):
    """Cross-validates a folder with the smallest sizes and gives back the one line of refusal."""

    def refused(name: str, folder: Path, stratify=(), annotated: Path | None = None, **settings: object) -> str:
        with pytest.raises((InputError, ValueError)) as caught:  # noqa: PT012
            method = small(name, **settings)
            cohort = read_cohort(folder, score_range=method.score_range)
            others = () if annotated is None else read_annotated(annotated)
            method.crossval(cohort, tmp_path / "out", annotated=others, stratify=stratify)
        line = str(caught.value)
        assert line.isprintable()
        return line

    return refused


# --- recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept", "message"),
    [
        ("ensemble-gcn", 100, "lasts 3.3 s, shorter than a window of 5 s"),
        ("cp-gcn-29", 80, "lasts 2.7 s, shorter than a window of 3 s"),
        ("mam", 25, "lasts 0.83 s, shorter than a token of 0.96 s"),
        ("baby-moves", 127, "has 127 frames, fewer than a clip's 128"),
        ("sma-cnn", 119, r"has no 120 frames \(4.0 s\) in which all four limbs are seen"),
    ],
)
def test_a_recording_too_short_for_one_window_is_named(name, kept, message, copy, refused):
    folder = copy(name)
    path = sorted(folder.glob("orgcoords_*.csv"))[0]
    path.write_text("\n".join(path.read_text().splitlines()[: kept + 1]) + "\n")
    line = refused(name, folder)
    found = re.search(rf"1 of \d+ recordings cannot be used: sim0000 {message}; correct them or take", line)
    assert found, line


@pytest.mark.parametrize(
    ("name", "joint", "message"),
    [
        ("ensemble-gcn", "left_wrist", "missing left_wrist, which the networks need"),
        (
            "cp-gcn-29",
            "left_wrist",
            "missing left_wrist, left_little_finger, left_index_finger, which the networks need",
        ),
        ("mam", "left_wrist", "has no left wrist in any frame"),
        ("baby-moves", "left_hip", 'joint "left_hip" is never seen'),
        ("sma-cnn", "left_wrist", "never shows the left hand"),
    ],
)
def test_a_missing_limb_is_named(name, joint, message, copy, refused):
    folder = copy(name)
    points(folder, lambda column, cell: "" if column.startswith(joint) else cell)
    assert f"sim0000 {message}" in refused(name, folder)


def test_points_that_coincide_are_no_bug_but_bad_input(copy, refused):
    folder = copy("baby-moves")
    path = sorted(folder.glob("orgcoords_*.csv"))[0]
    header, *lines = path.read_text().splitlines()
    names, rows = header.split(","), [line.split(",") for line in lines]
    for row in rows:
        for axis in "xy":
            hips = [names.index(f"{side}_hip_{axis}") for side in ("left", "right")]
            row[names.index(f"crown_{axis}")] = row[hips[1]] = row[hips[0]]
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
    assert "sim0000 crown and hips are never apart in a frame" in refused("baby-moves", folder)


# --- metadata and labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "column"), [("mam", "birth_weight"), ("baby-moves", "age")])
def test_metadata_that_the_network_needs_and_lacks_are_named(name, column, copy, refused):
    folder = copy(name)
    table(folder, lambda rows: [row.update({column: ""}) for row in rows[:2]])
    line = refused(name, folder, network={"metadata": True})
    assert f"2 of 8 recordings cannot be used: sim0000 has no {column}; sim0001 has no {column}" in line


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("mam", "sex", "x"), ("mam", "gestational_age", "early"), ("baby-moves", "cohort", "late")],
)
def test_an_unknown_group_or_number_is_named(name, column, value, copy, refused):
    folder = copy(name)
    table(folder, lambda rows: rows[1].update({column: value}))
    assert f'sim0001 has "{value}" as {column}' in refused(name, folder, network={"metadata": True})


def test_a_column_to_balance_that_no_recording_has_is_named(folders, refused):
    assert 'no recording has a column "center"' in refused("ensemble-gcn", folders["ensemble-gcn"], ("center",))
    for name in ("mam", "baby-moves"):
        assert 'has a column "center"' in refused(name, folders[name], ("center",))
    assert "balances no columns" in refused("sma-cnn", folders["sma-cnn"], ("age",))


def test_scores_that_are_all_equal_are_refused(copy, refused):
    folder = copy("sma-cnn")
    table(folder, lambda rows: [row.update(score="30") for row in rows])
    assert (
        refused("sma-cnn", folder)
        == "cohort: all 12 recordings have the score 30; there is nothing to learn; add others"
    )


def test_validation_scores_that_are_all_equal_cannot_be_calibrated(small):
    method = small("baby-moves")
    with pytest.raises(ValueError, match="needs both outcomes and scores that differ"):
        method._calibrate(np.zeros(4), np.array([0, 1, 0, 1]))
    # Scores that separate the outcomes have no finite map by the reference implementation, but one by smooth labels.
    curve = method._calibrate(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert np.isfinite([curve.slope, curve.intercept]).all()


# --- infants and splits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mam", "baby-moves", "sma-cnn"])
def test_one_infant_only_is_refused(name, copy, refused):
    folder = copy(name)
    table(folder, lambda rows: [row.update(group="one") for row in rows])
    assert refused(name, folder) == "cohort: needs at least two infants, found one; add other infants"


@pytest.mark.parametrize(
    ("name", "positive", "message"),
    [
        ("ensemble-gcn", 0, "all 8 recordings have outcome 0; training needs both outcomes"),
        ("mam", 0, "all 8 recordings have outcome 0; training needs both outcomes"),
        ("mam", 1, "1 recordings with outcome 1 for 2 folds; add recordings"),
        ("baby-moves", 0, "split 0 lacks an outcome on one side; three groups of each outcome"),
        ("baby-moves", 2, "split 0 lacks an outcome on one side; three groups of each outcome"),
    ],
)
def test_a_class_without_members_on_a_side_is_named(name, positive, message, copy, refused):
    folder = copy(name)
    table(folder, lambda rows: [row.update(outcome=str(int(i < positive))) for i, row in enumerate(rows)])
    assert message in refused(name, folder)


def test_too_few_windows_for_a_batch_say_which_batch_would_do(folders, refused):
    line = refused("sma-cnn", folders["sma-cnn"], training={"batch_size": 50})
    assert line == (
        "cohort: gives 9 windows to train on, fewer than a batch of 50; "
        "add recordings, or use --training.batch-size 9 at most"
    )


# --- annotated infants -----------------------------------------------------------------------------------------------


def test_a_reading_of_mam_needs_annotated_infants(folders, refused):
    assert refused("mam", folders["mam"]) == "mam: needs annotated infants; name their folder by --annotated"


def test_other_systems_take_none(folders, refused):
    line = refused("sma-cnn", folders["sma-cnn"], annotated=folders["mam"])
    assert "sma-cnn uses no recordings with annotated seconds" in line


def test_annotated_infants_of_the_cohort_are_refused(folders, refused):
    line = refused("mam", folders["mam"], annotated=folders["mam"])
    assert line == 'annotated: "sim0000" is also in the cohort; annotate other infants'


@pytest.fixture
def annotated(tmp_path) -> Path:
    """Two other infants."""
    base = InfantConfig(dropout_rate=0)
    return write_cohort(tmp_path / "annotated", 2, 0, 6.0, prevalence=0.4, base=base, first=50)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["id;second;fidgety", "sim0050;0;2"], 'line 2 has second "0" and fidgety "2"'),
        (["id;second;fidgety", "sim0050;now;1"], 'line 2 has second "now" and fidgety "1"'),
        (["id;second;fidgety", "sim0050;0"], 'line 2 has second "0" and fidgety ""'),
        (["id;second", "sim0050;0"], "needs columns id, second and fidgety"),
        (["id;second;fidgety"], "has no rows"),
        (["id;second;fidgety", "nobody;0;1"], "nobody: has an outcome but no file"),
        (["id;second;fidgety", "sim0050;0;1", "sim0051;0;1"], "give 4 clips, all without fidgety movements"),
    ],
)
def test_annotations_that_cannot_be_used_are_named(lines, message, annotated, folders, refused):
    (annotated / "truth.csv").write_text("\n".join(lines) + "\n")
    assert message in refused("mam", folders["mam"], annotated=annotated)


# --- assessing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def assess(capsys, monkeypatch, tmp_path):
    """Runs `assess`: status, standard output, standard error."""
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)

    def assess(*arguments: object):
        capsys.readouterr()
        status = cli.run(["assess", *(str(a) for a in arguments), "-o", str(tmp_path / "results")])
        out, err = capsys.readouterr()
        return status, out, err

    return assess


def test_no_weights_come_with_other_systems(assess, folders):
    status, _, err = assess(folders["sma-cnn"], "--method", "sma-cnn")
    assert status == 2
    assert err.startswith("infantjax: --method: is sma-cnn, of which no weights come with infantjax; train an ensemble")


def test_options_of_the_graph_networks_are_refused_elsewhere(assess, folders, ensembles):
    status, _, err = assess(folders["sma-cnn"], "--ensemble", ensembles["sma-cnn"], "--certainty", "quartile")
    assert (status, err) == (
        2,
        "infantjax: --certainty: is no option of sma-cnn; leave it out\n",
    )
    status, _, err = assess(folders["sma-cnn"], "--ensemble", ensembles["sma-cnn"], "--threshold", "0.5")
    assert (status, err) == (2, "infantjax: options: sma-cnn decides nothing and has no threshold\n")


def test_a_bad_file_of_a_batch_is_a_row_and_the_rest_go_on(assess, copy, ensembles, tmp_path):
    folder = copy("sma-cnn")
    points(folder, lambda column, cell: "5" if column.startswith("left_wrist") else cell, 1)
    files = sorted(folder.glob("orgcoords_*.csv"))[:3]
    status, out, err = assess(*files, "--ensemble", ensembles["sma-cnn"])
    assert status == 1
    lines = out.splitlines()
    assert re.match(r"orgcoords_sim0000.csv  score -?\d+\.\d{3} points", lines[0])
    assert lines[1].startswith("orgcoords_sim0001.csv  error: sim0001: has the left hand at one place")
    assert "1 of 3 recordings failed" in err
    assert {p.name for p in (tmp_path / "results").iterdir()} >= {"sim0000.json", "sim0002.html", "summary.csv"}


@pytest.mark.parametrize("name", ALL)
def test_a_single_file_in_which_nothing_moves_leaves_with_its_one_line(name, assess, copy, ensembles):
    folder = copy(name)
    still(folder)
    ensemble = ("--ensemble", ensembles[name]) if name != "ensemble-gcn" else ()
    status, out, err = assess(sorted(folder.glob("orgcoords_*.csv"))[0], *ensemble)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"infantjax: \S+: every point is at one place in all frames; check the tracking\n", err)


def test_metadata_that_an_ensemble_reads_come_from_a_table(random_ensemble, folders, tmp_path):
    finder = registry.assessor(load_ensemble(random_ensemble("mam", network={"metadata": True})))
    recording = readers.read(folders["mam"] / "orgcoords_sim0001.csv")
    with pytest.raises(InputError, match="has no gestational_age; give weeks in its table"):
        finder.assess(recording)
    known = read_metadata(folders["mam"] / "outcomes.csv")
    assert set(known["sim0001"]) == {"outcome", "sex", "gestational_age", "birth_weight", "corrected_age"}
