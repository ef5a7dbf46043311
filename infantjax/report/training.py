"""The page of a cross-validation or training, made from the files of its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from infantjax.errors import InputError
from infantjax.evaluation import calibration, discrimination
from infantjax.evaluation.intervals import clopper_pearson
from infantjax.report.page import study_html
from infantjax.report.study import Chart, Section, Series
from infantjax.report.text import count
from infantjax.training.cohorts.crossval import RECORD
from infantjax.training.cohorts.out_of_fold import OUT_OF_FOLD
from infantjax.training.records.logs import TABLE

PAGE = "training.html"
"""Name of the page in the folder of a training."""


def training_html(folder: str | Path, title: str, statement: str) -> str:
    """Courses of the runs, each run, and for outcomes 0 and 1 the ROC curve and the calibration of held-out risks.

    Args:
        folder: of a cross-validation or training.
        title: of its method.
        statement: the caveat of its ensemble.

    Raises:
        InputError: a file of the folder is missing or cannot be read.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        history = _table(folder / TABLE) if (folder / TABLE).exists() else pd.DataFrame()
        held_out = _table(folder / OUT_OF_FOLD).dropna(subset="value")
    except (OSError, ValueError) as error:
        raise InputError(folder, f"cannot be read ({error})", "name the folder of a finished training") from None
    outcomes, values = (held_out[name].to_numpy(np.float64) for name in ("outcome", "value"))
    runs = _all_runs(record)
    facts = [count(record["cohort"]["recordings"], "recording"), count(len(runs), "run")]
    sections = [*_courses(history), _runs(runs)]
    if len(values) and set(outcomes) <= {0, 1}:
        cases = int(outcomes.sum())
        facts.append(f"{cases} of {len(values)} held-out recordings with the outcome")
        labels = outcomes.astype(int)
        chosen = _selection(record.get("selection"))
        sections = [*_discrimination(values, labels), *_calibration(values, labels), *chosen, *sections]
    elif len(values):
        sections = [_scores(values, outcomes), *sections]
    kind = "Training" if len(runs) == 1 else "Cross-validation"
    return study_html(kind, title, facts, sections, statement)


def _all_runs(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs; those of the ensemble of a search have the number of their architecture."""
    if (parts := record.get("architectures")) is None:
        return list(record["runs"])
    return [run | {"run": f"{number}.{run['run']}"} for number, part in enumerate(parts, 1) for run in part["runs"]]


def _discrimination(risks: np.ndarray, labels: np.ndarray) -> list[Section]:
    """The ROC curve; nothing where all held-out recordings have one outcome."""
    cases = int(labels.sum())
    if cases in (0, len(labels)):
        return []
    sensitivity, specificity, _ = discrimination.roc_curve(risks, labels)
    band = np.array([clopper_pearson(round(share * cases), cases) for share in sensitivity])
    area, n = discrimination.auc(risks, labels), f"{cases} with the outcome, {len(labels) - cases} without"
    words = f"AUC {area:.3f}"
    if 1 < cases < len(labels) - 1:
        low, high = discrimination.auc_interval(risks, labels)
        words += f" (95 % interval by DeLong {low:.3f} to {high:.3f})"
    curve = Series("held out", 1 - specificity, sensitivity, "line", band[:, 0], band[:, 1])
    chart = _shares(f"ROC curve, {words}, {n}.", "1 - specificity", "sensitivity", "chance", curve)
    about = (
        f"{words}; {n}.",
        "Risks of networks that did not train on the recording. The band is the 95 % interval of the sensitivity at "
        "each threshold (Clopper-Pearson); recordings count as independent.",
    )
    return [Section("ROC", about, chart)]


def _shares(label: str, x_label: str, y_label: str, diagonal: str, found: Series) -> Chart:
    """Found values beside the diagonal, over two axes from 0 to 1."""
    series = (Series(diagonal, (0, 1), (0, 1), "reference"), found)
    return Chart(label, x_label, y_label, series, (0, 1), square=True)


def _calibration(risks: np.ndarray, labels: np.ndarray) -> list[Section]:
    """The reliability diagram; nothing for values outside 0..1."""
    if risks.min() < 0 or risks.max() > 1:
        return []
    found = calibration.reliability(risks, labels, bins=min(10, max(2, len(risks) // 5)))
    risk, observed, low, high = (found[name].to_numpy() for name in ("risk", "observed", "low", "high"))
    points = Series("held out, 95 % interval", risk, observed, "points", low, high)
    label = "Observed share of the outcome over the mean risk."
    chart = _shares(label, "mean risk", "observed share", "perfect", points)
    rows = [(*row[:2], f"{row[2]:.2f} to {row[3]:.2f}", row[4]) for row in found.itertuples(index=False)]
    error = calibration.calibration_error(found)
    about = (f"The risk as it is, before recalibration, in bins of equal width. Mean distance {error:.2f}.",)
    return [Section("Calibration", about, chart, ("Mean risk", "Observed", "95 % interval", "Recordings"), rows)]


def _selection(selection: Mapping[str, Any] | None) -> list[Section]:
    """The metrics where the same infants made the choices, beside those where others did; nothing without them."""
    if selection is None:
        return []
    what = "Threshold and calibration" if selection["epochs"] is None else "Epoch, threshold and calibration"
    about = (f"{what} chosen by the same infants (optimistic), or by the others (nested).",)
    rows = [(name, value, selection["nested"].get(name)) for name, value in selection["optimistic"].items()]
    return [Section("Choices", about, None, ("Metric", "Optimistic", "Nested"), rows)]


def _scores(values: np.ndarray, outcomes: np.ndarray) -> Section:
    """Predicted beside true scores."""
    ends = (min(values.min(), outcomes.min()), max(values.max(), outcomes.max()))
    series = (Series("equal", ends, ends, "reference"), Series("held out", outcomes, values, "points"))
    chart = Chart("Predicted over true score.", "score", "predicted", series, square=True)
    return Section("Scores", (f"{len(values)} recordings, by networks that did not train on them.",), chart)


def _courses(history: pd.DataFrame) -> list[Section]:
    """The losses over the epochs: every run, and the median over the runs."""
    sections = []
    for name in ("training_loss", "validation_loss"):
        if name not in history or history[name].isna().all():
            continue
        losses = history.dropna(subset=name).pivot(index="epoch", columns="run", values=name)
        runs = [losses[run].dropna() for run in losses]
        series = [Series("", run.index.to_numpy(), run.to_numpy(), "faint") for run in runs]
        middle = Series("median of the runs", losses.index.to_numpy(), losses.median(axis=1).to_numpy())
        label = name.replace("_", " ")
        chart = Chart(f"{label} over the epochs of {len(runs)} runs.", "epoch", label, (*series, middle))
        sections.append(Section(label.capitalize(), (f"{count(len(runs), 'run')}, a thin line each.",), chart))
    return sections


def _runs(runs: Sequence[Mapping[str, Any]]) -> Section:
    metrics = list(dict.fromkeys(name for run in runs for name in run["metrics"]))
    head = ("Run", "Trained on", "Held out", "Best epoch", "Epochs", *metrics, "Ended")
    rows = [
        (
            run["run"],
            run["trained_on"],
            len(run["held_out"]),
            run["best_epoch"] or None,
            run["epochs"],
            *(run["metrics"].get(name) for name in metrics),
            run["status"],
        )
        for run in runs
    ]
    return Section("Runs", ("Recordings are counted, not infants.",), None, head, rows)


def _table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, float_precision="round_trip")
