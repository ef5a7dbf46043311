"""Keypoints of a source in a file: whole or not at all, and finished frames are kept."""

import errno
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.files import locked
from infantjax.pose import PoseConfig, Tracker
from infantjax.pose.estimation import track as tracking
from infantjax.pose.estimation import writing
from infantjax.video import open_frames


def test_what_was_found_is_written_and_nothing_is_left_behind(blue, clip, tmp_path):
    target = tmp_path / "new" / "a.csv"
    written = writing.write_keypoints(open_frames(clip), blue, target, tmp_path / "overlay.mp4")
    np.testing.assert_allclose(readers.read(target).keypoints, written.keypoints, atol=1e-3)
    assert len(list(open_frames(tmp_path / "overlay.mp4"))) == 30
    assert [p.name for p in target.parent.iterdir()] == ["a.csv"]


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_fills_up_keeps_what_was_finished(blue, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "CHUNK", 8)
    real, count = tracking.write_atomically, []

    def write(path, content):
        count.append(path)
        return full() if len(count) > 3 else real(path, content)

    monkeypatch.setattr(tracking, "write_atomically", write)
    with pytest.raises(InputError, match=r"No space left on device.*finished frames are kept"):
        writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.csv")
    assert len(list((tmp_path / ".a.csv.parts").glob("*.npz"))) == 2
    monkeypatch.setattr(tracking, "write_atomically", real)
    writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.csv")
    assert readers.read(tmp_path / "a.csv").frames == 30


def test_an_output_that_cannot_be_written_gives_one_line(blue, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(writing.readers, "write", full)
    with pytest.raises(InputError, match=r"a\.csv: cannot be written \(No space left on device\); make room"):
        writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_a_video_is_not_written_over_by_its_overlay(blue, clip, tmp_path):
    before = clip.read_bytes()
    (tmp_path / "link.mp4").symlink_to(clip)
    with pytest.raises(InputError, match="is also an input, which is never written over"):
        writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.csv", tmp_path / "link.mp4")
    assert clip.read_bytes() == before


def test_two_processes_do_not_write_one_output(blue, clip, tmp_path):
    with locked(tmp_path / ".a.csv.parts"), pytest.raises(InputError, match="in use by another process"):
        writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.csv")


def test_an_ending_that_names_no_format_is_refused(blue, clip, tmp_path):
    with pytest.raises(InputError, match=r"names no format to write; use \.csv or \.npz"):
        writing.write_keypoints(open_frames(clip), blue, tmp_path / "a.txt")


class Anywhere(Tracker):
    """Finds points without frames, 64 at a time."""

    def parts(self, frames, finished=()):
        points = np.linspace(20, 80, 32).reshape(1, 16, 2).repeat(64, 0)
        for first in range(0, frames.expected, 64):
            yield tracking.Track.of((first + np.arange(64)) / 5, [(100, 100)] * 64, points, np.ones((64, 16)))


def test_little_more_than_the_keypoints_is_kept_of_each_frame(network, tmp_path):
    tracker = Anywhere(network, PoseConfig(follow=True))

    def write(count):
        source = tmp_path / str(count)
        source.write_bytes(b"video")
        frames = SimpleNamespace(path=source, fps=5.0, expected=64 * count, notes=[], provenance="none")
        writing.write_keypoints(frames, tracker, tmp_path / f"{count}.csv")

    def peak(count):
        tracemalloc.start()
        write(count)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    write(2)  # what is imported and made once
    # x, y and confidence of 16 points are 192 B in float32, which the track has, and 384 B in the recording.
    assert peak(20) - peak(10) < 1000 * 64 * 10
