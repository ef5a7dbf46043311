"""Keypoint sets and the graphs that are made from them."""

import numpy as np
import pytest

from infantjax import skeletons
from infantjax.recording.conversion import KNUCKLES, RULES
from infantjax.skeletons import IN_MOTION_19, SKELETONS, Skeleton, adjacency

COUNTS = {
    "in-motion-19": 19,
    "mpii-16": 16,
    "coco-17": 17,
    "openpose-25": 25,
    "openpose-18": 18,
    "baby-moves-18": 18,
    "babypose-12": 12,
    "human36m-17": 17,
    "mini-rgbd-14": 14,
    "in-motion-29": 29,
    "coco-wholebody-133": 133,
    "halpe-26": 26,
    "halpe-136": 136,
    "blazepose-33": 33,
    "limbs-4": 4,
}


def test_every_published_set_is_here_under_its_name():
    assert {name: len(s.joints) for name, s in SKELETONS.items()} == COUNTS
    assert all(skeletons.get(name).name == name and SKELETONS[name].source for name in COUNTS)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_joint_with_a_side_has_a_mirror_image_and_no_other_has(name):
    skeleton = SKELETONS[name]
    for index, joint in enumerate(skeleton.joints):
        other = skeleton.joints[skeleton.mirror[index]]
        swapped = joint.replace("left_", "?").replace("right_", "left_").replace("?", "right_")
        assert other == swapped


# babypose-12 is left out: its two sides are joined over one shoulder, since it has no joint between them.
@pytest.mark.parametrize("name", [n for n in SKELETONS if n != "babypose-12"])
def test_mirrored_edges_are_edges(name):
    # A flip exchanges mirror pairs; the graph must be the same afterwards, or a flipped recording is another graph.
    skeleton = SKELETONS[name]
    edges = {frozenset(e) for e in skeleton.edges}
    assert {frozenset(skeleton.mirror[j] for j in e) for e in edges} == edges


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("mpii-16", ("head_top", "upper_neck", "right_shoulder"), ("left_hip", "left_knee", "left_ankle")),
        ("baby-moves-18", ("crown", "left_eye", "right_eye", "chin"), ("right_knee", "right_heel", "right_toe")),
        ("coco-17", ("nose", "left_eye", "right_eye", "left_ear"), ("right_knee", "left_ankle", "right_ankle")),
        ("openpose-25", ("nose", "neck", "right_shoulder"), ("right_big_toe", "right_small_toe", "right_heel")),
        ("openpose-18", ("nose", "neck", "right_shoulder"), ("left_eye", "right_ear", "left_ear")),
        ("human36m-17", ("pelvis", "right_hip", "right_knee"), ("right_shoulder", "right_elbow", "right_wrist")),
        ("mini-rgbd-14", ("head", "right_hand", "right_elbow"), ("left_hip", "left_knee", "left_foot")),
        ("babypose-12", ("right_shoulder", "right_elbow", "right_wrist"), ("left_hip", "left_knee", "left_ankle")),
        ("in-motion-29", IN_MOTION_19.joints, ("left_heel", "left_little_toe", "left_big_toe")),
        ("coco-wholebody-133", SKELETONS["coco-17"].joints, ("right_pinky_finger3", "right_pinky_finger4")),
        ("halpe-26", SKELETONS["coco-17"].joints, ("right_small_toe", "left_heel", "right_heel")),
        ("halpe-136", SKELETONS["halpe-26"].joints, ("right_pinky_finger3", "right_pinky_finger4")),
        ("blazepose-33", ("nose", "left_eye_inner", "left_eye"), ("left_foot_index", "right_foot_index")),
    ],
)
def test_joints_are_in_the_published_order(name, first, last):
    joints = SKELETONS[name].joints
    assert joints[: len(first)] == first
    assert joints[-len(last) :] == last


def test_human36m_has_the_parents_of_videopose3d():
    parents = SKELETONS["human36m-17"].parent_indices
    assert parents == (0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


def test_in_motion_is_centered_at_the_thorax():
    assert IN_MOTION_19.center == IN_MOTION_19.index("thorax") == 8
    assert IN_MOTION_19.trunk_indices == (8, 12)


@pytest.mark.parametrize(
    ("name", "fingers", "feet"),
    [
        ("coco-wholebody-133", (132, 120, 111, 99), (22, 21, 20, 19, 18, 17)),
        ("halpe-136", (135, 123, 114, 102), (25, 23, 21, 24, 22, 20)),
        ("halpe-26", None, (25, 23, 21, 24, 22, 20)),
        ("blazepose-33", (18, 20, 17, 19), (30, 32, 32, 29, 31, 31)),
    ],
)
def test_the_further_points_of_in_motion_29_are_these_points_of_other_sets(name, fingers, feet):
    table, skeleton = RULES[name, "in-motion-29"], SKELETONS[name]
    further = [table[joint] for joint in SKELETONS["in-motion-29"].joints[19:]]
    assert all(rule.kind == "extrapolated" for rule in further[:4]) == (fingers is None)
    found = [skeleton.index(joint) for rule in (further if fingers else further[4:]) for joint in rule.weights]
    assert tuple(found) == (*(fingers or ()), *feet)


def test_the_knuckles_can_stand_for_the_fingers():
    skeleton = SKELETONS["coco-wholebody-133"]
    table = KNUCKLES["coco-wholebody-133", "in-motion-29"]
    joints = [joint for joint in SKELETONS["in-motion-29"].joints if joint.endswith("finger")]
    assert [skeleton.index(source) for joint in joints for source in table[joint].weights] == [129, 117, 108, 96]


def test_the_tree_and_graph_of_in_motion_29_are_the_released_ones(shared):
    golden = np.load(shared / "golden" / "cp_gcn29" / "preprocess29.npz")
    skeleton = SKELETONS["in-motion-29"]
    assert skeleton.joints == tuple(golden["names"])
    assert skeleton.parent_indices == tuple(golden["bone_parent"])
    assert {frozenset(edge) for edge in skeleton.edges} == {frozenset(edge) for edge in golden["edges"].tolist()}
    np.testing.assert_allclose(adjacency(skeleton, "hops3"), golden["A_full"], atol=1e-7)


@pytest.mark.parametrize(
    ("joints", "parents", "mirror", "message"),
    [
        (("a", "a"), ("a", "a"), (), "a joint name occurs twice"),
        (("a", "b"), ("a",), (), "2 joints but 1 parents"),
        (("a", "b"), ("a", "c"), (), "unknown joints c"),
        (("a", "b"), ("a", "a"), (("a", "z"),), "unknown joints z"),
        (("a", "b"), ("a", "b"), (), "needs exactly one root .* found 2"),
        (("a", "b", "c"), ("a", "c", "b"), (), "the parents hold a cycle"),
    ],
)
def test_what_is_no_tree_is_refused(joints, parents, mirror, message):
    with pytest.raises(ValueError, match=message):
        Skeleton("made-up", joints, parents, mirror)


def test_a_skeleton_of_five_joints_has_its_own_graphs():
    star = Skeleton("star-5", tuple("abcde"), ("a", "a", "a", "b", "c"))
    assert adjacency(star, "spatial").shape == (3, 5, 5)
    # Columns of the normalized neighborhood sum to one, split over the three parts.
    np.testing.assert_allclose(adjacency(star, "spatial").sum(axis=(0, 1)), np.ones(5), rtol=1e-6)


def test_graphs_of_in_motion_equal_the_released_ones(shared):
    golden = np.load(shared / "golden" / "graph" / "adjacency.npz")
    np.testing.assert_allclose(adjacency(IN_MOTION_19, "spatial"), golden["spatial"], atol=1e-7)
    for count in range(1, 8):
        expected = golden[f"disentangled_{count}_unmasked"]
        np.testing.assert_allclose(adjacency(IN_MOTION_19, f"dis{count}"), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skeletons.get("coco"), 'unknown skeleton "coco"; known: in-motion-19, mpii-16, coco-17'),
        (lambda: IN_MOTION_19.index("tail"), 'joint "tail" is not in skeleton in-motion-19'),
        (lambda: adjacency(IN_MOTION_19, "diss2"), 'unknown graph "diss2"'),
        (lambda: SKELETONS["coco-17"].trunk_indices, "coco-17 has no trunk; convert the recording, for example to in-"),
    ],
)
def test_what_a_skeleton_does_not_have_is_a_wrong_call(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_limbs_are_the_joints_beyond_shoulders_and_hips_alike_on_both_sides():
    for skeleton in SKELETONS.values():
        limbs = skeletons.limbs(skeleton)
        for limb, joints in limbs.items():
            mirrored = limb.replace("right", "?").replace("left", "right").replace("?", "left")
            assert sorted(skeleton.mirror[j] for j in joints) == sorted(limbs[mirrored])
    names = {limb: [IN_MOTION_19.joints[j] for j in joints] for limb, joints in skeletons.limbs(IN_MOTION_19).items()}
    assert (names["right_arm"], names["left_leg"]) == (["right_elbow", "right_wrist"], ["left_knee", "left_ankle"])
