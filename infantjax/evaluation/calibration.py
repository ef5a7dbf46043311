"""Whether a risk is a probability, and Platt's map that makes it one. In float64.

A map is fitted on infants that neither trained nor test the network. A calibrated risk holds at the prevalence of
these infants.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import (
    TAILS,
    UNDEFINED,
    Estimate,
    Groups,
    bootstrap,
    check_risks,
    check_scores,
    clopper_pearson,
)

if TYPE_CHECKING:
    import pandas as pd

MIN_RISK = 1e-3
"""Least distance of a risk from 0 and 1 where its logit is taken: our choice. A risk of exactly 0 or 1 has none."""

MAX_SLOPE = 100.0
"""Largest slope of a calibration line: beyond it the risks nearly separate the outcomes, or are nearly equal."""


def logits(risks: ArrayLike) -> Float[np.ndarray, " infant"]:
    """Log-odds of risks; those nearer than `MIN_RISK` to 0 or 1 count as that near."""
    inner = np.clip(np.asarray(risks, np.float64), MIN_RISK, 1 - MIN_RISK)
    return np.log(inner) - np.log1p(-inner)


@dataclass(frozen=True)
class Platt:
    """`sigmoid(slope * score + intercept)`.

    Attributes:
        slope: of the score.
        intercept: where the score is 0.
        covariance: of both, from the curvature of the likelihood where the map was fitted; else NaN.
    """

    slope: float
    intercept: float
    covariance: Float[np.ndarray, "2 2"] = field(default_factory=lambda: np.full((2, 2), np.nan), compare=False)

    def __call__(self, scores: ArrayLike) -> Float[np.ndarray, " infant"]:
        """Calibrated risks, 0..1."""
        from scipy.special import expit

        return expit(self.slope * np.asarray(scores, np.float64) + self.intercept)


def platt(scores: ArrayLike, labels: ArrayLike, *, balanced: bool = False, smooth: bool = True) -> Platt:
    """Platt's scaling, by statsmodels: logistic regression of the outcome on a score, without penalty.

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
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    scores, labels, _ = check_scores(scores, labels)
    cases, controls = scores[labels == 1], scores[labels == 0]
    if not (len(cases) and len(controls)) or np.ptp(scores) == 0:
        raise ValueError("a calibration needs both outcomes and scores that differ")
    if not smooth and (cases.min() >= controls.max() or cases.max() <= controls.min()):
        raise ValueError("the scores separate the outcomes, so no finite map fits them; use smooth labels")
    targets = labels.astype(np.float64)
    if smooth:
        targets = np.where(labels == 1, (len(cases) + 1) / (len(cases) + 2), 1 / (len(controls) + 2))
    weights = len(labels) / (2 * np.where(labels == 1, len(cases), len(controls))) if balanced else None
    design = np.stack([scores, np.ones(len(scores))], axis=1)
    model = GLM(targets, design, family=Binomial(), freq_weights=weights)
    # Two infants leave no degree of freedom: statsmodels divides by it on the way to a variance that is not used.
    with np.errstate(divide="ignore", invalid="ignore"):
        fitted = model.fit(tol=1e-12, tol_criterion="params")
    slope, intercept = fitted.params.tolist()
    return Platt(slope, intercept, fitted.cov_params())


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
    return fitted if fitted.slope >= 0 else Platt(-fitted.slope, -fitted.intercept, fitted.covariance)


def recalibration(risks: ArrayLike, labels: ArrayLike) -> Platt:
    """Logistic recalibration: the map from `logits(risks)` to risks that fit the outcomes.

    Where the risks separate the outcomes, with smooth labels, which keep the map finite.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: one class only, or all risks equal.

    Source: Cox 1958; Steyerberg et al. 2004.
    """
    scores = logits(risks)
    try:
        return platt(scores, labels, smooth=False)
    except ValueError:
        return platt(scores, labels)


def reliability(risks: ArrayLike, labels: ArrayLike, bins: int = 10) -> "pd.DataFrame":
    """The points of a reliability diagram: risks beside the observed shares of the outcome, in bins of equal width.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        bins: number of bins; those without infants are left out.

    Returns:
        A row a bin: mean `risk`, `observed` share of the outcome with its Clopper-Pearson interval `low` and `high`,
        and `count` of infants.

    Raises:
        ValueError: no infants, risks outside 0..1, other labels, or lengths that differ.
    """
    import pandas as pd

    risks, labels = check_risks(risks, labels)
    rows = pd.DataFrame({"risk": risks, "observed": labels}).groupby(_bin(risks, bins))
    table = rows.mean()
    cases, count = rows["observed"].sum(), rows.size()
    table[["low", "high"]] = [clopper_pearson(*pair) for pair in zip(cases.tolist(), count.tolist())]
    return table.assign(count=count)


def calibration_error(table: "pd.DataFrame") -> float:
    """The mean distance of risk and observed share of `reliability`, weighted by infants."""
    return float(np.average(np.abs(table["risk"] - table["observed"]), weights=table["count"]))


def expected_error_if_calibrated(risks: ArrayLike, draws: int = 1000, seed: int = 0) -> float:
    """The mean calibration error of these risks if they were exactly right: above 0 by chance, most with few infants.

    Args:
        risks: `[infant]`, 0..1.
        draws: of the outcomes.
        seed: of the draws.

    Raises:
        ValueError: no infants, or risks outside 0..1.
    """
    risks, _ = check_risks(risks, np.zeros(np.shape(risks), int))
    rng, place = np.random.default_rng(seed), _bin(risks)
    expected = np.bincount(place, risks)
    cases = [np.bincount(place, rng.random(len(risks)) < risks) for _ in range(draws)]
    return float(np.abs(np.array(cases) - expected).sum(axis=1).mean() / len(risks))


def calibration_metrics(
    risks: ArrayLike, labels: ArrayLike, groups: Groups | None = None, resamples: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """Metrics of the calibration of risks, each with its interval; NaN where it is not defined.

    The Brier score has a bootstrap interval over infants, slope and intercept have Wald's. The mean calibration error
    is biased upwards with few infants: it is given with its value if the risks were exactly right, without interval.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        groups: the infant of each recording, None if every one is of its own; Wald's intervals do not use it.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `prevalence`, `mean_risk`, `brier`, `brier_of_prevalence` (of the prevalence in place of every risk),
        `calibration_slope`, `calibration_intercept`, `calibration_error`, `calibration_error_if_calibrated`.
        Slope and intercept are not defined for one class, for equal risks, where the risks separate the outcomes, and
        beyond a slope of `MAX_SLOPE`;
        risks near 0 and 1 enter them as in `logits`. Calibrated risks have 1 and 0; a slope below 1 means that risks
        are too extreme.

    Raises:
        ValueError: as `reliability`.

    Source: Cox 1958 (slope and intercept).
    """
    risks, labels = check_risks(risks, labels)
    squares, prevalence = np.square(risks - labels), float(labels.mean())
    interval = bootstrap(lambda w: w @ squares / w.sum(axis=1), labels, groups, resamples, seed)
    slope, intercept = _line_estimates(risks, labels)
    return {
        "prevalence": UNDEFINED._replace(value=prevalence),
        "mean_risk": UNDEFINED._replace(value=float(risks.mean())),
        "brier_of_prevalence": UNDEFINED._replace(value=prevalence * (1 - prevalence)),
        "brier": Estimate(float(squares.mean()), *interval),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "calibration_error": UNDEFINED._replace(value=calibration_error(reliability(risks, labels))),
        "calibration_error_if_calibrated": UNDEFINED._replace(value=expected_error_if_calibrated(risks, seed=seed)),
    }


def _line_estimates(risks: np.ndarray, labels: np.ndarray) -> list[Estimate]:
    """Slope and intercept of the calibration line with Wald's intervals."""
    from scipy.stats import norm

    try:
        line = platt(logits(risks), labels, smooth=False)
    except ValueError:
        return [UNDEFINED, UNDEFINED]
    if abs(line.slope) > MAX_SLOPE:
        return [UNDEFINED, UNDEFINED]
    reach = norm.isf(TAILS[0]) * np.sqrt(np.diag(line.covariance))
    return [Estimate(v, v - r, v + r) for v, r in zip((line.slope, line.intercept), reach.tolist())]


def _bin(risks: np.ndarray, bins: int = 10) -> np.ndarray:
    """`[infant]` the bin of each, of equal width, closed below."""
    return np.digitize(risks, np.linspace(0, 1, bins + 1)[1:-1])
