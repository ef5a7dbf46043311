"""Keypoint sets: names, edges, parents, mirror pairs, and the graphs that networks read from them.

A `Skeleton` is data. Nothing else in the package knows a joint by its index: networks, features, readers and
drawings take the skeleton as an argument, and `SKELETONS` holds the published ones under their names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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


def _read(name: str, entry: Mapping[str, Any]) -> Skeleton:
    pairs = tuple((f"right_{part}", f"left_{part}") for part in entry["mirror"])
    trunk = tuple(entry["trunk"]) if "trunk" in entry else None
    return Skeleton(name, tuple(entry["parents"]), tuple(entry["parents"].values()), pairs, trunk, entry["source"])


_DATA = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))

SKELETONS: dict[str, Skeleton] = {name: _read(name, entry) for name, entry in _DATA.items()}
"""The published keypoint sets by name. `skeletons.json` has their joints in the published order, with parents."""

IN_MOTION_19, IN_MOTION_29 = SKELETONS["in-motion-19"], SKELETONS["in-motion-29"]
MPII_16, COCO_17, HUMAN36M_17 = SKELETONS["mpii-16"], SKELETONS["coco-17"], SKELETONS["human36m-17"]
OPENPOSE_25, OPENPOSE_18 = SKELETONS["openpose-25"], SKELETONS["openpose-18"]
BABY_MOVES_18, BABYPOSE_12 = SKELETONS["baby-moves-18"], SKELETONS["babypose-12"]
MINI_RGBD_14, LIMBS_4 = SKELETONS["mini-rgbd-14"], SKELETONS["limbs-4"]
FACE_68 = SKELETONS["coco-wholebody-133"].joints[23:91]
"""The 68 points of the face of COCO-WholeBody and Halpe in their order; the sets number them, the names are ours."""


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


def segments(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """The limbs that have an affinity field, (from, to) by index, in the order of the fields' channels.

    The published order for `mpii-16`, where the pelvis is in none, and for `in-motion-19`; else (parent, joint) for
    every joint but the root.

    Source: Groos et al., Paper I; checked on the published weights.
    """
    published = _DATA.get(skeleton.name, {}).get("segments")
    if published is not None:
        return tuple((skeleton.index(start), skeleton.index(end)) for start, end in published)
    return tuple((parent, joint) for joint, parent in skeleton.edges)


_LIMBS = {
    "arm": (
        *("elbow", "wrist", "hand", "hand_root", "little_finger", "index_finger", "pinky", "index", "thumb"),
        *("forefinger", "middle_finger", "ring_finger", "pinky_finger"),
    ),
    "leg": ("knee", "ankle", "heel", "foot", "foot_index", "toe", "big_toe", "small_toe", "little_toe"),
}


def limbs(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Joints of `right_arm`, `left_arm`, `right_leg` and `left_leg` by index, without shoulders and hips.

    Limbs without joints are left out.
    """
    found: dict[str, tuple[int, ...]] = {}
    for limb, kinds in _LIMBS.items():
        for side in ("right", "left"):
            names = {f"{side}_{kind}" for kind in kinds}
            found[f"{side}_{limb}"] = tuple(
                i for i, joint in enumerate(skeleton.joints) if joint.rstrip("_0123456789") in names
            )
    return {limb: joints for limb, joints in found.items() if joints}


def adjacency(skeleton: Skeleton, kind: str) -> Float[np.ndarray, "matrix joint joint"]:
    """Adjacency matrices of the skeleton's graph, as the movement-outcome system makes them.

    `A[k, v, w]` weighs what joint `w` receives from joint `v`. `spatial` (3 matrices): the column-normalized
    neighborhood split into self, centrifugal and centripetal parts; `disK` (K matrices, `dis2` and `dis4` in the
    search space): disentangled aggregation over pairs at distance exactly 0..K-1, self-loops always added.
    `hopsK` (K + 1): pairs at distance exactly 0..K, divided by the number of joints within K hops of the receiving one
    (`hops3` of ShapGCN). The reference implementation has other graphs too, which are not in its search space, and adds
    a mask below 1e-6 to those of `disK`.

    Two points look odd and are kept, since weights were trained with them: in `spatial` the distance to the center
    is known up to one hop only, all farther joints being equally (infinitely) far; in `disK` the hop count starts at
    0, so that `dis4` reaches three hops.

    Args:
        skeleton: any skeleton; its root is the center.
        kind: the construction.

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
        return _disentangled(edge, int(kind[3:])).astype(np.float32)
    if kind.startswith("hops") and kind[4:].isdigit():
        exact = _hops(edge, int(kind[4:])) == np.arange(int(kind[4:]) + 1)[:, None, None]
        return (exact / exact.sum(axis=(0, 1))).astype(np.float32)
    looped = edge + np.eye(n)
    normalized = looped / looped.sum(axis=0, keepdims=True)
    loops = np.diag(np.diag(normalized))
    if kind == "spatial":
        distance = np.full(n, np.inf)
        distance[edge[skeleton.center] > 0] = 1
        distance[skeleton.center] = 0
        outward = distance[:, None] >= distance[None, :]
        neighbors = normalized - loops
        return np.stack([loops, np.where(outward, neighbors, 0), np.where(outward, 0, neighbors)]).astype(np.float32)
    raise ValueError(f'unknown graph "{kind}"; known: spatial, dis2, dis4 (any disK), hops3')


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
