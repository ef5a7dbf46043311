"""What the quality of the keypoints decides: windows that are left out, recordings without a value, forced ones."""

from dataclasses import replace

import numpy as np
import pytest

from infantjax.assessment import aggregation
from infantjax.assessment.assessment import TimeSeries
from infantjax.assessment.gate import UNGATED, NotAssessable, QualityOptions, kept_windows, without_certainty
from infantjax.methods import registry
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights import bundled
from infantjax.weights.ensemble import load_ensemble

FORCED = QualityOptions(force=True)


@pytest.fixture(scope="module")
def assessor(ensemble_folder) -> EnsembleGcnAssessor:
    """One for all tests: its program is compiled once."""
    return EnsembleGcnAssessor(load_ensemble(ensemble_folder))


@pytest.fixture(scope="module")
def clean() -> Recording:
    """Twenty seconds without a fault."""
    return simulate(2, InfantConfig(duration=20.0), name="clean")


def frozen(recording: Recording, start: float, end: float) -> Recording:
    """A recording whose video stands still for some seconds."""
    keypoints = recording.keypoints.copy()
    first, last = round(start * recording.fps), round(end * recording.fps)
    keypoints[first:last] = keypoints[first]
    return replace(recording, keypoints=keypoints, name="frozen")


# --- windows ---------------------------------------------------------------------------------------------------------


def test_a_window_is_kept_if_a_twentieth_of_it_at_most_is_unusable():
    usable = np.ones(40, bool)
    usable[10] = False
    # Of 5 s no half second may be bad, of 30 s one may.
    np.testing.assert_array_equal(
        kept_windows(usable, np.array([2.5, 5.0, 5.5, 5.7, 7.5, 10.5, 10.8, 11.0]), 5.0),
        [True, True, False, False, False, False, True, True],
    )
    assert kept_windows(usable, np.array([0.0, 5.0]), 30.0).all()
    usable[20] = False
    np.testing.assert_array_equal(kept_windows(usable, np.array([0.0, 11.0]), 29.0), [False, True])


def test_without_measures_every_window_is_kept_and_without_windows_there_is_a_reason():
    assert kept_windows(None, np.arange(3.0), 5.0).all()
    with pytest.raises(NotAssessable, match="no window of 5 s is free of tracking faults"):
        kept_windows(np.zeros(8, bool), np.arange(3.0), 5.0)


def test_a_time_series_of_kept_windows_has_nothing_in_the_others():
    keep, values = np.array([True, False, True]), np.array([0.2, 0.4])
    found = TimeSeries.of_kept(keep, "risk", np.arange(3.0), values, values, values, 1.0, certainty=("green", "red"))
    np.testing.assert_array_equal(found.median, [0.2, np.nan, 0.4])
    assert found.certainty == ("green", None, "red")
    np.testing.assert_array_equal(found.usable, keep)
    assert TimeSeries.of_kept(keep[:1], "risk", np.arange(1.0), *values[:1, None][[0, 0, 0]], 1.0).usable is None


# --- recordings ------------------------------------------------------------------------------------------------------


def test_a_clean_recording_gives_the_same_bits_with_and_without_the_gate(assessor, clean):
    gated, ungated = assessor.assess(clean), assessor.assess(clean, options=UNGATED)
    assert gated.value == ungated.value
    assert gated.members == ungated.members
    assert gated.certainty == ungated.certainty
    assert gated.contributions == ungated.contributions
    for name in ("start", "median", "q1", "q3"):
        np.testing.assert_array_equal(getattr(gated.time_series, name), getattr(ungated.time_series, name))
    assert (gated.assessable, gated.reasons, gated.warnings) == (True, (), ())
    assert gated.quality.usable.all()
    assert ungated.quality is None


def test_windows_with_faults_are_left_out_of_the_value_and_told(assessor, clean):
    found = assessor.assess(frozen(clean, 5, 9))
    series, usable = found.time_series, found.time_series.usable
    assert found.assessable
    assert 0 < usable.sum() < len(usable)
    # Nothing that overlaps the frozen seconds is left.
    assert all(start + series.length <= 5 or start >= 9 for start in series.start[usable])
    assert np.isfinite(series.median[usable]).all()
    assert np.isnan(series.median[~usable]).all()
    alone = assessor.assess(frozen(clean, 5, 9), options=UNGATED)
    np.testing.assert_array_equal(series.median[usable], alone.time_series.median[usable])
    risks = assessor.window_risks(frozen(clean, 5, 9))
    assert found.value == aggregation.infant_risk(risks[:, usable])
    share = round(100 * np.mean(~usable))
    assert found.warnings[0] == f"tracking faults: {share}% of the windows are left out"
    # Half of the windows are no ground for a certain answer.
    assert found.certainty.level in ("yellow", "orange")


def test_too_little_left_is_no_value_and_the_networks_are_not_run(assessor, clean, monkeypatch):
    monkeypatch.setattr(assessor._program, "scores", lambda positions: pytest.fail("the networks were run"))
    found = assessor.assess(frozen(clean, 1, 19))
    assert not found.assessable
    assert found.reasons
    assert np.isnan(found.value)
    assert (found.decision, found.certainty, found.agreement, found.members) == ("", None, None, ())
    assert "not assessable" in repr(found)
    # What was read can still be looked at.
    assert np.isfinite(found.movement).any()
    assert found.movement[..., 1].max() > 0


def test_seconds_that_are_usable_but_never_for_a_window_are_no_value(assessor, clean):
    spoiled = clean
    # Five usable seconds in between, which no window has for itself: windows start every 2.5 s.
    for start in (0, 6, 12, 18):
        spoiled = frozen(spoiled, start, start + 1)
    found = assessor.assess(spoiled)
    assert not found.assessable
    assert found.reasons == ("no window of 5 s is free of tracking faults",)
    assert found.quality.assessable


def test_a_forced_value_is_that_of_the_published_pipeline_never_certain_and_told(assessor, clean):
    bad = frozen(clean, 1, 19)
    found, ungated = assessor.assess(bad, options=FORCED), assessor.assess(bad, options=UNGATED)
    assert (found.assessable, found.forced) == (False, True)
    assert found.value == ungated.value
    assert found.certainty.level in ("yellow", "orange")
    assert set(found.time_series.certainty) <= {"yellow", "orange"}
    assert found.warnings[0].startswith("forced although not assessable: ")
    assert not assessor.assess(clean, options=FORCED).forced


def test_doubts_leave_the_side_of_a_decision_and_take_its_certainty(assessor, clean):
    prediction, _ = assessor.predict(assessor.convert(clean))
    for level, uncertain in (("green", "yellow"), ("yellow", "yellow"), ("orange", "orange"), ("red", "orange")):
        certain = replace(prediction, certainty=replace(prediction.certainty, level=level))
        doubted = without_certainty(certain)
        assert doubted.certainty.level == uncertain
        assert doubted.positive == certain.positive
        assert doubted.certainty.reason == "the quality of the tracking allows no certain decision"


def test_a_certain_value_of_a_doubtful_recording_is_uncertain(assessor, clean, monkeypatch):
    prediction, shown = assessor.predict(assessor.convert(clean))
    certain = replace(prediction, certainty=replace(prediction.certainty, level="red"))
    monkeypatch.setattr(EnsembleGcnAssessor, "predict_many", lambda self, requests: [(certain, shown)])
    assert assessor.assess(clean).certainty.level == "red"
    assert assessor.assess(frozen(clean, 5, 9)).certainty.level == "orange"


def test_to_force_without_a_gate_is_refused():
    with pytest.raises(ValueError, match="nothing to force"):
        QualityOptions(quality=False, force=True)


@pytest.mark.slow  # compiles the bundled ensemble
def test_exchanged_sides_turn_no_certain_answer_into_its_opposite():
    infant = simulate(0, InfantConfig(duration=60.0, fidgety=0.0))
    joints, keypoints = infant.skeleton.joints, infant.keypoints.copy()
    swap = {"left": "right", "right": "left"}
    mirrored = [joints.index("_".join(swap.get(word, word) for word in joint.split("_"))) for joint in joints]
    frames = np.arange(infant.frames) % 50 < 3
    keypoints[frames] = keypoints[frames][:, mirrored]
    spoiled = replace(infant, keypoints=keypoints)
    assessor = registry.assessor(bundled.ensemble())
    assert assessor.assess(infant).certainty.level == "red"
    assert assessor.assess(spoiled, options=UNGATED).certainty.level == "green"
    assert not assessor.assess(spoiled).assessable
    repaired = assessor.assess(spoiled, options=QualityOptions(repair=True))
    assert repaired.value == pytest.approx(assessor.assess(infant).value, abs=0.05)
    assert repaired.repairs
