"""Conversion between keypoint sets by an explicit table.

A joint of the target set is the same point of the source set, a weighted sum of points (an approximation), or NaN if it
has no counterpart. The recording lists approximations in `approximated`; `strict` refuses them. `RULES` has a table for
some pairs of sets; all others are converted by joint name. The documentation shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton

Kind = Literal["same", "midpoint", "nearest", "extrapolated"]


@dataclass(frozen=True)
class Rule:
    """How one joint of the target set is computed.

    Attributes:
        weights: source joint -> weight; they sum to 1, so that the rule does not depend on where the origin lies.
        kind: `same` point; `midpoint` of two; `nearest`, another point that stands in for it; `extrapolated`, any
            other weighted sum.

    Raises:
        ValueError: weights that do not sum to 1, or do not fit the kind.
    """

    weights: Mapping[str, float]
    kind: Kind

    def __post_init__(self) -> None:
        values = sorted(self.weights.values())
        fits = {"same": values == [1.0], "nearest": values == [1.0], "midpoint": values == [0.5, 0.5]}
        if abs(sum(values) - 1) > 1e-9 or not fits.get(self.kind, True):
            raise ValueError(f"weights {dict(self.weights)} do not make a point of kind {self.kind}")

    def __str__(self) -> str:
        """The rule as a sum, for example `1.6 head - 0.6 neck`."""
        if len(self.weights) == 1:
            return next(iter(self.weights))
        terms = [f"{'-' if w < 0 else '+'} {abs(w):g} {joint}" for joint, w in self.weights.items()]
        return " ".join(terms).removeprefix("+ ")


def _same(*joints: str, **others: str) -> dict[str, Rule]:
    return {j: Rule({j: 1.0}, "same") for j in joints} | {t: Rule({s: 1.0}, "same") for t, s in others.items()}


def _nearest(**others: str) -> dict[str, Rule]:
    return {target: Rule({source: 1.0}, "nearest") for target, source in others.items()}


def _middle(a: str, b: str) -> Rule:
    return Rule({a: 0.5, b: 0.5}, "midpoint")


def _sum(**weights: float) -> Rule:
    return Rule(weights, "extrapolated")


def _sides(*parts: str) -> tuple[str, ...]:
    return tuple(f"{side}_{part}" for side in ("right", "left") for part in parts)


_ARMS_AND_LEGS = _sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_SHOULDERS = _middle("right_shoulder", "left_shoulder")
_HIPS = _middle("right_hip", "left_hip")

RULES: dict[tuple[str, str], dict[str, Rule]] = {
    # Weights of the annotations behind the reference files of the graph networks.
    ("mini-rgbd-14", "in-motion-19"): {
        "head_top": _sum(head=1.6, neck=-0.6),
        "nose": _sum(head=0.85, neck=0.15),
        "right_ear": _sum(head=0.75, neck=0.1, right_shoulder=0.15),
        "left_ear": _sum(head=0.75, neck=0.1, left_shoulder=0.15),
        "upper_neck": _sum(head=0.2, neck=0.8),
        "thorax": _SHOULDERS,
        "pelvis": _HIPS,
        **_same(*_sides("shoulder", "elbow", "hip", "knee")),
        **_nearest(right_wrist="right_hand", left_wrist="left_hand", right_ankle="right_foot", left_ankle="left_foot"),
    },
    # The nose lies half-way up the head: on In-Motion, head length is 1.98 times the distance from nose to upper neck.
    # The ears follow from those of mini-rgbd-14, solved for head top and upper neck.
    ("mpii-16", "in-motion-19"): {
        **_same("head_top", "upper_neck", "thorax", "pelvis", *_ARMS_AND_LEGS),
        "nose": _middle("head_top", "upper_neck"),
        "right_ear": _sum(head_top=0.41, upper_neck=0.44, right_shoulder=0.15),
        "left_ear": _sum(head_top=0.41, upper_neck=0.44, left_shoulder=0.15),
    },
    # Upper neck half-way between the shoulders' middle and the nose; head top as far above the nose again.
    ("coco-17", "in-motion-19"): {
        **_same("nose", *_sides("ear"), *_ARMS_AND_LEGS),
        "head_top": _sum(nose=1.5, right_shoulder=-0.25, left_shoulder=-0.25),
        "upper_neck": _sum(nose=0.5, right_shoulder=0.25, left_shoulder=0.25),
        "thorax": _SHOULDERS,
        "pelvis": _HIPS,
    },
    # OpenPose's neck is the middle of the shoulders and its mid_hip that of the hips: In-Motion's thorax and pelvis.
    ("openpose-25", "in-motion-19"): {
        **_same("nose", *_sides("ear"), *_ARMS_AND_LEGS, thorax="neck", pelvis="mid_hip"),
        "head_top": _sum(nose=1.5, neck=-0.5),
        "upper_neck": _middle("nose", "neck"),
    },
    ("openpose-18", "in-motion-19"): {
        **_same("nose", *_sides("ear"), *_ARMS_AND_LEGS, thorax="neck"),
        "head_top": _sum(nose=1.5, neck=-0.5),
        "upper_neck": _middle("nose", "neck"),
        "pelvis": _HIPS,
    },
    ("baby-moves-18", "in-motion-19"): {
        **_same(*_sides("shoulder", "elbow", "hip", "knee")),
        **_nearest(
            head_top="crown",
            right_wrist="right_hand",
            left_wrist="left_hand",
            right_ankle="right_heel",
            left_ankle="left_heel",
        ),
        "nose": _sum(right_eye=0.3, left_eye=0.3, chin=0.4),
        "right_ear": _sum(right_eye=1.5, left_eye=-0.5),
        "left_ear": _sum(left_eye=1.5, right_eye=-0.5),
        "upper_neck": _sum(chin=0.5, right_shoulder=0.25, left_shoulder=0.25),
        "thorax": _SHOULDERS,
        "pelvis": _HIPS,
    },
    # No point of the head: head_top, nose, the ears and upper_neck stay missing.
    ("babypose-12", "in-motion-19"): {
        **_same(*_ARMS_AND_LEGS),
        "thorax": _SHOULDERS,
        "pelvis": _HIPS,
    },
    ("human36m-17", "in-motion-19"): {
        **_same("thorax", "pelvis", *_ARMS_AND_LEGS),
        **_nearest(head_top="head", nose="neck_nose"),
        "upper_neck": _middle("neck_nose", "thorax"),
        "right_ear": _sum(head=0.41, neck_nose=0.22, thorax=0.22, right_shoulder=0.15),
        "left_ear": _sum(head=0.41, neck_nose=0.22, thorax=0.22, left_shoulder=0.15),
    },
    ("in-motion-19", "human36m-17"): {
        **_same("pelvis", "thorax", *_ARMS_AND_LEGS),
        **_nearest(neck_nose="nose", head="head_top"),
        "spine": _middle("pelvis", "thorax"),
    },
}
"""(source, target) -> target joint -> rule. A joint without a rule has no counterpart."""

# The body of these sets is that of coco-17; Halpe has the top of the head and the middle of the hips besides.
_COCO = RULES["coco-17", "in-motion-19"]
_HALPE = {**_COCO, **_nearest(head_top="head", pelvis="hip_center"), "upper_neck": _middle("nose", "neck")}
RULES |= {(source, "in-motion-19"): _COCO for source in ("coco-wholebody-133", "blazepose-33")}
RULES |= {(source, "in-motion-19"): _HALPE for source in ("halpe-26", "halpe-136")}
RULES["in-motion-29", "in-motion-19"] = _same(*skeletons.IN_MOTION_19.joints)

_FEET = _same(*_sides("heel", "big_toe"), right_little_toe="right_small_toe", left_little_toe="left_small_toe")
_FEET_OF_BLAZEPOSE = {
    **_same(*_sides("heel"), right_big_toe="right_foot_index", left_big_toe="left_foot_index"),
    **_nearest(right_little_toe="right_foot_index", left_little_toe="left_foot_index"),
}


def _fingers(little: str, index: str) -> dict[str, Rule]:
    return {
        f"{side}_{finger}_finger": Rule({f"{side}_{source}": 1.0}, "same")
        for side in ("right", "left")
        for finger, source in (("little", little), ("index", index))
    }


_TIPS, _KNUCKLES = _fingers("pinky_finger4", "forefinger4"), _fingers("pinky_finger1", "forefinger1")

# Without points of hands or feet these lie on the line of the limb and have no movement of their own. The lengths,
# relative to forearm and shank, are our choice.
_BEYOND = {
    **dict.fromkeys(("little_finger", "index_finger"), ("wrist", "elbow", 0.4)),
    **dict.fromkeys(("little_toe", "big_toe"), ("ankle", "knee", 0.3)),
    "heel": ("ankle", "knee", 0.1),
}


def _extended(base: Mapping[str, Rule], given: Mapping[str, Rule]) -> dict[str, Rule]:
    """Rules to in-motion-29 from those to in-motion-19, those of further points, and the line of a limb for others."""
    table = {**base, **given}
    for side in ("right", "left"):
        for joint, (end, middle, length) in _BEYOND.items():
            (end,), (middle,) = base[f"{side}_{end}"].weights, base[f"{side}_{middle}"].weights
            table.setdefault(f"{side}_{joint}", Rule({end: 1 + length, middle: -length}, "extrapolated"))
    return table


_HANDS_AND_FEET: dict[str, dict[str, Rule]] = {
    "coco-wholebody-133": {**_TIPS, **_FEET},
    "halpe-136": {**_TIPS, **_FEET},
    "halpe-26": _FEET,
    "openpose-25": _FEET,
    "blazepose-33": {**_fingers("pinky", "index"), **_FEET_OF_BLAZEPOSE},
    "baby-moves-18": {
        **_nearest(**{f"{side}_{toe}_toe": f"{side}_toe" for side in ("right", "left") for toe in ("big", "little")}),
        **_same(*_sides("heel")),
    },
}
RULES |= {
    (source, "in-motion-29"): _extended(base, _HANDS_AND_FEET.get(source, {}))
    for (source, target), base in list(RULES.items())
    if target == "in-motion-19" and source != "in-motion-29"
}
RULES["in-motion-19", "in-motion-29"] = _extended(_same(*skeletons.IN_MOTION_19.joints), {})


def _composed(first: Mapping[str, Rule], second: Mapping[str, Rule]) -> dict[str, Rule]:
    """Rules by way of a third set, for the joints whose sources it has."""
    table = {}
    for joint, rule in second.items():
        if not set(rule.weights) <= set(first):
            continue
        weights: dict[str, float] = {}
        for middle, share in rule.weights.items():
            for source, weight in first[middle].weights.items():
                weights[source] = weights.get(source, 0.0) + share * weight
        same = rule.kind == "same" and all(first[middle].kind == "same" for middle in rule.weights)
        kind: Kind = "same" if same else "nearest" if len(weights) == 1 else "extrapolated"
        table[joint] = Rule(weights, "midpoint" if sorted(weights.values()) == [0.5, 0.5] else kind)
    return table


RULES |= {
    (source, "human36m-17"): _composed(base, RULES["in-motion-19", "human36m-17"])
    for (source, target), base in list(RULES.items())
    if target == "in-motion-19" and source != "human36m-17"
}

KNUCKLES: dict[tuple[str, str], dict[str, Rule]] = {
    (source, "in-motion-29"): {**RULES[source, "in-motion-29"], **_KNUCKLES}
    for source in ("coco-wholebody-133", "halpe-136")
}
"""Tables that take the knuckles of little and index finger in place of their tips; the source does not say which."""


def rules(source: Skeleton, target: Skeleton) -> dict[str, Rule]:
    """The rules from one keypoint set to another: those of `RULES`, or joints of equal names."""
    named = RULES.get((source.name, target.name))
    return named if named is not None else _same(*(j for j in target.joints if j in source.joints))


def convert(
    recording: Recording,
    skeleton: Skeleton | str,
    strict: bool = False,
    tables: Mapping[tuple[str, str], dict[str, Rule]] | None = None,
) -> Recording:
    """Convert a recording to another keypoint set.

    Args:
        recording: in any keypoint set; two or three dimensions.
        skeleton: the wanted set, or its name.
        strict: refuse approximations instead of listing them.
        tables: by (source, target), come before `RULES`.

    Returns:
        The recording in that set, or the recording itself if it has that set already. A point is NaN where one of its
        sources is missing, and in all frames if it has no counterpart. The confidence of an approximated point is the
        lowest of its sources.

    Raises:
        InputError: `strict` and a joint is approximated; or the sets have nothing in common.
        ValueError: unknown keypoint set.
    """
    target = skeletons.get(skeleton)
    source = recording.skeleton
    if source == target:
        _refuse_approximated(recording.name, target, recording.approximated, strict)
        return recording
    table = (tables or {}).get((source.name, target.name)) or rules(source, target)
    if not table:
        raise InputError(
            recording.name, f"{source.name} and {target.name} have no joint in common", "give keypoints of another set"
        )
    approximated = {joint: how for joint in target.joints if (how := _approximation(recording, table.get(joint)))}
    _refuse_approximated(recording.name, target, approximated, strict)
    frames, axes = recording.frames, recording.keypoints.shape[2]
    keypoints = np.full((frames, len(target.joints), axes), np.nan)
    confidence = None if recording.confidence is None else np.full(keypoints.shape[:2], np.nan)
    for i, joint in enumerate(target.joints):
        if (rule := table.get(joint)) is None:
            continue
        sources = [source.index(name) for name in rule.weights]
        weights = np.array(list(rule.weights.values()))
        keypoints[:, i] = np.einsum("tjc,j->tc", recording.keypoints[:, sources], weights)
        if confidence is not None and recording.confidence is not None:
            confidence[:, i] = recording.confidence[:, sources].min(axis=1)
    notes = recording.notes
    if absent := [joint for joint in target.joints if joint not in table]:
        notes = (*notes, f"joints of {target.name} without counterpart in {source.name}: {', '.join(absent)}")
    return recording.with_step(
        f"converted from {source.name} to {target.name}, {len(approximated)} joints approximated",
        keypoints=keypoints,
        confidence=confidence,
        skeleton=target,
        approximated=approximated,
        notes=notes,
    )


def _approximation(recording: Recording, rule: Rule | None) -> str:
    """The formula of an approximated joint; empty if the joint is not approximated."""
    if rule is None:
        return ""
    if rule.kind != "same":
        return str(rule)
    return recording.approximated.get(next(iter(rule.weights)), "")


def _refuse_approximated(name: str, target: Skeleton, approximated: Mapping[str, str], strict: bool) -> None:
    if strict and approximated:
        raise InputError(
            name,
            f"{len(approximated)} joints of {target.name} can only be approximated: {', '.join(approximated)}",
            "leave out --strict, or give keypoints of that set",
        )
