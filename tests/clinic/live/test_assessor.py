"""A live assessor gives each window its value in time, the same as an assessment of what has come."""

from dataclasses import replace

import numpy as np
import pytest

from infantjax.assessment.gate import QualityOptions
from infantjax.clinic.live.assessor import LAG, LiveAssessor, context_start
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import load_ensemble


@pytest.fixture(scope="module")
def assessor(ensemble_folder):
    return EnsembleGcnAssessor(load_ensemble(ensemble_folder))


@pytest.fixture(scope="module")
def infant():
    return simulate(2, InfantConfig(duration=20.0), name="infant")


def cut(recording, first, last=None):
    frames = slice(round(first * recording.fps), None if last is None else round(last * recording.fps))
    return replace(recording, keypoints=recording.keypoints[frames], confidence=None)


def updates(live, recording, seconds=1.0):
    """What becomes known after each second or so, as `infantjax assess --live` asks for it."""
    ends = np.minimum(np.arange(seconds, recording.duration + seconds, seconds), recording.duration)
    for start, end in zip(map(context_start, ends), ends):
        yield live.update(cut(recording, start, end), start)


def with_steady_trunk(recording):
    """The recording with a trunk of one length, whose median is the same at any time."""
    upper, lower = recording.skeleton.trunk_indices
    length = np.linalg.norm(recording.keypoints[:, upper] - recording.keypoints[:, lower], axis=-1)
    return replace(recording, keypoints=recording.keypoints / length[:, None, None], confidence=None)


def test_a_window_has_its_value_a_second_after_its_end(assessor, infant):
    """That of the assessment of what has come, and, with a trunk of one length, that of the whole."""
    steady = with_steady_trunk(infant)
    found = []
    for update in updates(LiveAssessor(assessor), steady):
        for window in update.windows:
            assert LAG <= update.seconds - window.end < LAG + 1
            so_far = assessor.assess(cut(steady, 0, update.seconds)).time_series
            (number,) = np.flatnonzero(np.abs(so_far.start - window.start) < 0.01)
            assert window.median == pytest.approx(so_far.median[number], abs=1e-6)
            assert window.certainty == so_far.certainty[number]
        found += update.windows
    whole = assessor.assess(steady).time_series
    assert [window.start for window in found] == pytest.approx(whole.start[: len(found)])
    assert len(found) == len(whole.start) - 2  # those that end in the last second
    np.testing.assert_allclose([window.median for window in found], whole.median[: len(found)], atol=1e-3)
    np.testing.assert_allclose([window.q3 for window in found], whole.q3[: len(found)], atol=1e-3)


def test_each_window_is_computed_once_and_only_the_last_minutes_are_looked_at(assessor):
    infant = simulate(3, InfantConfig(duration=215.0), name="long")
    asked = []

    class Spy(EnsembleGcnAssessor):
        def predict(self, converted, usable=None):
            asked.append((converted.duration, usable.sum()))
            return super().predict(converted, usable)

    live = LiveAssessor(Spy(assessor.ensemble), QualityOptions(quality=False))
    starts = [window.start for update in updates(live, infant, 43.0) for window in update.windows]
    np.testing.assert_allclose(starts, np.arange(0, 215 - 5 - LAG + 0.01, 2.5))
    assert max(duration for duration, _ in asked) <= 120
    assert asked[-1][1] <= 43 + 8


def test_faults_leave_windows_out_and_a_still_picture_has_no_value(assessor, infant):
    keypoints = infant.keypoints.copy()
    keypoints[270:330] = keypoints[270]
    live = LiveAssessor(assessor)
    windows = live.update(replace(cut(infant, 0), keypoints=keypoints)).windows
    left_out = [window.start for window in windows if not window.usable]
    assert left_out == pytest.approx([5.0, 7.5, 10.0])
    assert all(np.isnan(window.median) == (not window.usable) for window in windows)
    still = LiveAssessor(assessor).update(replace(cut(infant, 0), keypoints=np.repeat(keypoints[:1], 600, 0)))
    assert still.windows == ()
    assert "nothing moves" in still.problem
    short = LiveAssessor(assessor, QualityOptions(quality=False)).update(cut(infant, 0, 3))
    assert (short.windows, short.problem) == ((), "lasts 3.0 s, shorter than a window of 5 s")


def test_the_context_begins_at_a_whole_minute():
    assert [context_start(s) for s in (0.0, 119.9, 120.0, 179.0, 3600.0)] == [0, 0, 60, 60, 3540]
