"""`evaluate`: risks against known outcomes, or scores against measured ones."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli.evaluation.clinical import ClinicalOptions, lines, records
from infantjax.cli.options import common
from infantjax.clinic import checklist
from infantjax.errors import InputError, printable
from infantjax.evaluation import risk, sample_size, score, tables
from infantjax.evaluation.discrimination import threshold_at_sensitivity
from infantjax.evaluation.risk import Evaluation
from infantjax.files import refuse_inputs, write_atomically
from infantjax.recording.cohort import ANY_SCORE

if TYPE_CHECKING:
    import pandas as pd

_OF_RISKS = ("threshold", "at_sensitivity", "baseline", "test", "per_infant", "auc_interval", "checklist", "clinical")
"""Fields of `Evaluate` that scores have no use for."""


@dataclass(frozen=True)
class PlotOptions:
    """Plots of an evaluation."""

    plots: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for plots."""
    plot_format: Literal["svg", "png"] = "svg"
    """Format of the plots."""

    def draw(self, plot: Callable[[Any], Mapping[str, Any]], inputs: Iterable[Path | None]) -> None:
        """Save what a function draws with `evaluation.plots`, if a folder is given; never over an input."""
        if self.plots is None:
            return
        from infantjax.evaluation import plots

        figures = plot(plots)
        refuse_inputs((self.plots / f"{name}.{self.plot_format}" for name in figures), filter(None, inputs))
        with common.written(self.plots, "give another folder"):
            for path in plots.save(figures, self.plots, self.plot_format):
                common.say(f"plot: {path}")


@dataclass(frozen=True)
class ColumnOptions:
    """How the columns of the tables of risks are named, in any case."""

    id_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column of the ids; `id`, `name` or `file` if not given."""
    risk_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column of the risks; `risk` if not given. Without ids each line is an infant."""
    outcome_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column of the outcomes, 0 or 1, or of measured scores; `outcome` if not given."""
    score_column: Annotated[str | None, arg(metavar="NAME")] = None
    """Column of predicted scores, where those of a table are no risks; known of tables of assess and crossval."""


@dataclass(frozen=True)
class Evaluate(common.Command):
    """Measure how well risks predict outcomes, or predicted scores the measured ones: metrics with 95 % intervals.

    Of scores: errors beside those of the mean score, correlation, and agreement (Bland and Altman).

    Example:
        infantjax evaluate results/summary.csv cohort/outcomes.csv
        infantjax evaluate predictions.csv --risk-column probability --outcome-column label
        infantjax evaluate ensemble/out_of_fold.csv tracks/outcomes.csv --plots plots
    """

    risks: Positional[Path]
    """The summary.csv of assess, the out_of_fold.csv of crossval, or a table with columns id and risk."""
    outcomes: Positional[Path | None] = None
    """Table of outcomes (id;outcome); the column `outcome` of the risks if not given."""
    threshold: float = 0.5
    """Risk from which on an infant counts as positive."""
    at_sensitivity: float | None = None
    """Use the highest threshold with this sensitivity instead; only to compare methods."""
    baseline: Annotated[tuple[Path, ...], UseAppendAction, arg(metavar="FILE")] = ()
    """Risks of another method for the same infants, to compare with; may be repeated."""
    test: Literal["mcnemar", "published"] = "mcnemar"
    """Test of a comparison: McNemar's exact test, or the rule of the Groos papers, which overstates significance."""
    subgroups: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Column of the table of outcomes: also evaluate each of its groups."""
    per_infant: bool = False
    """Evaluate the mean risk of each infant; the column `group` of the table of outcomes names infants."""
    auc_interval: Literal["delong", "bootstrap"] = "delong"
    """Method of the interval of the AUC; always bootstrap if infants have several recordings."""
    quality: common.Screening = "warn"
    """Recordings that are not assessable: warn of them, exclude them, or off."""
    checklist: Annotated[Path | None, arg(metavar="FILE")] = None
    """Markdown file for checklists after TRIPOD+AI and PROBAST+AI, filled with what is known, and sample sizes."""
    json: bool = False
    """Print JSON."""
    columns: Annotated[ColumnOptions, common.FLAT] = ColumnOptions()
    drawing: Annotated[PlotOptions, common.FLAT] = PlotOptions()
    clinical: Annotated[ClinicalOptions, common.FLAT] = ClinicalOptions()

    def run(self) -> int:
        """Evaluate."""
        if tables.holds_scores(self.risks, self._names):
            return self._run_scores()
        if self.per_infant and self.subgroups is not None:
            raise InputError("--per-infant", "gives no subgroups, which are of recordings", "leave one of them out")
        recordings, problems = self._read(self.risks)
        scores, others = recordings, {path: self._read(path)[0] for path in self.baseline}
        if self.per_infant:
            scores = tables.mean_per_infant(scores, self.outcomes)
            others = {path: tables.mean_per_infant(other, self.outcomes) for path, other in others.items()}
        pairs = {path: tables.pair_risks(scores, other, path) for path, other in others.items()}
        common.note((*problems, *(line for _, left_out in pairs.values() for line in left_out)))
        infants = None if self.per_infant else tables.read_infants(self.outcomes, scores)
        if infants is not None:
            what = "intervals are bootstraps over infants; slope and P values assume independent recordings"
            common.say(f"note: some infants have several recordings: {what}")
        threshold = self._threshold(scores)
        clinical, boxes = self.clinical.compute(recordings, self.risks, self.outcomes, threshold)
        self.clinical.write(clinical, (self.risks, self.outcomes, *self.baseline))
        options: dict[str, Any] = {"groups": infants, "auc_method": self.auc_interval}
        found = risk.evaluate(scores["risk"], scores["outcome"], threshold, **options)
        if pairs:
            thresholds = {path: self._threshold(other) for path, other in others.items()}
            compared = {
                str(path): risk.compare(
                    both["risk"], both["risk_other"], both["outcome"], (threshold, thresholds[path]), self.test
                )
                for path, (both, _) in pairs.items()
            }
            found = dataclasses.replace(found, comparisons=risk.compare_all(compared))
            shown = " and ".join(f"{t:g}" for t in (threshold, *thresholds.values()))
            common.say(f"note: thresholds {shown}; P by {risk.TESTS[self.test]}")
        if self.subgroups is not None:
            groups = tables.read_subgroups(self.outcomes or self.risks, self.subgroups, scores["id"])
            parts = risk.evaluate_subgroups(scores["risk"], scores["outcome"], groups, threshold)
            found = dataclasses.replace(found, subgroups=parts)
        self._draw(scores, others, boxes)
        self._write_checklist(found, scores, problems)
        if self.json:
            rows = {name: records(table) for name, table in clinical.items()}
            print(json.dumps(found.to_dict() | ({"clinical": rows} if rows else {}), indent=2))
        else:
            print(printable("\n".join([*found.lines(), *lines(clinical)])))
        return 0

    def _run_scores(self) -> int:
        """Evaluate predicted scores."""
        for field in dataclasses.fields(self):
            if field.name in _OF_RISKS and getattr(self, field.name) != field.default:
                options = "--by, --scores, -o" if field.name == "clinical" else f"--{field.name.replace('_', '-')}"
                raise InputError(options, "cannot be used with scores", "leave it out; --subgroups makes groups")
        scores, problems = self._read(self.risks, tables.read_scores)
        common.note(problems)
        infants = tables.read_infants(self.outcomes, scores)
        if infants is not None:
            common.say("note: intervals of correlations take recordings as independent, others infants")
        given = scores["score"], scores["outcome"]
        found = score.evaluate(*given, infants)
        if self.subgroups is not None:
            groups = tables.read_subgroups(self.outcomes or self.risks, self.subgroups, scores["id"], ANY_SCORE)
            found = dataclasses.replace(found, subgroups=score.evaluate_subgroups(*given, groups, infants))
        self.drawing.draw(
            lambda plots: {"bland_altman": plots.bland_altman(*given, found.metrics)}, (self.risks, self.outcomes)
        )
        print(json.dumps(found.to_dict(), indent=2) if self.json else printable("\n".join(found.lines())))
        return 0

    @property
    def _names(self) -> tables.ColumnNames:
        return tables.ColumnNames(*dataclasses.astuple(self.columns))

    def _write_checklist(self, found: "Evaluation", scores: "pd.DataFrame", problems: list[str]) -> None:
        if self.checklist is None:
            return
        files = {"risks": self.risks} | ({} if self.outcomes is None else {"outcomes": self.outcomes})
        refuse_inputs([self.checklist], [*files.values(), *self.baseline])
        infants = tables.mean_per_infant(scores, self.outcomes)
        precisions = sample_size.precision(infants["risk"], infants["outcome"])
        settings = {"at_sensitivity": self.at_sensitivity, "problems": problems}
        with common.written(self.checklist, "give another file"):
            facts = checklist.collect_facts(found, precisions, files, settings)
            write_atomically(self.checklist, checklist.markdown(facts))
        common.say(f"checklist: {self.checklist}")

    def _read(
        self, path: Path, read: "Callable[..., tuple[pd.DataFrame, list[str]]]" = tables.read_risks
    ) -> "tuple[pd.DataFrame, list[str]]":
        """A table of values and its problems; name recordings that are not assessable, and leave them out if asked."""
        found, problems = read(path, self.outcomes, self._names)
        if self.quality == "off":
            return found, problems
        reasons = tables.read_not_assessable(path, self._names)
        names = set(found["id"])
        for name, reason in reasons.items():
            done = "has no risk" if name not in names else "left out" if self.quality == "exclude" else "counted"
            common.note([f"{name}: not assessable, {done}: {reason}"], always=True)
        if self.quality == "warn":
            return found, problems
        found = found[~found["id"].isin(reasons)].reset_index(drop=True)
        if found.empty:
            raise InputError(path, "has no recording left that is assessable", "use --quality warn")
        return found, problems

    def _threshold(self, scores: "pd.DataFrame") -> float:
        if self.at_sensitivity is None:
            return self.threshold
        if not 0 < self.at_sensitivity <= 1:
            raise InputError("--at-sensitivity", f"is {self.at_sensitivity}, must be above 0 and at most 1")
        with common.checked("--at-sensitivity", "leave it out"):
            return threshold_at_sensitivity(scores["risk"], scores["outcome"], self.at_sensitivity)

    def _draw(
        self, scores: "pd.DataFrame", others: "Mapping[Path, pd.DataFrame]", boxes: Callable[[], dict[str, Any]]
    ) -> None:
        if self.drawing.plots is None:
            return
        import pandas as pd

        curves, outcomes = {self.risks.stem: scores["risk"]}, scores["outcome"]
        if others:
            by_id = {str(path): rows.set_index("id")["risk"] for path, rows in {self.risks: scores, **others}.items()}
            common_to_all = pd.concat(by_id, axis=1, join="inner")
            if common_to_all.empty:
                what = "leaves no infant that all methods have"
                raise InputError("--baseline", what, "check that the ids of all tables agree")
            curves = {str(name): column for name, column in common_to_all.items()}
            outcomes = scores.set_index("id")["outcome"][common_to_all.index]
        self.drawing.draw(
            lambda plots: plots.risk_plots(curves, outcomes) | boxes(), (self.risks, self.outcomes, *self.baseline)
        )
