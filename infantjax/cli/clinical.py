"""Options of `evaluate` for the clinical tables of a cohort, and how the tables are shown and written."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from tyro.conf import arg

from infantjax.cli import common
from infantjax.errors import printable

if TYPE_CHECKING:
    from infantjax.evaluation.columns import Column
    from infantjax.evaluation.tables import RiskTable
    from infantjax.report.study import Kind

Tables = dict[str, list[Any]]
"""Rows (named tuples) of each table by its name."""


class Clinical(NamedTuple):
    """What the clinical options ask for.

    Attributes:
        tables: those that have rows.
        risks: `[infant]`.
        by: `[infant]` each.
    """

    tables: Tables
    risks: Sequence[float]
    by: "Sequence[Column]"

    def plots(self, plots: Any) -> dict[str, Any]:
        """Box plots of the risk by each category, by name of the file; `plots` is `evaluation.plots`."""
        from infantjax.files import safe_stem

        drawn = [column for column in self.by if column.kind == "category" and column.entries]
        return {f"risk_by_{safe_stem(column.name)}": plots.groups(self.risks, column) for column in drawn}


NOTHING = Clinical({}, (), ())
"""What they ask for if not given."""

_TITLES = {
    "thresholds": ("Decision thresholds", "With 95 % intervals: exact for shares, logarithmic for likelihood ratios."),
    "table_one": ("Characteristics by outcome", "Table 1: count (share), or mean (SD), median [quartiles]."),
    "risk_by_column": ("Risk by column", "Median and quartiles; positive: infants at or above the threshold."),
    "contributions": ("Contributions against risk", "The published correlation of the mean over keypoints is 0.946."),
    "later_scores": ("Later scores by predicted class", "Difference: predicted 0 less predicted 1, 95 % interval."),
    "tracking": ("Tracking quality by column", "Shares of usable seconds and of missing points."),
}
_HOLM = "P values by Holm's method are adjusted for all tests of a table. They show associations, not causes."
_GRID = tuple(number / 20 for number in range(1, 20))


@dataclass(frozen=True)
class ClinicalOptions:
    """Clinical tables: thresholds, characteristics, groups, later scores. They are of infants: mean risk of each."""

    by: Annotated[tuple[str, ...], arg(metavar="COLUMN ...")] = ()
    """Columns of the outcomes: described by outcome; risk and tracking quality by them. `age:number` fixes a kind."""
    scores: Annotated[tuple[str, ...], arg(metavar="COLUMN ...")] = ()
    """Columns of later scores, such as Bayley's: compared between predicted classes, also by `--by`."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for the clinical tables as CSV, and a page of them."""

    def compute(self, recordings: "RiskTable", risks: Path, outcomes: Path | None, threshold: float) -> Clinical:
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
            return NOTHING
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
        common.say(f"note: {_HOLM}")
        return Clinical({name: rows for name, rows in tables.items() if rows}, table.risks, by)

    def write(self, tables: Tables, inputs: Iterable[Path | None]) -> None:
        """Write each table as CSV and a page of all, if a folder is given; never over an input."""
        if self.output is None or not tables:
            return
        from infantjax.files import csv_text, refuse_inputs, write_atomically

        paths = {name: self.output / f"{name}.csv" for name in tables}
        page = self.output / "clinical.html"
        refuse_inputs((*paths.values(), page), filter(None, inputs))
        with common.written(self.output, "give another folder"):
            self.output.mkdir(parents=True, exist_ok=True)
            for name, path in paths.items():
                rows = [flatten(row) for row in tables[name]]
                write_atomically(path, csv_text(list(rows[0]), [list(row.values()) for row in rows]))
                common.say(f"table: {path}")
            write_atomically(page, to_html(tables))
            common.say(f"page: {page}")


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
        found += ["", ": ".join(_TITLES[name]), *_aligned(rows)]
    return found


def to_html(tables: Tables) -> str:
    """The tables as a page, with a chart of sensitivity and specificity over the threshold."""
    from infantjax.report.study import Chart, Section, Series, study_html

    sections = []
    for name, rows in tables.items():
        title, explanation = _TITLES[name]
        cells = [[v if isinstance(v, (int, float)) else _cell(v) for v in row] for row in rows]
        chart = None
        if name == "thresholds":
            series = [
                Series(metric, [row.threshold for row in rows], *_estimates(rows, metric))
                for metric in ("sensitivity", "specificity")
            ]
            chart = Chart("Sensitivity and specificity over the threshold", "threshold", "share", series)
        sections.append(Section(title, [explanation], chart, [h.replace("_", " ") for h in rows[0]._fields], cells))
    return study_html("Evaluation", "Clinical tables", [_HOLM], sections)


def _estimates(rows: Sequence[Any], name: str) -> tuple[list[float], "Kind", list[float], list[float]]:
    """Values, kind and interval of a series."""
    found = [getattr(row, name) for row in rows]
    return [e.value for e in found], "line", [e.low for e in found], [e.high for e in found]


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
