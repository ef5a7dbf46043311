"""Evaluation of the risks of one method, and its comparison with others, as tables and as lines to print.

The metrics are those of `discrimination`, `calibration`, `comparison` and `decision`; here they are collected.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, comparison, cross_fitting, decision, discrimination
from infantjax.evaluation.intervals import UNDEFINED, AucMethod, Estimate, Groups, bootstrap, check_scores
from infantjax.files import finite_or_none
from infantjax.settings import require_one_of

if TYPE_CHECKING:
    import pandas as pd

Test = Literal["mcnemar", "published"]

TESTS: dict[Test, str] = {
    "mcnemar": "McNemar's exact test on the infants on whom the methods differ",
    "published": "one method's count against the other's proportion as if that were known, as the Groos papers did; it "
    "ignores the pairing and the other method's uncertainty and so overstates significance",
}
"""Tests of a difference between predictions, and what they do."""


_COMPARED = ["first", "second", "difference", "low", "high", "p"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A method on a set of infants.

    Attributes:
        infants: number of infants.
        cases: number of infants with outcome 1.
        threshold: outcome 1 is predicted from this risk on.
        metrics: a row a metric: `value` with its 95 % interval, `low` and `high`; NaN where it is not defined.
        comparisons: with other methods, see `compare_all`; None where there are none.
        subgroups: the same of the infants of each group, by name.
        recordings: number of recordings, where infants have several; 0 where each has one.
    """

    infants: int
    cases: int
    threshold: float
    metrics: "pd.DataFrame"
    comparisons: "pd.DataFrame | None" = None
    subgroups: Mapping[str, "Evaluation"] = field(default_factory=dict)
    recordings: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: metrics as `[value, low, high]`, comparisons by the columns of `compare_all`; null for NaN."""
        result: dict[str, Any] = dict(zip(self.metrics.index, self.metrics.to_numpy().tolist()))
        if self.comparisons is not None:
            by_method = self.comparisons.groupby(level="method", sort=False)
            result["comparisons"] = {method: rows.droplevel("method").to_dict("index") for method, rows in by_method}
        found: dict[str, Any] = finite_or_none(result)
        if self.subgroups:
            found["subgroups"] = {
                name: {"infants": group.infants, "cases": group.cases, **group.to_dict()}
                for name, group in self.subgroups.items()
            }
        return found

    def lines(self) -> list[str]:
        """As lines of text; `nan` where a metric is not defined, no interval where none was computed."""
        unit = f"{self.recordings} recordings of {self.infants}" if self.recordings else f"{self.infants}"
        lines = [f"{unit} infants, {self.cases} with outcome 1, threshold {self.threshold:g}"]
        lines += metric_lines(self.metrics)
        if self.comparisons is not None:
            lines += self._compared_lines(self.comparisons)
        for name, group in self.subgroups.items():
            lines += ["", f"{name}: {group.lines()[0]}", *group.lines()[1:]]
        return lines

    @staticmethod
    def _compared_lines(comparisons: "pd.DataFrame") -> list[str]:
        lines, methods = [], comparisons.index.unique("method")
        several = len(methods) > 1
        for method in methods:
            columns = f"{'first':>8}{'second':>8}{'difference':>12}{'95 % interval':>20}{'P':>8}"
            lines += ["", f"against {method}", f"{'':<14}{columns}" + f"{'Holm':>8}" * several]
            for row in comparisons.loc[method].itertuples():
                interval = f"{row.low:+.3f} to {row.high:+.3f}"
                ps = "".join(f"{'-' if math.isnan(p) else f'{p:.3f}':>8}" for p in (row.p, row.holm)[: 1 + several])
                shares = f"{row.Index:<14}{row.first:>8.3f}{row.second:>8.3f}{row.difference:>+12.3f}"
                lines.append(f"{shares}{interval:>20}{ps}")
        return lines


def metric_lines(metrics: "pd.DataFrame") -> list[str]:
    """Metrics as lines of text; `nan` where one is not defined, no interval where none was computed."""
    lines, width = [], max(map(len, metrics.index)) + 2
    for name, value, low, high in metrics.itertuples():
        alone = math.isnan(low) and not math.isnan(value)
        interval = "" if alone else f"  ({low:.3f} to {high:.3f})"
        lines.append(f"{name:<{width}}{value:.3f}{interval}")
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
    metrics = metric_table({**found, **elsewhere, **calibrated, **fitted})
    if groups is None:
        return Evaluation(len(labels), int(labels.sum()), threshold, metrics)
    outcomes = dict(zip(groups, labels.tolist()))
    return Evaluation(len(outcomes), sum(outcomes.values()), threshold, metrics, recordings=len(labels))


def metric_table(estimates: Mapping[str, Estimate]) -> "pd.DataFrame":
    """Metrics as a table: a row a metric, columns `value`, `low` and `high`."""
    import pandas as pd

    return pd.DataFrame.from_dict(estimates, orient="index", columns=list(Estimate._fields))


def compare(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    thresholds: tuple[float, float] = (0.5, 0.5),
    test: Test = "mcnemar",
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> "pd.DataFrame":
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
        Rows `auc`, `sensitivity`, `specificity`, `accuracy`, `ppv`, `npv`; columns `first` and `second` (the methods'
        values), `difference` with the ends of its interval `low` and `high`, and the two-sided `p`. NaN where they are
        not defined, and where there is no test.

    Raises:
        ValueError: NaN risks, labels other than 0 and 1, lengths differ, or an unknown test.
    """
    import pandas as pd

    require_one_of("test", test, tuple(TESTS))
    (first, labels, _), (second, _, _) = check_scores(first, labels), check_scores(second, labels)
    predicted = [risks >= threshold for risks, threshold in zip((first, second), thresholds)]
    right = [each == (labels == 1) for each in predicted]
    rows: dict[str, tuple[float, ...]] = {"auc": (math.nan,) * 6}
    if min((labels == 0).sum(), (labels == 1).sum()) > 1:
        areas = discrimination.auc(first, labels), discrimination.auc(second, labels)
        rows["auc"] = *areas, *comparison.delong(first, second, labels)
    everyone, cases = np.ones(len(labels), bool), labels == 1
    for name, infants in {"sensitivity": cases, "specificity": ~cases, "accuracy": everyone}.items():
        p = comparison.mcnemar(*(each[infants] for each in right))[2] if infants.any() else math.nan
        rows[name] = *_compare_shares([infants, infants], right, labels, resamples, seed), p
    for name, outcome in (("ppv", 1), ("npv", 0)):
        chosen = [each == outcome for each in predicted]
        rows[name] = *_compare_shares(chosen, right, labels, resamples, seed), math.nan
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_COMPARED)
    if test == "published":
        risks = zip((first, second), thresholds)
        mine, other = (discrimination.confusion_counts(r, labels, t).fractions for r, t in risks)
        for name in mine:
            defined = mine[name][1] and other[name][1]
            table.loc[name, "p"] = comparison.published_binomial(*mine[name], *other[name]) if defined else math.nan
    return table


def compare_all(comparisons: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    """Comparisons of one method with several others, their P values corrected metric by metric by Holm's method.

    Args:
        comparisons: results of `compare`, by name of the other method; at least one.

    Returns:
        One table by `method` and `metric`, with the corrected P values in the column `holm`.
    """
    import pandas as pd

    table = pd.concat(comparisons, names=["method", "metric"])
    return table.assign(holm=table.groupby(level="metric")["p"].transform(lambda p: comparison.holm(p)))


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
    import pandas as pd

    risks, labels, _ = check_scores(risks, labels)
    found = {}
    for name, rows in pd.DataFrame({"group": list(groups), "risk": risks, "label": labels}).groupby("group"):
        given = rows["risk"], rows["label"], threshold
        metrics = discrimination.discrimination_metrics(*given, resamples=resamples, seed=seed)
        found[str(name)] = Evaluation(len(rows), int(rows["label"].sum()), threshold, metric_table(metrics))
    return found


def _predictive_values(sensitivity: float, specificity: float) -> dict[str, Estimate]:
    """Predictive values at the published prevalences."""
    found: dict[str, Estimate] = {}
    for prevalence in decision.PREVALENCES.values():
        values = decision.predictive_values(sensitivity, specificity, prevalence)
        found |= {f"{n}_at_{prevalence:g}": UNDEFINED._replace(value=v) for n, v in zip(("ppv", "npv"), values)}
    return found


def _compare_shares(
    chosen: Sequence[np.ndarray], right: Sequence[np.ndarray], labels: np.ndarray, resamples: int, seed: int
) -> tuple[float, ...]:
    """Shares that each method has right of chosen infants, by bootstrap; a resample without such is left out."""

    def shares(weights: np.ndarray) -> list[np.ndarray]:
        with np.errstate(invalid="ignore"):
            return [weights @ (c & r) / (weights @ c) for c, r in zip(chosen, right)]

    first, second = (float(share) for share in shares(np.ones(len(labels))))
    if math.isnan(first - second):
        return first, second, *[math.nan] * 3
    interval = bootstrap(lambda w: np.subtract(*shares(w)), labels, None, resamples, seed)
    return first, second, first - second, *interval
