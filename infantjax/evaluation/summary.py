"""Everything that is said of a method on infants whose outcome is known, as plain data and as lines to print.

The figures are those of `discrimination`, `calibration`, `comparison` and `decision`; here they are gathered.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, comparison, decision, discrimination
from infantjax.evaluation.discrimination import Figure, checked

Test = Literal["mcnemar", "published"]

TESTS: dict[Test, str] = {
    "mcnemar": "McNemar's exact test on the infants on whom the methods differ",
    "published": "one method's count against the other's proportion as if that were known, as the Groos papers did; it "
    "ignores the pairing and the other method's uncertainty and so overstates significance",
}
"""Tests of a difference between calls, and what they do."""


class Compared(NamedTuple):
    """A figure of two methods; NaN where it is not defined, and a P value of NaN where there is no test.

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


@dataclass(frozen=True)
class Summary:
    """A method on a set of infants.

    Attributes:
        infants: how many.
        cases: how many of them have outcome 1.
        threshold: from which risk on an infant was called positive.
        figures: with their intervals, by name.
        comparisons: with other methods, by their names, and by name of the figure.
        recordings: how many, where infants have several; 0 where each has one.
        subgroups: the same of the infants of each group, by its name.
    """

    infants: int
    cases: int
    threshold: float
    figures: Mapping[str, Figure]
    comparisons: Mapping[str, Mapping[str, Compared]] = field(default_factory=dict)
    subgroups: Mapping[str, "Summary"] = field(default_factory=dict)
    recordings: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: figures as `[value, low, high]`, comparisons by the names of `Compared`; null for NaN."""
        result: dict[str, Any] = {name: [_plain(v) for v in figure] for name, figure in self.figures.items()}
        if self.comparisons:
            result["comparisons"] = {
                method: {name: {key: _plain(v) for key, v in row._asdict().items()} for name, row in rows.items()}
                for method, rows in self.comparisons.items()
            }
        if self.subgroups:
            result["subgroups"] = {
                name: {"infants": group.infants, "cases": group.cases, **group.to_dict()}
                for name, group in self.subgroups.items()
            }
        return result

    def lines(self) -> list[str]:
        """As lines of text; `nan` where a figure is not defined, no interval where none was computed."""
        unit = f"{self.recordings} recordings of {self.infants}" if self.recordings else f"{self.infants}"
        lines = [f"{unit} infants, {self.cases} with outcome 1, threshold {self.threshold:g}"]
        width = max(map(len, self.figures)) + 2
        for name, figure in self.figures.items():
            alone = math.isnan(figure.low) and not math.isnan(figure.value)
            interval = "" if alone else f"  ({figure.low:.3f} to {figure.high:.3f})"
            lines.append(f"{name:<{width}}{figure.value:.3f}{interval}")
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


def summarize(
    risks: ArrayLike,
    labels: ArrayLike,
    threshold: float = 0.5,
    *,
    groups: Sequence[Hashable] | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Summary:
    """Discrimination, predictive values at the published prevalences, and calibration.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        threshold: from this risk on an infant is called positive.
        groups: where infants have several recordings, that of each; intervals are then bootstraps over infants.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        The figures of `discrimination.evaluate`, `ppv_at_0.15` and its like (sensitivity and specificity taken to carry
        over, without interval), and those of `calibration.figures`.

    Raises:
        ValueError: no infants, risks outside 0..1, labels other than 0 and 1, lengths differ, or an infant with two
            labels.
    """
    calibrated = calibration.figures(risks, labels, groups=groups, resamples=resamples, seed=seed)
    found = discrimination.evaluate(risks, labels, threshold, groups=groups, resamples=resamples, seed=seed)
    sensitivity, specificity = found["sensitivity"].value, found["specificity"].value
    elsewhere = {}
    for prevalence in decision.PREVALENCES.values():
        values = (math.nan, math.nan)
        if not math.isnan(sensitivity + specificity):
            values = decision.predictive_values(sensitivity, specificity, prevalence)
        for name, value in zip(("ppv", "npv"), values):
            elsewhere[f"{name}_at_{prevalence:g}"] = Figure(value, math.nan, math.nan)
    labels = np.asarray(labels)
    figures = {**found, **elsewhere, **calibrated}
    if groups is None:
        return Summary(len(labels), int(labels.sum()), threshold, figures)
    outcomes = dict(zip(groups, labels.tolist()))
    return Summary(len(outcomes), sum(outcomes.values()), threshold, figures, recordings=len(labels))


def compare(
    first: ArrayLike,
    second: ArrayLike,
    labels: ArrayLike,
    thresholds: tuple[float, float] = (0.5, 0.5),
    test: Test = "mcnemar",
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Compared]:
    """Two methods on the same infants.

    The AUCs are compared by DeLong's paired test, the calls by `test`; their intervals are bootstraps over infants.
    Predictive values have no exact paired test: with `mcnemar` theirs is an interval without P value.

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
    if test not in TESTS:
        raise ValueError(f'unknown test "{test}"; known: {", ".join(TESTS)}')
    (first, labels, _), (second, _, _) = checked(first, labels, None), checked(second, labels, None)
    calls = [risks >= threshold for risks, threshold in zip((first, second), thresholds)]
    rights = [called == (labels == 1) for called in calls]
    counts = [discrimination.counts(r, labels, t).fractions for r, t in zip((first, second), thresholds)]
    rows = {"auc": _compared_auc(first, second, labels)}
    judged = {"sensitivity": labels == 1, "specificity": labels == 0, "accuracy": labels >= 0}
    for name, infants in judged.items():
        if infants.any():
            a, b = (right[infants] for right in rights)
            interval = comparison.paired_difference(a, b, resamples=resamples, seed=seed)
            rows[name] = Compared(*_values(a.mean(), b.mean()), *interval, comparison.mcnemar(a, b).p, math.nan)
        else:
            rows[name] = _NOTHING
    for name, wanted in (("ppv", True), ("npv", False)):
        called, right = [c == wanted for c in calls], [r & (c == wanted) for r, c in zip(rights, calls)]
        rows[name] = _compared_shares(right, called, labels, resamples, seed)
    if test == "published":
        for name in (*judged, "ppv", "npv"):
            (k, n), (other_k, other_n) = counts[0][name], counts[1][name]
            p = comparison.published_binomial(k, n, other_k, other_n) if n and other_n else math.nan
            rows[name] = rows[name]._replace(p=p)
    return {name: row._replace(holm=row.p) for name, row in rows.items()}


def corrected(comparisons: Mapping[str, Mapping[str, Compared]]) -> dict[str, dict[str, Compared]]:
    """Comparisons of one method with several others, `holm` set: P values corrected figure by figure.

    Args:
        comparisons: what `compare` gives, by name of the other method; each of the same figures.
    """
    result: dict[str, dict[str, Compared]] = {method: {} for method in comparisons}
    for name in next(iter(comparisons.values()), {}):
        adjusted = comparison.holm({method: rows[name].p for method, rows in comparisons.items()})
        for method, rows in comparisons.items():
            result[method][name] = rows[name]._replace(holm=adjusted[method])
    return result


def subgroups(
    risks: ArrayLike,
    labels: ArrayLike,
    groups: Sequence[str],
    threshold: float = 0.5,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Summary]:
    """Discrimination within the infants of each group.

    Args:
        risks: `[infant]`.
        labels: `[infant]`, 0 or 1.
        groups: `[infant]` the group of each.
        threshold: from this risk on an infant is called positive.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        By name, in alphabetical order. A group of one class has no AUC: it is NaN.

    Raises:
        ValueError: NaN risks, labels other than 0 and 1, or lengths differ.
    """
    risks, labels, _ = checked(risks, labels, None)
    if len(groups) != len(labels):
        raise ValueError(f"groups must name that of each of the {len(labels)} infants, got {len(groups)}")
    found, of_infant = {}, np.asarray(groups, object)
    for name in sorted(set(groups)):
        r, y = risks[of_infant == name], labels[of_infant == name]
        figures = discrimination.evaluate(r, y, threshold, resamples=resamples, seed=seed)
        found[name] = Summary(len(y), int(y.sum()), threshold, figures)
    return found


_NOTHING = Compared(*[math.nan] * 7)


def _values(first: float, second: float) -> tuple[float, float, float]:
    return float(first), float(second), float(first - second)


def _compared_auc(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> Compared:
    if min((labels == 0).sum(), (labels == 1).sum()) < 2:
        return _NOTHING
    areas = discrimination.auc(first, labels), discrimination.auc(second, labels)
    return Compared(*areas, *comparison.delong(first, second, labels), math.nan)


def _compared_shares(
    right: Sequence[np.ndarray], called: Sequence[np.ndarray], labels: np.ndarray, resamples: int, seed: int
) -> Compared:
    """The shares of the right among the called, by bootstrap over infants; a resample that calls nobody is left out."""

    def shares(weights: np.ndarray) -> list[float]:
        return [float(weights[r].sum() / n) if (n := weights[c].sum()) else math.nan for r, c in zip(right, called)]

    def difference(weights: np.ndarray) -> float:
        first, second = shares(weights)
        return first - second

    values = _values(*shares(np.ones(len(labels))))
    if math.isnan(values[2]):
        return _NOTHING._replace(first=values[0], second=values[1])
    interval = discrimination.bootstrap(difference, labels, None, discrimination.tail_of(0.95), resamples, seed)
    return Compared(*values, *interval, math.nan, math.nan)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
