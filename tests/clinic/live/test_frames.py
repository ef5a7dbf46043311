"""Frames as they come: a file at its own rate by a clock of the test, and a camera that FFmpeg simulates."""

import time

import pytest

from infantjax.clinic.live import frames as capture
from infantjax.clinic.live.frames import LiveSource
from infantjax.errors import InputError
from infantjax.video import open_frames


def test_a_file_is_played_at_its_own_rate(clip, clock):
    source = LiveSource(clip, clock=clock, sleep=clock.sleep)
    for frame, expected in zip(source, open_frames(clip), strict=True):
        assert source.elapsed == pytest.approx(expected.time, abs=2e-3)
        assert (frame.pixels() == expected.pixels()).all()
    assert clock.now == pytest.approx(100 + 29 / 30, abs=2e-3)
    assert (source.fps, source.notes) == (30, [])


@pytest.mark.parametrize("by", ["seconds", "stop"])
@pytest.mark.parametrize("kind", ["file", "camera"])
def test_a_source_stops_after_the_frames_that_were_given(by, kind, clip, clock, monkeypatch):
    monkeypatch.setattr(capture, "WAITING", 100)
    given = clip if kind == "file" else "lavfi:testsrc=size=64x48:rate=30:duration=2"
    source = LiveSource(given, seconds=0.5 if by == "seconds" else 9, clock=clock, sleep=clock.sleep)
    frames = []
    for frame in source:
        frames.append(frame)
        if by == "stop" and len(frames) == 15:
            source.stop()
    assert len(frames) == 15
    assert source.notes == ["was stopped after 0.5 s"]


def camera(seconds, then="", **options):
    """A source of 25 frames a second that gives them as fast as it can."""
    return LiveSource(f"lavfi:testsrc=size=64x48:rate=25:duration={seconds}{then}", **options)


def test_a_camera_gives_its_frames_until_it_ends(monkeypatch):
    monkeypatch.setattr(capture, "WAITING", 100)
    source = camera(1)
    frames = list(source)
    assert [round(frame.time * 25) for frame in frames] == list(range(25))
    assert (frames[0].height, frames[0].width, source.fps, source.notes) == (48, 64, 25, [])
    assert source.path.name == "lavfi_testsrc_size_64x48_rate_25_duration_1"


def test_a_stream_of_the_network_gives_the_frames_of_the_video(clip, streamed, monkeypatch):
    monkeypatch.setattr(capture, "WAITING", 100)
    source = LiveSource(streamed(clip))
    for frame, expected in zip(source, open_frames(clip), strict=True):
        assert frame.time == pytest.approx(expected.time, abs=1e-3)
        assert (frame.pixels() == expected.pixels()).all()
    assert (source.fps, source.path.name) == (30, "127_0_0_1")


def test_frames_that_come_faster_than_they_are_read_are_left_out_and_counted():
    source = camera(8)
    waiting = iter(source)
    next(waiting)
    time.sleep(0.3)
    rest = list(waiting)
    left_out = 200 - 1 - len(rest)
    assert left_out > 0
    assert source.notes == [f"{left_out} frames were left out: they came faster than they were read"]


def test_a_camera_that_gives_nothing_any_more_has_ended(monkeypatch):
    monkeypatch.setattr(capture, "PATIENCE", 0.4)
    source = camera(100, ",realtime=speed=0.02")
    assert len(list(source)) <= 2
    assert source.notes[-1] == "gave no frame for 0.4 s and was ended"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.mp4", r"missing\.mp4: does not exist; give a video file, a camera"),
        ("/dev/null", "/dev/null: cannot be opened .*; check that it is there"),
        ("nosuch:device", r"nosuch_device: cannot be opened \(no container format 'nosuch'\)"),
        ("ftp://host/a", "ftp://: names no protocol of streams; known are rtsp"),
        ("tcp://user:secret@127.0.0.1:1/x?key=secret", r"127_0_0_1_x: cannot be opened \(connection refused\)"),
    ],
)
def test_a_source_that_cannot_be_opened_is_one_line_without_its_password(source, message):
    with pytest.raises(InputError, match=message) as caught:
        LiveSource(source)
    assert "secret" not in str(caught.value)
