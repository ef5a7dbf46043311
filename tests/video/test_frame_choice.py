"""Frames to annotate: different ones, the same for the same seed."""

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.video import choose_frames, open_frames
from infantjax.video.writing import write_video

SCENES = 4


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Four scenes of 15 frames, each of one brightness pattern with some noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (SCENES, 8, 12, 3), np.uint8).repeat(12, 1).repeat(12, 2)
    noise = rng.integers(0, 8, (15 * SCENES, 96, 144, 3), np.uint8)
    path = tmp_path_factory.mktemp("scenes") / "anna.mp4"
    write_video((patterns[i // 15] + noise[i] for i in range(15 * SCENES)), 30, path)
    return path


def test_one_frame_of_each_scene_is_chosen(scenes):
    found = choose_frames(open_frames(scenes), SCENES)
    assert [number // 15 for number in found] == list(range(SCENES))
    assert all(number % 3 == 0 for number in found)


def test_the_same_seed_gives_the_same_frames(scenes):
    found = [choose_frames(open_frames(scenes), 6, interval=0.03, seed=seed) for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) > 1
    assert all(len(set(numbers)) == 6 for numbers in found)


def test_frames_that_look_alike_are_chosen_once(tmp_path):
    write_video((np.full((64, 64, 3), 90, np.uint8) for _ in range(30)), 30, tmp_path / "still.mp4")
    assert len(choose_frames(open_frames(tmp_path / "still.mp4"), 5)) == 1


def test_too_few_frames_are_refused(scenes):
    with pytest.raises(InputError, match=r"has 20 frames to choose from, 21 are wanted"):
        choose_frames(open_frames(scenes), 21)
    for count, interval in ((0, 0.1), (5, 0)):
        with pytest.raises(ValueError, match="at least one frame"):
            choose_frames(open_frames(scenes), count, interval)
