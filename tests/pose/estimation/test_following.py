"""An infant that is followed: found where it is small, lost and found again, others ignored, sides kept."""

import logging
from pathlib import Path

import numpy as np
import pytest

from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.pose.codec.heatmap import Points
from infantjax.pose.estimation import track as tracks
from infantjax.pose.estimation.following import BLOCK, crop_around, steady_sides
from infantjax.skeletons import MPII_16
from infantjax.video.frames import Frame, Frames

INFANT, OTHER, SIDE = 150, 250, 40


class Scene(Frames):
    """Squares on black: the infant at a place of each frame, and perhaps a brighter other at the right border."""

    def __init__(self, places, other=range(0)):
        self.path, self.fps, self.expected = Path("scene"), 10.0, len(places)
        self.notes, self.provenance, self.places, self.other = [], "drawn", places, other

    def __iter__(self):
        for index, place in enumerate(self.places):
            image = np.zeros((240, 320, 3), np.uint8)
            if place is not None:
                x, y = place
                image[y : y + SIDE, x : x + SIDE] = INFANT
            if index in self.other:
                image[100:180, 240:] = OTHER
            yield Frame.from_array(index, index / self.fps, "", image)


class Brightest(Tracker):
    """Finds the corners of the brightest square, for sure where it is a fifth of the crop or more; compiles nothing."""

    def find(self, crops):
        points, confidence = [], []
        for crop in crops.max(-1):
            level = next((level for level in (OTHER, INFANT) if (crop > level - 20).sum() > 4), None)
            rows, columns = np.nonzero(crop > level - 20) if level else (np.zeros(1), np.zeros(1))
            low, high = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
            points.append([low, (low[0], high[1]), high, (high[0], low[1])] * 4)
            confidence.append([float((high[0] - low[0]) > 0.2 * len(crop))] * 16)
        return Points(np.array(points) / crops.shape[1], np.array(confidence))


NETWORK = PoseEstimator(None, {}, MPII_16, 96, "imagenet", "none", "0" * 64)


def tracked(scene, folder=None, **config):
    return Brightest(NETWORK, PoseConfig(min_confidence=0.1, **config)).track(scene, folder)


def misses(found, scene, frames=slice(None)):
    """Largest distance of the first corner in sure frames, and the share of frames that are sure."""
    truth = np.array([place or (np.nan, np.nan) for place in scene.places], float)[frames]
    sure = found.confidence[frames, 0] > 0
    return np.nanmax(np.linalg.norm(found.positions[frames, 0] - truth, axis=-1)[sure], initial=0), sure.mean()


WALK = [(20 + i // 2, 30 + i // 2) for i in range(96)]


def test_an_infant_that_is_small_is_found_and_followed():
    scene = Scene(WALK)
    assert tracked(scene).confidence.max() == 0  # frame by frame it is too small
    distance, sure = misses(tracked(scene, follow=True), scene)
    assert sure == 1
    assert distance < 4  # a pixel of the crop


def test_another_person_who_comes_later_is_ignored():
    scene = Scene(WALK, other=range(40, 96))
    distance, sure = misses(tracked(scene, follow=True), scene)
    assert (distance < 4, sure) == (True, 1)
    assert tracked(scene).confidence[40:].max() == 1  # frame by frame it is taken for the infant


def test_an_infant_that_was_lost_is_found_elsewhere():
    places = [*WALK[:32], *[None] * 40, *[(200, 150)] * 40]
    scene = Scene(places)
    found = tracked(scene, follow=True)
    assert misses(found, scene, slice(0, 32))[1] == 1
    assert found.confidence[48:72].max() == 0
    # Two blocks later at most: one that began before, and one that was already begun.
    assert misses(found, scene, slice(72 + 2 * BLOCK, None)) == (pytest.approx(0, abs=4), 1)


def test_an_interrupted_track_goes_on_as_the_whole_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "CHUNK", 2 * BLOCK)
    expected = tracked(Scene(WALK), follow=True)
    add, count = tracks.TrackStore.add, []

    def stop(self, part, first):
        add(self, part, first)
        count.append(first)
        if len(count) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(tracks.TrackStore, "_stored_identity", lambda self: "same")
    monkeypatch.setattr(Tracker, "_identity", lambda self, frames: "same")
    monkeypatch.setattr(tracks.TrackStore, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        tracked(Scene(WALK), tmp_path / "parts", follow=True)
    monkeypatch.setattr(tracks.TrackStore, "add", add)
    found = tracked(Scene(WALK), tmp_path / "parts", follow=True)
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


def test_a_crop_shows_the_infant_as_large_everywhere():
    points = np.array([[0.0, 0.0], [60.0, 90.0], [np.nan, np.nan]])
    for shift in ([200, 150], [0, 0], [580, 380]):
        box = crop_around(points + shift, 480, 640)
        assert (box.height, box.width) == (153, 153)
        assert box.left <= shift[0]
        assert box.top <= shift[1]
        assert box.left + box.width <= 640
    # An infant as large as the image is not cropped at all.
    assert crop_around(np.array([[10.0, 5.0], [400.0, 475.0]]), 480, 640) == (0, 0, 480, 640)
    assert crop_around(points[:1], 480, 640) is None
    assert crop_around(points[[0, 0]], 480, 640) is None


def test_sides_that_are_exchanged_for_a_moment_are_given_back():
    mirror = (1, 0, 2)
    positions = np.array([[[0.0, 0], [10, 0], [5, 5]]]).repeat(40, 0) + np.random.default_rng(0).normal(
        0, 0.5, (40, 3, 2)
    )
    confidence = np.arange(120.0).reshape(40, 3)
    spoiled, sure = positions.copy(), confidence.copy()
    for row in (5, 6, 20):
        spoiled[row, :2], sure[row, :2] = positions[row, [1, 0]], confidence[row, [1, 0]]
    spoiled[30, 0] = positions[30, 0] = np.nan
    found, found_sure, undone = steady_sides(spoiled, sure, mirror, 15)
    np.testing.assert_array_equal(found, positions)
    np.testing.assert_array_equal(found_sure, confidence)
    assert undone == 3


def test_points_that_are_never_seen_are_told_once_after_ten_seconds(caplog):
    class Half(Brightest):
        def find(self, crops):
            points = super().find(crops)
            return Points(points.positions, np.where(np.arange(16) < 15, 1.0, 0.0) * np.ones((len(crops), 16)))

    with caplog.at_level(logging.WARNING, "infantjax"):
        Half(NETWORK, PoseConfig()).track(Scene(WALK * 2))
    (message,) = [record.message for record in caplog.records]
    assert message.startswith(f"scene: not seen in the first 10 s: {MPII_16.joints[15]}; ")


def test_two_ways_to_crop_exclude_each_other():
    with pytest.raises(ValueError, match="two_stage and follow"):
        PoseConfig(two_stage=True, follow=True)
