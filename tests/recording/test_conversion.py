"""From one keypoint set to another."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.recording.conversion import RULES, convert, rules
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19, SKELETONS, Skeleton, segments

# Points that no segment joins, as markers on hands and feet, are no body to convert.
OTHERS = [name for name in SKELETONS if name != "in-motion-19" and segments(SKELETONS[name])]


def recording(name, frames=6, confidence=True, **changes):
    skeleton = SKELETONS[name]
    rng = np.random.default_rng(4)
    shape = frames, len(skeleton.joints)
    values = {
        "keypoints": rng.normal(300, 80, (*shape, 2)),
        "fps": 30.0,
        "skeleton": skeleton,
        "name": "infant",
        "confidence": rng.random(shape) if confidence else None,
    }
    return Recording(**(values | changes))


def at(source, joint):
    return source.keypoints[:, source.skeleton.index(joint)]


@pytest.mark.parametrize(("source", "target"), RULES)
def test_rules_name_joints_of_both_sets_sum_to_1_and_mirror_each_other(source, target):
    def swap(name):
        return name.replace("left_", "?").replace("right_", "left_").replace("?", "right_")

    table = RULES[source, target]
    assert set(table) <= set(SKELETONS[target].joints)
    for joint, rule in table.items():
        assert set(rule.weights) <= set(SKELETONS[source].joints)
        assert sum(rule.weights.values()) == pytest.approx(1, abs=1e-9)
        mirrored = table[swap(joint)]
        assert {swap(j): w for j, w in rule.weights.items()} == dict(mirrored.weights)
        assert rule.kind == mirrored.kind


@pytest.mark.parametrize(("source", "target"), RULES)
@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-3, 3), scale=st.floats(0.1, 10), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_conversion_does_not_depend_on_where_the_camera_is(source, target, angle, scale, x, y):
    turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    before = recording(source)
    moved = recording(source, keypoints=before.keypoints @ turn + [x, y])
    expected = convert(before, target).keypoints @ turn + [x, y]
    np.testing.assert_allclose(convert(moved, target).keypoints, expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), RULES)
def test_conversion_and_mirroring_can_change_places(source, target):
    def flip(r):
        return recording(r.skeleton.name, keypoints=(r.keypoints * [-1, 1])[:, list(r.skeleton.mirror)])

    before = recording(source)
    np.testing.assert_allclose(convert(flip(before), target).keypoints, flip(convert(before, target)).keypoints)


def test_midpoints_of_coco_are_computed():
    before = recording("coco-17")
    after = convert(before, "in-motion-19")
    middle = (at(before, "left_shoulder") + at(before, "right_shoulder")) / 2
    np.testing.assert_allclose(at(after, "thorax"), middle)
    np.testing.assert_allclose(at(after, "upper_neck"), (middle + at(before, "nose")) / 2)
    np.testing.assert_allclose(at(after, "head_top"), at(before, "nose") + (at(before, "nose") - middle) / 2)
    np.testing.assert_array_equal(at(after, "left_wrist"), at(before, "left_wrist"))


def test_what_is_approximated_is_listed_with_how():
    after = convert(recording("openpose-25"), "in-motion-19")
    assert after.approximated == {"head_top": "1.5 nose - 0.5 neck", "upper_neck": "0.5 nose + 0.5 neck"}
    assert after.history[-1] == "converted from openpose-25 to in-motion-19, 2 joints approximated"


def test_strict_names_what_it_refuses():
    with pytest.raises(InputError) as caught:
        convert(recording("openpose-25"), "in-motion-19", strict=True)
    assert str(caught.value) == (
        "infant: 2 joints of in-motion-19 can only be approximated: head_top, upper_neck; "
        "leave out --strict, or give keypoints of that set"
    )


def test_strict_refuses_what_was_approximated_earlier():
    once = convert(recording("openpose-25"), "in-motion-19")
    with pytest.raises(InputError, match="head_top, upper_neck"):
        convert(once, "in-motion-19", strict=True)


def test_an_approximation_stays_one_through_a_second_conversion():
    twice = convert(convert(recording("coco-17"), "in-motion-19"), "mpii-16")
    assert convert(twice, "mpii-16") is twice
    assert twice.approximated["thorax"] == "0.5 right_shoulder + 0.5 left_shoulder"
    assert "left_knee" not in twice.approximated


def test_without_a_counterpart_a_joint_is_missing_and_named():
    after = convert(recording("babypose-12"), "in-motion-19")
    absent = ["head_top", "nose", "right_ear", "left_ear", "upper_neck"]
    assert after.missing.all(axis=0).tolist() == [j in absent for j in IN_MOTION_19.joints]
    assert after.notes == (
        "joints of in-motion-19 without counterpart in babypose-12: head_top, nose, right_ear, left_ear, upper_neck",
    )
    assert not set(absent) & set(after.approximated)


def test_a_point_made_of_a_missing_one_is_missing_in_that_frame_only():
    keypoints = recording("coco-17").keypoints.copy()
    keypoints[2, SKELETONS["coco-17"].index("left_hip")] = np.nan
    after = convert(recording("coco-17", keypoints=keypoints), "in-motion-19")
    gone = [[IN_MOTION_19.joints[j], int(t)] for t, j in np.argwhere(after.missing)]
    assert gone == [["pelvis", 2], ["left_hip", 2]]


def test_confidence_of_an_approximated_point_is_the_smallest_of_its_sources():
    before = recording("coco-17")
    after = convert(before, "in-motion-19")
    left, right = (before.confidence[:, before.skeleton.index(f"{side}_hip")] for side in ("left", "right"))
    np.testing.assert_array_equal(after.confidence[:, IN_MOTION_19.index("pelvis")], np.minimum(left, right))


def test_three_dimensions_are_converted_like_two():
    flat = recording("human36m-17")
    solid = recording("human36m-17", keypoints=np.concatenate([flat.keypoints, flat.keypoints[..., :1] + 3], -1))
    after = convert(solid, "in-motion-19").keypoints
    np.testing.assert_allclose(after[..., :2], convert(flat, "in-motion-19").keypoints)
    np.testing.assert_allclose(after[..., 2], after[..., 0] + 3)


@pytest.mark.parametrize("target", [name for name in OTHERS if ("in-motion-19", name) not in RULES])
def test_without_a_table_joints_of_the_same_name_are_taken(target):
    before = recording("in-motion-19")
    after = convert(before, target)
    shared = [j for j in SKELETONS[target].joints if j in IN_MOTION_19.joints]
    assert set(rules(IN_MOTION_19, SKELETONS[target])) == set(shared)
    for joint in shared:
        np.testing.assert_array_equal(at(after, joint), at(before, joint))
    assert after.approximated == {}


def test_a_skeleton_of_ones_own_is_converted_to_by_name():
    own = Skeleton("own-3", ("nose", "tail", "left_knee"), ("nose", "nose", "nose"))
    after = convert(recording("coco-17"), own)
    assert after.skeleton is own
    assert after.missing.all(axis=0).tolist() == [False, True, False]


def test_sets_with_nothing_in_common_are_refused_and_those_of_bodies_have_a_table():
    own = Skeleton("own-1", ("tail",), ("tail",))
    with pytest.raises(InputError, match="coco-17 and own-1 have no joint in common"):
        convert(recording("coco-17"), own)
    assert {(name, "in-motion-19") for name in OTHERS} <= set(RULES)


@pytest.mark.parametrize("name", ["pz101", "pz102", "pz104"])
def test_converted_real_infants_equal_the_reference_files(name, shared):
    read = readers.read(shared / "data" / "minirgbd" / f"{name}.csv", fps=25)
    reference = readers.read(shared / "golden" / "preprocess" / f"orgcoords_{name}.csv", fps=25)
    ours = convert(read, "in-motion-19").keypoints[: reference.frames]
    # The reference was rounded to its last printed digit.
    np.testing.assert_allclose(ours, reference.keypoints, rtol=0, atol=1e-9)


def test_the_table_of_mini_rgbd_is_that_of_the_reference_files(shared):
    info = json.loads((shared / "golden" / "preprocess" / "info.json").read_text())
    ours = {joint: dict(rule.weights) for joint, rule in RULES["mini-rgbd-14", "in-motion-19"].items()}
    assert ours == info["mapping_from_14_joints"]
