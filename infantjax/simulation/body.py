"""The body as a tree of rigid segments: its joint angles with their limits, and forward kinematics.

Body length is 60.6 cm, about the WHO median at three months (girls 59.8 cm, boys 61.4 cm). Limb segments have the
lengths of humerus, ulna, femur and tibia that belong to this length by the regressions for infants' long bones (body
length is 7.52 humerus + 2.47 cm, 8.20 ulna + 2.38 cm, 6.44 femur + 4.51 cm, 7.24 tibia + 4.90 cm), plus about a
centimeter for the unossified ends (our choice). Trunk, head, shoulder and hip widths are our choice, near the
proportions of real recordings (MINI-RGBD).
"""

from typing import Any

import numpy as np

from infantjax.skeletons import IN_MOTION_19

# Angles in degrees: rest, lowest, highest, spread of the slow drift, spread of posture changes, oscillation. The last
# column is the root mean square of fidgety movements (and restlessness) of amplitude 1 cm: wrists and ankles then
# move by about that much, neck and trunk by less.
_TRUNK = {
    "roll": (0, -30, 30, 2.0, 4, 0.8),
    "yaw": (0, -30, 30, 1.5, 3, 0.3),
    "bend": (0, -25, 25, 2.0, 4, 0.7),
    "twist": (0, -30, 30, 2.0, 4, 1.2),
}
_HEAD = {
    "yaw": (0, -75, 75, 5.0, 28, 2.4),
    "pitch": (5, -20, 30, 3.0, 5, 1.8),
    "roll": (0, -30, 30, 3.0, 6, 1.8),
}
_ARM = {
    "lift": (0, -20, 25, 2.0, 4, 2.2),
    "protract": (0, -20, 25, 2.0, 4, 2.2),
    "abduction": (70, 5, 160, 5.0, 22, 3.0),
    "elevation": (25, -5, 90, 5.0, 18, 3.0),
    "elbow": (85, 10, 142, 6.0, 25, 3.4),
    "rotation": (25, -40, 150, 6.0, 28, 3.4),
}
_LEG = {
    "tilt": (0, -15, 15, 1.0, 2, 1.0),
    "flexion": (60, 0, 120, 5.0, 14, 2.6),
    "abduction": (32, 0, 65, 4.0, 9, 2.6),
    "knee": (85, 5, 140, 5.0, 18, 3.4),
    "rotation": (0, -40, 40, 4.0, 9, 3.4),
}
PARTS = {"trunk": _TRUNK, "head": _HEAD, "right_arm": _ARM, "left_arm": _ARM, "right_leg": _LEG, "left_leg": _LEG}
ANGLES = np.array([row for part in PARTS.values() for row in part.values()], dtype=float)
ANGLE_NAMES = [(part, angle) for part, angles in PARTS.items() for angle in angles]
_CHANNEL = {name: channel for channel, name in enumerate(ANGLE_NAMES)}
COLUMNS = {part: [c for c, (p, _) in enumerate(ANGLE_NAMES) if p == part] for part in PARTS}

# Segment lengths as a share of the infant's length; see the module's docstring.
_SEGMENTS = {
    "trunk": 19.0 / 60.6,
    "neck": 3.2 / 60.6,
    "shoulder": 6.2 / 60.6,
    "hip": 3.0 / 60.6,
    "upper_arm": 8.7 / 60.6,
    "forearm": 7.9 / 60.6,
    "thigh": 9.7 / 60.6,
    "shank": 9.0 / 60.6,
}
# The head as points relative to the upper neck, centimeters at 60.6 cm: left, up to the crown, forwards to the face.
_HEAD_POINTS = {
    "head_top": (0.0, 12.5, 1.5),
    "nose": (0.0, 4.6, 6.3),
    "right_ear": (-5.4, 5.4, 0.0),
    "left_ear": (5.4, 5.4, 0.0),
}


def forward_kinematics(angles: np.ndarray, length: float, place: np.ndarray) -> np.ndarray:
    """Joint angles (radians) to positions, `[time, joint, 3]` centimeters, along the tree of in-motion-19."""
    segment = {name: share * length for name, share in _SEGMENTS.items()}
    points: dict[str, np.ndarray] = {}

    def angle(part: str, name: str) -> np.ndarray:
        return angles[:, _CHANNEL[part, name]]

    # The trunk's frame: columns left, up (towards the head) and front; the thorax is bent and twisted against it.
    body = _rotate(_rotate(np.eye(3)[None], angle("trunk", "yaw"), 2), angle("trunk", "roll"), 1)
    chest = _rotate(_rotate(body, angle("trunk", "bend"), 2), angle("trunk", "twist"), 1)
    points["pelvis"] = np.concatenate([place, np.full((len(angles), 1), 4.0)], axis=1)
    points["thorax"] = points["pelvis"] + segment["trunk"] * chest[..., 1]
    points["upper_neck"] = points["thorax"] + segment["neck"] * chest[..., 1]
    head = _rotate(
        _rotate(_rotate(chest, angle("head", "yaw"), 1), angle("head", "roll"), 2), angle("head", "pitch"), 0
    )
    for joint, offset in _HEAD_POINTS.items():
        points[joint] = points["upper_neck"] + head @ (np.array(offset) * length / 60.6)
    for side, sign in (("right", -1.0), ("left", 1.0)):
        arm, leg = f"{side}_arm", f"{side}_leg"
        girdle = _along(chest, sign, angle(arm, "lift"), angle(arm, "protract"))
        points[f"{side}_shoulder"] = points["thorax"] + segment["shoulder"] * girdle
        upper, forearm = _limb(
            chest, sign, angle(arm, "abduction"), angle(arm, "elevation"), angle(arm, "elbow"), angle(arm, "rotation")
        )
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] + segment["upper_arm"] * upper
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + segment["forearm"] * forearm
        points[f"{side}_hip"] = points["pelvis"] + segment["hip"] * _along(body, sign, angle(leg, "tilt"), 0.0)
        thigh, shank = _bent_leg(
            body, sign, angle(leg, "abduction"), angle(leg, "flexion"), angle(leg, "knee"), angle(leg, "rotation")
        )
        points[f"{side}_knee"] = points[f"{side}_hip"] + segment["thigh"] * thigh
        points[f"{side}_ankle"] = points[f"{side}_knee"] + segment["shank"] * shank
    return np.stack([points[joint] for joint in IN_MOTION_19.joints], axis=1)


def _rotate(frame: np.ndarray, angle: np.ndarray, axis: int) -> np.ndarray:
    """A frame `[time, 3, axis]` turned about its own axis 0 (left), 1 (up) or 2 (front)."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned = np.repeat(frame, len(angle), axis=0) if len(frame) == 1 else frame.copy()
    first, second = turned[..., a].copy(), turned[..., b].copy()
    turned[..., a], turned[..., b] = cos * first + sin * second, cos * second - sin * first
    return turned


def _combine(frame: np.ndarray, left: Any, up: Any, front: Any) -> np.ndarray:
    parts = np.broadcast_arrays(left, up, front)
    return sum(np.asarray(p)[:, None] * frame[..., i] for i, p in enumerate(parts))  # type: ignore[return-value]


def _along(frame: np.ndarray, sign: float, up: np.ndarray, front: Any) -> np.ndarray:
    """Unit vector to the side, raised by two angles."""
    return _combine(frame, sign * np.cos(up) * np.cos(front), np.sin(up) * np.cos(front), np.sin(front))


def _limb(
    frame: np.ndarray, sign: float, abduction: np.ndarray, elevation: np.ndarray, bend: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of upper arm and forearm.

    Abduction 0 lies along the trunk, 90 degrees to the side; elevation lifts off the surface. A bent elbow points the
    forearm towards the head at rotation 0 and up from the surface at 90 degrees.
    """
    ca, sa, ce, se = np.cos(abduction), np.sin(abduction), np.cos(elevation), np.sin(elevation)
    upper = (sign * sa * ce, -ca * ce, se)
    headward = (sign * ca, sa, np.zeros_like(ca))
    lifted = (-sign * sa * se, ca * se, ce)
    return _combine(frame, *upper), _combine(frame, *_bent(upper, headward, lifted, bend, turn))


def _bent_leg(
    frame: np.ndarray, sign: float, abduction: np.ndarray, flexion: np.ndarray, bend: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of thigh and shank.

    Flexion 0 lies along the trunk, 90 degrees points up from the surface; abduction spreads the knees. A bent knee
    points the shank back, away from the head, and rotation turns it about the thigh.
    """
    ca, sa, cf, sf = np.cos(abduction), np.sin(abduction), np.cos(flexion), np.sin(flexion)
    thigh = (sign * sa, -ca * cf, ca * sf)
    back = (np.zeros_like(sf), -sf, -cf)
    side = (-sign * ca, -sa * cf, sa * sf)
    return _combine(frame, *thigh), _combine(frame, *_bent(thigh, back, side, bend, turn))


def _bent(along: tuple, towards: tuple, across: tuple, bend: np.ndarray, turn: np.ndarray) -> list[np.ndarray]:
    """A direction bent towards a second one, and turned about itself towards a third."""
    ct, st = np.cos(turn), np.sin(turn)
    return [np.cos(bend) * a + np.sin(bend) * (ct * t + st * c) for a, t, c in zip(along, towards, across)]
