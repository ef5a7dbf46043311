"""Whole videos: every frame once, resumed where it stopped, the same however it is cut into batches."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from infantjax.errors import InputError
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network
from infantjax.pose.codec.heatmap import HeatmapCodec, Points
from infantjax.pose.codec.limb import affinity_fields
from infantjax.pose.crop import crop_image
from infantjax.pose.estimation import batches
from infantjax.pose.estimation import track as tracks
from infantjax.skeletons import MPII_16, segments
from infantjax.video import open_frames


def first_frame(path):
    return next(iter(open_frames(path)))


class Means(nn.Module):
    """A network whose maps are the mean gray level of every 8 x 8 pixels times a factor of the keypoint."""

    @nn.compact
    def __call__(self, x, train=False):
        maps = x.reshape(len(x), x.shape[1] // 8, 8, x.shape[2] // 8, 8, 3).mean((2, 4, 5))
        return maps[..., None] * self.param("factors", nn.initializers.ones, (16,)), {}


@pytest.fixture(scope="module")
def means():
    variables = {"params": {"factors": np.linspace(1, 3, 16, dtype=np.float32)}}
    return PoseEstimator(Means(), variables, MPII_16, 96, "imagenet", "means", "3" * 64)


@pytest.fixture(scope="module")
def tracker(means):
    return Tracker(means, PoseConfig(min_confidence=0.0, batch_size=4))


class Corners(Tracker):
    """Finds the corners of what is bright, as well as whole pixels of the square can tell."""

    def find(self, squares):
        found = []
        for square in squares:
            rows, columns = np.nonzero(square[..., 0] > 128)
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            found.append([low, high] * 8)
        return Points(np.array(found) / squares.shape[1], np.ones((len(squares), 16)))


def test_every_frame_is_tracked_once(blue, clip):
    frames = open_frames(clip)
    counts = []
    track = blue.track(frames, report=counts.append)
    assert track.positions.shape == (30, 16, 2)
    assert track.sizes.tolist() == [[120, 160]] * 30
    assert counts[0] == 0
    assert counts[-1] == 30
    assert counts == sorted(counts)


def test_the_size_of_a_batch_changes_nothing(means, tracker, clip):
    other = Tracker(means, PoseConfig(min_confidence=0.0, batch_size=7))
    a, b = (t.track(open_frames(clip)) for t in (tracker, other))
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-3)
    np.testing.assert_allclose(a.confidence, b.confidence, atol=1e-5)


def test_an_interrupted_video_is_continued_without_computing_twice(blue, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "CHUNK", 8)
    expected = blue.track(open_frames(clip))

    class Stop(Exception):
        pass

    def stop(done):
        if done >= 17:
            raise Stop

    folder = tmp_path / "parts"
    with pytest.raises(Stop):
        blue.track(open_frames(clip), folder, stop)
    kept = sorted(p.name for p in folder.glob("*.npz"))
    assert kept == ["00000000.npz", "00000008.npz"]
    counts = []
    found = blue.track(open_frames(clip), folder, counts.append)
    assert counts[0] == 16
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


def test_a_damaged_chunk_is_computed_again(blue, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "CHUNK", 8)
    expected = blue.track(open_frames(clip), tmp_path / "parts")
    (tmp_path / "parts" / "00000016.npz").write_bytes(b"PK damaged")
    counts = []
    found = blue.track(open_frames(clip), tmp_path / "parts", counts.append)
    assert counts[0] == 16
    np.testing.assert_array_equal(found.positions, expected.positions)


@pytest.mark.parametrize("change", ["network", "decoder", "fps", "file"])
def test_chunks_of_other_settings_are_not_used(change, network, blue, clip, tmp_path, videos):
    blue.track(open_frames(clip), tmp_path / "parts")
    config, other, fps = blue.config, network, None
    if change == "network":
        other = PoseEstimator(**(vars(network) | {"digest": "1" * 64}))
    elif change == "decoder":
        config = PoseConfig(decoder="quarter", batch_size=4)
    elif change == "fps":
        fps = 10.0
    else:
        videos.write(clip, frames=31)
    counts = []
    type(blue)(other, config).track(open_frames(clip, fps), tmp_path / "parts", counts.append)
    assert counts[0] == 0


def test_uncertain_points_are_missing_and_a_frame_without_any_is_told(means, tracker, clip):
    frames = open_frames(clip)
    track = tracker.track(frames)
    level = float(np.median(track.confidence))
    some = Tracker(means, PoseConfig(min_confidence=min(max(level, 0), 1))).recording(frames, track)
    assert np.isnan(some.keypoints).any() == (track.confidence < max(level, 0)).any()
    none = Tracker(means, PoseConfig(min_confidence=1.0)).recording(frames, track)
    assert np.isnan(none.keypoints).all()
    assert "no keypoints in 100.0 % of its frames" in none.notes


def test_the_recording_says_where_its_keypoints_come_from(blue, clip):
    frames = open_frames(clip)
    recording = blue.recording(frames, blue.track(frames))
    assert recording.fps == 30
    assert recording.skeleton is MPII_16
    assert recording.name == "clip"
    for word in ("tiny", "smoothed", "fast", "PyAV", "0000000000000000"):
        assert word in recording.history[0]


def test_a_varying_frame_rate_becomes_a_constant_one(blue, videos, tmp_path):
    times = [*range(0, 500, 25), *range(500, 1001, 100), *range(3000, 3500, 25)]
    frames = open_frames(videos.write(tmp_path / "vfr.mkv", frames=len(times), times=times), None)
    frames.fps = 20.0
    track = blue.track(frames)
    track = track._replace(confidence=np.ones_like(track.confidence))  # random maps have negative peaks
    recording = blue.recording(frames, track)
    assert recording.frames == 70
    assert any("no constant frame rate" in note for note in recording.notes)
    at = np.round(track.times * 20, 6)
    for frame, grid in enumerate(at):
        if grid == int(grid):
            np.testing.assert_allclose(recording.keypoints[int(grid)], track.positions[frame], atol=0.5)
    # Two seconds without a frame are not made up.
    assert np.isnan(recording.keypoints[21:60]).all()
    assert not np.isnan(recording.keypoints[:20]).any()


@pytest.mark.parametrize("stated", [1000.0, 0.02])
def test_a_rate_that_the_times_belie_is_not_believed(stated, network, clip):
    """A container that states its clock's rate, and a mean rate over a gap of hours."""
    frames, track = open_frames(clip), found_in(30)
    frames.fps = stated
    track.times[20:] += 3
    recording = Tracker(network, PoseConfig(min_confidence=0.0)).recording(frames, track)
    assert recording.fps == pytest.approx(30)
    assert recording.frames == 120
    assert np.isfinite(recording.keypoints[:20, 0]).all()
    assert np.isnan(recording.keypoints[25:105]).all()


def test_the_mean_over_the_mirror_image_swaps_left_and_right(means, clip):
    tracker = Tracker(means, PoseConfig(flip=True, min_confidence=0.0, decoder="soft_argmax"))
    square = crop_image(first_frame(clip), 96, "fast")
    there, mirrored = tracker.find(square[None]), tracker.find(square[None, :, ::-1])
    swapped = np.asarray(mirrored.positions)[:, list(MPII_16.mirror)]
    np.testing.assert_allclose(1 - swapped[..., 0], there.positions[..., 0], atol=1e-4)
    np.testing.assert_allclose(swapped[..., 1], there.positions[..., 1], atol=1e-4)


class Shown(nn.Module):
    """A network that gives the same maps and fields for every image."""

    maps: np.ndarray
    fields: np.ndarray

    @nn.compact
    def __call__(self, x, train=False):
        shift = self.param("shift", nn.initializers.zeros, ())

        def all_frames(values):
            return jnp.broadcast_to(jnp.asarray(values)[None] + shift, (len(x), *np.shape(values)))

        return all_frames(self.maps), {"pafs": all_frames(self.fields)}


encode_maps = jax.jit(HeatmapCodec().encode, static_argnums=1)
encode_fields = jax.jit(affinity_fields, static_argnums=(1, 2))


def shown(persons):
    """A network that sees these persons."""
    limbs = segments(MPII_16)
    maps = np.maximum.reduce([np.asarray(encode_maps(points, 48, 1.0)) for points in persons])
    fields = sum(np.asarray(encode_fields(points, limbs, 48, 1.5)) for points in persons)
    variables = {"params": {"shift": np.zeros((), np.float32)}}
    return PoseEstimator(Shown(maps, fields), variables, MPII_16, 96, "imagenet", "shown", "2" * 64, "pafs")


def figure(x, y, size):
    """Joints on a slanted grid: each at a place of its own."""
    grid = np.stack([np.arange(16) % 4 / 4, np.arange(16) // 4 / 4 + np.arange(16) % 4 / 40], -1)
    return np.array([x, y]) + size * grid


@pytest.mark.parametrize("by", ["central", "largest"])
def test_one_person_of_several_is_followed(by):
    central, large = figure(0.45, 0.4, 0.3), figure(0.02, 0.02, 0.5)
    tracker = Tracker(shown([central, large]), PoseConfig(person=by, min_confidence=0.0))
    found = tracker.find(np.zeros((1, 96, 96, 3), np.uint8))
    expected = central if by == "central" else large
    np.testing.assert_allclose(found.positions[0], expected, atol=1.5 / 48)
    assert (found.confidence > 0.5).all()


def test_where_nobody_is_found_all_points_are_missing(clip):
    frames = open_frames(clip)
    tracker = Tracker(shown([np.full((16, 2), np.nan)]), PoseConfig(person="central", min_confidence=0.0))
    recording = tracker.recording(frames, tracker.track(frames))
    assert np.isnan(recording.keypoints).all()
    assert "no keypoints in 100.0 % of its frames" in recording.notes
    assert "the central person" in recording.history[0]


def test_scales_change_the_points_and_the_history(means, clip):
    square = np.random.default_rng(0).integers(0, 255, (1, 96, 96, 3)).astype(np.uint8)
    found = [Tracker(means, PoseConfig(scales=scales)).find(square) for scales in ((1.0,), (0.5, 1.0), (0.5,))]
    assert len({round(float(one.confidence[0, 0]), 4) for one in found}) == 3
    several = Tracker(means, PoseConfig(scales=(0.5, 1.0)))
    assert "mean over scales 0.5 1" in several.recording(open_frames(clip), found_in(30)).history[0]


def test_a_second_stage_finds_the_same_points_more_exactly(network, tmp_path):
    """A bright patch in a large dark image: the second stage has some eight times as many pixels for it."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[301:340, 503:541] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    frames = open_frames(tmp_path / "a.png")
    once, twice = (Corners(network, PoseConfig(two_stage=two_stage)) for two_stage in (False, True))
    first, second = (
        np.abs(tracker.track(frames).positions[0, :2] - [[503, 301], [541, 340]]).max() for tracker in (once, twice)
    )
    assert first > 2.5
    assert second < 1.5
    assert "in a second crop" in twice.recording(frames, twice.track(frames)).history[0]


def test_where_nothing_was_found_there_is_no_second_stage(network, tmp_path):
    Image.fromarray(np.full((480, 640, 3), 255, np.uint8)).save(tmp_path / "a.png")
    frames = open_frames(tmp_path / "a.png")
    config = PoseConfig(two_stage=True, min_confidence=1.0)
    looked = []

    class Unsure(Corners):
        def find(self, squares):
            looked.append(len(squares))
            return super().find(squares)._replace(confidence=np.zeros((len(squares), 16)))

    Unsure(network, config).track(frames)
    assert looked == [1]


def found_in(frames):
    """Points that tremble around one place; one of them is missing for three frames."""
    rng = np.random.default_rng(0)
    confidence = np.ones((frames, 16))
    confidence[2:5, 2] = -1
    positions = 50 + rng.normal(0, 3, (frames, 16, 2))
    return tracks.Track(np.arange(frames) / 30, np.full((frames, 2), 120), positions, confidence)


@pytest.mark.parametrize("kind", ["median5", "butterworth"])
def test_smoothing_leaves_gaps_and_says_so(kind, network, clip):
    frames, track = open_frames(clip), found_in(30)
    rough, smooth = (
        Tracker(network, PoseConfig(min_confidence=0.0, smoothing=smoothing)).recording(frames, track)
        for smoothing in (None, kind)
    )
    assert rough.missing.sum() == 3
    np.testing.assert_array_equal(smooth.missing, rough.missing)
    assert np.nanstd(np.diff(smooth.keypoints, axis=0)) < 0.8 * np.nanstd(np.diff(rough.keypoints, axis=0))
    assert smooth.history[-1] == f"smoothed over time: {kind}"


def test_a_video_that_is_too_short_for_a_filter_gives_one_line(network, clip):
    short = Tracker(network, PoseConfig(min_confidence=0.0, smoothing="butterworth"))
    with pytest.raises(InputError, match="6 frames are too few"):
        short.recording(open_frames(clip), found_in(6))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"decoder": "x"}, "decoder"),
        ({"resizing": "x"}, "resizing"),
        ({"dtype": "float16"}, "dtype"),
        ({"min_confidence": 2}, "min_confidence"),
        ({"batch_size": 0}, "batch_size"),
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, 9.0)}, "scales"),
        ({"person": "tallest"}, "person"),
        ({"smoothing": "mean"}, "smoothing"),
    ],
)
def test_a_wrong_configuration_is_refused(options, what):
    with pytest.raises(ValueError, match=what):
        PoseConfig(**options)


def test_an_error_of_the_decoder_reaches_the_caller(blue, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image at all, but longer than a few bytes" * 10)
    with pytest.raises(InputError, match="can be read"):
        blue.track(open_frames(tmp_path, fps=1))


def test_a_decoder_that_stalls_is_given_up(blue, clip, monkeypatch):
    import time

    monkeypatch.setattr(batches, "STALLED_SECONDS", 0.2)
    frames = open_frames(clip)

    class Slow(type(frames)):
        def __iter__(self):
            time.sleep(1)
            yield from ()

    frames.__class__ = Slow
    with pytest.raises(InputError, match="gave no frame for"):
        blue.track(frames)


# --- public weights --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "key"),
    [("EfficientPoseRT.h5", "RT"), pytest.param("EfficientPoseI_LITE.h5", "I_LITE", marks=pytest.mark.slow)],
)
def test_images_of_an_infant_give_the_keypoints_of_the_reference(file, key, shared):
    """From the file of the image to pixels in it, by the resizing and decoding of the reference implementation."""
    tracker = Tracker(load_pose_network(shared / "data" / "pose" / file), PoseConfig(resizing="reference"))
    path = shared / "golden" / "pose" / "infant_images_keypoints.json"
    for name, networks in json.loads(path.read_text("utf-8"))["images"].items():
        frames = open_frames(shared / "data" / "infant_images" / f"{name}.jpg")
        found = tracker.track(frames).positions[0]
        expected = np.array([networks[key][joint] for joint in MPII_16.joints])
        # The reference is rounded to a thousandth. One gray level of difference in an image may move a maximum by a
        # pixel of the network's input.
        distance = np.abs(found - expected).max(1)
        assert distance.max() <= 640 / tracker.network.side + 0.001, name
        assert (distance > 0.001).sum() <= 1, name
