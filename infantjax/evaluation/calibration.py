"""Whether a risk is a probability, and how to make it one. On the host, in float64.

Maps are fitted on infants that neither trained nor test the network. `Platt` and `Temperature` take scores on the logit
scale unless said otherwise; `Isotonic` takes any. A calibrated risk holds at the prevalence it was fitted at.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import Figure, bootstrap, checked, clopper_pearson, tail_of

# --- maps ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Platt:
    """`sigmoid(slope * score + intercept)`."""

    slope: float
    intercept: float

    def __call__(self, scores: ArrayLike) -> Float[np.ndarray, " infant"]:
        """Calibrated risks, 0..1."""
        from scipy.special import expit

        return expit(self.slope * np.asarray(scores, np.float64) + self.intercept)


def platt(scores: ArrayLike, labels: ArrayLike, *, balanced: bool = False, smooth: bool = True) -> Platt:
    """Platt's scaling: logistic regression of the outcome on a score, without penalty.

    Args:
        scores: `[infant]` logits.
        labels: `[infant]`, 0 or 1.
        balanced: weigh the classes alike: the result is then a score at even prevalence, no probability.
        smooth: labels `(n1 + 1) / (n1 + 2)` and `1 / (n0 + 2)` as in the original method; a finite map even where the
            scores separate the classes.

    Raises:
        ValueError: one class only, all scores equal, or without `smooth` scores that separate the classes.

    Source: Platt 1999.
    """
    scores, labels, _ = checked(scores, labels, None)
    positive, negative = int(labels.sum()), int((1 - labels).sum())
    if not (positive and negative) or np.ptp(scores) == 0:
        raise ValueError("a calibration needs both outcomes and scores that differ")
    targets = labels.astype(np.float64)
    if smooth:
        targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    elif (
        scores[labels == 1].min() >= scores[labels == 0].max() or scores[labels == 1].max() <= scores[labels == 0].min()
    ):
        raise ValueError("the scores separate the outcomes, so no finite map fits them; use smooth labels")
    weights = np.ones(len(labels))
    if balanced:
        weights = np.where(labels == 1, len(labels) / (2 * positive), len(labels) / (2 * negative))
    return Platt(*_logistic(scores, targets, weights))


def platt_released(probabilities: ArrayLike, labels: ArrayLike) -> Platt:
    """The calibration of the released Baby Moves program.

    Platt's scaling of the *probability*, classes weighed alike, labels as they are; where the slope is negative, slope
    and intercept change sign. The result is a score at even prevalence, no probability in the population.

    Args:
        probabilities: `[video]` the sigmoid of the logits of validation videos.
        labels: `[video]`, 0 or 1.

    Raises:
        ValueError: as `platt`.

    Source: Passmore et al., released program; the paper says "logistic regression over model predictions".
    """
    fitted = platt(probabilities, labels, balanced=True, smooth=False)
    return fitted if fitted.slope >= 0 else Platt(-fitted.slope, -fitted.intercept)


def _logistic(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of the most likely logistic curve, by Newton's method on standardized scores."""
    from scipy.special import expit

    middle, spread = scores.mean(), scores.std()
    x = np.stack([(scores - middle) / spread, np.ones(len(scores))], axis=1)

    def unlikelihood(curve: np.ndarray) -> float:
        y = x @ curve
        return float(weights @ (np.logaddexp(0, y) - targets * y))

    curve = np.zeros(2)
    for _ in range(100):
        risk = expit(x @ curve)
        gradient = x.T @ (weights * (risk - targets))
        step = np.linalg.solve((x * (weights * risk * (1 - risk))[:, None]).T @ x, gradient)
        # Far from the optimum a whole step may lead uphill.
        while unlikelihood(curve - step) > unlikelihood(curve) + 1e-12 and np.abs(step).max() > 1e-12:
            step /= 2
        curve = curve - step
        if np.abs(step).max() < 1e-12 * max(1, np.abs(curve).max()):
            break
    return float(curve[0] / spread), float(curve[1] - curve[0] * middle / spread)


@dataclass(frozen=True)
class Temperature:
    """`sigmoid(logit / temperature)`: one number, which few cases can tell; it moves no decision at one half."""

    temperature: float

    def __call__(self, logits: ArrayLike) -> Float[np.ndarray, " infant"]:
        """Calibrated risks, 0..1."""
        from scipy.special import expit

        return expit(np.asarray(logits, np.float64) / self.temperature)


def temperature(logits: ArrayLike, labels: ArrayLike) -> Temperature:
    """The temperature of the highest likelihood, within 1/100 and 100.

    Args:
        logits: `[infant]`.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: NaN logits, other labels, lengths that differ, or none.

    Source: Guo et al. 2017.
    """
    from scipy.optimize import minimize_scalar

    logits, labels, _ = checked(logits, labels, None)
    if not len(logits):
        raise ValueError("a calibration needs infants")

    def unlikelihood(log: float) -> float:
        y = logits * math.exp(-log)
        return float((np.logaddexp(0, y) - labels * y).sum())

    reach = math.log(100)
    return Temperature(math.exp(minimize_scalar(unlikelihood, bounds=(-reach, reach), method="bounded").x))


@dataclass(frozen=True, eq=False)
class Isotonic:
    """A rising step function, linear between the scores it was fitted to and flat beyond them.

    Attributes:
        scores: `[point]` rising.
        risks: `[point]` not falling.
    """

    scores: Float[np.ndarray, " point"]
    risks: Float[np.ndarray, " point"]

    def __call__(self, scores: ArrayLike) -> Float[np.ndarray, " infant"]:
        """Calibrated risks, 0..1."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.risks)


def isotonic(scores: ArrayLike, labels: ArrayLike) -> Isotonic:
    """The rising function of the score that lies nearest to the outcomes; needs many more cases than `platt`.

    Args:
        scores: `[infant]`; infants of one score count as one.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: NaN scores, other labels, lengths that differ, or none.

    Source: Zadrozny and Elkan 2002.
    """
    from scipy.optimize import isotonic_regression

    scores, labels, _ = checked(scores, labels, None)
    if not len(scores):
        raise ValueError("a calibration needs infants")
    levels, level = np.unique(scores, return_inverse=True)
    count = np.bincount(level)
    return Isotonic(levels, isotonic_regression(np.bincount(level, labels) / count, weights=count).x)


# --- judging ---------------------------------------------------------------------------------------------------------


class Brier(NamedTuple):
    """The Brier score and its parts: `score = reliability - resolution + uncertainty` when risks of a bin are one.

    Attributes:
        score: mean squared difference of risk and outcome; 0 is best.
        reliability: how far risks lie from the observed shares; 0 is best.
        resolution: how far the observed shares lie from the prevalence; more is better.
        uncertainty: prevalence times its complement.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float


def brier(risks: ArrayLike, labels: ArrayLike) -> Brier:
    """The Brier score, with its parts over the different risks.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: risks outside 0..1, other labels, lengths that differ, or none.

    Source: Brier 1950; Murphy 1973.
    """
    risks, labels = _risks(risks, labels)
    levels, level = np.unique(risks, return_inverse=True)
    count = np.bincount(level)
    observed, prevalence = np.bincount(level, labels) / count, labels.mean()
    return Brier(
        score=float(np.square(risks - labels).mean()),
        reliability=float(count @ np.square(levels - observed) / len(risks)),
        resolution=float(count @ np.square(observed - prevalence) / len(risks)),
        uncertainty=float(prevalence * (1 - prevalence)),
    )


@dataclass(frozen=True, eq=False)
class Reliability:
    """The points of a reliability diagram; bins without infants are left out.

    Attributes:
        risk: `[bin]` mean risk.
        observed: `[bin]` share of the outcome.
        low: `[bin]` lower end of its Clopper-Pearson interval.
        high: `[bin]` upper end.
        count: `[bin]` infants.
        error: mean distance of risk and observed share, weighed by infants: the expected calibration error.
    """

    risk: Float[np.ndarray, " bin"]
    observed: Float[np.ndarray, " bin"]
    low: Float[np.ndarray, " bin"]
    high: Float[np.ndarray, " bin"]
    count: Float[np.ndarray, " bin"]
    error: float


Bins = Literal["width", "count"]


def reliability(
    risks: ArrayLike, labels: ArrayLike, bins: int = 10, by: Bins = "width", level: float = 0.95
) -> Reliability:
    """Risks beside what came of them.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        bins: number of bins.
        by: bins of equal `width`, or of equal `count` (infants of one risk stay together).
        level: of the intervals.

    Raises:
        ValueError: as `brier`; fewer than one bin, or an unknown kind of bins.
    """
    risks, labels = _risks(risks, labels)
    place = _bin(risks, bins, by)
    count = np.bincount(place, minlength=bins)
    kept = count > 0
    cases = np.bincount(place, labels, minlength=bins)[kept].astype(int)
    risk, count = np.bincount(place, risks, minlength=bins)[kept] / count[kept], count[kept]
    intervals = np.array([clopper_pearson(int(k), int(n), level) for k, n in zip(cases, count)])
    error = float(np.abs(count * risk - cases).sum() / len(risks))
    return Reliability(risk, cases / count, intervals[:, 0], intervals[:, 1], count, error)


def expected_error_if_calibrated(
    risks: ArrayLike, bins: int = 10, by: Bins = "width", draws: int = 1000, seed: int = 0
) -> float:
    """The mean calibration error that these risks would show were they exactly right: few cases alone make some.

    Args:
        risks: `[infant]`, 0..1.
        bins: as `reliability`.
        by: as `reliability`.
        draws: of the outcomes.
        seed: of the draws.

    Raises:
        ValueError: as `reliability`.
    """
    risks, _ = _risks(risks, np.zeros(np.shape(risks), int))
    rng, place = np.random.default_rng(seed), _bin(risks, bins, by)
    expected = np.bincount(place, risks, minlength=bins)
    cases = [np.bincount(place, rng.random(len(risks)) < risks, minlength=bins) for _ in range(draws)]
    return float(np.abs(np.array(cases) - expected).sum(axis=1).mean() / len(risks))


def calibration_line(logits: ArrayLike, labels: ArrayLike) -> Platt:
    """Slope and intercept of a logistic regression of the outcome on the logit; calibrated logits give 1 and 0.

    A slope below 1 means that risks are too extreme. Args and Raises: as `platt` without smooth labels.

    Source: Cox 1958.
    """
    return platt(logits, labels, smooth=False)


def figures(
    risks: ArrayLike,
    labels: ArrayLike,
    level: float = 0.95,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Figure]:
    """What is said of the calibration of risks, each with its interval; NaN where it is not defined.

    The Brier score has a bootstrap interval over infants, slope and intercept have Wald's. The mean calibration error
    is biased upwards with few infants: in place of an interval stands what it would be were the risks exactly right.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        level: confidence.
        groups: the infant of each recording, None if every one is of its own; Wald's intervals take no notice.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `brier`, `calibration_slope`, `calibration_intercept`, `calibration_error`, `calibration_error_if_calibrated`.
        Slope and intercept are not defined for one class, for equal risks, for a risk of 0 or 1, and where the risks
        separate the outcomes.

    Raises:
        ValueError: as `brier`.
    """
    risks, labels = _risks(risks, labels)
    squares = np.square(risks - labels)
    score = float(squares.mean())
    around = bootstrap(lambda w: float(w @ squares / w.sum()), labels, groups, tail_of(level), resamples, seed)
    slope, intercept = _line_figures(risks, labels, tail_of(level))
    return {
        "brier": Figure(score, *around),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_error": Figure(reliability(risks, labels).error, math.nan, math.nan),
        "calibration_error_if_calibrated": Figure(expected_error_if_calibrated(risks, seed=seed), math.nan, math.nan),
    }


def _line_figures(risks: np.ndarray, labels: np.ndarray, tail: float) -> tuple[Figure, Figure]:
    """Slope and intercept of the calibration line with intervals from the curvature of the likelihood."""
    from scipy.special import expit, logit
    from scipy.stats import norm

    nothing = Figure(math.nan, math.nan, math.nan)
    if risks.min() == 0 or risks.max() == 1:
        return nothing, nothing
    scores = logit(risks)
    try:
        line = calibration_line(scores, labels)
    except ValueError:
        return nothing, nothing
    x, risk = np.stack([scores, np.ones(len(scores))], axis=1), expit(line.slope * scores + line.intercept)
    reach = norm.isf(tail) * np.sqrt(np.diag(np.linalg.inv((x * (risk * (1 - risk))[:, None]).T @ x)))
    slope, intercept = (
        Figure(v, float(v - r), float(v + r)) for v, r in zip((line.slope, line.intercept), reach, strict=True)
    )
    return slope, intercept


def _bin(risks: np.ndarray, bins: int, by: str) -> np.ndarray:
    if bins < 1 or by not in ("width", "count"):
        raise ValueError(f"bins must be at least 1 and by width or count, got {bins} and {by!r}")
    edges = np.linspace(0, 1, bins + 1) if by == "width" else np.quantile(risks, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], risks, side="right")


def _risks(risks: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    risks, labels, _ = checked(risks, labels, None)
    if not len(risks) or risks.min() < 0 or risks.max() > 1:
        raise ValueError("risks must be given and lie within 0..1")
    return risks, labels
