"""`infantjax pose`, and `assess` of videos."""

import json
import sys

import jax
import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.assessment.batch import find_recordings
from infantjax.errors import InputError
from infantjax.pose import load_pose_network
from infantjax.video import open_frames


def test_pose_writes_the_keypoints_of_every_frame_and_draws_them(run, videos, pose_weights, tmp_path):
    odd = videos.write(tmp_path / "odd.mkv", frames=5, codec="ffv1", height=121, width=161, pix_fmt="yuv444p")
    target, overlay = tmp_path / "found.csv", tmp_path / "found.overlay.mp4"
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0, "--overlay")
    outcome = run("pose", odd, "-o", target, *options)
    assert (outcome.status, outcome.out) == (0, [str(target), str(overlay)]), outcome.err
    assert "EfficientPose, backbone l0, side 64" in "\n".join(outcome.err)
    recording = readers.read(target)
    assert recording.keypoints.shape == (5, 16, 2)
    assert recording.skeleton.name == "mpii-16"
    assert not list(tmp_path.glob(".*.parts"))
    frames = list(open_frames(overlay))
    assert len(frames) == 5
    assert (frames[0].height, frames[0].width) == (122, 162)
    drawn = np.abs(frames[0].pixels()[:120, :160].astype(int) - videos.picture(0, 121, 161)[:120, :160]).max(-1) > 60
    assert 0.001 < drawn.mean() < 0.5


def test_pose_continues_where_it_was_interrupted(run, clip, pose_weights, tmp_path, monkeypatch):
    from infantjax.pose.estimation import track

    monkeypatch.setattr(track, "CHUNK", 8)
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0)
    expected = tmp_path / "whole.csv"
    outcome = run("pose", clip, "-o", expected, *options)
    assert outcome.status == 0
    assert any("the error from frame to frame is" in line for line in outcome.err)

    add, count = track.TrackStore.add, []

    def stop(self, part, first):
        add(self, part, first)
        count.append(first)
        if len(count) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(track.TrackStore, "add", stop)
    target = tmp_path / "a.csv"
    assert run("pose", clip, "-o", target, *options).status == 130
    assert not target.exists()
    assert len(list((tmp_path / ".a.csv.parts").glob("*.npz"))) == 2
    monkeypatch.setattr(track.TrackStore, "add", add)
    assert run("pose", clip, "-o", target, *options).status == 0
    assert target.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "no.h5"), r"no\.h5: "),
        (("--weights", "{weights}", "--image-size", 65), "cannot read images of side 65"),
        (("--weights", "{weights}", "--fps", 0), "--fps: is 0"),
        (("--weights", "{weights}", "--min-confidence", 2), "min_confidence must be within"),
        (("--weights", "{weights}", "--batch-size", 0), "batch_size must be within"),
        (("--weights", "{weights}", "--scales", 1, 9), "scales must be within"),
        (("--weights", "{weights}", "--person", "central"), "has no affinity fields"),
        (("--weights", "{clip}"), r"clip\.mp4: is not a readable"),
        (("--weights", "{weights}", "-o", "a.xyz"), r"a\.xyz: has a suffix"),
        (("--weights", "{weights}", "-o", "{clip}"), r"clip\.mp4: has a suffix"),
        (("{clip}2", "--weights", "{weights}"), r"a\.csv: is one file for 2 inputs"),
    ],
)
def test_options_of_pose_that_cannot_be_are_refused(run, clip, pose_weights, tmp_path, options, message):
    given = [str(o).format(weights=pose_weights, clip=clip) for o in options]
    if "-o" not in given:
        given += ["-o", tmp_path / "a.csv"]
    run("pose", clip, *given).refused(message)
    assert not (tmp_path / "a.csv").exists()


def test_a_folder_of_videos_is_estimated_and_what_is_there_is_kept(run, videos, pose_weights, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.mp4", "a.mkv", "b.overlay.mp4"):
        videos.write(tmp_path / "in" / name, frames=2)
    (tmp_path / "in" / "c.mp4").write_bytes(b"no video\0")
    options = (tmp_path / "in", "-o", tmp_path / "out", "--weights", pose_weights, "--image-size", 64)
    outcome = run("pose", *options, "--keypoints", "npz")
    assert (outcome.status, outcome.out) == (1, [str(tmp_path / "out" / name) for name in ("a.npz", "b.npz")])
    assert any("c.mp4: is no video" in line for line in outcome.err)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    again = run("pose", *options, "--keypoints", "npz")
    assert again.out == []
    assert "exists and is kept; --overwrite" in "\n".join(again.err)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def test_the_overlay_of_a_picture_is_a_picture(run, videos, pose_weights, ensemble_folder, tmp_path):
    picture = videos.write(
        tmp_path / "a.png", frames=1, codec="png", pix_fmt="rgb24", format="image2", options={"update": "1"}
    )
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0, "--overlay")
    refused = ("--ensemble", ensemble_folder, "--pose-weights", pose_weights, "-o", tmp_path / "out", "--quiet")
    run("assess", picture, *refused).refused("is an image, which shows no movement")
    outcome = run("pose", tmp_path / "*.png", "-o", tmp_path / "out", *options)
    overlay = tmp_path / "out" / "a.overlay.png"
    assert outcome.out == [str(tmp_path / "out" / "a.csv"), str(overlay)], outcome.err
    shown, plain = (next(iter(open_frames(path))).pixels().astype(int) for path in (overlay, picture))
    assert 0.001 < (np.abs(shown - plain).max(-1) > 60).mean() < 0.5


def test_an_overlay_never_replaces_a_source(run, videos, pose_weights, tmp_path):
    clips = [videos.write(tmp_path / name, frames=2) for name in ("a.mp4", "a.overlay.mp4")]
    before = clips[1].read_bytes()
    options = ("--weights", pose_weights, "--image-size", 64, "--overlay", "--overwrite")
    outcome = run("pose", *clips, "-o", tmp_path, *options)
    assert outcome.status == 1
    assert any("a.overlay.mp4: is also an input" in line for line in outcome.err)
    assert clips[1].read_bytes() == before


def test_published_weights_become_a_folder_that_is_checked(run, clip, pose_weights, tmp_path):
    folder = tmp_path / "network"
    assert run("convert", pose_weights, folder).out == [str(folder)]
    jax.tree.map(
        np.testing.assert_array_equal, load_pose_network(pose_weights).variables, load_pose_network(folder).variables
    )
    (weights,) = (p for p in folder.iterdir() if p.suffix in (".npz", ".safetensors"))
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    run("pose", clip, "--weights", folder, "-o", tmp_path / "c.csv", "--quiet").refused("its digest does not match")
    run("convert", pose_weights, folder).refused("network: exists")


def test_a_video_is_assessed_with_the_weights_of_a_pose_network(run, videos, pose_weights, ensemble_folder, tmp_path):
    """The way from a video to a report; the keypoints of random weights mean nothing, which the program says."""
    videos.write(tmp_path / "walk.mp4", frames=54, fps=10, height=64, width=64)
    options = ("--ensemble", ensemble_folder, "-o", tmp_path / "out")
    assert "not assessable" in run("assess", tmp_path, *options, "--pose-weights", pose_weights).out[0]
    forced = ("--pose-weights", pose_weights, "--force", "--overwrite")
    outcome = run("assess", tmp_path, *options, *forced)
    assert outcome.status == 0, outcome.err
    document = json.loads((tmp_path / "out" / "walk.json").read_text("utf-8"))
    assert "EfficientPose, backbone l0" in json.dumps(document)
    # The keypoints lie beside the report and give the same result; as they are, they are no recording of the folder.
    kept = tmp_path / "out" / "walk.keypoints.csv"
    assert readers.read(kept).name == "walk"
    with pytest.raises(InputError, match="contains no keypoint file"):
        find_recordings([tmp_path / "out"])
    again = run("assess", kept, *options[:-1], tmp_path / "again", "--force")
    assert json.loads((tmp_path / "again" / "walk.json").read_text("utf-8"))["headline"] == document["headline"]
    assert again.status == 0


def test_a_network_is_exported_once_and_a_missing_runtime_is_one_line(run, clip, pose_weights, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0, "--runtime", "onnx")
    assert run("pose", clip, "-o", tmp_path / "a.csv", *options).status == 0
    monkeypatch.setitem(sys.modules, "onnx", None)  # which writes the copy
    assert run("pose", clip, "-o", tmp_path / "b.csv", *options).status == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = run("pose", clip, "-o", tmp_path / "c.csv", *options)
    assert outcome.status == 2
    assert outcome.err[-1].startswith("infantjax: this needs onnxruntime: pip install ")
    outcome = run("pose", clip, "-o", tmp_path / "c.csv", *options, "--scales", 0.75, 1)
    assert outcome.status == 2
    assert "scales needs the runtime jax, not onnx" in outcome.err[-1]


def test_a_network_that_no_other_runtime_knows_is_computed_by_jax(run, clip, pose_weights, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")

    def unknown(*_):
        raise NotImplementedError("no sort outside of JAX")

    monkeypatch.setattr("infantjax.pose.estimation.tracker.exported_maps", unknown)
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0)
    outcome = run("pose", clip, "-o", tmp_path / "a.csv", *options)
    assert outcome.status == 0, outcome.err
