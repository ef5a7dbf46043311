"""Evaluation of the risks of one method, and its comparison with others, as plain data and as lines to print.

The metrics are those of `discrimination`, `calibration`, `comparison` and `decision`; here they are collected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, comparison, cross_fitting, decision, discrimination
from infantjax.evaluation.intervals import UNDEFINED, AucMethod, Estimate, Groups, bootstrap, check_scores
from infantjax.files import finite_or_none
from infantjax.settings import require_one_of

Test = Literal["mcnemar", "published"]

TESTS: dict[Test, str] = {
    "mcnemar": "McNemar's exact test on the infants on whom the methods differ",
    "published": "one method's count against the other's proportion as if that were known, as the Groos papers did; it "
    "ignores the pairing and the other method's uncertainty and so overstates significance",
}
"""Tests of a difference between predictions, and what they do."""


class Comparison(NamedTuple):
    """A metric of two methods; NaN where it is not defined, and a P value of NaN where there is no test.

    Attributes:
        first: of the first method.
        second: of the second.
        difference: first less second.
        low: of the interval of the difference.
        high: of the interval of the difference.
        p: two-sided.
        holm: the same after Holm's correction over the methods that the first is compared with.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    holm: float


_NO_COMPARISON = Comparison(*[math.nan] * 7)


@dataclass(frozen=True)
class Evaluation:
    """A method on a set of infants.

    Attributes:
        infants: number of infants.
        cases: number of infants with outcome 1.
        threshold: outcome 1 is predicted from this risk on.
        metrics: with their intervals, by name.
        comparisons: with other methods, by method and by metric.
        subgroups: the same of the infants of each group, by name.
        recordings: number of recordings, where infants have several; 0 where each has one.
    """

    infants: int
    cases: int
    threshold: float
    metrics: Mapping[str, Estimate]
    comparisons: Mapping[str, Mapping[str, Comparison]] = field(default_factory=dict)
    subgroups: Mapping[str, "Evaluation"] = field(default_factory=dict)
    recordings: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: metrics as `[value, low, high]`, comparisons by the names of `Comparison`; null for NaN."""
        result: dict[str, Any] = {name: finite_or_none(list(metric)) for name, metric in self.metrics.items()}
        if self.comparisons:
            result["comparisons"] = finite_or_none(self.comparisons)
        if self.subgroups:
            result["subgroups"] = {
                name: {"infants": group.infants, "cases": group.cases, **group.to_dict()}
                for name, group in self.subgroups.items()
            }
        return result

    def lines(self) -> list[str]:
        """As lines of text; `nan` where a metric is not defined, no interval where none was computed."""
        unit = f"{self.recordings} recordings of {self.infants}" if self.recordings else f"{self.infants}"
        lines = [f"{unit} infants, {self.cases} with outcome 1, threshold {self.threshold:g}"]
        width = max(map(len, self.metrics)) + 2
        for name, metric in self.metrics.items():
            alone = math.isnan(metric.low) and not math.isnan(metric.value)
            interval = "" if alone else f"  ({metric.low:.3f} to {metric.high:.3f})"
            lines.append(f"{name:<{width}}{metric.value:.3f}{interval}")
        several = len(self.comparisons) > 1
        for method, rows in self.comparisons.items():
            columns = f"{'first':>8}{'second':>8}{'difference':>12}{'95 % interval':>20}{'P':>8}"
            lines += ["", f"against {method}", f"{'':<14}{columns}" + f"{'Holm':>8}" * several]
            for name, row in rows.items():
                interval = f"{row.low:+.3f} to {row.high:+.3f}"
                ps = "".join(f"{'-' if math.isnan(p) else f'{p:.3f}':>8}" for p in (row.p, row.holm)[: 1 + several])
                lines.append(f"{name:<14}{row.first:>8.3f}{row.second:>8.3f}{row.difference:>+12.3f}{interval:>20}{ps}")
        for name, group in self.subgroups.items():
            lines += ["", f"{name}: {group.lines()[0]}", *group.lines()[1:]]
        return lines


def evaluate(
    risks: ArrayLike,
    labels: ArrayLike,
    threshold: float = 0.5,
    *,
    groups: Groups | None = None,
    auc_method: AucMethod = "delong",
    resamples: int = 2000,
    seed: int = 0,
) -> Evaluation:
    """Discrimination, predictive values at the published prevalences, calibration, and use after recalibration.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        threshold: outcome 1 is predicted from this risk on.
        groups: where infants have several recordings, that of each; intervals are then bootstraps over infants.
        auc_method: of the interval of the AUC.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        The metrics of `discrimination_metrics`, `ppv_at_0.15` and its like (for equal sensitivity and specificity,
        without interval), and those of `calibration_metrics` and `cross_fitted_metrics`.

    Raises:
        ValueError: no infants, risks outside 0..1, labels other than 0 and 1, lengths differ, or an infant with two
            labels.
    """
    options: dict[str, Any] = {"groups": groups, "resamples": resamples, "seed": seed}
    calibrated = calibration.calibration_metrics(risks, labels, **options)
    found = discrimination.discrimination_metrics(risks, labels, threshold, auc_method=auc_method, **options)
    fitted = cross_fitting.cross_fitted_metrics(risks, labels, groups, seed)
    elsewhere = _predictive_values(found["sensitivity"].value, found["specificity"].value)
    labels = np.asarray(labels)
    metrics = {**found, **elsewhere, **calibrated, **fitted}
    if groups is None:
        return Evaluation(len(labels), int(labels.sum()), threshold, metrics)
    outcomes = dict(zip(groups, labels.tolist()))
    return Evaluation(len(outcomes), sum(outcomes.values()), threshold, metrics, recordings=len(labels))


def compare(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    thresholds: tuple[float, float] = (0.5, 0.5),
    test: Test = "mcnemar",
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Two methods on the same infants.

    The AUCs are compared by DeLong's paired test, the predictions by `test`; their intervals are bootstraps over
    infants. Predictive values have no exact paired test: with `mcnemar` they have an interval and no P value.

    Args:
        first: `[infant]` risks of the first method.
        second: `[infant]` those of the second.
        labels: `[infant]`, 0 or 1.
        thresholds: of the first and of the second.
        test: a name of `TESTS`. `published` reproduces the P values of the Groos papers and overstates significance:
            see `comparison.published_binomial`.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        `auc`, `sensitivity`, `specificity`, `accuracy`, `ppv`, `npv`.

    Raises:
        ValueError: NaN risks, labels other than 0 and 1, lengths differ, or an unknown test.
    """
    require_one_of("test", test, tuple(TESTS))
    (first, labels, _), (second, _, _) = check_scores(first, labels), check_scores(second, labels)
    predicted = [risks >= threshold for risks, threshold in zip((first, second), thresholds)]
    right = [each == (labels == 1) for each in predicted]
    rows = {"auc": _compare_auc(first, second, labels)}
    for name, infants in {"sensitivity": labels == 1, "specificity": labels == 0, "accuracy": labels >= 0}.items():
        rows[name] = _compare_paired(right[0][infants], right[1][infants], resamples, seed)
    for name, outcome in (("ppv", 1), ("npv", 0)):
        rows[name] = _compare_predictive_values([each == outcome for each in predicted], right, labels, resamples, seed)
    if test == "published":
        risks = zip((first, second), thresholds)
        mine, other = (discrimination.confusion_counts(r, labels, t).fractions for r, t in risks)
        for name in mine:
            defined = mine[name][1] and other[name][1]
            p = comparison.published_binomial(*mine[name], *other[name]) if defined else math.nan
            rows[name] = rows[name]._replace(p=p)
    return {name: row._replace(holm=row.p) for name, row in rows.items()}


def correct_p_values(comparisons: Mapping[str, Mapping[str, Comparison]]) -> dict[str, dict[str, Comparison]]:
    """Comparisons of one method with several others, `holm` set: P values corrected metric by metric.

    Args:
        comparisons: results of `compare`, by name of the other method; each of the same metrics.
    """
    result: dict[str, dict[str, Comparison]] = {method: {} for method in comparisons}
    for name in next(iter(comparisons.values()), {}):
        adjusted = comparison.holm({method: rows[name].p for method, rows in comparisons.items()})
        for method, rows in comparisons.items():
            result[method][name] = rows[name]._replace(holm=adjusted[method])
    return result


def evaluate_subgroups(
    risks: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    threshold: float = 0.5,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Evaluation]:
    """Discrimination within the infants of each group.

    Args:
        risks: `[infant]`.
        labels: `[infant]`, 0 or 1.
        groups: `[infant]` the group of each.
        threshold: outcome 1 is predicted from this risk on.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        By name, in alphabetical order. A group of one class has no AUC: it is NaN.

    Raises:
        ValueError: NaN risks, labels other than 0 and 1, or lengths differ.
    """
    risks, labels, _ = check_scores(risks, labels)
    if len(groups) != len(labels):
        raise ValueError(f"groups must name that of each of the {len(labels)} infants, got {len(groups)}")
    found, of_infant = {}, np.asarray(groups, object)
    for name in sorted(set(groups)):
        r, y = risks[of_infant == name], labels[of_infant == name]
        metrics = discrimination.discrimination_metrics(r, y, threshold, resamples=resamples, seed=seed)
        found[name] = Evaluation(len(y), int(y.sum()), threshold, metrics)
    return found


def _predictive_values(sensitivity: float, specificity: float) -> dict[str, Estimate]:
    """Predictive values at the published prevalences."""
    found: dict[str, Estimate] = {}
    for prevalence in decision.PREVALENCES.values():
        values = (math.nan, math.nan)
        if not math.isnan(sensitivity + specificity):
            values = decision.predictive_values(sensitivity, specificity, prevalence)
        found |= {f"{n}_at_{prevalence:g}": UNDEFINED._replace(value=v) for n, v in zip(("ppv", "npv"), values)}
    return found


def _compare_auc(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> Comparison:
    if min((labels == 0).sum(), (labels == 1).sum()) < 2:
        return _NO_COMPARISON
    areas = discrimination.auc(first, labels), discrimination.auc(second, labels)
    return Comparison(*areas, *comparison.delong(first, second, labels), math.nan)


def _compare_paired(first: np.ndarray, second: np.ndarray, resamples: int, seed: int) -> Comparison:
    """Shares of infants that each method has right, `[infant]` of the same infants."""
    if not len(first):
        return _NO_COMPARISON
    a, b = float(first.mean()), float(second.mean())
    interval = comparison.paired_difference(first, second, resamples=resamples, seed=seed)
    return Comparison(a, b, a - b, *interval, comparison.mcnemar(first, second).p, math.nan)


def _compare_predictive_values(
    predicted: Sequence[np.ndarray], right: Sequence[np.ndarray], labels: np.ndarray, resamples: int, seed: int
) -> Comparison:
    """Shares of right predictions by bootstrap over infants; a resample without predictions is left out."""

    def shares(weights: np.ndarray) -> list[np.ndarray]:
        with np.errstate(invalid="ignore"):
            return [weights @ (p & r) / (weights @ p) for p, r in zip(predicted, right)]

    first, second = (float(share) for share in shares(np.ones(len(labels))))
    if math.isnan(first - second):
        return _NO_COMPARISON._replace(first=first, second=second)
    interval = bootstrap(lambda w: np.subtract(*shares(w)), labels, None, 0.95, resamples, seed)
    return Comparison(first, second, first - second, *interval, math.nan, math.nan)
