"""TRIPOD+AI and PROBAST+AI as tables that an evaluation fills with what it knows, in Markdown.

Items are in our words (`checklists.csv`) with their published numbers; the published texts decide. PROBAST+AI has 16
signaling questions on the quality of the development and 18 on the risk of bias of the evaluation, and asks in both
whether infants, predictors and outcome apply. The table gives what this run knows for them and rates nothing.

Source: Collins et al. 2024, BMJ 385:e078378 (TRIPOD+AI); Moons et al. 2025, BMJ 388:e082505 (PROBAST+AI).
"""

import csv
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infantjax.evaluation.decision import miss_rate_probability
from infantjax.evaluation.risk import Evaluation
from infantjax.files import sha256
from infantjax.version import __version__

if TYPE_CHECKING:
    import pandas as pd

NOT_REPORTED = "not reported"

_SOURCES = {
    "TRIPOD+AI": "Collins et al. 2024, BMJ 385:e078378. Items in our words.",
    "PROBAST+AI": "Moons et al. 2025, BMJ 388:e082505. Questions in our words; nothing is rated here.",
}
_SHOWN = ("auc", "sensitivity", "specificity", "brier", "calibration_slope", "calibration_intercept")
_MAX_RECORD_BYTES = 64 * 1024**2


def markdown(facts: Mapping[str, str]) -> str:
    """Both checklists as Markdown tables; `not reported` where nothing is known.

    Args:
        facts: what is known, by the names in `checklists.csv`; see `collect_facts`.
    """
    text = resources.files("infantjax.clinic").joinpath("checklists.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    lines = ["# Reporting checklists", ""]
    for checklist, source in _SOURCES.items():
        items = [row for row in rows if row["checklist"] == checklist]
        answers = [facts.get(row["fact"], NOT_REPORTED) for row in items]
        known = sum(answer != NOT_REPORTED for answer in answers)
        lines += [f"## {checklist}", "", f"{source} {known} of {len(items)} rows are known to this run.", ""]
        lines += ["| item | section | what | this evaluation |", "| --- | --- | --- | --- |"]
        for row, answer in zip(items, answers, strict=True):
            lines.append("| " + " | ".join(map(_cell, (row["item"], row["section"], row["what"], answer))) + " |")
        lines.append("")
    return "\n".join(lines)


def collect_facts(
    found: Evaluation, precisions: "pd.DataFrame", files: Mapping[str, Path], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Collect what an evaluation knows, by the names in `checklists.csv`.

    Args:
        found: the evaluation.
        precisions: of its cohort, see `sample_size.precision`.
        files: tables that were read, by their part; `risks` is one. Beside the `out_of_fold.csv` of a cross-validation
            lies its record, which describes the development.
        settings: `at_sensitivity` (how the threshold was chosen), `problems` (rows left out).
    """
    unit = f"{found.recordings} recordings of " if found.recordings else ""
    values = found.metrics["value"]
    grouping = "bootstraps over infants" if found.recordings else "one risk an infant"
    chosen = "given beforehand or the default"
    if (at := settings["at_sensitivity"]) is not None:
        chosen = f"chosen on these infants at sensitivity {at:g}, which is optimistic"
    facts = {
        "objective": "evaluation of risks against outcomes",
        "files": "; ".join(f"{part}: {path.name}, SHA-256 {sha256(path)[:16]}" for part, path in files.items()),
        "participants": f"{unit}{found.infants} infants, {found.cases} with outcome 1",
        "left_out": f"{len(settings['problems'])} rows without a risk or an outcome were left out; no imputation",
        "sample_size": _sample_size(found, precisions),
        "measures": f"{', '.join(found.metrics.index)}; 95 % intervals, {grouping}",
        "balance": f"{found.cases} of {found.infants} infants have outcome 1, as given; none is weighted or repeated",
        "performance": "; ".join(_metric(found, name) for name in _SHOWN),
        "recalibration": (
            f"logistic recalibration, cross-fitted: Brier score {_number(values['brier_recalibrated'])} "
            f"after {_number(values['brier'])}"
        ),
        "threshold": f"risk, 0 to 1; threshold {found.threshold:g}, {chosen}",
        "predictions": f"taken from {files['risks'].name}",
        "code": f"infantjax {__version__}, Apache-2.0",
    }
    if found.subgroups:
        groups = (f"{name}: {part.infants} infants, {_metric(part, 'auc')}" for name, part in found.subgroups.items())
        facts["subgroups"] = "; ".join(groups)
    return facts | _development(files["risks"])


def _development(risks: Path) -> dict[str, str]:
    """Collect what the record of a cross-validation beside its out-of-fold risks says."""
    path = risks.with_name("training.json")
    if not risks.name.startswith("out_of_fold") or not path.is_file() or path.stat().st_size > _MAX_RECORD_BYTES:
        return {}
    try:
        record = json.loads(path.read_text("utf-8"))
        runs, recordings = record["runs"], record["cohort"]["recordings"]
        method, settings, digest = str(record["method"]), record["settings"], str(record["cohort"]["sha256"])
        chosen, nested = record.get("selection") or {}, ""
        if None not in (areas := [chosen.get(kind, {}).get("AUC") for kind in ("optimistic", "nested")]):
            nested = "; AUC {:.3f}, and {:.3f} by choices of the other folds (nested)".format(*areas)
        return {
            "objective": "development with internal validation",
            "development": f"{int(recordings)} recordings, {len(runs)} runs",
            "split": f"cross-validation, {len(runs)} runs; each recording is assessed by runs that did not train on it",
            "model": f"method {method}, settings {json.dumps(settings, sort_keys=True)}",
            "preparation": f"by method {method}: {json.dumps(settings.get('preprocessing', {}), sort_keys=True)}",
            "predictions": f"out-of-fold risks in {risks.name}",
            "ensemble": f"ensemble in the folder of {risks.name}; digest of its cohort {digest[:16]}",
            "optimism": "cross-validation; held-out recordings may have chosen the epoch of their run, see the "
            f"statement of the ensemble{nested}",
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _sample_size(found: Evaluation, precisions: "pd.DataFrame") -> str:
    words = [f"{found.infants} infants, {found.cases} with outcome 1"]
    for name, width, target, infants in precisions.dropna(subset=["width"]).itertuples():
        need = "too many" if math.isnan(infants) else f"{infants:.0f}"
        words.append(f"{name}: expected width of the 95 % interval {width:.2f}; {target:g} takes {need} infants")
    rarer = min(found.cases, found.infants - found.cases)
    words.append(f"finest error of conformal sets {1 / (rarer + 1):.3g} (Riley et al. 2021, 2024)")
    chance = f"{miss_rate_probability(found.cases, 0.1):.2f} at best"
    words.append(f"sets at 10 % error miss at most 10 % of infants with outcome 1 with probability {chance}")
    return "; ".join(words)


def _metric(found: Evaluation, name: str) -> str:
    value, low, high = found.metrics.loc[name]
    interval = "" if math.isnan(low) else f" ({low:.3f} to {high:.3f})"
    return f"{name} {_number(value)}{interval}"


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _cell(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("|", "\\|")
