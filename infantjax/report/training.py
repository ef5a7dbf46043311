"""The page of a cross-validation or training, made from the files of its folder."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation import calibration, discrimination
from infantjax.evaluation.intervals import clopper_pearson
from infantjax.report.study import Chart, Section, Series, study_html
from infantjax.report.text import count
from infantjax.training.crossval import RECORD
from infantjax.training.logs import TABLE
from infantjax.training.out_of_fold import OUT_OF_FOLD

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
    record = _read_json(folder / RECORD)
    history = _read_table(folder / TABLE) if (folder / TABLE).exists() else []
    held_out = [row for row in _read_table(folder / OUT_OF_FOLD) if row["value"]]
    outcomes = np.array([float(row["outcome"]) for row in held_out])
    values = np.array([float(row["value"]) for row in held_out])
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
    chart = Chart(
        f"ROC curve, {words}, {n}.",
        "1 - specificity",
        "sensitivity",
        (
            Series("chance", (0, 1), (0, 1), "reference"),
            Series("held out", 1 - specificity, sensitivity, "line", band[:, 0], band[:, 1]),
        ),
        (0, 1),
        (0, 1),
        square=True,
    )
    about = (
        f"{words}; {n}.",
        "Risks of networks that did not train on the recording. The band is the 95 % interval of the sensitivity at "
        "each threshold (Clopper-Pearson); recordings count as independent.",
    )
    return [Section("ROC", about, chart)]


def _calibration(risks: np.ndarray, labels: np.ndarray) -> list[Section]:
    """The reliability diagram; nothing for values outside 0..1."""
    if risks.min() < 0 or risks.max() > 1:
        return []
    found = calibration.reliability(risks, labels, bins=min(10, max(2, len(risks) // 5)))
    chart = Chart(
        "Observed share of the outcome over the mean risk.",
        "mean risk",
        "observed share",
        (
            Series("perfect", (0, 1), (0, 1), "reference"),
            Series("held out, 95 % interval", found.risk, found.observed, "points", found.low, found.high),
        ),
        (0, 1),
        (0, 1),
        square=True,
    )
    rows = [
        (risk, observed, f"{low:.2f} to {high:.2f}", int(n))
        for risk, observed, low, high, n in zip(found.risk, found.observed, found.low, found.high, found.count)
    ]
    about = (f"The risk as it is, before recalibration, in bins of equal width. Mean distance {found.error:.2f}.",)
    return [Section("Calibration", about, chart, ("Mean risk", "Observed", "95 % interval", "Recordings"), rows)]


def _selection(selection: Mapping[str, Any] | None) -> list[Section]:
    """The metrics where the same infants made the choices, beside those where others did; nothing without them."""
    if selection is None:
        return []
    what = "Threshold and calibration" if selection["epochs"] is None else "Epoch, threshold and calibration"
    about = (f"{what} chosen by the infants that are judged (optimistic), or by the others (nested).",)
    rows = [(name, value, selection["nested"].get(name)) for name, value in selection["optimistic"].items()]
    return [Section("Choices", about, None, ("Metric", "Optimistic", "Nested"), rows)]


def _scores(values: np.ndarray, outcomes: np.ndarray) -> Section:
    """Predicted beside true scores."""
    ends = (min(values.min(), outcomes.min()), max(values.max(), outcomes.max()))
    series = (Series("equal", ends, ends, "reference"), Series("held out", outcomes, values, "points"))
    chart = Chart("Predicted over true score.", "score", "predicted", series, square=True)
    return Section("Scores", (f"{len(values)} recordings, by networks that did not train on them.",), chart)


def _courses(history: Sequence[Mapping[str, str]]) -> list[Section]:
    """The losses over the epochs: every run, and the median over the runs."""
    names = [name for name in ("training_loss", "validation_loss") if any(row.get(name) for row in history)]
    sections = []
    for name in names:
        runs: dict[str, list[tuple[int, float]]] = {}
        for row in history:
            if row[name]:
                runs.setdefault(row["run"], []).append((int(row["epoch"]), float(row[name])))
        by_epoch: dict[int, list[float]] = {}
        for epoch, value in (point for points in runs.values() for point in points):
            by_epoch.setdefault(epoch, []).append(value)
        series = [Series("", [e for e, _ in points], [v for _, v in points], "faint") for points in runs.values()]
        middle = Series("median of the runs", list(by_epoch), [float(np.median(v)) for v in by_epoch.values()])
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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "name the folder of a finished training") from None


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "name the folder of a finished training") from None
