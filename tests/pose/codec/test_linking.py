"""Joints from maps: the right ones of two infants, and missing ones."""

import jax
import numpy as np
import pytest

from infantjax.methods.asy_regression.model import connections
from infantjax.pose.codec import limb as limbs_of
from infantjax.pose.codec.heatmap import HeatmapCodec
from infantjax.pose.codec.limb import FallOff
from infantjax.pose.codec.linking import (
    Candidates,
    field_scores,
    find_candidates,
    find_people,
    link,
    select_person,
)
from infantjax.skeletons import BABYPOSE_12, IN_MOTION_19, MPII_16, segments

heatmaps = jax.jit(lambda points, side, sigma: HeatmapCodec().encode(points, side, sigma * 32 / side), static_argnums=1)
affinity_fields = jax.jit(limbs_of.affinity_fields, static_argnums=(1, 2))
discs = jax.jit(limbs_of.discs, static_argnums=(1, 2, 4))
limb_heatmaps = jax.jit(limbs_of.limb_heatmaps, static_argnums=(1, 2, 3, 5))


def test_maxima_come_in_the_order_of_their_values_and_not_too_close():
    maps = np.zeros((40, 60))
    for (row, column), value in {(5, 7): 0.9, (6, 10): 0.8, (30, 50): 0.7, (20, 20): 0.2}.items():
        maps[row, column] = value
    found = find_candidates(maps)
    assert found.positions.tolist() == [[7, 5], [50, 30]]
    assert found.values.tolist() == [0.9, 0.7]
    assert len(find_candidates(maps, most=1).values) == 1
    assert len(find_candidates(np.full((4, 4), np.nan)).values) == 0


def maps_of(*infants):
    joints = sum(np.asarray(discs(points, 96, 128, 6, FallOff())) for points in infants)
    limbs = sum(
        np.asarray(limb_heatmaps(points, connections(BABYPOSE_12), 96, 128, 6, FallOff())) for points in infants
    )
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


# --- several persons -------------------------------------------------------------------------------------------------


def person(skeleton, x, y, size):
    """A standing figure, fractions of the square: joints at places of their own."""
    rng = np.random.default_rng(1)
    heights = {"head_top": 0.0, "nose": 0.06, "ear": 0.05, "upper_neck": 0.15, "shoulder": 0.22, "thorax": 0.22}
    heights |= {"elbow": 0.38, "wrist": 0.52, "pelvis": 0.5, "hip": 0.52, "knee": 0.75, "ankle": 1.0}
    points = np.zeros((len(skeleton.joints), 2))
    for number, joint in enumerate(skeleton.joints):
        part = joint.removeprefix("right_").removeprefix("left_")
        side = -1 if joint.startswith("right") else 1 if joint.startswith("left") else 0
        across = {"shoulder": 0.12, "elbow": 0.22, "wrist": 0.25, "ear": 0.06}.get(part, 0.09)
        points[number] = side * across, heights[part]
    return np.array([x, y]) + size * (points + rng.uniform(-0.01, 0.01, points.shape))


def rendered(skeleton, persons, side=64):
    """Maps and fields of several persons, as a perfect network would give them."""
    maps = [np.asarray(heatmaps(points, side, 1.25 * side / 32)) for points in persons]
    fields = [np.asarray(affinity_fields(points, segments(skeleton), side, side / 32)) for points in persons]
    return np.maximum.reduce(maps), np.clip(sum(fields), -1, 1)


def on_map(points, side=64):
    return np.floor(points * side)


@pytest.mark.parametrize("skeleton", [MPII_16, IN_MOTION_19], ids=lambda s: s.name)
def test_persons_are_told_apart(skeleton):
    given = [person(skeleton, 0.25, 0.05, 0.6), person(skeleton, 0.7, 0.3, 0.6)]
    crowd = find_people(*rendered(skeleton, given), skeleton, radius=1.5)
    assert len(crowd.persons) == 2
    found = sorted((p.positions for p in crowd.persons), key=lambda p: p[0, 0])
    for points, expected in zip(found, given):
        np.testing.assert_allclose(points, on_map(expected), atol=1)


def test_arms_that_cross_are_linked_by_their_fields():
    """Wrists lie at the other person's elbows' height: the nearest candidate is the wrong one."""
    given = [person(MPII_16, 0.35, 0.1, 0.8), person(MPII_16, 0.65, 0.1, 0.8)]
    left, right = (MPII_16.index(f"{side}_wrist") for side in ("left", "right"))
    given[0][left], given[1][right] = (0.62, 0.62), (0.38, 0.62)
    crowd = find_people(*rendered(MPII_16, given), MPII_16, radius=1.5)
    first, second = sorted(crowd.persons, key=lambda p: p.positions[0, 0])
    np.testing.assert_allclose(first.positions[left], on_map(given[0][left]), atol=1)
    np.testing.assert_allclose(second.positions[right], on_map(given[1][right]), atol=1)


def test_a_joint_without_limb_goes_to_its_own_person():
    given = [person(MPII_16, 0.25, 0.05, 0.6), person(MPII_16, 0.7, 0.3, 0.6)]
    maps, fields = rendered(MPII_16, given[:1])
    pelvis = MPII_16.index("pelvis")
    both, _ = rendered(MPII_16, given)
    maps[..., pelvis] = both[..., pelvis]
    (one,) = find_people(maps, fields, MPII_16, radius=1.5).persons
    np.testing.assert_allclose(one.positions[pelvis], on_map(given[0][pelvis]), atol=1)


def test_who_is_central_and_who_is_largest():
    central, large = person(MPII_16, 0.5, 0.3, 0.4), person(MPII_16, 0.2, 0.05, 0.9)
    persons = find_people(*rendered(MPII_16, [central, large]), MPII_16, radius=1.5).persons
    for by, expected in (("central", central), ("largest", large)):
        chosen = select_person(persons, by, 64, 64)
        assert abs(chosen.positions[0] - on_map(expected)[0]).max() <= 1, by
    assert select_person([], "central", 64, 64) is None
    with pytest.raises(ValueError, match="unknown choice"):
        select_person(persons, "nearest", 64, 64)


def test_a_field_of_another_direction_links_nothing():
    field = np.zeros((20, 20, 2))
    field[..., 0] = 1.0
    starts, ends = (
        Candidates(np.array([[2.0, 5.0]]), np.ones(1)),
        Candidates(np.array([[15.0, 5.0], [2.0, 18.0]]), np.ones(2)),
    )
    scores = field_scores(field, starts, ends)
    assert scores[0, 0] == pytest.approx(1)
    assert scores[0, 1] == -np.inf
    assert field_scores(field, ends, starts)[0, 0] == -np.inf
    # Two joints in one pixel: what is left is whether there is a limb.
    assert field_scores(field, starts, starts)[0, 0] == pytest.approx(1)
    assert field_scores(np.zeros_like(field), starts, starts)[0, 0] == -np.inf


def test_the_slope_of_a_peak_is_no_candidate():
    rows, columns = np.indices((40, 40))
    wide = np.exp(-((rows - 20) ** 2 + (columns - 20) ** 2) / 200)
    assert find_candidates(wide, radius=3).positions.tolist() == [[20, 20]]


def test_nobody_is_found_in_empty_maps():
    crowd = find_people(np.zeros((32, 32, 16)), np.zeros((32, 32, 28)), MPII_16)
    assert crowd.persons == []


@pytest.mark.slow
def test_the_fields_of_released_weights_link_the_person_of_the_photograph(shared):
    """All joints of one person: the points are those that the decoder finds without asking who."""
    from infantjax.pose import PoseConfig, Tracker, load_pose_network
    from infantjax.pose.crop import crop_image
    from infantjax.video import open_frames

    network = load_pose_network(shared / "data" / "pose" / "EfficientPoseRT.h5", early_heads=True)
    square = crop_image(next(iter(open_frames(shared / "data" / "pose" / "MPII.jpg"))), network.side, "reference")[None]
    anybody, one = (Tracker(network, PoseConfig(person=by)).find(square) for by in (None, "central"))
    np.testing.assert_allclose(one.positions, anybody.positions, atol=1 / network.side)
    np.testing.assert_allclose(one.confidence, anybody.confidence, atol=1e-3)
