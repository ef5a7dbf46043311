"""The results of assessments: plain data that a report can be made of without any model code."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Color = Literal["green", "yellow", "orange", "red"]


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
        color: certainty of each window.
        length: length of every window in seconds.
    """

    start: np.ndarray
    median: np.ndarray
    q1: np.ndarray
    q3: np.ndarray
    color: tuple[Color, ...]
    length: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Assessed:
    """What every system says of one recording beside its own figures.

    Attributes:
        name: name of the recording (free text from the user: escape it).
        skeleton: name of the skeleton of `movement`.
        movement: `[time, joint, 2]` float32, the positions that the networks see, y upwards, thinned for an animation.
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
        statement: the caveat to print with every figure.
    """

    name: str
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Assessment(Assessed):
    """What an ensemble of graph networks says of one recording.

    Attributes:
        risk: CP risk of the infant, 0..1: median over windows of the median over instances.
        threshold: decision threshold.
        positive: the risk is on the CP side of the threshold.
        color: certainty: red (CP, certain), orange, yellow, green (no CP, certain).
        certainty_rule: `fraction` (paper) or `quartile` (released code).
        fraction_positive: share of the instances that predict CP, 0..1.
        quartiles: 25th and 75th percentile of the instance risks.
        instances: risk of every instance, in the order of the ensemble.
        windows: the course over time.
        contributions: keypoint -> contribution to the CP score, 0..1 (class activation, median over instances and
            windows).
    """

    risk: float
    threshold: float
    positive: bool
    color: Color
    certainty_rule: Literal["fraction", "quartile"]
    fraction_positive: float
    quartiles: tuple[float, float]
    instances: tuple[InstanceRisk, ...]
    windows: WindowRisks
    contributions: Mapping[str, float]


@dataclass(frozen=True)
class Quantity:
    """One figure that a system finds.

    Attributes:
        name: key in the record and column of the summary.
        words: what it is.
        value: of the ensemble; NaN where it is not defined.
        low: lower end of what lies around it.
        high: upper end.
        around: what `low` and `high` are; empty without them.
        unit: of the value; empty for a share of one.
    """

    name: str
    words: str
    value: float
    low: float = math.nan
    high: float = math.nan
    around: str = ""
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Course:
    """A quantity over time. All arrays are `[window]`.

    Attributes:
        words: what it is.
        start: start of the window in seconds of the recording.
        median: over the instances.
        q1: 25th percentile over instances.
        q3: 75th percentile over instances.
        length: length of every window in seconds.
        limits: of the scale.
        threshold: above which a window counts; None where none does.
    """

    words: str
    start: np.ndarray
    median: np.ndarray
    q1: np.ndarray
    q3: np.ndarray
    length: float
    limits: tuple[float, float] = (0.0, 1.0)
    threshold: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Finding(Assessed):
    """What an ensemble of another published system finds in one recording.

    Attributes:
        system: its name in `infantjax.methods.registry`.
        title: its name in words; of one whose inside is not published, "a reading of".
        source: where it was published.
        reading: what is published of it and what is chosen; empty where the source tells everything that counts.
        decision: what it calls the recording; empty where it decides nothing.
        quantities: its figures, the most important first.
        course: what it sees over time.
        intervals: `[interval, 2]` seconds from and to which it finds fidgety movements; None where it localizes none.
        instances: the first quantity by every instance, in the order of the ensemble.
    """

    system: str
    title: str
    source: str
    reading: str = ""
    decision: str = ""
    quantities: tuple[Quantity, ...]
    course: Course
    intervals: np.ndarray | None = None
    instances: tuple[float, ...]
