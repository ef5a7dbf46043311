"""How well a score tells infants with cerebral palsy from those without: ROC, AUC, figures at a threshold, intervals.

Everything runs on the host in float64. Labels are 0 (no CP) and 1 (CP); a higher score means CP. The unit is the
infant: pass one score per infant, or `groups` where an infant has several recordings.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Figure(NamedTuple):
    """A value with its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic, from the strictest threshold to the loosest.

    Attributes:
        thresholds: `[point]` falling; the first is infinite (nobody is called positive), then each different score.
            CP is called where the score is at least the threshold.
        sensitivity: `[point]` rising from 0 to 1.
        specificity: `[point]` falling from 1 to 0.
    """

    thresholds: Float[np.ndarray, " point"]
    sensitivity: Float[np.ndarray, " point"]
    specificity: Float[np.ndarray, " point"]


@dataclass(frozen=True)
class Counts:
    """Right and wrong calls at a threshold; each figure is NaN where its denominator is zero."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def fractions(self) -> dict[str, tuple[int, int]]:
        """(numerator, denominator) of each figure that is a proportion."""
        return {
            "sensitivity": (self.tp, self.tp + self.fn),
            "specificity": (self.tn, self.tn + self.fp),
            "ppv": (self.tp, self.tp + self.fp),
            "npv": (self.tn, self.tn + self.fn),
            "accuracy": (self.tp + self.tn, self.tp + self.fp + self.tn + self.fn),
        }

    def metrics(self) -> dict[str, float]:
        """Sensitivity, specificity, PPV, NPV, accuracy, balanced accuracy (mean of the first two) and F1."""
        figures = {name: _ratio(*fraction) for name, fraction in self.fractions.items()}
        figures["balanced_accuracy"] = (figures["sensitivity"] + figures["specificity"]) / 2
        figures["f1"] = _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)
        return figures


def auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a CP infant scores above one without, ties counted half.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        weights: `[infant]`, at least 0; None for all equal.

    Returns:
        0..1.

    Raises:
        ValueError: one class only (or only with weight 0), NaN scores, other labels than 0 and 1, or lengths differ.
    """
    scores, labels, weights = checked(scores, labels, weights)
    _require_two_classes(labels, weights)
    _, level = np.unique(scores, return_inverse=True)
    return _auc_of_levels(level, labels, weights)


def roc_curve(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Roc:
    """The ROC curve with a point for every different score.

    Args and Raises: as `auc`.
    """
    scores, labels, weights = checked(scores, labels, weights)
    _require_two_classes(labels, weights)
    levels, level = np.unique(scores, return_inverse=True)
    positive, negative = _weight_by_level(level, labels, weights)
    above = [np.concatenate([[0.0], np.cumsum(w[::-1])]) for w in (positive, negative)]
    return Roc(
        thresholds=np.concatenate([[np.inf], levels[::-1]]),
        sensitivity=above[0] / above[0][-1],
        specificity=1 - above[1] / above[1][-1],
    )


def counts(scores: ArrayLike, labels: ArrayLike, threshold: float, strict: bool = False) -> Counts:
    """Right and wrong calls when CP is called from a threshold on.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        threshold: CP is called where the score is at least this, as released.
        strict: CP only where the score is above the threshold, as the paper words it.

    Raises:
        ValueError: NaN scores, other labels than 0 and 1, or lengths differ.
    """
    scores, labels, _ = checked(scores, labels, None)
    return _counts(scores > threshold if strict else scores >= threshold, labels)


def clopper_pearson(successes: int, total: int, level: float = 0.95) -> Interval:
    """Exact interval of a proportion; (NaN, NaN) for 0 of 0.

    Raises:
        ValueError: not 0 <= successes <= total, or a level outside 0..1.
    """
    from scipy import stats

    if not 0 <= successes <= total:
        raise ValueError(f"successes must lie between 0 and the total {total}, got {successes}")
    tail = tail_of(level)
    if total == 0:
        return Interval(math.nan, math.nan)
    low = stats.beta.ppf(tail, successes, total - successes + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, total - successes) if successes < total else 1.0
    return Interval(float(low), float(high))


def auc_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    method: Literal["delong", "bootstrap"] = "delong",
    level: float = 0.95,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Confidence interval of the AUC.

    `delong`: normal approximation with DeLong's variance, cut to 0..1. `bootstrap`: percentiles over resampled
    infants, CP and no CP each in their number. When the classes are fully separated both shrink to [1, 1], which is
    not certainty: there is no variance to estimate from.

    Args:
        scores: `[recording]`.
        labels: `[recording]`, 0 or 1.
        method: the interval.
        level: confidence.
        groups: `[recording]` the infant of each; bootstrap only, None if every recording is an infant of its own.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: as `auc`; fewer than two of a class for `delong`; groups with `delong`; an infant with two labels.

    Source: DeLong, DeLong and Clarke-Pearson 1988, with placements by ranks as Sun and Xu 2014.
    """
    scores, labels, weights = checked(scores, labels, None)
    _require_two_classes(labels, weights)
    tail = tail_of(level)
    if method == "delong":
        if groups is not None:
            raise ValueError("DeLong's interval takes recordings as independent; use method='bootstrap' with groups")
        return _delong(scores, labels, tail)
    if method == "bootstrap":
        _, at = np.unique(scores, return_inverse=True)
        return bootstrap(lambda w: _auc_of_levels(at, labels, w), labels, groups, tail, resamples, seed)
    raise ValueError(f'unknown interval "{method}"; known: delong, bootstrap')


def youden_threshold(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The threshold with the largest sensitivity + specificity; the highest one on ties.

    Args and Raises: as `auc`.
    """
    curve = roc_curve(scores, labels, weights)
    total = curve.sensitivity + curve.specificity
    # Sums of equal worth differ in their last bits.
    return float(curve.thresholds[np.argmax(total >= total.max() - 1e-12)])


def threshold_at_sensitivity(
    scores: ArrayLike, labels: ArrayLike, target: float, rule: Literal["at_least", "nearest"] = "at_least"
) -> float:
    """The threshold that reaches a sensitivity, for comparing methods; CP is called where the score is at least it.

    A threshold chosen on the infants it is then judged on serves comparison only; for use, choose it on others.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        target: 0..1.
        rule: `at_least`: the highest threshold whose sensitivity is at least the target (this gives the published
            figures); `nearest`: the one whose sensitivity is nearest to it, the higher threshold on ties.

    Raises:
        ValueError: as `auc`; a target outside 0..1, or an unknown rule.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"the target sensitivity must lie between 0 and 1, got {target}")
    curve = roc_curve(scores, labels)
    if rule == "at_least":
        chosen = np.argmax(curve.sensitivity >= target - 1e-12)
    elif rule == "nearest":
        distance = np.abs(curve.sensitivity - target)
        chosen = np.argmax(distance <= distance.min() + 1e-12)
    else:
        raise ValueError(f'unknown rule "{rule}"; known: at_least, nearest')
    return float(curve.thresholds[chosen])


def evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    strict: bool = False,
    level: float = 0.95,
    groups: Sequence[Hashable] | np.ndarray | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Figure]:
    """AUC and the figures at a threshold, each with its interval.

    Proportions have Clopper-Pearson intervals and the AUC has DeLong's, which take recordings as independent. Balanced
    accuracy and F1 are no proportions: they have a bootstrap interval. With `groups` every interval is a bootstrap over
    infants; that of a share of 0 or 1 then has no width, which is not certainty.

    Args:
        scores: `[recording]`.
        labels: `[recording]`, 0 or 1.
        threshold: as `counts`.
        strict: as `counts`.
        level: confidence.
        groups: the infant of each recording, None if every recording is an infant of its own.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        `auc`, `sensitivity`, `specificity`, `ppv`, `npv`, `accuracy`, `balanced_accuracy`, `f1`. With one class only,
        what is not defined is NaN.

    Raises:
        ValueError: NaN scores, other labels than 0 and 1, lengths differ, or an infant with two labels.
    """
    scores, labels, _ = checked(scores, labels, None)
    called = scores > threshold if strict else scores >= threshold
    found = _counts(called, labels)
    metrics = found.metrics()
    figures = {
        name: Figure(metrics[name], *clopper_pearson(*fraction, level)) for name, fraction in found.fractions.items()
    }
    nothing = Interval(math.nan, math.nan)
    for name in ("balanced_accuracy", "f1") if groups is None else (*found.fractions, "balanced_accuracy", "f1"):
        interval = nothing
        if not math.isnan(metrics[name]):
            interval = bootstrap(
                _figure_of_weights(name, called, labels), labels, groups, tail_of(level), resamples, seed
            )
        figures[name] = Figure(metrics[name], *interval)
    one_class = len(np.unique(labels)) < 2
    area = math.nan if one_class else auc(scores, labels)
    interval = nothing
    if groups is not None and not one_class:
        interval = auc_interval(scores, labels, "bootstrap", level, groups, resamples, seed)
    elif min((labels == 0).sum(), (labels == 1).sum()) > 1:
        interval = auc_interval(scores, labels, "delong", level)
    return {"auc": Figure(area, *interval), **figures}


def evaluate_released(
    logits: ArrayLike,
    labels: ArrayLike,
    ids: Sequence[Hashable] | np.ndarray,
    *,
    subject: bool = True,
    median_aggregation: bool = True,
    aggregate_binary: bool = False,
    aggregate_binary_threshold: float = 0.5,
    prediction_threshold: float = 0.5,
    auto_threshold: bool = False,
) -> dict[str, float]:
    """The evaluation of the released movement-outcome program, from the scores of windows.

    Args:
        logits: `[window, 2]`; index 1 is CP.
        labels: `[window]`, 0 or 1: the outcome of the window's infant.
        ids: `[window]`: the window's infant.
        subject: judge infants; else windows. The AUC of windows weighs every infant the same; figures at a threshold
            count windows.
        median_aggregation: an infant's score is the median of its windows' risks; else the mean.
        aggregate_binary: windows are first called 0 or 1, at `aggregate_binary_threshold`.
        aggregate_binary_threshold: CP is called for a window from this risk on.
        prediction_threshold: CP is called from this score on; also the score of an infant with a NaN window.
        auto_threshold: use `youden_threshold` instead, and return it.

    Returns:
        `auc`, `accuracy`, `f1`, `sensitivity`, `specificity`, `ppv`, `npv`, `balanced_accuracy`, and `threshold` with
        `auto_threshold`. Undefined ratios are NaN. The AUC is 0.5 if a window's score is NaN where windows are judged
        (and the threshold stays as given); logits above 709 overflow to NaN, as released.

    Raises:
        ValueError: shapes do not fit, labels other than 0 and 1, an infant with two labels, or one class only.
    """
    logits, outcome = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] != 2 or outcome.shape != logits.shape[:1] or len(ids) != len(logits):
        raise ValueError(
            f"logits [window, 2], labels and ids must fit, got {logits.shape}, {outcome.shape}, {len(ids)}"
        )
    infant, first = _group_indices(ids, outcome)
    # Without the usual shift, as released: which scores tie, and so the AUC, hangs on the last bit.
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = np.exp(logits)
        scores = exponentials[:, 1] / exponentials.sum(axis=1)
    if aggregate_binary:
        scores = np.where(np.isnan(scores), np.nan, scores >= aggregate_binary_threshold)
    if subject:
        aggregate = np.median if median_aggregation else np.mean
        scores = np.array([aggregate(scores[infant == i]) for i in range(len(first))])
        scores = np.clip(np.where(np.isnan(scores), prediction_threshold, scores), 0, 1)
        outcome, weights = outcome[first], None
    else:
        windows = np.bincount(infant)
        weights = 1 / windows[infant] / len(windows)
    nan = bool(np.isnan(scores).any())
    threshold = prediction_threshold
    if auto_threshold and not nan:
        threshold = youden_threshold(scores, outcome, weights)
    result = {"auc": 0.5 if nan else auc(scores, outcome, weights), **_counts(scores >= threshold, outcome).metrics()}
    return result | {"threshold": threshold} if auto_threshold else result


def checked(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Scores, labels and weights as arrays.

    Args:
        scores: numbers.
        labels: 0 or 1.
        weights: at least 0; None for all equal.

    Raises:
        ValueError: NaN scores, other labels, or lengths that differ.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    weights = np.ones(len(labels) if labels.ndim else 0) if weights is None else np.asarray(weights, np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape or scores.shape != weights.shape:
        raise ValueError(
            f"scores, labels and weights must be one row of one length, got {scores.shape}, {labels.shape}, "
            f"{weights.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN; leave these infants out")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (no CP) or 1 (CP)")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("weights must be numbers of at least 0")
    return scores, labels.astype(np.int64), weights


def _require_two_classes(labels: np.ndarray, weights: np.ndarray) -> None:
    present = np.unique(labels[weights > 0])
    if len(present) < 2:
        found = f"all labels are {present[0]}" if len(present) else "there are no labels"
        raise ValueError(f"AUC and ROC are not defined: one class only ({found})")


def _weight_by_level(level: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = int(level.max()) + 1
    return np.bincount(level, weights * labels, size), np.bincount(level, weights * (1 - labels), size)


def _auc_of_levels(level: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    positive, negative = _weight_by_level(level, labels, weights)
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def _counts(called: np.ndarray, labels: np.ndarray) -> Counts:
    positive = np.asarray(labels) == 1
    return Counts(
        tp=int((called & positive).sum()),
        fp=int((called & ~positive).sum()),
        tn=int((~called & ~positive).sum()),
        fn=int((~called & positive).sum()),
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan


def tail_of(level: float) -> float:
    """What a confidence level leaves on either side.

    Raises:
        ValueError: a level outside 0..1.
    """
    if not 0 < level < 1:
        raise ValueError(f"the confidence level must lie between 0 and 1, got {level}")
    return (1 - level) / 2


def _delong(scores: np.ndarray, labels: np.ndarray, tail: float) -> Interval:
    from scipy import stats

    case, control = placements(scores, labels)
    area = float(case.mean())
    spread = math.sqrt(case.var(ddof=1) / len(case) + control.var(ddof=1) / len(control))
    reach = float(stats.norm.isf(tail)) * spread
    return Interval(max(0.0, area - reach), min(1.0, area + reach))


def placements(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of controls below each case, and of cases above each control; ties count half.

    Both have the AUC as their mean; DeLong's variance is that of their means.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: fewer than two of a class.
    """
    from scipy import stats

    cases, controls = scores[labels == 1], scores[labels == 0]
    m, n = len(cases), len(controls)
    if min(m, n) < 2:
        raise ValueError(f"DeLong's interval needs at least two infants of each class, got {m} with and {n} without CP")
    # The placement of a case is the share of controls below it: its rank among all less its rank among the cases.
    together = stats.rankdata(np.concatenate([cases, controls]))
    return (together[:m] - stats.rankdata(cases)) / n, 1 - (together[m:] - stats.rankdata(controls)) / m


def _group_indices(groups: Sequence[Hashable] | np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row the number of its group (in order of appearance), and for each group its first row."""
    number: dict[Hashable, int] = {}
    index = np.array([number.setdefault(g, len(number)) for g in groups], np.int64)
    _, first = np.unique(index, return_index=True)
    differing = np.asarray(labels) != np.asarray(labels)[first][index]
    if differing.any():
        name = list(number)[index[np.argmax(differing)]]
        raise ValueError(f'infant "{name}" has rows with outcome 0 and with outcome 1')
    return index, first


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    labels: np.ndarray,
    groups: Sequence[Hashable] | np.ndarray | None,
    tail: float,
    resamples: int,
    seed: int,
) -> Interval:
    """Percentiles of a statistic over resamples of the infants, those of each class in their number.

    Args:
        statistic: of how often each row occurs in a resample.
        labels: `[row]`, 0 or 1.
        groups: `[row]` the infant of each, None if every row is one of its own.
        tail: left on either side, see `tail_of`.
        resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: no resamples, or an infant with two labels.
    """
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, got {resamples}")
    values = [statistic(w) for w in _resampled_weights(labels, groups, resamples, seed)]
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def bootstrap_mean(
    values: Shaped[np.ndarray, "run *rest"], level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over independent runs, with percentiles of the means of resampled runs. With few runs they are too near.

    Args:
        values: a row a run; a NaN makes the mean of its column NaN.
        level: confidence.
        resamples: how many.
        seed: of the resamples.

    Returns:
        (mean, low, high) `[*rest]`; low and high are NaN for one run.

    Raises:
        ValueError: no runs, or a level outside 0..1.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        raise ValueError("a mean needs at least one run")
    tail = tail_of(level)
    mean = values.mean(axis=0)
    if len(values) == 1:
        return mean, np.full_like(mean, math.nan), np.full_like(mean, math.nan)
    drawn = np.random.default_rng(seed).multinomial(len(values), [1 / len(values)] * len(values), resamples)
    means = np.tensordot(drawn / len(values), values, 1)
    low, high = np.quantile(means, (tail, 1 - tail), axis=0)
    return mean, low, high


def _resampled_weights(
    labels: np.ndarray, groups: Sequence[Hashable] | np.ndarray | None, resamples: int, seed: int
) -> Iterator[Shaped[np.ndarray, " row"]]:
    """How often each row occurs when infants of each class are drawn with replacement."""
    rows = np.arange(len(labels)) if groups is None else groups
    if len(rows) != len(labels):
        raise ValueError(f"groups must name the infant of each of the {len(labels)} rows, got {len(rows)}")
    index, first = _group_indices(rows, labels)
    strata = [np.flatnonzero(labels[first] == c) for c in (0, 1)]
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in strata if len(stratum)])
        yield np.bincount(drawn, minlength=len(first))[index].astype(np.float64)


def _figure_of_weights(name: str, called: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], float]:
    positive = labels == 1
    cells = [called & positive, called & ~positive, ~called & ~positive, ~called & positive]

    def figure(weights: np.ndarray) -> float:
        return Counts(*(int(weights[cell].sum()) for cell in cells)).metrics()[name]

    return figure
