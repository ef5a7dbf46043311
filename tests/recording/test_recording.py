"""Recordings share no memory with their caller; metadata have types and keep what was given."""

import json
from dataclasses import replace

import numpy as np
import pytest

from infantjax.recording import Metadata, Recording
from infantjax.skeletons import IN_MOTION_19


def test_a_recording_neither_freezes_nor_follows_the_arrays_of_its_caller():
    keypoints, confidence = np.ones((4, 19, 2)), np.ones((4, 19))
    view = keypoints[:2]
    recording = Recording(keypoints, 30, IN_MOTION_19, confidence=confidence)
    keypoints[0], view[1], confidence[0] = 5, 6, 0.5
    assert (recording.keypoints == 1).all()
    assert (recording.confidence == 1).all()
    for frozen in (recording.keypoints, recording.confidence):
        with pytest.raises(ValueError, match="read-only"):
            frozen[0] = 0


def test_metadata_have_types_and_keep_what_a_table_says():
    row = {"age": " 12.50", "sex": "female", "birth_weight": "light", "hospital": "007", "seen": None}
    recording = Recording(np.ones((4, 19, 2)), 30, IN_MOTION_19, metadata=row)
    known = recording.metadata
    assert (known.age, known.sex, known.birth_weight, known.columns["hospital"]) == (12.5, "female", None, "007")
    assert known == row
    assert json.dumps(dict(known)) == json.dumps(row)
    assert "cohort" not in known
    assert known.get("cohort") is None
    older = replace(known, age=13.0)
    assert older == {**row, "age": 13.0}
    assert known.with_columns({"age": 14}).age == 14
    assert known.age == 12.5


def test_metadata_are_made_by_field():
    known = Metadata(age=12, cohort="preterm", columns={"camera": 2})
    assert known == {"age": 12, "cohort": "preterm", "camera": 2}
    assert len(known) == 3
    with pytest.raises(ValueError, match="age must be a finite number"):
        Metadata(age="old")


def test_an_array_that_nobody_can_change_is_taken_without_a_copy():
    owned = np.random.default_rng(0).random((4, 19, 2))
    view = owned.view()
    view.setflags(write=False)
    assert not np.shares_memory(Recording(view, 30.0, IN_MOTION_19).keypoints, owned)
    owned.setflags(write=False)
    first = Recording(owned, 30.0, IN_MOTION_19)
    assert first.keypoints is owned
    assert first.with_step("nothing").keypoints is owned
