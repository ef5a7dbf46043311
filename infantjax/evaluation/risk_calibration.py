"""The risk of an ensemble as a probability: out-of-fold risks, a calibration map, conformal sets.

Cross-validation makes it from the infants that each network did not train on and stores it with the ensemble. An
assessment reads it without SciPy or scikit-learn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np

from infantjax.evaluation import calibration
from infantjax.evaluation.decision import Conformal, conformal, held_out_risks
from infantjax.settings import NonNegative, Positive, Range, Share, check_fields, from_settings, to_settings

MIN_INFANTS = 10
"""Infants of each outcome that a map needs: five for each of its two parameters, the least that Vittinghoff and
McCulloch (2007) found acceptable. The number is our choice."""

NO_PROBABILITY = "The risk is no probability"
_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_TAIL = 0.025


@dataclass(frozen=True)
class RiskOptions:
    """How a risk is turned into a probability and a set of outcomes.

    Attributes:
        error: Chance that the conformal set of a risk may miss the true outcome, above 0 and below 1.
        prevalence: Fraction of infants with the outcome at your site; the calibrated risk is moved to it. That of the
            cross-validation if not given.

    Raises:
        ValueError: a value that is not above 0 and below 1.
    """

    error: float = 0.1
    prevalence: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise ValueError(f"the error must lie between 0 and 1, got {self.error}")
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise ValueError(f"the prevalence must lie between 0 and 1, got {self.prevalence}")


DEFAULT_OPTIONS = RiskOptions()
"""The options where none are given."""


class CalibratedRisk(NamedTuple):
    """The meaning of a risk for infants like those of the cross-validation.

    Attributes:
        risk: calibrated, a probability; NaN without a map.
        low: of its 95 % interval; NaN without one.
        high: of its 95 % interval.
        prevalence: at which the calibrated risk holds; NaN without a map.
        conformal_set: `above`, `below`, or `cannot tell`; empty without out-of-fold risks of both outcomes.
        error: stated chance that the set misses the true outcome, see `Conformal.miss_bounds`.
        statement: what of this is known and what is not, in sentences.
    """

    risk: float
    low: float
    high: float
    prevalence: float
    conformal_set: str
    error: float
    statement: str

    def doubted(self) -> Self:
        """The same for a recording whose tracking is doubtful: the set cannot tell."""
        doubt = f"{self.statement} The tracking is doubtful: do not rely on either."
        return self._replace(conformal_set=self.conformal_set and "cannot tell", statement=doubt)


_UNKNOWN = CalibratedRisk(math.nan, math.nan, math.nan, math.nan, "", math.nan, "")
UNCALIBRATED = _UNKNOWN._replace(statement=f"{NO_PROBABILITY}: the ensemble holds no out-of-fold risks.")
"""Of an ensemble without a `RiskCalibration`."""


class CohortRisks(NamedTuple):
    """Where a risk lies among the out-of-fold risks of a cohort. An infant counts once, also one held out repeatedly.

    Attributes:
        subjects: who was held out: `infants`, `simulated infants`.
        infants: without and with the outcome.
        lower: how many of each have a lower risk, rounded.
        counts: of each, in `BINS` equal parts of 0..1.
    """

    subjects: str
    infants: tuple[int, int]
    lower: tuple[int, int]
    counts: tuple[tuple[float, ...], tuple[float, ...]]


BINS = 20
"""Parts of 0..1 in which `CohortRisks` counts: no risk of a single infant can be read from them."""


@dataclass(frozen=True)
class CalibrationMap:
    """Logistic recalibration: `sigmoid(slope * logit(risk) + intercept)`.

    Attributes:
        slope: 1 if the risk is calibrated.
        intercept: 0 if the risk is calibrated.
        covariance: of slope, of both, of intercept; zeros where the method calibrates its risk itself.

    Raises:
        ValueError: a value that is not finite, or out of range.
    """

    slope: Positive
    intercept: Annotated[float, Range()]
    covariance: tuple[NonNegative, Annotated[float, Range()], NonNegative]

    def __post_init__(self) -> None:
        check_fields(self)

    def logits(self, risk: float) -> tuple[float, float, float]:
        """The calibrated logit and the ends of its 95 % interval."""
        x = float(calibration.logits([risk])[0])
        middle = self.slope * x + self.intercept
        variance = self.covariance[0] * x * x + 2 * self.covariance[1] * x + self.covariance[2]
        reach = _Z * math.sqrt(max(variance, 0.0))
        return middle, middle - reach, middle + reach


OWN_MAP = CalibrationMap(1.0, 0.0, (0.0, 0.0, 0.0))
"""Of a method whose risk is calibrated before cross-validation sees it."""


@dataclass(frozen=True, eq=False)
class RiskCalibration:
    """Out-of-fold risks of a cohort, and the map that was fitted to them.

    Attributes:
        conformal: the out-of-fold risks; an infant counts once.
        map: None where the cohort is too small for one.
        reason: why there is no map; empty if there is one.
        optimistic: the held-out infants also chose the epoch of their network, so that all this looks too good.
        subjects: who was held out: `infants`, `simulated infants`.
    """

    conformal: Conformal
    map: CalibrationMap | None
    reason: str
    optimistic: bool
    subjects: str = "infants"

    @classmethod
    def fit(
        cls,
        risks: Sequence[float],
        outcomes: Sequence[int],
        infants: Sequence[str],
        folds: Sequence[int],
        *,
        own: bool = False,
        optimistic: bool = False,
        subjects: str = "infants",
    ) -> Self:
        """From out-of-fold risks, one or more of each infant.

        An infant enters the map with the mean of its risks: within each fold, then over the folds.

        Args:
            risks: `[row]`, 0..1.
            outcomes: `[row]`, 0 or 1.
            infants: `[row]` the infant of each.
            folds: `[row]` index of the networks that did not train on it, from 0.
            own: the method calibrates its risk itself, so no second map is fitted.
            optimistic: see the attribute, as `subjects`.
            subjects: see the attribute.

        Raises:
            ValueError: an infant with two outcomes, or risks outside 0..1.
        """
        sets = conformal(risks, outcomes, infants, folds)
        fitted: CalibrationMap | None = OWN_MAP
        reason = ""
        if not own:
            means = held_out_risks(risks, outcomes, infants, folds).groupby("infant")[["risk", "outcome"]].mean()
            fitted, reason = _fit_map(means["risk"].to_numpy(), means["outcome"].to_numpy(int))
        return cls(sets, fitted, reason, optimistic, subjects)

    @property
    def prevalence(self) -> float:
        """Share of the infants with outcome 1, at which the calibrated risk holds."""
        weights = self.conformal.weights
        return float(weights @ self.conformal.outcomes / weights.sum())

    def counts(self) -> tuple[int, int]:
        """Infants without and with the outcome."""
        weights = self.conformal.weights
        return tuple(round(float(weights[self.conformal.outcomes == c].sum())) for c in (0, 1))  # type: ignore[return-value]

    def cohort_risks(self, risk: float) -> CohortRisks:
        """Where a new infant's risk lies among the out-of-fold risks."""
        sets = self.conformal
        chosen = [sets.outcomes == outcome for outcome in (0, 1)]
        counts = [np.histogram(sets.risks[c], BINS, (0, 1), weights=sets.weights[c])[0].tolist() for c in chosen]
        lower = [round(float(sets.weights[c & (sets.risks < risk)].sum())) for c in chosen]
        return CohortRisks(self.subjects, self.counts(), (lower[0], lower[1]), (tuple(counts[0]), tuple(counts[1])))

    def describe(self) -> str:
        """The map, or why there is none, and the finest error of conformal sets, in one line."""
        words = f"no calibration map: {self.reason}"
        if self.map is not None:
            words = f"calibration map: slope {self.map.slope:.3g}, intercept {self.map.intercept:.3g}"
        if self.map == OWN_MAP:
            words = "no calibration map is needed: the method calibrates its risk itself"
        if not min(self.counts()):
            return words
        return f"{words}; finest error of conformal sets {self.conformal.finest_error:.3g}"

    def apply(
        self, risk: float, by_fold: Mapping[int, float], options: RiskOptions = DEFAULT_OPTIONS
    ) -> CalibratedRisk:
        """The meaning of a new infant's risk.

        With a prevalence the calibrated odds change by the ratio of the odds of both prevalences. That is right if
        infants differ in how common the outcome is and in nothing else (Saerens et al. 2002). An error below the
        finest of the cohort is replaced by that, and the statement says so. The calibrated risk stays within `limits`.

        Args:
            risk: by the ensemble, 0..1; NaN gives NaN.
            by_fold: the same by the networks of each fold alone.
            options: error and prevalence.

        Raises:
            ValueError: a prevalence where there is no map.
        """
        moved, at = options.prevalence is not None, options.prevalence or self.prevalence
        if moved and self.map is None:
            raise ValueError(f"there is no calibrated risk to move to another prevalence: {self.reason}")
        used = max(options.error, self.conformal.finest_error)
        words, statement = self._set(by_fold, used), self._statement(options, used)
        found = _UNKNOWN._replace(conformal_set=words, error=used if words else math.nan, statement=statement)
        if self.map is None:
            return found
        middle, low, high = self.map.logits(risk)
        if self.map == OWN_MAP:
            low = high = math.nan
        else:
            floor, ceiling, highest_low, lowest_high = map(_logit, self.limits())
            # NaN stays NaN.
            middle, low, high = float(np.clip(middle, floor, ceiling)), min(low, highest_low), max(high, lowest_high)
        shift = _logit(at) - _logit(self.prevalence) if moved else 0.0
        middle, low, high = (0.5 + 0.5 * math.tanh((x + shift) / 2) for x in (middle, low, high))
        return found._replace(
            risk=middle, low=low, high=high, prevalence=at, statement=f"{statement}{self._beyond(risk)}"
        )

    def limits(self) -> tuple[float, float, float, float]:
        """The probabilities that the number of infants of the map allows, at its prevalence.

        Returns:
            Least and largest calibrated risk, `1 / (k + 2)` of k infants without the outcome and `(n + 1) / (n + 2)` of
            n with it: Platt's targets. Largest lower and least upper end of an interval: those of Clopper and Pearson
            for all of the infants with the outcome and for none of those without.

        Source: Platt 1999; that they limit the map is our choice.
        """
        without, cases = (max(count, 1) for count in self.counts())
        return 1 / (without + 2), (cases + 1) / (cases + 2), _TAIL ** (1 / cases), 1 - _TAIL ** (1 / without)

    def _beyond(self, risk: float) -> str:
        """Where the risk lies outside of all out-of-fold risks: that the map was not fitted there."""
        risks = self.conformal.risks
        if self.map == OWN_MAP or not (risk < risks.min() or risk > risks.max()):
            return ""
        side = "below" if risk < risks.min() else "above"
        floor, ceiling, *_ = self.limits()
        return (
            f" The risk lies {side} all out-of-fold risks, where the map was not fitted; so many infants allow no "
            f"probability below {floor:.2g} or above {ceiling:.2g}."
        )

    def _set(self, by_fold: Mapping[int, float], error: float) -> str:
        if min(self.counts()) == 0:
            return ""
        folds = int(self.conformal.folds.max()) + 1
        new = np.array([[by_fold.get(fold, math.nan) for fold in range(folds)]])
        known = np.isin(np.arange(folds), self.conformal.folds)
        if np.isnan(new[:, known]).any():
            return ""
        (decided,) = self.conformal.decide(new, error)
        return "cannot tell" if decided is None else ("below", "above")[decided]

    def _statement(self, options: RiskOptions, used: float) -> str:
        without, cases = self.counts()
        cohort = f"{without + cases} {self.subjects}, {cases} of them with the outcome"
        if self.map is None:
            lines = [f"{NO_PROBABILITY}: {self.reason}."]
        elif self.map == OWN_MAP:
            lines = [f"The method calibrates its risk itself; the cross-validation had {cohort}."]
        else:
            like = f"{self.subjects} like those of the cross-validation ({cohort})"
            lines = [f"The calibrated risk is a probability for {like}."]
        if options.prevalence is not None:
            lines.append(f"It was moved from a prevalence of {self.prevalence:.3g} to {options.prevalence:.3g}.")
        if min(without, cases) == 0:
            lines.append("There is no conformal set: all infants had the same outcome.")
        elif used > options.error:
            finest = f"{without} and {cases} infants of the two outcomes allow {used:.3g} at best"
            lines.append(f"The conformal set was asked for at an error of {options.error:g}; {finest}, which is used.")
        if min(without, cases) and (bound := max(self.conformal.miss_bounds(used))) > used:
            lines.append(
                f"The conformal set misses the true outcome with a chance near {used:.3g}; for folds of equal size "
                f"only {bound:.2f} is proved."
            )
        if self.optimistic:
            lines.append("The same infants chose the epoch of each network, so this is too favorable.")
        return " ".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without names of infants: rows `[outcome, fold, risk, weight]`, and the map."""
        sets = self.conformal
        columns = [values.tolist() for values in (sets.outcomes, sets.folds, sets.risks, sets.weights)]
        stored = _Stored(tuple(zip(*columns)), self.map, self.reason, self.optimistic, self.subjects)
        return to_settings(stored)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, content: object) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: anything that `to_dict` does not write.
        """
        try:
            stored = from_settings(_Stored, content)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ValueError(f"the calibration cannot be read: {error}") from None
        for text in (stored.reason, stored.subjects):
            if not text.isprintable() or len(text) > 300:
                raise ValueError("the calibration's reason and subjects must be one short line each")
        if not stored.out_of_fold or (stored.map is None and not stored.reason):
            raise ValueError("the calibration has no out-of-fold risks, or neither a map nor a reason for that")
        outcomes, folds, risks, weights = (np.array(column) for column in zip(*stored.out_of_fold))
        sets = Conformal(risks, outcomes, folds, weights)
        return cls(sets, stored.map, stored.reason, stored.optimistic, stored.subjects)


_Row = tuple[Literal[0, 1], Annotated[int, Range(0, 10_000)], Share, Annotated[float, Range(above=0, at_most=1)]]
"""Outcome, fold, risk and weight."""


@dataclass(frozen=True)
class _Stored:
    """The fields of the JSON."""

    out_of_fold: tuple[_Row, ...]
    map: CalibrationMap | None
    reason: str
    optimistic: bool
    subjects: str

    def __post_init__(self) -> None:
        check_fields(self)


def _fit_map(risks: np.ndarray, labels: np.ndarray) -> tuple[CalibrationMap | None, str]:
    """The map to `[infant]` outcomes, or the reason why there is none."""
    cases = int(labels.sum())
    if min(cases, len(labels) - cases) < MIN_INFANTS:
        what = f"out-of-fold risks of {cases} infants with the outcome and {len(labels) - cases} without"
        return None, f"{what} are too few for a calibration map, which needs {MIN_INFANTS} of each"
    if np.ptp(risks) == 0:
        return None, "all out-of-fold risks are equal"
    line = calibration.recalibration(risks, labels)
    if line.slope <= 0:
        return None, "out-of-fold risks are not higher for infants with the outcome"
    (a, b), (_, c) = line.covariance.tolist()
    return CalibrationMap(float(line.slope), float(line.intercept), (a, b, c)), ""


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
