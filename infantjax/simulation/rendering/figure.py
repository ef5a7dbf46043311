"""The body of a simulated infant as round parts before the camera: ends and radii in pixels, and the head's axes."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from infantjax.simulation.config import InfantConfig
from infantjax.simulation.infant import project, to_camera
from infantjax.skeletons import IN_MOTION_19

# Part: ends, radii in centimeters at a length of 60.6 cm, material. Our choice. Parts are painted from the farthest to
# the nearest; of parts at one height the later one is painted last.
PARTS: dict[str, tuple[str, str, float, float, str]] = {
    "trunk": ("pelvis", "thorax", 5.6, 6.0, "trunk"),
    "girdle": ("right_shoulder", "left_shoulder", 3.0, 3.0, "trunk"),
    "hips": ("right_hip", "left_hip", 4.2, 4.2, "hips"),
    "neck": ("thorax", "upper_neck", 2.8, 2.8, "skin"),
    "nose": ("nose", "nose", 0.8, 0.8, "skin"),
    **{f"{side}_ear": (f"{side}_ear", f"{side}_ear", 1.3, 1.3, "skin") for side in ("right", "left")},
    **{f"{side}_upper_arm": (f"{side}_shoulder", f"{side}_elbow", 2.5, 2.0, "upper_arm") for side in ("right", "left")},
    **{f"{side}_forearm": (f"{side}_elbow", f"{side}_wrist", 2.0, 1.4, "forearm") for side in ("right", "left")},
    **{f"{side}_hand": (f"{side}_wrist", f"{side}_fingers", 1.5, 1.4, "skin") for side in ("right", "left")},
    **{f"{side}_thigh": (f"{side}_hip", f"{side}_knee", 3.8, 2.8, "thigh") for side in ("right", "left")},
    **{f"{side}_shank": (f"{side}_knee", f"{side}_ankle", 2.7, 1.8, "shank") for side in ("right", "left")},
    **{f"{side}_foot": (f"{side}_ankle", f"{side}_toes", 1.8, 1.4, "foot") for side in ("right", "left")},
}
_HAND, _FOOT = 3.2, 4.6
"""Centimeters from wrist to fingers and from ankle to toes."""
_HEAD_RADII = np.array([5.6, 6.5, 6.2])
"""Of the head along its left, up and front, centimeters."""
_LIFT = {"nose": 1.0, "neck": -2.0, "trunk": -3.0, "girdle": -2.0, "hips": -1.0}
"""Centimeters that a part counts as nearer to the camera than its middle, for the order of painting."""


@dataclass(frozen=True, eq=False)
class Figure:
    """An infant before the camera.

    Attributes:
        keypoints: `[time, joint, 2]` of in-motion-19, pixels.
        ends: `[time, part, end, 2]` pixels; parts as in `PARTS`.
        radii: `[time, part, end]` pixels.
        heights: `[time, part, end]` towards the camera, centimeters above the surface.
        nearness: `[time, part]` towards the camera; the last column is the head's.
        head: `[time, 2]` middle of the head, pixels.
        head_axes: `[time, 3, 3]` its left, up and front as columns; x to the right, y downwards, z to the camera.
        head_radii: `[time, 3]` along these, pixels.
    """

    keypoints: Float[np.ndarray, "time joint 2"]
    ends: Float[np.ndarray, "time part 2 2"]
    radii: Float[np.ndarray, "time part 2"]
    heights: Float[np.ndarray, "time part 2"]
    nearness: Float[np.ndarray, "time part1"]
    head: Float[np.ndarray, "time 2"]
    head_axes: Float[np.ndarray, "time 3 3"]
    head_radii: Float[np.ndarray, "time 3"]

    def moved(
        self, offset: Float[np.ndarray, "2"], shake: Float[np.ndarray, "time 3"], center: Float[np.ndarray, "2"]
    ) -> "Figure":
        """The figure at another place before a shaken camera.

        Args:
            offset: shift of all frames, pixels.
            shake: x and y, pixels, and the turn about the center, radians, of each frame.
            center: of the image, pixels.
        """
        cos, sin = np.cos(shake[:, 2]), np.sin(shake[:, 2])
        turn = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=1)

        def move(points: np.ndarray) -> np.ndarray:
            flat = points.reshape(len(points), -1, 2) + offset - center
            turned = np.einsum("tij,tpj->tpi", turn, flat) + center + shake[:, None, :2]
            return turned.reshape(points.shape)

        axes = self.head_axes.copy()
        axes[:, :2] = turn @ axes[:, :2]
        return replace(self, keypoints=move(self.keypoints), ends=move(self.ends), head=move(self.head), head_axes=axes)


def build_figure(positions: Float[np.ndarray, "time joint 3"], config: InfantConfig, stoutness: float) -> Figure:
    """The parts of an infant in a camera's image.

    Args:
        positions: centimeters, as of `movement.Movement`.
        config: of the camera, and the infant's length.
        stoutness: factor of all radii but those of the head.
    """
    size = config.length / 60.6
    own = {joint: positions[:, number] for number, joint in enumerate(IN_MOTION_19.joints)}
    for side in ("right", "left"):
        shank = _unit(own[f"{side}_ankle"] - own[f"{side}_knee"])
        thigh = _unit(own[f"{side}_knee"] - own[f"{side}_hip"])
        # Toes point where the knee points, at a right angle to the shank; the lift is for a straight leg.
        forward = thigh + np.array([0.0, 0.0, 0.2])
        foot = _unit(forward - (forward * shank).sum(-1, keepdims=True) * shank + 0.35 * shank)
        own[f"{side}_toes"] = own[f"{side}_ankle"] + _FOOT * size * foot
        hand = _unit(own[f"{side}_wrist"] - own[f"{side}_elbow"])
        own[f"{side}_fingers"] = own[f"{side}_wrist"] + _HAND * size * hand
    left = _unit(own["left_ear"] - own["right_ear"])
    up = own["head_top"] - own["upper_neck"]
    up = _unit(up - (up * left).sum(-1, keepdims=True) * left)
    own["head"] = own["upper_neck"] + 6.2 * size * up
    names = list(own)
    camera = to_camera(np.stack(list(own.values()), axis=1), config)
    pixels = project(np.stack(list(own.values()), axis=1), config)
    scale = config.focal_length / (config.camera_height - camera[..., 2])
    first, second = ([names.index(ends[k]) for *ends, _, _, _ in PARTS.values()] for k in (0, 1))
    widths = np.array([part[2:4] for part in PARTS.values()]) * size * stoutness
    radii = np.stack([scale[:, first], scale[:, second]], axis=-1) * widths
    lift = [_LIFT.get(name, 0.0) * size for name in PARTS]
    heights = np.stack([camera[:, first, 2], camera[:, second, 2]], axis=-1)
    nearness = heights.mean(-1) + lift
    head = names.index("head")
    axes = np.stack([left, up, np.cross(left, up)], axis=-1)
    # Directions are differences of positions in the camera's axes.
    turned = to_camera(np.swapaxes(axes, 1, 2), config) - to_camera(np.zeros((1, 1, 3)), config)
    return Figure(
        keypoints=pixels[:, : len(IN_MOTION_19.joints)],
        ends=np.stack([pixels[:, first], pixels[:, second]], axis=2),
        radii=radii,
        heights=heights,
        nearness=np.concatenate([nearness, camera[:, [head], 2]], axis=1),
        head=pixels[:, head],
        head_axes=np.swapaxes(turned * np.array([1.0, -1.0, 1.0]), 1, 2),
        head_radii=_HEAD_RADII * size * scale[:, [head]],
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
