"""The result of an assessment: one type for every method, plain data that reports are made from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from jaxtyping import Bool, Float

from infantjax.assessment.certainty import Certainty, Level
from infantjax.evaluation.risk_calibration import CalibratedRisk, CohortRisks
from infantjax.recording.movement import LimbMovement
from infantjax.recording.quality import Quality
from infantjax.report.record import SCHEMA_VERSION, UNVALIDATED, plain
from infantjax.training.cohorts.trainable import Fidelity

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Quantity:
    """One number that a method gives for a recording.

    Attributes:
        name: short name, the key in records and tables (`risk`, `score`, ...).
        label: what it is, in words.
        value: of the ensemble; NaN where it is not defined.
        low: lower end of the interval; NaN without one.
        high: upper end of the interval; NaN without one.
        interval: what `low` and `high` are; empty without an interval.
        unit: of the value; empty for a fraction.
        limits: ends of the scale on which a page draws the value.
    """

    name: str
    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    interval: str = ""
    unit: str = ""
    limits: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """A quantity in every window of a recording. All arrays are `[window]`.

    Attributes:
        label: what it is, in words.
        start: start of each window, seconds of the recording.
        median: over the networks.
        q1: 25th percentile over the networks.
        q3: 75th percentile over the networks.
        length: length of every window, seconds.
        limits: ends of the scale.
        threshold: above which a window counts; None without one.
        certainty: level of each window, None in it for a window that is left out; None where the method has none.
        usable: False for a window that is left out, whose values are NaN; None where none is.
    """

    label: str
    start: np.ndarray
    median: np.ndarray
    q1: np.ndarray
    q3: np.ndarray
    length: float
    limits: tuple[float, float] = (0.0, 1.0)
    threshold: float | None = None
    certainty: tuple[Level | None, ...] | None = None
    usable: np.ndarray | None = None

    def to_frame(self) -> "DataFrame":
        """A row for each window: `start` and `end` (seconds), `median`, `q1`, `q3`, `certainty` and `usable`."""
        from pandas import DataFrame

        columns = {"start": self.start, "end": self.start + self.length}
        columns |= {name: getattr(self, name) for name in ("median", "q1", "q3", "certainty")}
        return DataFrame(columns | {"usable": True if self.usable is None else self.usable})

    @classmethod
    def of_kept(
        cls,
        keep: Bool[np.ndarray, " window"],
        label: str,
        start: Float[np.ndarray, " window"],
        median: Float[np.ndarray, " kept"],
        q1: Float[np.ndarray, " kept"],
        q3: Float[np.ndarray, " kept"],
        length: float,
        *,
        certainty: Sequence[Level] | None = None,
        **others: Any,
    ) -> Self:
        """A time series from the windows that are kept.

        Args:
            keep: whether each window is kept.
            label: see `TimeSeries`, as `length`.
            start: of all windows.
            median: of the kept windows, as `q1`, `q3` and `certainty`.
            q1: see `median`.
            q3: see `median`.
            length: see `TimeSeries`.
            certainty: see `median`.
            others: the other fields.
        """
        if keep.all():
            whole = None if certainty is None else tuple(certainty)
            return cls(label, start, median, q1, q3, length, certainty=whole, **others)
        filled = np.full((3, len(keep)), np.nan)
        filled[:, keep] = median, q1, q3
        graded: list[Level | None] = [None] * len(keep)
        for window, level in zip(np.flatnonzero(keep), certainty or ()):
            graded[window] = level
        levels = None if certainty is None else tuple(graded)
        return cls(label, start, filled[0], filled[1], filled[2], length, certainty=levels, usable=keep, **others)


@dataclass(frozen=True)
class MemberValue:
    """The headline value by one network of the ensemble.

    Attributes:
        model: registry name of its architecture.
        index: its index in the stack of runs, for example the fold.
        value: in the unit of the headline value; NaN where the network gives none.
    """

    model: str
    index: int
    value: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction:
    """The result of a method for one recording, in its own units.

    Attributes:
        headline: the most important value.
        time_series: a quantity over time.
        members: the headline value by every network, in the order of the ensemble.
        threshold: decision threshold of the headline value; None for a method that decides nothing.
        classes: the two decisions in words, that below the threshold first; None for a method that decides nothing.
        positive: the decision is the second class; None for a method that decides nothing.
        agreement: fraction of the networks whose own decision equals that of the ensemble, 0..1.
        certainty: how certain the decision is; None for a method without such a rule.
        quantities: further values.
        contributions: keypoint -> contribution to the headline value, 0..1; None where the method explains nothing.
        contributions_label: what the contributions are, in words.
        window_contributions: keypoint -> the same in every window, NaN in windows that are left out; None without.
        intervals: `[interval, 2]`, start and end in seconds of the stretches that were found; None where the method
            finds none.
        intervals_label: what was found in them, in words.
    """

    headline: Quantity
    time_series: TimeSeries
    members: tuple[MemberValue, ...]
    threshold: float | None = None
    classes: tuple[str, str] | None = None
    positive: bool | None = None
    agreement: float | None = None
    certainty: Certainty | None = None
    quantities: tuple[Quantity, ...] = ()
    contributions: Mapping[str, float] | None = None
    contributions_label: str = ""
    window_contributions: Mapping[str, np.ndarray] | None = None
    intervals: np.ndarray | None = None
    intervals_label: str = ""

    @property
    def value(self) -> float:
        """The headline value."""
        return self.headline.value

    @property
    def low(self) -> float:
        """Lower end of the interval of the headline value."""
        return self.headline.low

    @property
    def high(self) -> float:
        """Upper end of the interval of the headline value."""
        return self.headline.high

    @property
    def decision(self) -> str:
        """The decision in words; empty for a method that decides nothing."""
        return "" if self.classes is None or self.positive is None else self.classes[self.positive]


NO_PREDICTION = Prediction(
    headline=Quantity("", "not assessable", math.nan),
    time_series=TimeSeries("", np.empty(0), np.empty(0), np.empty(0), np.empty(0), math.nan),
    members=(),
)
"""In place of the prediction for a recording that is not assessable."""


_OF_METHOD = ("title", "source", "fidelity", "fidelity_note")
_OF_CERTAINTY = ("level", "label", "rule", "reason")
_AS_THEY_ARE = (
    *("name", "assessable", "forced", "reasons", "warnings", "threshold", "classes", "agreement", "contributions"),
    *("contributions_label", "window_contributions", "intervals", "intervals_label", "fps", "duration", "skeleton"),
    *("missing", "approximated", "repairs", "notes", "metadata", "provenance", "validated"),
)
"""Fields that the record holds under their names."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Assessment(Prediction):
    """A prediction for one recording, with all that a report says of the recording and of the method.

    Attributes:
        name: name of the recording (free text from the user: escape it).
        method: registry name of the method.
        title: the method in words.
        source: where the method was published.
        fidelity: how the implementation relates to the publication.
        fidelity_note: what is published and what is our choice; empty where nothing needs to be said.
        fps: frame rate of the input, hertz.
        duration: length of the input, seconds.
        skeleton: name of the keypoint set of `movement`, `missing` and `contributions`.
        movement: `[time, joint, 2]` float32, positions for an animation, y upwards.
        movement_fps: frames per second of `movement`.
        missing: keypoint -> fraction of the frames of the input in which it is missing, 0..1.
        approximated: keypoint -> how it was computed from others.
        notes: what a reader should know, one sentence each.
        metadata: what the input says of the infant (free text from the user: escape it).
        provenance: versions, models, digests of input and weights, settings, history of the recording. It holds no
            time stamp, path or device count, so the same input gives the same bytes.
        validated: False where the weights were never validated on infants.
        statement: the caveat to print with every value; never empty where the weights are not validated.
        assessable: False where too little of the recording is usable. There is no headline value, decision or certainty
            then, unless the assessment is forced.
        reasons: why it is not assessable, one sentence each.
        forced: not assessable, and computed all the same as the user asked.
        quality: of the keypoints as they were read; None where it was not measured.
        repairs: what was repaired and where, one sentence each.
        calibration: what a risk means by the out-of-fold risks of the ensemble; None where there is no risk.
        cohort: the out-of-fold risks of the ensemble by outcome; None where there are none, or no risk.
        limbs: how each limb moves; empty where its joints are not in the keypoint set.
        warnings: notes that belong beside the value wherever it is shown, one sentence each.
    """

    name: str
    method: str
    title: str
    source: str
    fidelity: Fidelity
    fidelity_note: str = ""
    fps: float
    duration: float
    skeleton: str
    movement: np.ndarray
    movement_fps: float
    missing: Mapping[str, float]
    approximated: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    validated: bool = False
    statement: str = ""
    assessable: bool = True
    reasons: tuple[str, ...] = ()
    forced: bool = False
    quality: Quality | None = None
    repairs: tuple[str, ...] = ()
    calibration: CalibratedRisk | None = None
    cohort: CohortRisks | None = None
    limbs: tuple[LimbMovement, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.validated and not self.statement.strip():
            object.__setattr__(self, "statement", UNVALIDATED)

    @property
    def has_value(self) -> bool:
        """Whether the networks were run: the recording is assessable, or the assessment is forced."""
        return self.assessable or self.forced

    def __repr__(self) -> str:
        if not self.has_value:
            return f"Assessment({self.name!r}, {self.method}: not assessable)"
        head = self.headline
        interval = f" ({head.low:.3g} to {head.high:.3g})" if head.interval else ""
        words = (f"{head.value:.3g}{interval} {head.unit}".strip(), self.decision, f"{self.duration:.0f} s")
        return f"Assessment({self.name!r}, {self.method}: {head.name} {', '.join(filter(None, words))})"

    def to_dict(self) -> dict[str, Any]:
        """The assessment as JSON types, all of it but the movement: what a JSON file holds.

        Returns:
            A dict that follows `infantjax.report.schema()`: six significant decimals, NaN as None, times in seconds.

        Raises:
            TypeError: metadata or provenance hold something that JSON cannot hold.
        """
        certainty, quality = self.certainty, self.quality
        content = {name: getattr(self, name) for name in _AS_THEY_ARE} | {
            "schema_version": SCHEMA_VERSION,
            "method": {"name": self.method, **{name: getattr(self, name) for name in _OF_METHOD}},
            "headline": vars(self.headline) if self.has_value else None,
            "decision": self.decision or None,
            "certainty": certainty and {name: getattr(certainty, name) for name in _OF_CERTAINTY},
            "calibration": self.calibration and self.calibration._asdict(),
            "cohort": self.cohort and self.cohort._asdict(),
            "limbs": [limb._asdict() for limb in self.limbs],
            "quantities": [vars(quantity) for quantity in self.quantities],
            "time_series": _series(self.time_series) if self.has_value else None,
            "members": [vars(member) for member in self.members],
            "quality": quality and quality.to_dict(),
            "statement": self.statement.strip(),
        }
        return {key: plain(value, key) for key, value in content.items()}

    def save(self, path: str | Path) -> None:
        """Write the assessment as JSON or as an HTML page, whole or not at all.

        Args:
            path: ends in `.json` or `.html`.

        Raises:
            ValueError: another suffix.
            OSError: the file cannot be written.
        """
        from infantjax.files import canonical_json, write_atomically

        suffix = Path(path).suffix.lower()
        if suffix not in (".json", ".html"):
            raise ValueError(f"an assessment is saved as .json or .html, got {str(path)!r}")
        write_atomically(path, canonical_json(self.to_dict()) if suffix == ".json" else self.to_html())

    def to_html(self) -> str:
        """The assessment as one HTML page that works offline; equal assessments give equal bytes."""
        from infantjax.report.page import to_html

        return to_html(self.to_dict(), self.movement, self.movement_fps)

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame of its own."""
        from infantjax.report.page import framed

        return framed(self.to_html())


def assessments_frame(assessments: "Iterable[Assessment]") -> "DataFrame":
    """Assessments as a table: a row for each with the columns of `summary.csv`, and its name as index.

    Args:
        assessments: for example of `infantjax.assess([...])`.
    """
    from infantjax.report.table import Row, summary_frame

    frame = summary_frame(Row.of("", assessment.to_dict()) for assessment in assessments)
    return frame.drop(columns=["file", "page", "name"]).rename_axis("name")


def _series(series: TimeSeries) -> dict[str, Any]:
    """A time series with one dict a window."""
    columns: dict[str, Any] = {name: getattr(series, name) for name in ("start", "median", "q1", "q3")}
    if series.certainty is not None:
        columns["certainty"] = series.certainty
    columns["usable"] = [True] * len(series.start) if series.usable is None else series.usable
    return {
        "label": series.label,
        "length": series.length,
        "limits": series.limits,
        "threshold": series.threshold,
        "windows": [dict(zip(columns, row)) for row in zip(*columns.values(), strict=True)],
    }
