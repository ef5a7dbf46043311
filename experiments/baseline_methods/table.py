"""The table of comparators: discrimination of each over infants, paired tests against the first, and cost."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from baseline_methods.protocol import Comparator, Problem
from infantjax.evaluation import comparison, discrimination
from infantjax.evaluation.intervals import group_indices
from infantjax.training.cohorts.out_of_fold import infants_of


class Row(NamedTuple):
    """A fitted method: risks of recordings, and its cost in processor seconds."""

    risks: np.ndarray
    parameters: int | None
    prepare_seconds: float
    fit_seconds: float


def table(rows: Mapping[str, Row], problem: Problem, known: Mapping[str, Comparator]) -> pd.DataFrame:
    """One row for each method, over infants: an infant counts once, with the mean risk of its recordings.

    An estimate has a column for each end of its interval. P values are corrected by Holm.

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
        at = discrimination.discrimination_metrics(decisions[name], labels, 0.5)
        area = discrimination.auc(risks[name], labels), *discrimination.auc_interval(risks[name], labels)
        line: dict[str, object] = {"method": name, "reads": known[name].reads}
        for metric, found in ("auc", area), *((metric, at[metric]) for metric in ("sensitivity", "specificity")):
            line |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), found))
        line |= dict(zip(("p_auc", "p_decisions"), adjusted.get(name, (np.nan, np.nan))))
        lines.append(line | row._asdict() | {"published": known[name].published})
    return pd.DataFrame(lines).drop(columns="risks").astype({"parameters": "Int64"})


def decide(risks: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """1 where the risk of an infant reaches Youden's threshold of the infants of the other folds, `[infant]`."""
    decided = np.empty(len(risks), np.int64)
    for number in np.unique(fold):
        held, others = fold == number, fold != number
        decided[held] = risks[held] >= discrimination.youden_threshold(risks[others], labels[others])
    return decided
