"""Options of `evaluate` for the clinical tables of a cohort, and how the tables are shown and written."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from infantjax.cli.options import common
from infantjax.errors import printable
from infantjax.evaluation import decision
from infantjax.evaluation.tables import mean_per_infant, read_infants
from infantjax.files import csv_text, refuse_inputs, safe_stem, write_atomically
from infantjax.report.page import study_html
from infantjax.report.record import plain
from infantjax.report.study import Chart, Section, Series

if TYPE_CHECKING:
    import pandas as pd

Tables = dict[str, "pd.DataFrame"]
"""Tables by name; the interval of a column `X` is in the columns `X_low` and `X_high`."""

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
    """Columns of the outcomes: described by outcome; risk and tracking quality by them. `age:number` fixes a kind,
    `gmfcs=I,II,III:IV,V` makes two groups."""
    scores: Annotated[tuple[str, ...], arg(metavar="COLUMN ...")] = ()
    """Columns of later scores, such as Bayley's: compared between predicted classes, also by `--by`."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for the clinical tables as CSV, and a page of them."""

    def compute(
        self, recordings: "pd.DataFrame", risks: Path, outcomes: Path | None, threshold: float
    ) -> "tuple[Tables, Callable[[], dict[str, Any]]]":
        """The tables that were asked for, those that have rows, and what draws box plots of the risk by each category.

        Args:
            recordings: risks of recordings, see `read_risks`.
            risks: where they were read from.
            outcomes: table of outcomes; None if the columns are in the table of risks.
            threshold: outcome 1 is predicted from it on.

        Raises:
            InputError: a column is missing or cannot be used.
        """
        if not (self.by or self.scores or self.output):
            return {}, dict
        from infantjax.clinic import associations, later_scores
        from infantjax.clinic.columns import entries_of, read_infant_column, read_measures

        infants = read_infants(outcomes, recordings) or recordings["id"]
        ids = recordings["id"].groupby(list(infants), sort=False).agg(list).to_dict()
        table = mean_per_infant(recordings, outcomes)
        by = [read_infant_column(outcomes or risks, name, ids) for name in self.by]
        scores = [read_infant_column(outcomes or risks, name, ids) for name in self.scores]
        for column in (*by, *scores):
            kind = "number" if entries_of(column) is None else "category"
            common.note([f'column "{column.name}" is a {kind}, {int(column.isna().sum())} missing'])
        contributions, tracking = read_measures(risks, ids)
        with common.checked("--scores", "add :number"):
            later = later_scores.later_scores(scores, (table["risk"] >= threshold).astype(int), by)
        tables: Tables = {
            "thresholds": decision.threshold_table(table["risk"], table["outcome"], sorted({*_GRID, threshold})),
            "table_one": associations.characteristics(by, table["outcome"]),
            "risk_by_column": associations.values_by_column({"risk": table["risk"]}, by, table["outcome"], threshold),
            "contributions": associations.contribution_correlations(contributions, table["risk"]),
            "later_scores": later,
            "tracking": associations.values_by_column(tracking, by),
        }
        common.say(f"note: {_HOLM}")

        def plots() -> dict[str, Any]:
            from infantjax.clinic.plots import groups

            return {f"risk_by_{safe_stem(str(c.name))}": groups(table["risk"], c) for c in by if entries_of(c)}

        return {name: rows for name, rows in tables.items() if len(rows)}, plots

    def write(self, tables: Tables, inputs: Iterable[Path | None]) -> None:
        """Write each table as CSV and a page of all, if a folder is given; never over an input."""
        if self.output is None or not tables:
            return
        paths = {name: self.output / f"{name}.csv" for name in tables}
        page = self.output / "clinical.html"
        refuse_inputs((*paths.values(), page), filter(None, inputs))
        with common.written(self.output, "give another folder"):
            self.output.mkdir(parents=True, exist_ok=True)
            for name, path in paths.items():
                rows = records(tables[name])
                write_atomically(path, csv_text(list(rows[0]), [list(row.values()) for row in rows]))
                common.say(f"table: {path}")
            write_atomically(page, to_html(tables))
            common.say(f"page: {page}")


def records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows of a table for JSON and CSV: numbers of six digits, None where they are not finite."""
    return plain(table.to_dict("records"))


def lines(tables: Tables) -> list[str]:
    """The tables for a terminal."""
    found = []
    for name, table in tables.items():
        shown = _merged(table).map(_cell).to_string(index=False)
        found += ["", ": ".join(_TITLES[name]), *shown.splitlines()]
    return found


def to_html(tables: Tables) -> str:
    """The tables as a page, with a chart of sensitivity and specificity over the threshold."""
    sections = []
    for name, table in tables.items():
        title, explanation = _TITLES[name]
        chart = _shares(table) if name == "thresholds" else None
        shown = _merged(table)
        cells = [[v if isinstance(v, int | float) else _cell(v) for v in row] for row in shown.to_numpy().tolist()]
        sections.append(Section(title, [explanation], chart, [head.replace("_", " ") for head in shown], cells))
    return study_html("Evaluation", "Clinical tables", [_HOLM], sections)


def _shares(thresholds: "pd.DataFrame") -> "Chart":
    """Sensitivity and specificity with their intervals over the threshold."""
    of = {str(name): column.to_numpy() for name, column in thresholds.items()}
    series = [
        Series(name, of["threshold"], of[name], low=of[f"{name}_low"], high=of[f"{name}_high"])
        for name in ("sensitivity", "specificity")
    ]
    return Chart("Sensitivity and specificity over the threshold", "threshold", "share", series)


def _merged(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table with each value and its interval as one text."""
    merged = table.astype(object)
    for name in [name for name in table if f"{name}_low" in table]:
        ends = [f"{name}_low", f"{name}_high"]
        merged[name] = [
            f"{_cell(value)} ({_cell(low)} to {_cell(high)})" if value == value else "-"
            for value, low, high in table[[name, *ends]].itertuples(index=False)
        ]
        merged = merged.drop(columns=ends)
    return merged


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3g}"
    return printable("" if value is None else str(value))
