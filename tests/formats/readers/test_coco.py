"""COCO files with several persons in a frame: named ones are chosen, else the largest is followed."""

import json
from pathlib import Path

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.skeletons import SKELETONS

POINTS = np.random.default_rng(0).uniform(1, 100, (17, 2))


@pytest.fixture
def write(tmp_path):
    """Writes four frames with two persons, the second three times as large and not in the last frame."""

    def write(name: str | None, nested: bool = False) -> Path:
        entries = []
        for frame in range(4):
            for person, scale in ((7, 1), (8, 3))[: 1 if frame == 3 else 2]:
                track = {} if name is None else {name: person}
                values = np.c_[POINTS * scale + frame, np.full(17, 2)].ravel().tolist()
                entries.append({"image_id": frame, "keypoints": values, **({"attributes": track} if nested else track)})
        document = {
            "images": [{"id": frame, "frame_id": frame} for frame in range(4)],
            "annotations": entries,
            "categories": [{"name": "person", "keypoints": list(SKELETONS["coco-17"].joints)}],
        }
        (tmp_path / "a.json").write_text(json.dumps(document))
        return tmp_path / "a.json"

    return write


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("individual", "scale"), [("7", 1), ("8", 3)])
def test_an_individual_is_chosen_by_its_track(write, individual, scale, nested):
    recording = readers.read(write("track_id", nested), fps=30, individual=individual)
    np.testing.assert_allclose(recording.keypoints[1], POINTS * scale + 1)
    assert recording.frames == 4
    assert np.isnan(recording.keypoints[3]).all() == (individual == "8")
    assert f'individual "{individual}" of 2 was taken' in recording.notes


def test_without_a_choice_the_largest_is_followed_and_the_others_are_named(write):
    recording = readers.read(write("track_id"), fps=30)
    np.testing.assert_allclose(recording.keypoints[1], POINTS * 3 + 1)
    assert "3 frames show several persons; the largest was followed" in recording.notes
    assert "--individual, of assess or convert, chooses one of 7, 8" in recording.notes


def test_an_individual_that_is_not_there_is_refused(write):
    with pytest.raises(InputError, match=r'has no individual "9" \(7, 8\); choose one with --individual'):
        readers.read(write("track_id"), fps=30, individual="9")
    with pytest.raises(InputError, match="does not name individuals; leave out --individual"):
        readers.read(write(None), fps=30, individual="7")
