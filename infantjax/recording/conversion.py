"""Conversion between keypoint sets by an explicit table.

A joint of the target set is the same point of the source set, a weighted sum of points (an approximation), or NaN if it
has no counterpart. The recording lists approximations in `approximated`; `strict` refuses them. `RULES` has a table for
some pairs of sets; all others are converted by joint name. The documentation shows them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import SKELETONS, Skeleton

Kind = Literal["same", "midpoint", "nearest", "extrapolated"]


@dataclass(frozen=True)
class Rule:
    """How one joint of the target set is computed.

    Attributes:
        weights: source joint -> weight; they sum to 1, so that the rule does not depend on where the origin lies.
        kind: `same` point; `midpoint` of two; `nearest`, another point that stands in for it; `extrapolated`, any
            other weighted sum.
    """

    weights: Mapping[str, float]
    kind: Kind

    def __str__(self) -> str:
        """The rule as a sum, for example `1.6 head - 0.6 neck`."""
        if len(self.weights) == 1:
            return next(iter(self.weights))
        terms = [f"{'-' if w < 0 else '+'} {abs(w):g} {joint}" for joint, w in self.weights.items()]
        return " ".join(terms).removeprefix("+ ")


def _rule(weights: Mapping[str, float], same: bool = False) -> Rule:
    if sorted(weights.values()) == [0.5, 0.5]:
        return Rule(weights, "midpoint")
    return Rule(weights, "same" if same else "nearest" if len(weights) == 1 else "extrapolated")


def _equal_names(source: Skeleton, target: Skeleton) -> dict[str, Rule]:
    return {joint: _rule({joint: 1.0}, same=True) for joint in target.joints if joint in source.joints}


_TERM = re.compile(r"([+-]?) ?(\d[\d.]*)? ?([a-z]\w*)")


def _parsed(formulas: Mapping[str, str]) -> dict[str, Rule]:
    """Rules from formulas by joint: `~` marks a point that stands in for another, `*` is a side."""
    table = {}
    for side in ("right", "left"):
        for joint, formula in formulas.items():
            terms = _TERM.findall(formula.replace("*", side))
            weights = {name: float(f"{sign}{weight or 1}") for sign, weight, name in terms}
            table[joint.replace("*", side)] = _rule(weights, same=len(terms) == 1 and not formula.startswith("~"))
    return table


_DATA = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))

RULES: dict[tuple[str, str], dict[str, Rule]] = {
    (source, target): {**_equal_names(SKELETONS[source], SKELETONS[target]), **_parsed(formulas)}
    for target, tables in _DATA.items()
    for sources, formulas in tables.items()
    for source in sources.split(", ")
}
"""(source, target) -> target joint -> rule. A joint without a rule has no counterpart.

`conversion.json` has the formulas of joints whose names differ. Those of mini-rgbd-14 to in-motion-19 are the weights
of the annotations behind the reference files of the graph networks; all others are our choice. mpii-16: the nose lies
half-way up the head, as on In-Motion head length is 1.98 times the distance from nose to upper neck; the ears follow
from those of mini-rgbd-14, solved for head top and upper neck. coco-17: upper neck half-way between the shoulders'
middle and the nose, head top as far above the nose again. OpenPose's neck is the middle of the shoulders and its
mid_hip that of the hips: In-Motion's thorax and pelvis. The body of COCO-WholeBody, BlazePose and Halpe is that of
coco-17; Halpe has the top of the head and the middle of the hips besides. babypose-12 has no point of the head.

To in-motion-29, points without a counterpart at hands and feet lie on the line of the limb and have no movement of
their own: fingers 0.4 forearms beyond the wrist, toes 0.3 shanks and the heel 0.1 beyond the ankle. To human36m-17, the
rules are those by way of in-motion-19, where the neck's point is the nose and the spine lies half-way up the trunk.
"""

_KNUCKLES = _parsed({"*_little_finger": "*_pinky_finger1", "*_index_finger": "*_forefinger1"})
KNUCKLES: dict[tuple[str, str], dict[str, Rule]] = {
    (source, "in-motion-29"): {**RULES[source, "in-motion-29"], **_KNUCKLES}
    for source in ("coco-wholebody-133", "halpe-136")
}
"""Tables that take the knuckles of little and index finger in place of their tips; the source does not say which."""


def rules(source: Skeleton, target: Skeleton) -> dict[str, Rule]:
    """The rules from one keypoint set to another: those of `RULES`, or joints of equal names."""
    named = RULES.get((source.name, target.name))
    return named if named is not None else _equal_names(source, target)


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
