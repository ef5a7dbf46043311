"""The result of an assessment: plain data that a report can be made of without any model code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Colour = Literal["green", "yellow", "orange", "red"]


@dataclass(frozen=True, eq=False)
class InstanceRisk:
    """The risk that one trained instance of the ensemble gives.

    Attributes:
        model: registry name of its architecture.
        instance: its index in the stack, for example the fold.
        risk: median over windows of its window risks, 0..1.
    """

    model: str
    instance: int
    risk: float


@dataclass(frozen=True, eq=False)
class WindowRisks:
    """The ensemble over the windows of one recording. All arrays are `[window]`.

    Attributes:
        start: start of the window in seconds of the recording.
        median: median over instances of the window risk, 0..1.
        q1: 25th percentile over instances.
        q3: 75th percentile over instances.
        colour: certainty of each window.
        length: length of every window in seconds.
    """

    start: np.ndarray
    median: np.ndarray
    q1: np.ndarray
    q3: np.ndarray
    colour: tuple[Colour, ...]
    length: float


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the ensemble says of one recording.

    Attributes:
        name: name of the recording (free text from the user: escape it).
        risk: CP risk of the infant, 0..1: median over windows of the median over instances.
        threshold: decision threshold.
        positive: the risk is on the CP side of the threshold.
        colour: certainty: red (CP, certain), orange, yellow, green (no CP, certain).
        certainty_rule: `fraction` (paper) or `quartile` (released code).
        fraction_positive: share of the instances that predict CP, 0..1.
        quartiles: 25th and 75th percentile of the instance risks.
        instances: risk of every instance, in the order of the ensemble.
        windows: the course over time.
        contributions: keypoint -> contribution to the CP score, 0..1 (class activation, median over instances and
            windows).
        skeleton: name of the skeleton of `contributions` and `movement`.
        movement: `[time, joint, 2]` float32, the standardised positions, y upwards, thinned for an animation.
        movement_fps: frames per second of `movement`.
        fps: frame rate of the input, hertz.
        duration: length of the input in seconds.
        missing: keypoint -> share of frames in which the input lacks it, 0..1.
        approximated: keypoint -> how it was made from others.
        notes: what a reader should know, one sentence each.
        metadata: what the input says of the infant (free text from the user: escape it).
        provenance: versions, model names, digests of input and weights, preprocessing, history of the recording. Holds
            no time stamp, path or device count, so the same input gives the same bytes.
        validated: False where the weights were never validated on infants.
        statement: the caveat to print with every risk.
    """

    name: str
    risk: float
    threshold: float
    positive: bool
    colour: Colour
    certainty_rule: Literal["fraction", "quartile"]
    fraction_positive: float
    quartiles: tuple[float, float]
    instances: tuple[InstanceRisk, ...]
    windows: WindowRisks
    contributions: Mapping[str, float]
    skeleton: str
    movement: np.ndarray
    movement_fps: float
    fps: float
    duration: float
    missing: Mapping[str, float]
    approximated: Mapping[str, str]
    notes: tuple[str, ...]
    metadata: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    validated: bool = False
    statement: str = ""
