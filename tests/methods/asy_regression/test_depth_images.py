"""Annotated depth images as frames, the joints in maps, and keypoints of a folder of depth images."""

from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from infantjax import cli, formats
from infantjax.errors import InputError
from infantjax.methods.asy_regression.images import read_frames, to_frame, to_image
from infantjax.methods.asy_regression.model import connections
from infantjax.methods.asy_regression.network import TASK, DepthNetwork, Joints
from infantjax.methods.asy_regression.tracker import DepthTracker
from infantjax.methods.asy_regression.training import ClipData, overlap_of_maps
from infantjax.pose import load_pose_network
from infantjax.pose.annotations import Annotations, read_annotations
from infantjax.pose.codec.limb import DiscCodec, FallOff
from infantjax.pose.estimation import track
from infantjax.pose.estimation.writing import write_keypoints
from infantjax.skeletons import BABYPOSE_12
from infantjax.video.depth import DepthImages
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, save_ensemble


def save(path, value=900):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 64), value, np.uint16)).save(path)


@pytest.fixture
def annotations(tmp_path):
    """Four images of two infants, whose rows alternate."""
    paths = tuple(tmp_path / f"{infant}_{number}.png" for number in range(2) for infant in ("ann", "ben"))
    for value, path in enumerate(paths):
        Image.fromarray(np.tile(np.arange(64, dtype=np.uint16) * (value + 1), (48, 1))).save(path)
    points = np.tile([32.0, 24.0], (4, 12, 1)) + np.arange(4)[:, None, None]
    return Annotations(tuple(p.stem for p in paths), points, BABYPOSE_12, paths, groups=("ann", "ben") * 2)


def test_frames_follow_each_other_infant_by_infant_with_their_points(annotations):
    read = read_frames(annotations, 24, 32)
    assert read.infants == {"ann": 2, "ben": 2}
    assert read.annotations.names == ("ann_0", "ann_1", "ben_0", "ben_1")
    np.testing.assert_allclose(read.frames.mean((1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(np.ptp(read.frames, (1, 2)) / np.ptp(read.frames[0]), [1, 3, 2, 4], rtol=1e-5)
    np.testing.assert_allclose(read.points[:, 0, 0], (32 + np.array([0, 2, 1, 3])) / 2 - 0.5)


def test_points_of_an_image_come_back_from_its_frame():
    points = np.random.default_rng(0).uniform(0, 400, (3, 12, 2))
    sizes = (480, 640), (96, 128)
    np.testing.assert_allclose(to_image(to_frame(points, *sizes), *sizes), points)
    np.testing.assert_allclose(to_frame(np.array([[2.5, 2.5]]), *sizes), [[0, 0]])


def test_images_in_color_stand_for_the_depth_images_beside_them(tmp_path):
    for number in range(3):
        save(tmp_path / "01" / "depth" / f"syn_{number:05d}_depth.png", 900 + number)
        text = "\n".join(f"{10 + joint} {20 + joint} 800 {joint}" for joint in range(25))
        table = tmp_path / "01" / "joints_2Ddep" / f"syn_joints_2Ddep_{number:05d}.txt"
        table.parent.mkdir(exist_ok=True)
        table.write_text(text)
    read = read_frames(read_annotations(tmp_path, "babypose-12"), 24, 32)
    assert [path.name for path in read.annotations.paths] == [f"syn_{n:05d}_depth.png" for n in range(3)]
    assert np.isfinite(read.points).all()


def test_all_images_that_cannot_be_read_are_named(annotations):
    Image.new("RGB", (64, 48)).save(annotations.paths[0])
    annotations.paths[3].write_text("no image")
    with pytest.raises(InputError, match=r"2 of 4 cannot be used: .*ann_0.*several channels.*; .*ben_1.*; give depth"):
        read_frames(annotations, 24, 32)


# --- joints in maps --------------------------------------------------------------------------------------------------

POINTS = np.random.default_rng(1).uniform((10, 10), (118, 86), (12, 2))
NOISE = 0.05 * np.random.default_rng(2).standard_normal((96, 128, 20))


class Silent(nn.Module):
    """Detects nothing."""

    @nn.compact
    def __call__(self, x):
        return None, {"maps": x}


class Drawn(nn.Module):
    """The target maps of `POINTS` with noise, without the last joint, whatever the frames show."""

    @nn.compact
    def __call__(self, x):
        points = jnp.asarray(POINTS).at[11].set(jnp.nan)
        maps = DiscCodec(connections(BABYPOSE_12), 6.0, FallOff()).encode(points, 96, 128)
        return jnp.broadcast_to(maps + NOISE, (*x.shape[:2], *maps.shape)), {}


def test_joints_lie_at_the_middle_of_their_discs_and_missing_ones_nowhere():
    network = DepthNetwork("asy-regression", Silent(), Drawn(), ({}, {}), BABYPOSE_12, 96, 128, 6.0)
    found = network.find(np.zeros((2, 3, 96, 128), np.float32))
    assert found.positions.shape == (2, 3, 12, 2)
    # Their largest values lie 3.3 pixels away on average: the discs are nearly flat.
    assert np.linalg.norm(found.positions[0, 0] - POINTS, axis=-1)[:11].max() < 1
    assert np.isnan(found.positions[:, :, 11]).all()
    assert (found.confidence[..., 11] == 0).all()
    assert (found.confidence[..., :11] > 0.9).all()


class Half(nn.Module):
    """Detects the upper half of each target map of `POINTS`."""

    @nn.compact
    def __call__(self, x):
        maps = DiscCodec(connections(BABYPOSE_12), 6.0).encode(jnp.asarray(POINTS), 96, 128)
        middles = jnp.concatenate([jnp.asarray(POINTS), jnp.zeros((8, 2))])[:, 1]
        upper = maps * (jnp.arange(96)[:, None, None] < middles)
        return None, {"maps": jnp.broadcast_to(upper, (*x.shape[:2], *maps.shape))}


def test_half_of_each_disc_has_a_recall_of_one_half_and_a_dice_of_two_thirds():
    data = ClipData(np.zeros((4, 96, 128), np.float32), np.tile(POINTS, (4, 1, 1)), None, BABYPOSE_12)
    overlap = overlap_of_maps(Half(), {}, data, [0, 1], 6.0)
    assert overlap["Dice of joints"] == pytest.approx(2 / 3, abs=0.03)
    assert overlap["recall of joints"] == pytest.approx(1 / 2, abs=0.03)
    assert overlap["Dice of connections"] == overlap["recall of connections"] == 0


def test_the_command_for_images_in_color_names_the_one_for_depth(tmp_path):
    member = Member("asy-regression", {"a": np.ones((1, 1))})
    save_ensemble(Ensemble((member,), EnsembleInfo(task=TASK)), tmp_path)
    with pytest.raises(InputError, match="holds no pose network; use `infantjax pose depth`"):
        load_pose_network(tmp_path)


# --- keypoints of a folder -------------------------------------------------------------------------------------------


@dataclass
class Brightest:
    """Finds the nearest pixel of each frame as every joint but the last, and counts its calls."""

    calls: int = 0
    kind, digest, statement = "nearest", "0" * 64, "for a test"
    skeleton, height, width = BABYPOSE_12, 24, 32

    def find(self, frames, threshold):
        self.calls += 1
        flat = frames.reshape(*frames.shape[:2], -1).argmin(-1)
        positions = np.stack([flat % 32, flat // 32], -1)[:, :, None].repeat(12, 2).astype(float)
        positions[:, :, 11] = np.nan
        return Joints(positions, np.where(np.isnan(positions[..., 0]), 0, 0.8))


@pytest.fixture
def folder(tmp_path):
    """Eight images of 48 x 64 pixels with a near spot that moves to the right."""
    for number in range(8):
        image = np.full((48, 64), 900, np.uint16)
        image[20:22, 2 * number : 2 * number + 2] = 400
        (tmp_path / "clip" / "depth").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "clip" / "depth" / f"{number}.png")
    return tmp_path / "clip"


@pytest.mark.parametrize("batch", [1, 2])
def test_every_frame_of_a_folder_gets_its_points_in_its_own_pixels(folder, batch):
    tracker, frames = DepthTracker(Brightest(), batch_size=batch), DepthImages(folder, 6)
    recording = tracker.recording(frames, tracker.track(frames))
    assert (recording.name, recording.fps, recording.skeleton) == ("clip", 6, BABYPOSE_12)
    np.testing.assert_allclose(recording.keypoints[:, 0, 0], 2 * np.arange(8) + 1)
    np.testing.assert_allclose(recording.keypoints[:, 0, 1], 21)
    assert np.isnan(recording.keypoints[:, 11]).all()
    np.testing.assert_allclose(recording.confidence[:, [0, 11]], [[0.8, 0.0]] * 8, rtol=1e-6)
    assert "for a test" in " ".join(recording.notes)


def test_an_interrupted_folder_is_continued(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(track, "CHUNK", 3)
    whole, parts = tmp_path / "whole.csv", tmp_path / "parts"
    frames = DepthImages(folder, 6)
    first = DepthTracker(Brightest())
    write_keypoints(frames, first, whole, chunks=parts)
    assert first.network.calls == 3
    (parts / "00000006.npz").unlink()
    again = DepthTracker(Brightest())
    write_keypoints(frames, again, tmp_path / "again.csv", chunks=parts)
    assert again.network.calls == 1
    assert (tmp_path / "again.csv").read_bytes() == whole.read_bytes()


def test_of_several_folders_those_that_can_be_read_are_written_and_kept(folder, tmp_path, monkeypatch, capsys):
    weights = tmp_path / "weights"
    save_ensemble(Ensemble((Member("any", {"a": np.ones((1, 1))}),), EnsembleInfo(method="asy-regression")), weights)
    monkeypatch.setattr(DepthNetwork, "of", lambda ensemble: Brightest())
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "0.png").write_text("no image")
    given = [
        "pose",
        "depth",
        str(folder),
        str(folder.parent / "broken"),
        "--weights",
        str(weights),
        "--fps",
        "6",
        "--quiet",
    ]
    assert cli.run([*given, "-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(tmp_path / "out" / "clip.csv")]
    assert err.splitlines()[0].endswith("; give a whole file")
    assert err.splitlines()[1] == "1 of 2 inputs failed"
    again = tmp_path / "out" / "clip.csv"
    again.write_text("kept")
    assert cli.run([*given, "-o", str(tmp_path / "out")]) == 1
    assert again.read_text() == "kept"
    assert cli.run([*given, "-o", str(tmp_path / "out"), "--overwrite"]) == 1
    assert len(formats.read(again).keypoints) == 8
