"""Names of joints, and the keypoint set that they belong to."""

import pytest

from infantjax.errors import InputError
from infantjax.formats.naming import identify
from infantjax.skeletons import IN_MOTION_19, OPENPOSE_25, SKELETONS, Skeleton

SPELLINGS = {
    "as published": lambda j: j,
    "upper case": str.upper,
    "camel case": lambda j: "".join(p.title() for p in j.split("_")),
    "spaces": lambda j: j.replace("_", " "),
    "points": lambda j: j.replace("_", "."),
    "letter in front": lambda j: j.replace("right_", "R_").replace("left_", "L_"),
    "letter and camel case": lambda j: "".join(
        p.title() for p in j.replace("right_", "R_").replace("left_", "L_").split("_")
    ),
    "lower case letter": lambda j: j.replace("right_", "r").replace("left_", "l"),
    "side at the end": lambda j: (
        "_".join([*j.split("_")[1:], j.split("_")[0]]) if j.startswith(("right_", "left_")) else j
    ),
    "letter at the end": lambda j: "_".join([*j.split("_")[1:], j[0]]) if j.startswith(("right_", "left_")) else j,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", SKELETONS)
def test_every_set_is_found_in_every_spelling(name, spelling):
    skeleton = SKELETONS[name]
    match = identify("a.csv", [SPELLINGS[spelling](j) for j in skeleton.joints])
    assert match.skeleton is skeleton
    assert match.columns == tuple(range(len(skeleton.joints)))
    assert match.ignored == match.missing == ()


@pytest.mark.parametrize("name", SKELETONS)
@pytest.mark.parametrize("drop", [0, 3, -1])
def test_a_set_is_found_without_one_of_its_joints(name, drop):
    joints = list(SKELETONS[name].joints)
    dropped = joints.pop(drop)
    match = identify("a.csv", joints)
    assert (match.skeleton.name, match.missing) == (name, (dropped,))


def test_the_names_of_the_papers_are_those_of_the_program():
    papers = {"thorax": "upper_chest", "pelvis": "mid_pelvis", "right_hip": "right_pelvis", "left_hip": "left_pelvis"}
    match = identify("a.csv", [papers.get(j, j) for j in IN_MOTION_19.joints])
    assert match.skeleton is IN_MOTION_19
    assert match.missing == ()


def test_a_set_that_is_there_completely_wins_over_a_larger_one_in_part():
    match = identify("a.csv", OPENPOSE_25.joints[:19])  # without the feet
    assert (match.skeleton.name, match.missing, match.ignored) == ("openpose-18", (), ("mid_hip",))
    in_motion_29 = SKELETONS["in-motion-29"].joints
    extra = next(joint for joint in in_motion_29 if joint not in IN_MOTION_19.joints)
    assert identify("a.csv", (*IN_MOTION_19.joints, extra)).skeleton is IN_MOTION_19
    # It does not win where it would leave out more than the larger one lacks.
    assert identify("a.csv", OPENPOSE_25.joints[:24]).skeleton is OPENPOSE_25


def test_less_than_half_of_a_set_is_none():
    with pytest.raises(InputError, match=r"the nearest is babypose-12, of which 5 of 12 joints were found"):
        identify("a.csv", IN_MOTION_19.joints[5:8] + IN_MOTION_19.joints[9:11])


def test_a_named_set_may_lack_all_but_one_joint():
    match = identify("a.csv", ["nose"], wanted="in-motion-19")
    assert len(match.missing) == 18


def test_names_that_fit_nothing_are_listed():
    with pytest.raises(InputError, match=r'its points \("nsoe", "chni"\) are not those of a known keypoint set'):
        identify("a.csv", ["nsoe", "chni"])


def test_a_misspelt_joint_is_not_silently_missing():
    names = [j.replace("left_knee", "left_kene") for j in IN_MOTION_19.joints]
    with pytest.raises(InputError, match='joint "left_kene" is not in skeleton in-motion-19; did you mean "left_knee"'):
        identify("a.csv", names)


def test_a_name_like_one_that_is_there_is_only_ignored():
    assert identify("a.csv", [*IN_MOTION_19.joints, "left_kne"]).ignored == ("left_kne",)


def test_rear_is_no_right_ear_where_nobody_asked_for_an_ear():
    own = Skeleton("car", ("rear", "front"), ("rear", "rear"))
    assert identify("a.csv", ["front", "rear"], wanted=own).columns == (1, 0)


def test_joints_of_ones_own_set_that_differ_in_separators_only_are_told_apart():
    own = Skeleton("own", ("a_b", "ab"), ("a_b", "a_b"))
    assert identify("a.csv", ["a_b", "ab"], wanted=own).columns == (0, 1)


def test_points_without_names_are_told_by_their_number():
    assert identify("a", ["0"] * 18, among=("openpose-25", "openpose-18")).skeleton.name == "openpose-18"
    with pytest.raises(
        InputError, match=r"holds 15 points a frame without names, not those of openpose-25 \(25\), openpose-18"
    ):
        identify("a", ["0"] * 15, among=("openpose-25", "openpose-18"))


def test_points_without_names_may_be_said_to_be_of_another_set():
    match = identify("a", ["0"] * 17, wanted="human36m-17", among=("coco-17",))
    assert match.skeleton.name == "human36m-17"
