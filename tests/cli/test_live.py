"""`assess --live`: a file at its own rate, and a stand-in network that reads which frame of an infant it sees."""

import functools
import json
import os
import signal

import numpy as np
import pytest

from infantjax.cli.options.video import VideoOptions
from infantjax.clinic.live import frames as live
from infantjax.clinic.live.frames import LiveSource
from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.pose.codec.heatmap import Points
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19
from infantjax.video import write_video

SECONDS, SIDE = 12, 64


class Reader(Tracker):
    """Finds the points of a simulated infant by the number that is drawn into a frame; nothing is compiled."""

    def __init__(self):
        network = PoseEstimator(None, {}, IN_MOTION_19, SIDE, "imagenet", "stand-in", "0" * 64)
        super().__init__(network, PoseConfig(batch_size=1))
        points = simulate(2, InfantConfig(duration=SECONDS)).keypoints
        low, high = np.nanmin(points, (0, 1)), np.nanmax(points, (0, 1))
        self.points = 0.2 + 0.6 * (points - low) / (high - low).max()
        self.seen = lambda number: None

    def find(self, squares):
        bits = squares[..., 0].reshape(-1, 4, 16, 4, 16).mean((2, 4)).reshape(-1, 16) > 128
        numbers = (bits * 2 ** np.arange(16)).sum(-1)
        self.seen(int(numbers.max()))
        return Points(self.points[numbers], np.ones((len(squares), 19)))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A video whose frames have their number drawn as sixteen dark and bright squares."""

    def frame(number):
        bits = (number >> np.arange(16) & 1).reshape(4, 4) * 255
        return np.repeat(bits.repeat(16, 0).repeat(16, 1)[..., None], 3, -1).astype(np.uint8)

    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    write_video(map(frame, range(30 * SECONDS)), 30, path)
    return path


@pytest.fixture
def reader(monkeypatch, clock):
    """The tracker of all commands, and a clock for live sources that waits for nobody."""
    found = Reader()
    monkeypatch.setattr(VideoOptions, "tracker", lambda self, config, quiet: found)
    monkeypatch.setattr(live, "LiveSource", functools.partial(LiveSource, clock=clock, sleep=clock.sleep))
    return found


def test_a_live_file_is_assessed_as_the_file_is_and_windows_are_told_in_time(
    run, numbered, reader, ensemble_folder, tmp_path
):
    options = ("--ensemble", ensemble_folder, "-o")
    outcome = run("assess", "--live", numbered, *options, tmp_path / "live")
    assert outcome.status == 0, outcome.err
    assert run("assess", numbered, *options, tmp_path / "file").status == 0
    for name in ("clip.json", "clip.keypoints.csv"):
        assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()
    record = json.loads((tmp_path / "live" / "clip.json").read_text("utf-8"))
    starts = [window["start"] for window in record["time_series"]["windows"]]
    told = [line.split("  risk in a window: ") for line in outcome.out[:-1]]
    assert [when for when, _ in told] == [f"{s:.1f} to {s + 5:.1f} s" for s in starts[: len(told)]]
    assert len(told) == 3
    for (_, value), window in zip(told, record["time_series"]["windows"]):
        assert float(value.split()[0]) == pytest.approx(window["median"], abs=0.02)
    (state, *_) = [line for line in outcome.err if line.startswith("11 s: ")]
    assert "19 of 19 points seen in the last second" in state
    assert "% of the last 11 s usable" in state
    assert (tmp_path / "live" / "clip.html").exists()
    run("assess", "--live", numbered, *options, tmp_path / "live").refused(r"clip\.keypoints\.csv: exists; use --over")


@pytest.mark.parametrize("how", ["signal", "seconds"])
def test_a_stopped_source_has_a_complete_report(how, run, numbered, reader, ensemble_folder, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    if how == "signal":
        reader.seen = lambda number: os.kill(os.getpid(), signal.SIGINT) if number == 270 else None
    limit = 9 if how == "seconds" else 100
    outcome = run(
        "assess", "--live", numbered, "--seconds", limit, "--ensemble", ensemble_folder, "-o", tmp_path / "out"
    )
    assert outcome.status == 0, outcome.err
    record = json.loads((tmp_path / "out" / "clip.json").read_text("utf-8"))
    assert 9 <= record["duration"] < 11
    assert record["time_series"]["windows"]
    assert any(note.startswith("was stopped after") for note in record["notes"])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--live", "missing.mp4"), r"missing\.mp4: does not exist; give a video file, a camera"),
        (("--live", "rtsp://user:secret@127.0.0.1:1/x"), r"127_0_0_1_x: cannot be opened \(connection refused\)"),
        (("--live", "{clip}", "--overlay"), "--overlay: cannot be given with --live"),
        (("--live", "{clip}", "--cluster", "auto"), "--cluster: cannot be given with --live"),
        (("{clip}", "--live", "{clip}"), "INPUT: cannot be given with --live"),
        (("--live", "{clip}", "--seconds", "0"), "--seconds: is 0, must be above 0"),
        (("--live", "{clip}", "--seconds", "3"), "lasts 3.0 s, shorter than a window of 5 s"),
        ((), "names no recording"),
    ],
)
def test_live_options_that_cannot_be_are_refused(options, message, run, numbered, reader, ensemble_folder, tmp_path):
    given = [text.format(clip=numbered) for text in options]
    outcome = run("assess", *given, "--ensemble", ensemble_folder, "-o", tmp_path / "out", "--quiet")
    outcome.refused(message)
