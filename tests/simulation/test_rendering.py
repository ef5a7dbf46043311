"""Simulated infants as pictures: exact keypoints, the same bytes for the same seed, and the files of a clip."""

import json

import numpy as np
import pytest

from infantjax import formats
from infantjax.cli import run
from infantjax.settings import from_settings
from infantjax.simulation import Clip, InfantConfig, RenderConfig, move, project, render, write_cohort
from infantjax.skeletons import IN_MOTION_19, MPII_16
from infantjax.video import open_frames

INFANT = InfantConfig(duration=2, fps=4)
CLEAN = RenderConfig(width=128, height=96, out_of_view=0, shake=0, clutter=0, blur=0, noise=0)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render(3, INFANT, RenderConfig(width=128, height=96))


def test_frames_are_rgb_of_the_configured_size(clip):
    frames = list(clip.frames())
    assert len(frames) == len(clip) == INFANT.frames
    assert {(f.shape, f.dtype) for f in frames} == {((96, 128, 3), np.dtype(np.uint8))}
    assert frames[0].std() > 5


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_clip(clip):
    again, other = (render(seed, INFANT, clip.config) for seed in (3, 4))
    assert again.keypoints.tobytes() == clip.keypoints.tobytes()
    assert again.frame(5).tobytes() == clip.frame(5).tobytes()
    assert other.frame(5).tobytes() != clip.frame(5).tobytes()


@pytest.mark.parametrize("seed", range(4))
def test_keypoints_lie_on_the_body_that_is_drawn(seed):
    clip = render(seed, INFANT, CLEAN)
    for index in (0, len(clip) - 1):
        mask = clip._paint(index).cover
        for joint, (x, y), visible in zip(IN_MOTION_19.joints, clip.keypoints[index], clip.visible[index]):
            # The head top lies on the outline.
            row, column = (np.floor([y, x])).astype(int)
            near = mask[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            assert not visible or (near.max() if joint == "head_top" else near.mean()) > 0.5, joint


def test_points_outside_of_the_image_are_not_visible_and_missing_in_the_recording():
    clips = [render(seed, INFANT, RenderConfig(96, 96, out_of_view=1, fill=1.2)) for seed in range(4)]
    assert any(not clip.visible.all() for clip in clips)
    for clip in clips:
        inside = ((clip.keypoints >= 0) & (clip.keypoints < 96)).all(-1)
        assert np.array_equal(clip.visible, inside)
        assert np.array_equal(np.isnan(clip.recording().keypoints).any(-1), ~inside)


def test_the_movement_is_that_of_the_simulated_recording():
    clip = render(3, INFANT, CLEAN)
    expected = project(move(3, INFANT).positions, clip.infant)
    shift = clip.keypoints - expected
    assert np.abs(shift - shift[0, 0]).max() < 1e-9


def test_a_shaken_camera_moves_floor_and_infant_alike():
    still, shaken = (
        render(2, INFANT, RenderConfig(96, 96, clutter=20, shake=s, blur=0, noise=0, out_of_view=0)) for s in (0, 0.03)
    )
    moved = shaken.keypoints - still.keypoints
    assert np.abs(moved).max() > 0.5
    # Turned and shifted as a whole: distances stay.
    lengths = [np.linalg.norm(np.diff(c.keypoints, axis=1), axis=-1) for c in (still, shaken)]
    np.testing.assert_allclose(*lengths, atol=1e-9)
    # The floor and the body follow the same map, from the still to the shaken frame.
    index = int(np.abs(moved).max((1, 2)).argmax())
    ones = np.ones((19, 1))
    mapping = np.linalg.lstsq(np.hstack([still.keypoints[index], ones]), shaken.keypoints[index], rcond=None)[0]
    grid = np.stack(np.meshgrid(np.arange(16, 80), np.arange(16, 80)), -1).reshape(-1, 2)
    at = np.floor(np.hstack([grid + 0.5, np.ones((len(grid), 1))]) @ mapping).astype(int)
    before, after = still.frame(index).astype(int), shaken.frame(index).astype(int)
    followed = np.abs(before[grid[:, 1], grid[:, 0]] - after[at[:, 1], at[:, 0]]).mean()
    assert followed < np.abs(before - after)[16:80, 16:80].mean() / 2


def test_keypoints_for_pose_networks_are_the_same_points(clip):
    mpii = clip.recording("mpii-16")
    assert mpii.skeleton == MPII_16
    own = clip.recording()
    for number, joint in enumerate(MPII_16.joints):
        assert np.array_equal(mpii.keypoints[:, number], own.keypoints[:, IN_MOTION_19.index(joint)], equal_nan=True)
    with pytest.raises(ValueError, match="joint"):
        clip.recording("coco-17")


def test_simulate_writes_clips_with_their_exact_keypoints(tmp_path):
    cohort = tmp_path / "cohort"
    arguments = ["simulate", "-n", "2", "--duration", "1", "--fps", "5", "--video", "--film.width", "96", "--quiet"]
    assert run([*arguments, "-o", str(cohort)]) == 0
    frames = open_frames(cohort / "videos" / "sim0000.mp4", None)
    shapes = [frame.pixels().shape for frame in frames]
    points = formats.read(cohort / "videos" / "sim0000.csv")
    assert shapes == [(224, 96, 3)] * points.frames
    assert points.fps == frames.fps == 5
    assert json.loads((cohort / "simulation.json").read_text())["film"]["width"] == 96
    # Its own files may be replaced, those of others not.
    assert run([*arguments, "-o", str(cohort), "--overwrite"]) == 0
    (cohort / "videos" / "own.mp4").write_bytes(b"")
    assert run([*arguments, "-o", str(cohort), "--overwrite"]) == 2


def test_a_clip_shows_the_infant_of_the_recording(tmp_path):
    write_cohort(tmp_path / "c", 2, 5, duration=1, fps=5, film=CLEAN)
    record = json.loads((tmp_path / "c" / "simulation.json").read_text())
    infant = from_settings(InfantConfig, record["configurations"]["sim0001"])
    exact = render((5, 1), infant, CLEAN).recording().keypoints
    written = formats.read(tmp_path / "c" / "videos" / "sim0001.csv").keypoints
    np.testing.assert_allclose(written[..., :2], exact, atol=0.006)
