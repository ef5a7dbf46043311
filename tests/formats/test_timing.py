"""Frame rate and frame numbers, from time stamps and from columns."""

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.skeletons import Skeleton

TWO = Skeleton("two", ("nose", "chin"), ("nose", "nose"))
MILLISECONDS = 3


def read(folder, times=None, frames=None, fps=None, column="time", order=None):
    """A recording whose first coordinate counts the rows from 1."""
    rows = len(times if times is not None else frames)
    header = [*(["frame"] if frames is not None else []), *([column] if times is not None else [])]
    lines = [",".join([*header, "nose_x,nose_y,chin_x,chin_y"])]
    for i in order if order is not None else range(rows):
        clock = [str(c[i]) for c in (frames, times) if c is not None]
        lines.append(",".join([*clock, f"{i + 1},2,3,{i + 4}"]))
    (folder / "a.csv").write_text("\n".join(lines))
    return readers.read(folder / "a.csv", fps=fps, skeleton=TWO)


def counted(recording):
    return recording.keypoints[:, 0, 0]


@pytest.mark.parametrize("fps", [10, 25, 29.97, 30, 59.94, 120, 240])
@pytest.mark.parametrize("decimals", [MILLISECONDS, 9, 17])
def test_the_rate_is_found_whatever_the_rounding_of_the_stamps(fps, decimals, tmp_path):
    times = [round(1.4 + i / fps, decimals) for i in range(3000)]  # may begin at any time
    found = read(tmp_path, times).fps
    # The first and last stamps are each wrong by half a unit of the last digit at most.
    assert found == pytest.approx(fps, rel=10.0**-decimals / (times[-1] - times[0]) + 1e-12)
    assert float(fps) != round(fps) or found == fps


def test_stamps_may_be_in_milliseconds_where_the_column_says_so(tmp_path):
    assert read(tmp_path, [round(i * 40.0, 1) for i in range(50)], column="time_ms").fps == 25


def test_frames_that_the_stamps_leave_out_become_missing(tmp_path):
    times = [round(i / 30, 4) for i in range(60) if i not in (7, 8, 30)]
    recording = read(tmp_path, times, order=np.random.default_rng(0).permutation(57))
    assert (recording.fps, recording.frames) == (30, 60)
    assert np.flatnonzero(np.isnan(counted(recording))).tolist() == [7, 8, 30]


UNEVEN = [i / 30 for i in range(30)] + [1 + i / 23 for i in range(30)]


@pytest.mark.parametrize(
    ("times", "frames", "message"),
    [
        ([i * 40 for i in range(50)], None, "time stamps are 40 s apart, which looks like milliseconds"),
        (UNEVEN, None, r"line \d+: time stamps are uneven \(0.033.* to 0.043.* s apart\)"),
        ([0, 0.04, 0.04, 0.12], None, "line 4: time stamp 0.04 occurs twice"),
        ([0, 0.08, 0.04, 0.12], [0, 1, 2, 3], "time stamp 0.04 does not grow with the frame number"),
        ([0, "", 0.08], None, "line 3: the time stamp is missing"),
    ],
)
def test_stamps_that_cannot_be_are_refused(times, frames, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read(tmp_path, times, frames)


def test_uneven_stamps_are_ignored_where_a_rate_is_given(tmp_path):
    recording = read(tmp_path, UNEVEN, fps=30)
    assert (recording.fps, recording.frames) == (30, 60)
    assert recording.notes == ("time stamps are uneven and were ignored: frames are taken as equally spaced",)


def test_frame_numbers_place_the_rows_and_stamps_give_the_rate(tmp_path):
    recording = read(tmp_path, [0.2, 0.24, 0.36], frames=[-5, -4, -1])
    assert recording.fps == pytest.approx(25)
    np.testing.assert_array_equal(counted(recording), [1, 2, np.nan, np.nan, 3])


def test_a_given_rate_overrules_the_stamps_and_says_so(tmp_path):
    recording = read(tmp_path, [i / 25 for i in range(50)], fps=50)
    assert recording.fps == 50
    assert recording.notes == ("the file states 25 frames a second; 50 was given and used",)


@pytest.mark.parametrize("number", ["1e300", "inf", "nan", "1.5"])
def test_frame_numbers_that_are_none_are_refused(number, tmp_path):
    with pytest.raises(InputError, match=r"line 3: frame number .* is not a whole number"):
        read(tmp_path, frames=[0, number], fps=30)


def test_a_long_table_with_stamps_only_is_read(tmp_path):
    lines = ["time,joint,x,y"] + [f"{i / 25},{j},{i},{i + 1}" for i in range(9) for j in ("nose", "chin") if i != 4]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    recording = readers.read(tmp_path / "a.csv", skeleton=TWO)
    assert recording.fps == pytest.approx(25)
    assert np.flatnonzero(recording.missing.all(axis=1)).tolist() == [4]
