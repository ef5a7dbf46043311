"""The files of the package: their sizes, and what they say of themselves."""

import json

import numpy as np
import pytest

from infantjax.pose import Tracker, load_pose_network
from infantjax.pose.crop import crop_image
from infantjax.pose.estimation.track import Track
from infantjax.video import open_frames
from infantjax.weights import bundled

MEGABYTE = 2**20


def test_clip_and_pose_network_are_small():
    assert bundled.clip_path().stat().st_size < MEGABYTE
    assert sum(file.stat().st_size for file in bundled.pose_path().iterdir()) < MEGABYTE


def test_the_pose_network_says_that_it_is_not_for_real_videos():
    network = load_pose_network(bundled.pose_path())
    assert network.skeleton.name == "in-motion-19"
    assert network.decoder == "dark"
    assert "Trained on rendered infants only" in network.statement
    assert "never a default for real videos" in network.statement


def test_the_pose_network_finds_the_infant_of_the_clip_and_the_recording_says_what_found_it():
    tracker = Tracker(load_pose_network(bundled.pose_path()))
    frames = open_frames(bundled.clip_path())
    side, skeleton = tracker.network.side, tracker.network.skeleton
    first = [crop_image(frame, side, "fast") for frame, _ in zip(frames, range(2))]
    found = tracker.find(np.stack(first))
    top, pelvis = (found.positions[:, skeleton.index(joint)] for joint in ("head_top", "pelvis"))
    # The infant lies upright and fills most of the frame.
    assert (pelvis[:, 1] - top[:, 1] > 0.2).all()
    assert np.median(found.confidence) > 0.3
    track = Track(np.arange(2) / frames.fps, np.full((2, 2), side), side * found.positions, found.confidence)
    assert any("rendered infants only" in note for note in tracker.recording(frames, track).notes)


@pytest.mark.slow
def test_the_demonstration_goes_from_a_video_to_a_report(tmp_path, monkeypatch):
    from infantjax.cli import run

    monkeypatch.setenv("INFANTJAX_OFFLINE", "1")
    assert run(["demo", "--video", "-o", str(tmp_path / "demo")]) in (0, 1)
    record = json.loads((tmp_path / "demo" / "demo_clip.json").read_text())
    assert record["validated"] is False
    assert "rendered infants only" in json.dumps(record)
    for ending in ("html", "keypoints.csv", "overlay.mp4"):
        assert (tmp_path / "demo" / f"demo_clip.{ending}").stat().st_size > 10_000


def test_an_ensemble_is_shown_in_a_line():
    assert repr(bundled.ensemble()) == "Ensemble(ensemble-gcn: kbest-gcn-2 x 7, kbest-gcn-5 x 7)"
