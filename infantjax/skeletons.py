"""Keypoint sets: names, edges, parents, mirror pairs, and the graphs that networks read from them.

A `Skeleton` is data. Nothing else in the package knows a joint by its index: networks, features, readers and
drawings take the skeleton as an argument, and `SKELETONS` holds the published ones under their names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Skeleton:
    """A keypoint set with its tree.

    Attributes:
        name: registry name, for example `in-motion-19`.
        joints: joint names in the order of the arrays.
        parents: for each joint its parent's name; the root (the graph's center) is its own parent.
        mirror_pairs: (right, left) names that a horizontal flip exchanges.
        trunk: (upper, lower) end of the trunk, used for centering, rotation and scale; None if the set has none.
        source: where the set is defined.

    Raises:
        ValueError: a name occurs twice or is unknown, or the parents are not a tree with one root.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[str, ...]
    mirror_pairs: tuple[tuple[str, str], ...] = ()
    trunk: tuple[str, str] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: a joint name occurs twice")
        if len(self.parents) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: {len(self.joints)} joints but {len(self.parents)} parents")
        named = {*self.parents, *(j for pair in self.mirror_pairs for j in pair), *(self.trunk or ())}
        if unknown := sorted(named - set(self.joints)):
            raise ValueError(f"skeleton {self.name}: unknown joints {', '.join(unknown)}")
        roots = [j for j, p in zip(self.joints, self.parents) if j == p]
        if len(roots) != 1:
            raise ValueError(f"skeleton {self.name}: needs exactly one root (its own parent), found {len(roots)}")
        for joint in range(len(self.joints)):
            for _ in self.joints:
                joint = self.parent_indices[joint]
            if self.joints[joint] != roots[0]:
                raise ValueError(f"skeleton {self.name}: the parents hold a cycle")

    def index(self, joint: str) -> int:
        """Position of a joint in the arrays.

        Raises:
            ValueError: the skeleton has no joint of that name.
        """
        try:
            return self.joints.index(joint)
        except ValueError:
            raise ValueError(f'joint "{joint}" is not in skeleton {self.name}') from None

    @cached_property
    def parent_indices(self) -> tuple[int, ...]:
        """For each joint the index of its parent."""
        return tuple(self.joints.index(p) for p in self.parents)

    @cached_property
    def center(self) -> int:
        """Index of the root: the center joint of the graph."""
        return next(j for j, p in enumerate(self.parent_indices) if j == p)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(joint, parent) for every joint but the root."""
        return tuple((j, p) for j, p in enumerate(self.parent_indices) if j != p)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of the joint that it becomes in a mirror."""
        swap = dict(self.mirror_pairs) | {b: a for a, b in self.mirror_pairs}
        return tuple(self.joints.index(swap.get(j, j)) for j in self.joints)

    @cached_property
    def trunk_indices(self) -> tuple[int, int]:
        """Indices of the upper and the lower end of the trunk.

        Raises:
            ValueError: the skeleton has no trunk; convert it to one that has.
        """
        if self.trunk is None:
            raise ValueError(f"skeleton {self.name} has no trunk; convert the recording, for example to in-motion-19")
        return self.index(self.trunk[0]), self.index(self.trunk[1])


def _symmetric(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"right_{n}", f"left_{n}") for n in names)


def _from_parents(
    name: str, parents: Mapping[str, str], mirror: tuple[str, ...], trunk: tuple[str, str] | None, source: str
) -> Skeleton:
    return Skeleton(name, tuple(parents), tuple(parents.values()), _symmetric(*mirror), trunk, source)


IN_MOTION_19 = _from_parents(
    "in-motion-19",
    {
        "head_top": "nose",
        "nose": "upper_neck",
        "right_ear": "nose",
        "left_ear": "nose",
        "upper_neck": "thorax",
        "right_shoulder": "thorax",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "thorax": "thorax",
        "left_shoulder": "thorax",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "pelvis": "thorax",
        "right_hip": "pelvis",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "pelvis",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
    },
    ("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    ("thorax", "pelvis"),
    "Groos et al., In-Motion: 19 keypoints, tree and center as in the movement-outcome system",
)

IN_MOTION_29 = _from_parents(
    "in-motion-29",
    {
        **dict(zip(IN_MOTION_19.joints, IN_MOTION_19.parents)),
        "right_little_finger": "right_wrist",
        "right_index_finger": "right_wrist",
        "left_little_finger": "left_wrist",
        "left_index_finger": "left_wrist",
        "right_heel": "right_ankle",
        "right_little_toe": "right_ankle",
        "right_big_toe": "right_ankle",
        "left_heel": "left_ankle",
        "left_little_toe": "left_ankle",
        "left_big_toe": "left_ankle",
    },
    (
        *("ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
        *("little_finger", "index_finger", "heel", "little_toe", "big_toe"),
    ),
    ("thorax", "pelvis"),
    "In-Motion 2022: the 19 keypoints, two fingers of each hand and heel and two toes of each foot (ShapGCN)",
)

MPII_16 = _from_parents(
    "mpii-16",
    {
        "head_top": "upper_neck",
        "upper_neck": "thorax",
        "right_shoulder": "thorax",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "thorax": "thorax",
        "left_shoulder": "thorax",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "pelvis": "thorax",
        "right_hip": "pelvis",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "pelvis",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
    },
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    ("thorax", "pelvis"),
    "MPII Human Pose, in the order of the maps of EfficientPose (not the order of MPII's annotation ids)",
)

BABY_MOVES_18 = _from_parents(
    "baby-moves-18",
    {
        "crown": "chin",
        "left_eye": "chin",
        "right_eye": "chin",
        "chin": "chin",
        "left_shoulder": "chin",
        "left_elbow": "left_shoulder",
        "left_hand": "left_elbow",
        "left_hip": "left_shoulder",
        "left_knee": "left_hip",
        "left_heel": "left_knee",
        "left_toe": "left_heel",
        "right_shoulder": "chin",
        "right_elbow": "right_shoulder",
        "right_hand": "right_elbow",
        "right_hip": "right_shoulder",
        "right_knee": "right_hip",
        "right_heel": "right_knee",
        "right_toe": "right_heel",
    },
    ("eye", "shoulder", "elbow", "hand", "hip", "knee", "heel", "toe"),
    None,
    "Passmore et al., Baby Moves: order of the published tables; the paper calls the hands wrists; the tree is ours",
)

BABYPOSE_12 = _from_parents(
    "babypose-12",
    {
        "right_shoulder": "right_shoulder",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "left_shoulder": "right_shoulder",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "right_hip": "right_shoulder",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "left_shoulder",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
    },
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    None,
    "Moccia et al. 2020, Migliorelli et al. 2021: four limbs that the source leaves apart; the order and the edges "
    "that join them to one tree are ours",
)

HUMAN36M_17 = _from_parents(
    "human36m-17",
    {
        "pelvis": "pelvis",
        "right_hip": "pelvis",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "pelvis",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
        "spine": "pelvis",
        "thorax": "spine",
        "neck_nose": "thorax",
        "head": "neck_nose",
        "left_shoulder": "thorax",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "right_shoulder": "thorax",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
    },
    ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"),
    ("thorax", "pelvis"),
    "Human3.6M in the order of VideoPose3D (Pavllo et al. 2019)",
)

COCO_17 = _from_parents(
    "coco-17",
    {
        "nose": "nose",
        "left_eye": "nose",
        "right_eye": "nose",
        "left_ear": "left_eye",
        "right_ear": "right_eye",
        "left_shoulder": "nose",
        "right_shoulder": "nose",
        "left_elbow": "left_shoulder",
        "right_elbow": "right_shoulder",
        "left_wrist": "left_elbow",
        "right_wrist": "right_elbow",
        "left_hip": "left_shoulder",
        "right_hip": "right_shoulder",
        "left_knee": "left_hip",
        "right_knee": "right_hip",
        "left_ankle": "left_knee",
        "right_ankle": "right_knee",
    },
    ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
    None,
    "COCO keypoints (Lin et al. 2014); the tree, rooted at the nose, is ours: COCO's own edges hold cycles",
)

OPENPOSE_25 = _from_parents(
    "openpose-25",
    {
        "nose": "neck",
        "neck": "neck",
        "right_shoulder": "neck",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "left_shoulder": "neck",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "mid_hip": "neck",
        "right_hip": "mid_hip",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "mid_hip",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
        "right_eye": "nose",
        "left_eye": "nose",
        "right_ear": "right_eye",
        "left_ear": "left_eye",
        "left_big_toe": "left_ankle",
        "left_small_toe": "left_big_toe",
        "left_heel": "left_ankle",
        "right_big_toe": "right_ankle",
        "right_small_toe": "right_big_toe",
        "right_heel": "right_ankle",
    },
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear", "big_toe", "small_toe", "heel"),
    ("neck", "mid_hip"),
    "OpenPose BODY_25 (Cao et al. 2019)",
)

OPENPOSE_18 = _from_parents(
    "openpose-18",
    {
        "nose": "neck",
        "neck": "neck",
        "right_shoulder": "neck",
        "right_elbow": "right_shoulder",
        "right_wrist": "right_elbow",
        "left_shoulder": "neck",
        "left_elbow": "left_shoulder",
        "left_wrist": "left_elbow",
        "right_hip": "neck",
        "right_knee": "right_hip",
        "right_ankle": "right_knee",
        "left_hip": "neck",
        "left_knee": "left_hip",
        "left_ankle": "left_knee",
        "right_eye": "nose",
        "left_eye": "nose",
        "right_ear": "right_eye",
        "left_ear": "left_eye",
    },
    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear"),
    None,
    "OpenPose COCO model (Cao et al. 2017)",
)

MINI_RGBD_14 = _from_parents(
    "mini-rgbd-14",
    {
        "head": "neck",
        "right_hand": "right_elbow",
        "right_elbow": "right_shoulder",
        "right_shoulder": "neck",
        "neck": "neck",
        "left_shoulder": "neck",
        "left_elbow": "left_shoulder",
        "left_hand": "left_elbow",
        "right_foot": "right_knee",
        "right_knee": "right_hip",
        "right_hip": "neck",
        "left_hip": "neck",
        "left_knee": "left_hip",
        "left_foot": "left_knee",
    },
    ("hand", "elbow", "shoulder", "foot", "knee", "hip"),
    None,
    "14-point annotations of MINI-RGBD (Hesse et al. 2018) published by the VRAI group",
)

LIMBS_4 = _from_parents(
    "limbs-4",
    {
        "right_hand": "right_hand",
        "left_hand": "right_hand",
        "right_foot": "right_hand",
        "left_foot": "left_hand",
    },
    ("hand", "foot"),
    None,
    "hands and feet of the SMA CNN, in the order of its figure 2; the tree is ours, nothing is drawn along it",
)

_FEET = {
    f"{side}_{part}": f"{side}_{parent}"
    for side in ("left", "right")
    for part, parent in (("big_toe", "ankle"), ("small_toe", "big_toe"), ("heel", "ankle"))
}
_FOOT = ("big_toe", "small_toe", "heel")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_HAND = ("hand_root", *(f"{finger}{number}" for finger in _FINGERS for number in range(1, 5)))


def _hand(side: str) -> dict[str, str]:
    """The 21 points of a hand; each finger is a chain from the root to its tip."""
    parents = {"hand_root": "wrist"}
    for finger in _FINGERS:
        parents |= {f"{finger}{n}": f"{finger}{n - 1}" if n > 1 else "hand_root" for n in range(1, 5)}
    return {f"{side}_{joint}": f"{side}_{parent}" for joint, parent in parents.items()}


def _mirrored(part: str, right: tuple[int, ...], middle: str = "", left: tuple[int, ...] = ()) -> tuple[str, ...]:
    """Points of the face from the right to the left; equal numbers mirror each other."""
    numbered = [f"right_{part}_{n}" for n in right], [f"left_{part}_{n}" for n in left or right[::-1]]
    return (*numbered[0], *((middle,) if middle else ()), *numbered[1])


FACE_68 = (
    *_mirrored("jaw", (1, 2, 3, 4, 5, 6, 7, 8), "jaw"),
    *_mirrored("brow", (1, 2, 3, 4, 5)),
    *("nose_bridge_1", "nose_bridge_2", "nose_bridge_3", "nose_bridge_4"),
    *_mirrored("nostril", (1, 2), "nose_base"),
    *_mirrored("eyelid", (1, 2, 3, 4, 5, 6), left=(4, 3, 2, 1, 6, 5)),
    *_mirrored("lip", (1, 2, 3), "upper_lip"),
    *("left_lip_4", "left_lip_5", "lower_lip", "right_lip_5", "right_lip_4"),
    *_mirrored("inner_lip", (1, 2), "upper_inner_lip"),
    *("left_inner_lip_3", "lower_inner_lip", "right_inner_lip_3"),
)
"""The 68 points of the face of COCO-WholeBody and Halpe in their order; the sets number them, the names are ours."""

_FACE_SIDE = tuple(name.removeprefix("right_") for name in FACE_68 if name.startswith("right_"))

COCO_WHOLEBODY_133 = _from_parents(
    "coco-wholebody-133",
    {
        **dict(zip(COCO_17.joints, COCO_17.parents)),
        **_FEET,
        **dict.fromkeys(FACE_68, "nose"),
        **_hand("left"),
        **_hand("right"),
    },
    (*(right.removeprefix("right_") for right, _ in COCO_17.mirror_pairs), *_FOOT, *_FACE_SIDE, *_HAND),
    None,
    "COCO-WholeBody (Jin et al. 2020); the tree and the names of the face are ours",
)

HALPE_26 = _from_parents(
    "halpe-26",
    {
        "nose": "neck",
        **dict(zip(COCO_17.joints[1:5], COCO_17.parents[1:5])),
        **{
            f"{side}_{joint}": f"{side}_{parent}" if parent not in ("neck", "hip_center") else parent
            for joint, parent in (
                ("shoulder", "neck"),
                ("elbow", "shoulder"),
                ("wrist", "elbow"),
                ("hip", "hip_center"),
                ("knee", "hip"),
                ("ankle", "knee"),
            )
            for side in ("left", "right")
        },
        "head": "nose",
        "neck": "neck",
        "hip_center": "neck",
        **{f"{side}_{part}": f"{side}_ankle" for part in _FOOT for side in ("left", "right")},
    },
    ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", *_FOOT),
    ("neck", "hip_center"),
    "Halpe full body, 26 points (Fang et al. 2022), whose point hip is hip_center here; the tree is ours",
)

HALPE_136 = _from_parents(
    "halpe-136",
    {
        **dict(zip(HALPE_26.joints, HALPE_26.parents)),
        **dict.fromkeys(FACE_68, "nose"),
        **_hand("left"),
        **_hand("right"),
    },
    (*(right.removeprefix("right_") for right, _ in HALPE_26.mirror_pairs), *_FACE_SIDE, *_HAND),
    ("neck", "hip_center"),
    "Halpe full body, 136 points (Fang et al. 2022); the tree and the names of the face are ours",
)

BLAZEPOSE_33 = _from_parents(
    "blazepose-33",
    {
        "nose": "nose",
        **{
            f"{side}_{joint}": parent if parent == "nose" else f"{side}_{parent}"
            for side in ("left", "right")
            for joint, parent in (("eye_inner", "nose"), ("eye", "eye_inner"), ("eye_outer", "eye"))
        },
        **{
            f"{side}_{joint}": parent if parent == "nose" else f"{side}_{parent}"
            for joint, parent in (
                ("ear", "eye_outer"),
                ("mouth", "nose"),
                ("shoulder", "nose"),
                ("elbow", "shoulder"),
                ("wrist", "elbow"),
                ("pinky", "wrist"),
                ("index", "wrist"),
                ("thumb", "wrist"),
                ("hip", "shoulder"),
                ("knee", "hip"),
                ("ankle", "knee"),
                ("heel", "ankle"),
                ("foot_index", "ankle"),
            )
            for side in ("left", "right")
        },
    },
    (
        *("eye_inner", "eye", "eye_outer", "ear", "mouth", "shoulder", "elbow", "wrist", "pinky", "index", "thumb"),
        *("hip", "knee", "ankle", "heel", "foot_index"),
    ),
    None,
    "BlazePose as in MediaPipe (Bazarevsky et al. 2020); the tree, rooted at the nose, is ours",
)

SKELETONS: dict[str, Skeleton] = {
    s.name: s
    for s in (
        IN_MOTION_19,
        MPII_16,
        COCO_17,
        OPENPOSE_25,
        OPENPOSE_18,
        BABY_MOVES_18,
        BABYPOSE_12,
        HUMAN36M_17,
        MINI_RGBD_14,
        IN_MOTION_29,
        COCO_WHOLEBODY_133,
        HALPE_26,
        HALPE_136,
        BLAZEPOSE_33,
        LIMBS_4,
    )
}
"""The published keypoint sets by name."""


def get(name: str | Skeleton) -> Skeleton:
    """A published skeleton by its name; a skeleton itself is given back.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if isinstance(name, Skeleton):
        return name
    try:
        return SKELETONS[name]
    except KeyError:
        raise ValueError(f'unknown skeleton "{name}"; known: {", ".join(SKELETONS)}') from None


_SEGMENTS: dict[str, tuple[tuple[str, str], ...]] = {
    "limbs-4": (),
    "mpii-16": (
        ("head_top", "upper_neck"),
        ("upper_neck", "right_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("upper_neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("upper_neck", "thorax"),
        ("thorax", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("thorax", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
    ),
    "in-motion-19": (
        ("head_top", "nose"),
        ("nose", "right_ear"),
        ("nose", "left_ear"),
        ("nose", "upper_neck"),
        ("upper_neck", "thorax"),
        ("thorax", "right_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("thorax", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("thorax", "pelvis"),
        ("pelvis", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("pelvis", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
    ),
}


def segments(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """The limbs that have an affinity field, (from, to) by index, in the order of the fields' channels.

    The published order for `mpii-16`, where the pelvis is in none, and for `in-motion-19`; else (parent, joint) for
    every joint but the root.

    Source: Groos et al., Paper I; checked on the published weights.
    """
    if skeleton.name in _SEGMENTS:
        return tuple((skeleton.index(a), skeleton.index(b)) for a, b in _SEGMENTS[skeleton.name])
    return tuple((parent, joint) for joint, parent in skeleton.edges)


PARTS = ("head", "trunk", "right_arm", "left_arm", "right_leg", "left_leg")
"""Parts of the body."""

_HEAD = (
    *("head", "head_top", "crown", "chin", "nose", "neck_nose", "eye", "ear", "eye_inner", "eye_outer", "mouth"),
    *("jaw", "brow", "nose_bridge", "nostril", "nose_base", "eyelid", "lip", "inner_lip"),
    *("upper_lip", "lower_lip", "upper_inner_lip", "lower_inner_lip"),
)
_LIMBS = {
    "arm": (
        *("elbow", "wrist", "hand", "hand_root", "little_finger", "index_finger", "pinky", "index", "thumb"),
        *("forefinger", "middle_finger", "ring_finger", "pinky_finger"),
    ),
    "leg": ("knee", "ankle", "heel", "foot", "foot_index", "toe", "big_toe", "small_toe", "little_toe"),
}


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Joints of each of `PARTS` by index; shoulders and hips belong to the trunk, parts without joints are left out."""
    parts: dict[str, tuple[int, ...]] = dict.fromkeys(PARTS, ())
    for index, joint in enumerate(skeleton.joints):
        parts[_part_of(joint)] += (index,)
    return {part: joints for part, joints in parts.items() if joints}


def _part_of(joint: str) -> str:
    joint = joint.rstrip("_0123456789")
    side, _, kind = joint.partition("_")
    if side not in ("right", "left"):
        return "head" if joint in _HEAD else "trunk"
    limb = next((limb for limb, kinds in _LIMBS.items() if kind in kinds), None)
    return f"{side}_{limb}" if limb else "head" if kind in _HEAD else "trunk"


GraphKind = Literal["spatial", "dis2", "dis4", "hops3", "uniform", "distance"]


def adjacency(
    skeleton: Skeleton, kind: GraphKind | str, mask: np.random.Generator | None = None
) -> Float[np.ndarray, "matrix joint joint"]:
    """Adjacency matrices of the skeleton's graph, as the movement-outcome system makes them.

    `A[k, v, w]` weighs what joint `w` receives from joint `v`. `spatial` (3 matrices): the column-normalized
    neighborhood split into self, centrifugal and centripetal parts; `disK` (K matrices, `dis2` and `dis4` in the
    search space): disentangled aggregation over pairs at distance exactly 0..K-1, self-loops always added;
    `uniform` (1) and `distance` (2) exist in the reference implementation only. `hopsK` (K + 1): pairs at distance
    exactly 0..K, divided by the number of joints within K hops of the receiving one (`hops3` of ShapGCN).

    Two points look odd and are kept, since weights were trained with them: in `spatial` the distance to the center
    is known up to one hop only, all farther joints being equally (infinitely) far; in `disK` the hop count starts at
    0, so that `dis4` reaches three hops.

    Args:
        skeleton: any skeleton; its root is the center.
        kind: the construction.
        mask: for `disK`, a generator from which a constant mask, uniform on (-1e-6, 1e-6), is drawn and added to
            every entry as the reference implementation does; None leaves it out.

    Returns:
        float32 `[matrix, joint, joint]`.

    Raises:
        ValueError: unknown kind.

    Source: Groos et al., Paper III with supplement, and reference implementation of movement outcome.
    """
    n = len(skeleton.joints)
    edge = np.zeros((n, n))
    for a, b in skeleton.edges:
        edge[a, b] = edge[b, a] = 1.0
    if kind.startswith("dis") and kind[3:].isdigit() and int(kind[3:]) > 0:
        matrices = _disentangled(edge, int(kind[3:]))
        if mask is not None:
            matrices = matrices + mask.uniform(-1e-6, 1e-6, matrices.shape)
        return matrices.astype(np.float32)
    if kind.startswith("hops") and kind[4:].isdigit():
        exact = _hops(edge, int(kind[4:])) == np.arange(int(kind[4:]) + 1)[:, None, None]
        return (exact / exact.sum(axis=(0, 1))).astype(np.float32)
    looped = edge + np.eye(n)
    normalized = looped / looped.sum(axis=0, keepdims=True)
    loops = np.diag(np.diag(normalized))
    if kind == "uniform":
        return normalized[None].astype(np.float32)
    if kind == "distance":
        return np.stack([loops, normalized - loops]).astype(np.float32)
    if kind == "spatial":
        distance = np.full(n, np.inf)
        distance[edge[skeleton.center] > 0] = 1
        distance[skeleton.center] = 0
        outward = distance[:, None] >= distance[None, :]
        neighbors = normalized - loops
        return np.stack([loops, np.where(outward, neighbors, 0), np.where(outward, 0, neighbors)]).astype(np.float32)
    raise ValueError(f'unknown graph "{kind}"; known: spatial, dis2, dis4 (any disK), hops3, uniform, distance')


def _hops(edge: np.ndarray, most: int) -> np.ndarray:
    """Edges between each two joints; infinite where there are more than `most`."""
    n = len(edge)
    hops = np.full((n, n), np.inf)
    reach = np.eye(n)
    for step in range(most + 1):
        hops = np.where(np.isinf(hops) & (reach > 0), step, hops)
        reach = reach @ (edge + np.eye(n))
    return hops


def _disentangled(edge: np.ndarray, count: int) -> np.ndarray:
    n, hops, matrices = len(edge), _hops(edge, count - 1), []
    for step in range(count):
        exact = np.eye(n) if step == 0 else np.eye(n) + (hops == step)
        root = 1.0 / np.sqrt(exact.sum(axis=1))
        matrices.append(root[:, None] * exact * root[None, :])
    return np.stack(matrices)
