"""Joints from maps: the right ones of two infants, and missing ones."""

import numpy as np

from infantjax.models.babypose import connections
from infantjax.pose.linking import Candidates, connection_scores, find_candidates, link, match
from infantjax.pose.targets import discs, limb_masks
from infantjax.skeletons import BABYPOSE_12


def test_maxima_come_in_the_order_of_their_values_and_not_too_close():
    maps = np.zeros((40, 60))
    for (row, column), value in {(5, 7): 0.9, (6, 10): 0.8, (30, 50): 0.7, (20, 20): 0.2}.items():
        maps[row, column] = value
    found = find_candidates(maps)
    assert found.positions.tolist() == [[7, 5], [50, 30]]
    assert found.values.tolist() == [0.9, 0.7]
    assert len(find_candidates(maps, most=1).values) == 1
    assert len(find_candidates(np.full((4, 4), np.nan)).values) == 0


def test_a_connection_that_is_there_scores_one_and_another_less():
    a, b = np.array([10.0, 10.0]), np.array([40.0, 30.0])
    limb = np.asarray(limb_masks(np.stack([a, b]), ((0, 1),), 60, 60, 6, "binary"))[..., 0]
    starts = Candidates(np.stack([a, [10.0, 40.0]]), np.ones(2))
    ends = Candidates(np.stack([b, [50.0, 5.0]]), np.ones(2))
    scores = connection_scores(limb, starts, ends)
    assert scores[0, 0] == 1
    assert scores[0, 1] < 0.5
    assert scores[1, 1] < 0.5


def test_the_matching_has_the_largest_sum_and_not_the_largest_first():
    assert match(np.array([[0.9, 0.8], [0.85, 0.1]])) == [(0, 1), (1, 0)]
    assert match(np.zeros((0, 2))) == []


def maps_of(*infants):
    joints = sum(np.asarray(discs(points, 96, 128, 6, "gaussian")) for points in infants)
    limbs = sum(np.asarray(limb_masks(points, connections(BABYPOSE_12), 96, 128, 6, "gaussian")) for points in infants)
    return np.minimum(joints, 1), np.minimum(limbs, 1)


def infant(shift=0.0):
    points = np.zeros((12, 2))
    for number, joint in enumerate(BABYPOSE_12.joints):
        side = -1 if joint.startswith("right") else 1
        part = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle").index(joint.split("_")[1])
        points[number] = 50 + side * (8 + 10 * (part % 3)) + shift, (30 if part < 3 else 70) + 4 * (part % 3)
    return points


def test_limbs_of_one_infant_are_found():
    points = infant()
    found = link(*maps_of(points), connections(BABYPOSE_12))
    np.testing.assert_allclose(found, points, atol=1)


def test_crossing_limbs_are_linked_by_their_connections():
    """Two arms that cross: each wrist is as near to the other's elbow as to its own."""
    first, second = (np.full((12, 2), np.nan) for _ in range(2))
    arm = [BABYPOSE_12.index(f"right_{part}") for part in ("shoulder", "elbow", "wrist")]
    first[arm] = [(10, 20), (40, 20), (70, 60)]
    second[arm] = [(10, 60), (40, 60), (70, 20)]
    joints, limbs = maps_of(first, second)
    joints[60, 10, arm[0]] = 1.0 + 1e-3  # the second is a little surer
    found = link(joints, limbs, connections(BABYPOSE_12))
    np.testing.assert_allclose(found[arm], second[arm], atol=1.5)


def test_a_joint_without_a_candidate_is_missing():
    points = infant()
    gone = BABYPOSE_12.index("left_wrist")
    joints, limbs = maps_of(points)
    joints[..., gone] = 0
    found = link(joints, limbs, connections(BABYPOSE_12))
    assert np.isnan(found[gone]).all()
    assert np.isfinite(np.delete(found, gone, 0)).all()
