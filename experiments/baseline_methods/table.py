"""The table of comparators: discrimination of each over infants, paired tests against the first, and cost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from baseline_methods.protocol import Comparator, Problem
from infantjax.evaluation import comparison, discrimination
from infantjax.evaluation.intervals import Estimate, group_indices
from infantjax.files import csv_text
from infantjax.training.cohorts.out_of_fold import infants_of


class Row(NamedTuple):
    """A fitted method: risks of recordings, and its cost in processor seconds."""

    risks: np.ndarray
    parameters: int | None
    prepare_seconds: float
    fit_seconds: float


class Line(NamedTuple):
    """A line of the table; P values against the first method, corrected by Holm, None of itself."""

    method: str
    reads: str
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    p_auc: float | None
    p_decisions: float | None
    prepare_seconds: float
    fit_seconds: float
    parameters: int | None
    published: str


def table(rows: Mapping[str, Row], problem: Problem, known: Mapping[str, Comparator]) -> list[Line]:
    """One line for each method, over infants: an infant counts once, with the mean risk of its recordings.

    Args:
        rows: of the methods; the others are compared with the first.
        problem: infants and folds.
        known: comparators by name.

    Raises:
        ValueError: fewer than two infants of an outcome.
    """
    cohort = problem.cohort
    infant, first = group_indices(infants_of(cohort), cohort.outcomes)
    labels = np.asarray(cohort.outcomes, np.int64)[first]
    fold = np.empty(len(cohort), np.int64)
    for number, split in enumerate(problem.splits):
        fold[list(split.validation)] = number
    risks = {name: np.bincount(infant, row.risks) / np.bincount(infant) for name, row in rows.items()}
    decisions = {name: decide(values, labels, fold[first]) for name, values in risks.items()}
    reference, *others = rows
    p_auc = [comparison.delong(risks[reference], risks[name], labels)[3] for name in others]
    right = {name: decided == labels for name, decided in decisions.items()}
    p_decisions = [comparison.mcnemar(right[reference], right[name])[2] for name in others]
    adjusted = {name: ps for name, *ps in zip(others, comparison.holm(p_auc), comparison.holm(p_decisions))}
    lines = []
    for name, row in rows.items():
        area = discrimination.auc(risks[name], labels)
        at = discrimination.discrimination_metrics(decisions[name], labels, 0.5)
        lines.append(
            Line(
                method=name,
                reads=known[name].reads,
                auc=Estimate(area, *discrimination.auc_interval(risks[name], labels)),
                sensitivity=at["sensitivity"],
                specificity=at["specificity"],
                p_auc=adjusted[name][0] if name in adjusted else None,
                p_decisions=adjusted[name][1] if name in adjusted else None,
                prepare_seconds=row.prepare_seconds,
                fit_seconds=row.fit_seconds,
                parameters=row.parameters,
                published=known[name].published,
            )
        )
    return lines


def decide(risks: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """1 where the risk of an infant reaches Youden's threshold of the infants of the other folds, `[infant]`."""
    decided = np.empty(len(risks), np.int64)
    for number in np.unique(fold):
        held, others = fold == number, fold != number
        decided[held] = risks[held] >= discrimination.youden_threshold(risks[others], labels[others])
    return decided


def formatted(lines: Sequence[Line]) -> str:
    """The table as text."""
    rows = [
        {
            "method": line.method,
            "reads": line.reads,
            "AUC": f"{line.auc.value:.3f}",
            "95 % interval": f"{line.auc.low:.3f} to {line.auc.high:.3f}",
            "sens.": f"{line.sensitivity.value:.2f}",
            "spec.": f"{line.specificity.value:.2f}",
            "P AUC": _p_value(line.p_auc),
            "P dec.": _p_value(line.p_decisions),
            "s/rec.": f"{line.prepare_seconds:.3f}",
            "s/fold": f"{line.fit_seconds:.1f}",
            "parameters": "-" if line.parameters is None else str(line.parameters),
            "published": line.published,
        }
        for line in lines
    ]
    return pd.DataFrame(rows).to_string(index=False)


def _p_value(p: float | None) -> str:
    """Three decimals, or that it is smaller."""
    return "" if p is None else f"{p:.3f}" if p >= 0.0005 else "<0.001"


def to_csv(lines: Sequence[Line]) -> str:
    """The table as CSV; an estimate has a column for each end of its interval."""
    rows = []
    for line in lines:
        row: dict[str, object] = {}
        for name, value in line._asdict().items():
            estimate = isinstance(value, Estimate)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), value)) if estimate else {name: value}
        rows.append({name: f"{cell:.4g}" if isinstance(cell, float) else cell for name, cell in row.items()})
    return csv_text(list(rows[0]), [list(row.values()) for row in rows])
