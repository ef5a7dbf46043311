"""Cohorts of simulated infants, their files, and how hard they are to separate."""

import csv
import json
import math
import os

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax import simulation
from infantjax.errors import InputError
from infantjax.settings import to_settings
from infantjax.simulation import (
    InfantConfig,
    draw_infant,
    draw_metadata,
    draw_outcomes,
    simulate_cohort,
    write_cohort,
)
from infantjax.skeletons import IN_MOTION_19 as SKELETON


def test_an_infant_does_not_depend_on_the_size_of_the_cohort():
    small, large = simulate_cohort(3, 5, duration=2), simulate_cohort(9, 5, duration=2)
    for (first, outcome), (second, same) in zip(small, large):
        assert outcome == same
        assert first.name == second.name
        assert first.keypoints.tobytes() == second.keypoints.tobytes()


@pytest.mark.parametrize("prevalence", [0.01, 0.15, 0.5, 0.8, 0.99])
def test_both_outcomes_occur_among_the_first_two(prevalence):
    for seed in range(20):
        assert sorted(draw_outcomes(2, seed, prevalence)) == [0, 1]


@pytest.mark.parametrize("prevalence", [0.05, 0.15, 1 / 3, 0.5, 0.85])
def test_the_prevalence_is_kept_to_one_infant(prevalence):
    for n in (20, 57, 1000):
        assert abs(sum(draw_outcomes(n, 1, prevalence)) - n * prevalence) <= 1.0 + 1e-9


def test_the_outcome_says_whether_fidgety_movements_are_present():
    for recording, outcome in simulate_cohort(20, 2, duration=3, prevalence=0.4):
        assert recording.metadata["outcome"] == outcome
        assert (recording.metadata["simulation"]["fidgety"] == 0) == (outcome == 1)


def test_outcome_changes_only_fidgety_movements_and_monotony():
    for index in range(10):
        absent, present = (to_settings(draw_infant(1, index, o)) for o in (1, 0))
        changed = {name for name in absent if absent[name] != present[name]}
        assert changed == {"fidgety", "monotony"}


def test_the_share_of_fidgety_movements_is_the_published_one():
    # MAM, external validation: median 0.553, quartiles 0.412 and 0.706, of normal infants.
    shares = [draw_infant(1, index, 0).fidgety for index in range(2000)]
    low, median, high = np.percentile(shares, [25, 50, 75])
    assert median == pytest.approx(0.553, abs=0.02)
    assert low == pytest.approx(0.412, abs=0.03)
    assert high == pytest.approx(0.706, abs=0.05)


@pytest.fixture(scope="module")
def measured() -> tuple[dict[str, np.ndarray], np.ndarray]:
    cohort = simulate_cohort(100, 1, prevalence=0.5)
    rows = [measures(recording) for recording, _ in cohort]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}, np.array([o for _, o in cohort])


def test_band_power_of_wrists_and_ankles_separates_the_outcomes(measured):
    values, outcome = measured
    assert auc(-values["band"], outcome) > 0.8


@pytest.mark.parametrize("name", ["speed", "limb_speed"])
def test_overall_speed_does_not_separate_the_outcomes(measured, name):
    values, outcome = measured
    assert auc(-values[name], outcome) < 0.75


def test_dropouts_and_confidence_do_not_separate_the_outcomes(measured):
    values, outcome = measured
    for name in ("missing", "confidence"):
        assert 0.34 < auc(values[name], outcome) < 0.66  # within 2.7 standard errors (0.058) of a half


def measures(recording) -> dict[str, float]:
    """Speed and spectrum of trunk-centered points, in trunk lengths, as a simple classifier would measure them."""
    points = recording.keypoints.copy()
    frames = np.arange(len(points))
    for series in points.reshape(len(points), -1).T:
        gap = np.isnan(series)
        series[gap] = np.interp(frames[gap], frames[~gap], series[~gap])
    upper, lower = SKELETON.trunk_indices
    points -= (points[:, [upper]] + points[:, [lower]]) / 2
    points /= np.median(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1))
    points = np.apply_along_axis(lambda s: np.convolve(s, np.full(5, 0.2), "valid"), 0, points)
    velocity = np.diff(points, axis=0) * recording.fps
    limbs = velocity[:, [SKELETON.index(f"{s}_{j}") for s in ("right", "left") for j in ("wrist", "ankle")]]
    pieces = limbs[: len(limbs) // 60 * 60].reshape(-1, 60, 4, 2) * np.hanning(60)[:, None, None]
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    frequency = np.fft.rfftfreq(60, 1 / recording.fps)
    fast = power[:, (frequency >= 1) & (frequency <= 3)].sum((1, 3))
    slow = power[:, (frequency >= 0.4) & (frequency < 1)].sum((1, 3))
    return {
        "speed": np.linalg.norm(velocity, axis=-1).mean(),
        "limb_speed": np.linalg.norm(limbs, axis=-1).mean(),
        "band": np.log(fast / slow).mean(),
        "missing": recording.missing.mean(),
        "confidence": recording.confidence.mean(),
    }


def auc(scores: np.ndarray, outcome: np.ndarray) -> float:
    sick, well = scores[outcome == 1][:, None], scores[outcome == 0]
    return float(((sick > well) + 0.5 * (sick == well)).mean())


def test_the_written_cohort_holds_what_was_simulated(tmp_path):
    folder = write_cohort(tmp_path / "cohort", 4, 3, duration=3.5, base=InfantConfig(dropout_rate=30))
    cohort = simulate_cohort(4, 3, duration=3.5, base=InfantConfig(dropout_rate=30))
    assert sorted(p.name for p in folder.iterdir()) == [
        *(f"orgcoords_sim000{i}.csv" for i in range(4)),
        "outcomes.csv",
        "simulation.json",
        "truth.csv",
    ]
    for recording, _ in cohort:
        table = np.genfromtxt(folder / f"orgcoords_{recording.name}.csv", delimiter=",", names=True)
        assert table.dtype.names[:4] == ("frame", "time", "head_top_x", "head_top_y")
        np.testing.assert_array_equal(table["frame"], np.arange(105))
        np.testing.assert_allclose(table["time"], np.arange(105) / 30, atol=5e-10)
        for joint in SKELETON.joints:
            written = np.stack([table[f"{joint}_x"], table[f"{joint}_y"]], axis=-1)
            # Rounded to 0.01 pixels.
            np.testing.assert_allclose(written, recording.keypoints[:, SKELETON.index(joint)], atol=0.0051)
    rows = list(csv.reader((folder / "outcomes.csv").read_text().splitlines(), delimiter=";", quotechar="|"))
    assert rows == [["id", "outcome"], *([r.name, str(o)] for r, o in cohort)]
    truth = list(csv.reader((folder / "truth.csv").read_text().splitlines(), delimiter=";", quotechar="|"))
    assert truth[0] == ["id", "second", "fidgety"]
    assert [row for row in truth if row[0] == "sim0002"] == [
        ["sim0002", str(s), str(v)] for s, v in enumerate(cohort[2][0].metadata["fidgety"])
    ]
    assert len(truth) == 1 + 4 * math.ceil(3.5)


def test_simulation_json_holds_the_options_and_the_statement(tmp_path):
    (tmp_path / "empty").mkdir()
    reported: list[int] = []
    folder = write_cohort(tmp_path / "empty", 2, 3, duration=1, fps=25, progress=reported.append)
    assert reported == [1, 2]
    record = json.loads((folder / "simulation.json").read_text())
    assert record["statement"] == simulation.STATEMENT
    assert (record["seed"], record["infants"], record["options"]) == (3, 2, {"fps": 25})
    drawn = draw_infant(3, 1, draw_outcomes(2, 3)[1], InfantConfig(duration=1, fps=25))
    assert record["configurations"]["sim0001"] == to_settings(drawn)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    first, second = (write_cohort(tmp_path / name, 3, 1, duration=2) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_a_folder_that_holds_a_cohort_is_refused_unless_overwritten(tmp_path):
    write_cohort(tmp_path / "cohort", 5, 1, duration=1)
    before = {p.name: p.read_bytes() for p in (tmp_path / "cohort").iterdir()}
    with pytest.raises(InputError, match="holds a simulated cohort already"):
        write_cohort(tmp_path / "cohort", 2, 2, duration=1)
    assert {p.name: p.read_bytes() for p in (tmp_path / "cohort").iterdir()} == before
    write_cohort(tmp_path / "cohort", 2, 2, duration=1, overwrite=True)
    assert len(list((tmp_path / "cohort").iterdir())) == 5  # two infants and three tables: nothing of the old is left
    assert [p.name for p in tmp_path.iterdir()] == ["cohort"]


def test_files_of_others_are_never_removed(tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="thesis"):
            write_cohort(tmp_path, 2, 1, duration=1, overwrite=overwrite)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_cohort(tmp_path / "file", 2, 1, duration=1)
    write_cohort(tmp_path / "cohort", 2, 1, duration=1)
    (tmp_path / "cohort" / "orgcoords_anna.csv").write_text("a real infant")
    with pytest.raises(InputError, match="orgcoords_anna"):
        write_cohort(tmp_path / "cohort", 2, 1, duration=1, overwrite=True)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(recording):
        raise OSError("disk full")

    monkeypatch.setattr("infantjax.simulation.cohort.to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_cohort(tmp_path / "cohort", 2, 1, duration=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n": 1}, "from 2"), ({"n": 10**9}, "from 2"), ({"prevalence": 0}, "above 0"), ({"prevalence": 1}, "below 1")],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, change, message):
    arguments = {"n": 4, "seed": 1, "duration": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        write_cohort(tmp_path / "cohort", **arguments)
    assert os.listdir(tmp_path) == []


def test_the_readers_take_the_written_files(tmp_path):
    write_cohort(tmp_path / "cohort", 2, 1, duration=5, fps=25, base=InfantConfig(dropout_rate=10))
    recording = readers.read(tmp_path / "cohort" / "orgcoords_sim0000.csv")
    assert recording.fps == pytest.approx(25)
    assert recording.skeleton == SKELETON
    assert recording.frames == 125
    original, _ = simulate_cohort(2, 1, duration=5, fps=25, base=InfantConfig(dropout_rate=10))[0]
    np.testing.assert_allclose(recording.keypoints, original.keypoints, atol=0.0051)


def test_metadata_fit_together():
    drawn = [draw_metadata(1, index, index % 2) for index in range(200)]
    for known in drawn:
        assert (known["cohort"] == "preterm") == (known["gestational_age"] < 32)
        assert 400 <= known["birth_weight"] < 6000
        assert 12 <= known["age"] <= 18
    early = np.array([known["cohort"] == "preterm" for known in drawn])
    assert early[1::2].mean() > early[::2].mean() + 0.2


def test_infants_of_other_numbers_are_others_and_the_same_in_every_cohort(tmp_path):
    first = write_cohort(tmp_path / "a", 4, 1, 3.0, prevalence=0.5)
    later = write_cohort(tmp_path / "b", 2, 1, 3.0, prevalence=0.5, first=2)
    for name in ("orgcoords_sim0002.csv", "orgcoords_sim0003.csv"):
        assert (first / name).read_bytes() == (later / name).read_bytes()
    rows = [(folder / "outcomes.csv").read_text().splitlines() for folder in (first, later)]
    assert rows[1][1:] == rows[0][3:]
    with pytest.raises(ValueError, match="the number of the first infant must be at least 0, got -1"):
        write_cohort(tmp_path / "c", 2, 1, first=-1)
