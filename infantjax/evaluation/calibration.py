"""Whether a risk is a probability, and Platt's map that makes it one. In float64.

A map is fitted on infants that neither trained nor test the network. A calibrated risk holds at the prevalence of
these infants. scikit-learn has other maps (`sklearn.isotonic.IsotonicRegression`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import (
    UNDEFINED,
    Estimate,
    Groups,
    bootstrap,
    check_risks,
    check_scores,
    clopper_pearson,
    tail_probability,
)

Bins = Literal["width", "count"]

MIN_RISK = 1e-3
"""Least distance of a risk from 0 and 1 where its logit is taken: our choice. A risk of exactly 0 or 1 has none."""


def logits(risks: ArrayLike) -> Float[np.ndarray, " infant"]:
    """Log-odds of risks; those nearer than `MIN_RISK` to 0 or 1 count as that near."""
    inner = np.clip(np.asarray(risks, np.float64), MIN_RISK, 1 - MIN_RISK)
    return np.log(inner) - np.log1p(-inner)


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
        balanced: give both classes the same weight: the result is then a score at even prevalence, no probability.
        smooth: labels `(n1 + 1) / (n1 + 2)` and `1 / (n0 + 2)` as in the original method; a finite map even where the
            scores separate the classes.

    Raises:
        ValueError: one class only, all scores equal, or without `smooth` scores that separate the classes.

    Source: Platt 1999.
    """
    from sklearn.linear_model import LogisticRegression

    scores, labels, _ = check_scores(scores, labels)
    cases, controls = scores[labels == 1], scores[labels == 0]
    if not (len(cases) and len(controls)) or np.ptp(scores) == 0:
        raise ValueError("a calibration needs both outcomes and scores that differ")
    if not smooth and (cases.min() >= controls.max() or cases.max() <= controls.min()):
        raise ValueError("the scores separate the outcomes, so no finite map fits them; use smooth labels")
    targets = labels.astype(np.float64)
    if smooth:
        targets = np.where(labels == 1, (len(cases) + 1) / (len(cases) + 2), 1 / (len(controls) + 2))
    weights = np.ones(len(labels))
    if balanced:
        weights = len(labels) / (2 * np.where(labels == 1, len(cases), len(controls)))
    # An infant of label 0.9 counts as one of label 1 with weight 0.9 and one of label 0 with weight 0.1.
    mean, deviation = scores.mean(), scores.std()
    regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(
        np.tile((scores - mean) / deviation, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        np.concatenate([weights * targets, weights * (1 - targets)]),
    )
    slope, intercept = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    return Platt(slope / deviation, intercept - slope * mean / deviation)


def platt_reference(probabilities: ArrayLike, labels: ArrayLike) -> Platt:
    """The calibration of the reference implementation of Baby Moves.

    Platt's scaling of the *probability*, both classes with the same weight, labels as they are; where the slope is
    negative, slope and intercept change sign. The result is a score at even prevalence, no probability in the
    population.

    Args:
        probabilities: `[video]` the sigmoid of the logits of validation videos.
        labels: `[video]`, 0 or 1.

    Raises:
        ValueError: as `platt`.

    Source: Passmore et al., reference implementation; the paper says "logistic regression over model predictions".
    """
    fitted = platt(probabilities, labels, balanced=True, smooth=False)
    return fitted if fitted.slope >= 0 else Platt(-fitted.slope, -fitted.intercept)


def calibration_line(logits: ArrayLike, labels: ArrayLike) -> Platt:
    """Slope and intercept of a logistic regression of the outcome on the logit; calibrated logits give 1 and 0.

    Also the map of logistic recalibration. A slope below 1 means that risks are too extreme. Args and Raises: as
    `platt` without smooth labels.

    Source: Cox 1958.
    """
    return platt(logits, labels, smooth=False)


def recalibration(risks: ArrayLike, labels: ArrayLike) -> Platt:
    """Logistic recalibration: the map from `logits(risks)` to risks that fit the outcomes.

    `calibration_line`; where the risks separate the outcomes, with smooth labels, which keep the map finite.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: one class only, or all risks equal.

    Source: Cox 1958; Steyerberg et al. 2004.
    """
    scores = logits(risks)
    try:
        return calibration_line(scores, labels)
    except ValueError:
        return platt(scores, labels)


def line_covariance(line: Platt, scores: ArrayLike) -> Float[np.ndarray, "2 2"]:
    """Covariance of slope and intercept from the curvature of the likelihood at a fitted line.

    Args:
        line: fitted on the scores.
        scores: `[infant]` logits.
    """
    x = np.stack([np.asarray(scores, np.float64), np.ones(len(np.asarray(scores)))], axis=1)
    risk = line(x[:, 0])
    return np.linalg.inv((x * (risk * (1 - risk))[:, None]).T @ x)


@dataclass(frozen=True, eq=False)
class Reliability:
    """The points of a reliability diagram; bins without infants are left out.

    Attributes:
        risk: `[bin]` mean risk.
        observed: `[bin]` share of the outcome.
        low: `[bin]` lower end of its Clopper-Pearson interval.
        high: `[bin]` upper end.
        count: `[bin]` infants.
        error: mean distance of risk and observed share, weighted by infants: the expected calibration error.
    """

    risk: Float[np.ndarray, " bin"]
    observed: Float[np.ndarray, " bin"]
    low: Float[np.ndarray, " bin"]
    high: Float[np.ndarray, " bin"]
    count: Int[np.ndarray, " bin"]
    error: float


def reliability(
    risks: ArrayLike, labels: ArrayLike, bins: int = 10, by: Bins = "width", level: float = 0.95
) -> Reliability:
    """Risks beside the observed shares of the outcome.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        bins: number of bins.
        by: bins of equal `width`, or of equal `count` (infants of one risk stay together).
        level: of the intervals.

    Raises:
        ValueError: no infants, risks outside 0..1, other labels, lengths that differ; fewer than one bin, or an
            unknown kind of bins.
    """
    risks, labels = check_risks(risks, labels)
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
    """The mean calibration error of these risks if they were exactly right: above 0 by chance, most with few infants.

    Args:
        risks: `[infant]`, 0..1.
        bins: as `reliability`.
        by: as `reliability`.
        draws: of the outcomes.
        seed: of the draws.

    Raises:
        ValueError: as `reliability`.
    """
    risks, _ = check_risks(risks, np.zeros(np.shape(risks), int))
    rng, place = np.random.default_rng(seed), _bin(risks, bins, by)
    expected = np.bincount(place, risks, minlength=bins)
    cases = [np.bincount(place, rng.random(len(risks)) < risks, minlength=bins) for _ in range(draws)]
    return float(np.abs(np.array(cases) - expected).sum(axis=1).mean() / len(risks))


def calibration_metrics(
    risks: ArrayLike,
    labels: ArrayLike,
    level: float = 0.95,
    groups: Groups | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Metrics of the calibration of risks, each with its interval; NaN where it is not defined.

    The Brier score has a bootstrap interval over infants, slope and intercept have Wald's. The mean calibration error
    is biased upwards with few infants: it is given with its value if the risks were exactly right, without interval.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        level: confidence.
        groups: the infant of each recording, None if every one is of its own; Wald's intervals do not use it.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `prevalence`, `mean_risk`, `brier`, `brier_of_prevalence` (of the prevalence in place of every risk),
        `calibration_slope`, `calibration_intercept`, `calibration_error`, `calibration_error_if_calibrated`.
        Slope and intercept are not defined for one class, for equal risks, and where the risks separate the outcomes;
        risks near 0 and 1 enter them as in `logits`.

    Raises:
        ValueError: as `reliability`.
    """
    risks, labels = check_risks(risks, labels)
    squares, prevalence = np.square(risks - labels), float(labels.mean())
    interval = bootstrap(lambda w: w @ squares / w.sum(axis=1), labels, groups, level, resamples, seed)
    slope, intercept = _line_estimates(risks, labels, level)
    return {
        "prevalence": UNDEFINED._replace(value=prevalence),
        "mean_risk": UNDEFINED._replace(value=float(risks.mean())),
        "brier_of_prevalence": UNDEFINED._replace(value=prevalence * (1 - prevalence)),
        "brier": Estimate(float(squares.mean()), *interval),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_error": UNDEFINED._replace(value=reliability(risks, labels).error),
        "calibration_error_if_calibrated": UNDEFINED._replace(value=expected_error_if_calibrated(risks, seed=seed)),
    }


def _line_estimates(risks: np.ndarray, labels: np.ndarray, level: float) -> tuple[Estimate, Estimate]:
    """Slope and intercept of the calibration line with Wald's intervals."""
    from scipy.stats import norm

    scores = logits(risks)
    try:
        line = calibration_line(scores, labels)
    except ValueError:
        return UNDEFINED, UNDEFINED
    reach = norm.isf(tail_probability(level)) * np.sqrt(np.diag(line_covariance(line, scores)))
    slope, intercept = (
        Estimate(v, float(v - r), float(v + r)) for v, r in zip((line.slope, line.intercept), reach, strict=True)
    )
    return slope, intercept


def _bin(risks: np.ndarray, bins: int, by: str) -> np.ndarray:
    if bins < 1 or by not in ("width", "count"):
        raise ValueError(f"bins must be at least 1 and by width or count, got {bins} and {by!r}")
    edges = np.linspace(0, 1, bins + 1) if by == "width" else np.quantile(risks, np.linspace(0, 1, bins + 1))
    return np.searchsorted(edges[1:-1], risks, side="right")
