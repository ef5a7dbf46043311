"""Options of `evaluate` for the clinical tables of a cohort, and how the tables are shown and written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from infantjax.cli import common
from infantjax.errors import printable

if TYPE_CHECKING:
    from infantjax.evaluation.tables import RiskTable

Tables = dict[str, list[Any]]
"""Rows (named tuples) of each table by its name."""

_TITLES = {
    "thresholds": "decision thresholds, with 95 % intervals",
    "table_one": "characteristics by outcome (Table 1)",
    "risk_by_column": "risk by column",
    "contributions": "contributions of keypoints against the risk (published mean over keypoints: rho 0.946)",
    "later_scores": "later scores by predicted class",
    "tracking": "tracking quality by column",
}
_GRID = tuple(number / 20 for number in range(1, 20))


@dataclass(frozen=True)
class ClinicalOptions:
    """Clinical tables: thresholds, characteristics, groups, later scores. They are of infants: mean risk of each."""

    by: Annotated[tuple[str, ...], arg(metavar="COLUMN ...")] = ()
    """Columns of the outcomes: described by outcome; risk and tracking quality by them. `age:number` fixes a kind."""
    scores: Annotated[tuple[str, ...], arg(metavar="COLUMN ...")] = ()
    """Columns of later scores, such as Bayley's: compared between predicted classes, also by `--by`."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for the clinical tables as CSV."""

    def tables(self, recordings: "RiskTable", risks: Path, outcomes: Path | None, threshold: float) -> Tables:
        """The tables that were asked for; none without these options.

        Args:
            recordings: risks of recordings.
            risks: where they were read from.
            outcomes: table of outcomes; None if the columns are in the table of risks.
            threshold: outcome 1 is predicted from it on.

        Raises:
            InputError: a column is missing or cannot be used.
        """
        if not (self.by or self.scores or self.output):
            return {}
        from infantjax.evaluation import associations, decision, later_scores
        from infantjax.evaluation.columns import read_infant_column, read_measures
        from infantjax.evaluation.tables import mean_per_infant, read_infants

        infants = read_infants(outcomes, recordings) or recordings.names
        ids: dict[str, list[str]] = {infant: [] for infant in infants}
        for infant, name in zip(infants, recordings.names):
            ids[infant].append(name)
        table = mean_per_infant(recordings, outcomes)
        by = [read_infant_column(outcomes or risks, name, ids) for name in self.by]
        scores = [read_infant_column(outcomes or risks, name, ids) for name in self.scores]
        common.note(f'column "{c.name}" is a {c.kind}, {int((~c.known).sum())} missing' for c in (*by, *scores))
        found = read_measures(risks, ids)
        predicted = [int(risk >= threshold) for risk in table.risks]
        with common.checked("--scores", "add :number"):
            later = later_scores.later_scores(scores, predicted, by)
        tables: Tables = {
            "thresholds": decision.threshold_table(table.risks, table.outcomes, sorted({*_GRID, threshold})),
            "table_one": associations.characteristics(by, table.outcomes),
            "risk_by_column": associations.values_by_column({"risk": table.risks}, by, table.outcomes, threshold),
            "contributions": associations.contribution_correlations(found.contributions, table.risks),
            "later_scores": later,
            "tracking": associations.values_by_column(found.tracking, by),
        }
        common.say("note: P values by Holm are adjusted for all tests of a table; they show no causes")
        return {name: rows for name, rows in tables.items() if rows}

    def write(self, tables: Tables, inputs: Iterable[Path | None]) -> None:
        """Write each table as CSV, if a folder is given; never over an input."""
        if self.output is None:
            return
        from infantjax.files import csv_text, refuse_inputs, write_atomically

        paths = {name: self.output / f"{name}.csv" for name in tables}
        refuse_inputs(paths.values(), filter(None, inputs))
        with common.written(self.output, "give another folder"):
            self.output.mkdir(parents=True, exist_ok=True)
            for name, path in paths.items():
                rows = [flatten(row) for row in tables[name]]
                write_atomically(path, csv_text(list(rows[0]), [list(row.values()) for row in rows]))
                common.say(f"table: {path}")


def flatten(row: Any) -> dict[str, Any]:
    """A row as column -> value: an estimate becomes three columns, what is not finite None."""
    cells: dict[str, Any] = {}
    for name, value in row._asdict().items():
        if isinstance(value, tuple):
            cells |= {name: value[0], f"{name}_low": value[1], f"{name}_high": value[2]}
        else:
            cells[name] = value
    return {name: _plain(value) for name, value in cells.items()}


def lines(tables: Tables) -> list[str]:
    """The tables for a terminal."""
    found = []
    for name, rows in tables.items():
        found += ["", _TITLES[name], *_aligned(rows)]
    return found


def _aligned(rows: Sequence[Any]) -> list[str]:
    cells = [list(rows[0]._fields), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{_cell(value[0])} ({_cell(value[1])} to {_cell(value[2])})" if value[0] == value[0] else "-"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return printable("" if value is None else str(value))


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
