"""`infantjax pose markers` on rendered infants with drawn markers, up to the score."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from infantjax import cli, formats
from infantjax.clinic.markers import Intrinsics, record_markers, to_body_axes
from infantjax.errors import InputError
from infantjax.simulation import InfantConfig, RenderConfig, render
from infantjax.skeletons import IN_MOTION_19, LIMBS_4
from infantjax.video import open_frames, write_video
from infantjax.video.depth import DepthImages

COLORS = [(230, 20, 230), (20, 220, 30), (20, 40, 240), (240, 240, 20)]
LIMBS = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Four seconds with colored tape at wrists and ankles: the video, its depth images, and the true places."""
    folder = tmp_path_factory.mktemp("filmed")
    film = RenderConfig(width=160, height=120, fill=0.6, out_of_view=0, shake=0, clutter=0, blur=0, noise=0)
    clip = render(11, InfantConfig(duration=4.2), film)
    true = clip.keypoints[:, [IN_MOTION_19.index(joint) for joint in LIMBS]] - 0.5
    y, x = np.mgrid[:120, :160]

    def pictures():
        for frame, places in zip(clip.frames(), true):
            for (px, py), color in zip(places, COLORS):
                frame[np.hypot(x - px, y - py) <= 4] = color
            yield frame

    write_video(pictures(), 30, folder / "clip.mp4")
    (folder / "depth").mkdir()
    for number in range(len(clip)):
        Image.fromarray(np.full((120, 160), 1000 + number, np.uint16)).save(folder / "depth" / f"{number:04d}.png")
    return folder, true


def clicks_of(true):
    names = [f"--{joint.replace('_', '-')}" for joint in LIMBS_4.joints]
    return [str(part) for name, (x, y) in zip(names, true[0].round(1)) for part in (name, x, y)]


def test_tracks_of_a_video_with_depth_are_within_a_pixel_and_get_a_score(filmed, random_ensemble, tmp_path, capsys):
    folder, true = filmed
    output = tmp_path / "tracks.csv"
    given = ["pose", "markers", str(folder / "clip.mp4"), "-o", str(output), *clicks_of(true)]
    assert cli.run([*given, "--depth", str(folder / "depth"), "--head", "up", "--overlay"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output), str(tmp_path / "tracks.overlay.mp4")]
    found = formats.read(output)
    assert (found.skeleton, found.fps, found.keypoints.shape) == (LIMBS_4, pytest.approx(30), (126, 4, 3))
    error = np.linalg.norm(found.keypoints[..., 1::-1] - true, axis=-1)
    assert np.nanmedian(error) < 0.5
    assert np.mean(error < 2) > 0.95

    ensemble = random_ensemble("sma-cnn")
    cli.run(["assess", str(output), "--ensemble", str(ensemble), "-o", str(tmp_path / "results"), "--quiet"])
    record = json.loads((tmp_path / "results" / "tracks.json").read_text())
    assert record["skeleton"] == "limbs-4"
    assert record["method"]["name"] == "sma-cnn"
    assert record["headline"] is not None, record["notes"]


def test_with_intrinsics_the_tracks_are_in_space(filmed):
    folder, true = filmed
    frames, camera = open_frames(folder / "clip.mp4"), Intrinsics(200, 200, 80, 60)
    flat, pixels = record_markers(frames, true[0].tolist())
    space, _ = record_markers(frames, true[0].tolist(), depth=DepthImages(folder / "depth", 30), intrinsics=camera)
    assert flat.keypoints.shape == (126, 4, 2)
    np.testing.assert_array_equal(pixels, flat.keypoints)
    seen = ~np.isnan(space.keypoints).any(-1)
    depth = np.broadcast_to(1000 + np.arange(126)[:, None], seen.shape)
    x, y, z = np.moveaxis(space.keypoints[seen], -1, 0)
    np.testing.assert_allclose(z, depth[seen])
    np.testing.assert_allclose(x / z * 200 + 80, pixels[seen][:, 0])
    np.testing.assert_allclose(y / z * 200 + 60, pixels[seen][:, 1])


@pytest.mark.parametrize(("head", "toes"), [("left", (1, 0)), ("right", (-1, 0)), ("up", (0, 1)), ("down", (0, -1))])
def test_the_first_axis_runs_from_head_to_toe_and_the_axes_stay_a_right_hand(head, toes):
    np.testing.assert_array_equal(to_body_axes(np.array([*toes, 5.0]), head), [1, 0, -5])
    turn = np.array([to_body_axes(axis, head) for axis in np.eye(3)]).T
    assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--right-hand", "900", "0"], "lies outside of the frame"),
        (["--intrinsics", "1", "1", "0", "0"], "places in space need a depth"),
        (["--depth", "{folder}/none"], "none: is no folder; give a folder of depth images"),
        (["--marker.least", "0"], "least must be at least 1"),
        (["-o", "tracks.mat"], "has a suffix that cannot be written; use .csv or .npz"),
        (["-o", "{folder}/there.csv"], "there.csv: exists; use --overwrite or another name"),
        (["--fps", "0"], "--fps: is 0"),
    ],
)
def test_what_cannot_be_tracked_is_one_line(filmed, tmp_path, capsys, options, message):
    folder, true = filmed
    (folder / "there.csv").touch()
    given = ["-o", str(tmp_path / "a.csv"), *clicks_of(true), *(option.format(folder=folder) for option in options)]
    assert cli.run(["pose", "markers", str(folder / "clip.mp4"), *given, "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert re.search(message, line), line


def test_another_number_of_depth_images_than_frames_is_refused(filmed, tmp_path):
    folder, true = filmed
    write_video((np.full((120, 160, 3), COLORS[0], np.uint8) for _ in range(2)), 30, tmp_path / "short.mp4")
    with pytest.raises(InputError, match="has 126 images, the video 2 frames; give one depth image for each frame"):
        record_markers(open_frames(tmp_path / "short.mp4"), true[0], depth=DepthImages(folder, 30))
