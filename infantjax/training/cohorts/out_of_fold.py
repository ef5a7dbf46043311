"""Values of held-out recordings: as CSV tables, and what they say of the risk of an ensemble."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from infantjax.evaluation.discrimination import youden_threshold
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.files import csv_text, write_atomically
from infantjax.recording.cohort import Cohort

OUT_OF_FOLD = "out_of_fold.csv"
"""A row for each recording: the median over the runs that held it out."""
ALL_RUNS = "out_of_fold_runs.csv"
"""A row for each recording and run; written where a recording is held out by several runs."""


class HeldOut(NamedTuple):
    """Value of a held-out recording.

    Attributes:
        row: of the recording in the cohort.
        run: that held it out.
        value: risk or score; NaN where it is not defined.
    """

    row: int
    run: int
    value: float


def write_tables(directory: Path, cohort: Cohort, held_out: Sequence[HeldOut]) -> None:
    """Write the tables of a training, each as CSV with the columns `id,runs,outcome,value`.

    Raises:
        OSError: the directory cannot be written.
    """
    by_row: dict[int, list[HeldOut]] = {}
    for entry in held_out:
        by_row.setdefault(entry.row, []).append(entry)
    medians = ((row, [e.run for e in entries], _median(entries)) for row, entries in by_row.items())
    write_atomically(directory / OUT_OF_FOLD, to_csv(cohort, medians))
    if len(by_row) < len(held_out):
        write_atomically(directory / ALL_RUNS, to_csv(cohort, ((e.row, [e.run], e.value) for e in held_out)))


def threshold_of(cohort: Cohort, held_out: Sequence[HeldOut]) -> float:
    """The threshold that tells held-out infants apart best: between the risks around the largest Youden index.

    An infant enters with the median of its risks. The risks chose the threshold, so metrics at it are optimistic.

    Raises:
        ValueError: held-out infants of one outcome only.
    """
    infants = infants_of(cohort)
    by_infant: dict[str, list[HeldOut]] = {}
    for entry in held_out:
        if math.isfinite(entry.value):
            by_infant.setdefault(infants[entry.row], []).append(entry)
    risks = np.array([_median(entries) for entries in by_infant.values()])
    found = youden_threshold(risks, [int(cohort.outcomes[entries[0].row]) for entries in by_infant.values()])
    return float((found + risks[risks < found].max(initial=0)) / 2)


def calibrate(
    cohort: Cohort,
    held_out: Sequence[HeldOut],
    kept: Sequence[int],
    *,
    calibrated: bool = False,
    optimistic: bool = False,
    subjects: str = "infants",
) -> RiskCalibration | None:
    """Out-of-fold risks of the infants, with a calibration map where they are enough for one.

    Args:
        cohort: recordings with outcomes 0 or 1; a group is an infant.
        held_out: risks of recordings by the runs that did not train on them.
        kept: the runs of the ensemble, in its order.
        calibrated: the risks are calibrated already.
        optimistic: the held-out recordings also chose the epoch of their run.
        subjects: who was held out, in words.

    Returns:
        None where outcomes are scores or no risk is known.
    """
    fold_of = {run: fold for fold, run in enumerate(kept)}
    known = [entry for entry in held_out if entry.run in fold_of and math.isfinite(entry.value)]
    if cohort.score_range is not None or not known:
        return None
    infants = infants_of(cohort)
    return RiskCalibration.fit(
        [entry.value for entry in known],
        [int(cohort.outcomes[entry.row]) for entry in known],
        [infants[entry.row] for entry in known],
        [fold_of[entry.run] for entry in known],
        own=calibrated,
        optimistic=optimistic,
        subjects=subjects,
    )


def infants_of(cohort: Cohort) -> tuple[str, ...]:
    """The infant of each recording: its group, or the recording where a group (twins, a center) has both outcomes."""
    groups = cohort.groups or cohort.names
    outcome_of = dict(zip(groups, cohort.outcomes))
    whole = all(outcome_of[group] == outcome for group, outcome in zip(groups, cohort.outcomes))
    return groups if whole else cohort.names


def to_csv(cohort: Cohort, values: Iterable[tuple[int, Sequence[int], float]]) -> str:
    """Rows, runs and values as CSV text: `id,runs,outcome,value`.

    Several runs are separated by blanks. A value that is not defined is left empty. An id that a spreadsheet would
    take for a formula gets an apostrophe.
    """
    return csv_text(
        ("id", "runs", "outcome", "value"),
        ((cohort.names[row], " ".join(map(str, runs)), cohort.outcomes[row], value) for row, runs, value in values),
    )


def _median(entries: Sequence[HeldOut]) -> float:
    known = [entry.value for entry in entries if math.isfinite(entry.value)]
    return float(np.median(known)) if known else math.nan
