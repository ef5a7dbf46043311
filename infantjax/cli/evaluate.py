"""Judging risks and keypoints against what is known: `evaluate`."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli import common
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.evaluation.tables import Scores


@dataclass(frozen=True)
class Evaluate:
    """How well risks tell outcomes apart, each figure with its 95 % interval; or how far found keypoints are off.

    Example:
        infantjax evaluate results/summary.csv cohort/outcomes.csv
    """

    risks: Positional[Path]
    """The summary.csv of assess, the out_of_fold.csv of crossval, or a table with columns id and risk; for pose a
    keypoint file with one row a picture."""
    outcomes: Positional[Path | None] = None
    """Table of the outcomes (id;outcome), the column `outcome` of the risks if not given; for pose the annotations: a
    file or folder of annotated pictures, or a keypoint file."""
    task: Literal["risk", "pose"] = "risk"
    """What is evaluated."""
    threshold: float = 0.5
    """From this risk on an infant is called positive."""
    at_sensitivity: float | None = None
    """In place of the threshold: of each method the highest one with at least this sensitivity; to compare only."""
    versus: Annotated[tuple[Path, ...], UseAppendAction, arg(metavar="FILE")] = ()
    """Risks of another method for the same infants, to compare with; may be repeated, P values are then corrected."""
    test: Literal["mcnemar", "published"] = "mcnemar"
    """Of the comparison: McNemar's exact test, or the rule of the Groos papers, which overstates significance."""
    subgroups: str | None = None
    """Column of the table of outcomes: the figures of each of its groups too."""
    per_infant: bool = False
    """Judge the mean risk of each infant's recordings, told by the column `group` of the table of outcomes."""
    plots: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for pictures: ROC, reliability and decision curve; for pose the share of correct keypoints."""
    plot_format: Literal["svg", "png"] = "svg"
    """Format of the pictures."""
    unit: Literal["head", "mpii_head", "head_box", "nose_to_neck", "trunk"] = "head"
    """For pose: the length that distances are divided by."""
    at: tuple[float, ...] = (0.5, 0.2, 0.1)
    """For pose: distances up to which a keypoint counts as correct."""
    json: bool = False
    """Print JSON."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Evaluate."""
        return self._pose() if self.task == "pose" else self._risk()

    def _pose(self) -> int:
        import json
        import math

        import numpy as np

        from infantjax import formats as readers
        from infantjax.pose import metrics
        from infantjax.pose.annotations import read_annotations

        if self.outcomes is None:
            raise InputError("evaluate", "needs the annotations too", "give a file or folder of annotated pictures")
        found = readers.read(self.risks, fps=1.0)
        annotations = read_annotations(self.outcomes, found.skeleton, keep_empty=True)
        names, annotated = annotations.names, annotations.points
        if len(names) != found.frames:
            raise InputError(
                self.risks, f"has {found.frames} pictures, {self.outcomes} has {len(names)}", "give those of the same"
            )
        with common.checked("--unit", "choose another"):
            length = metrics.body_length(annotated, found.skeleton, self.unit, annotations.heads)
        distances = metrics.errors(found.keypoints[..., :2], annotated, length)
        if np.isnan(distances).all():
            raise InputError("--unit", f"is {self.unit}, whose points are annotated nowhere", "choose another")
        common.note(annotations.problems, self.quiet)
        self._plot(lambda plots: {"pck": plots.correct_keypoints(distances, found.skeleton.joints, self.unit)})
        shares = {f"PCK@{at:g}": metrics.pck(distances, at) for at in self.at} | {"ME": metrics.mean_error(distances)}
        if self.json:
            rows = {
                name: {"mean": share.mean}
                | {j: v for j, v in zip(found.skeleton.joints, share.keypoints.tolist()) if math.isfinite(v)}
                for name, share in shares.items()
            }
            print(json.dumps({"pictures": len(names), "unit": self.unit, **rows}, indent=2))
            return 0
        print(f"{len(names)} pictures, unit: {metrics.UNITS[self.unit]}")
        print(f"{'':<18}" + "".join(f"{name:>10}" for name in shares))
        for row, joint in enumerate(found.skeleton.joints):
            if not np.isnan(distances[:, row]).all():
                print(f"{joint:<18}" + "".join(_share(name, s.keypoints[row]) for name, s in shares.items()))
        print(f"{'mean':<18}" + "".join(_share(name, s.mean) for name, s in shares.items()))
        return 0

    def _risk(self) -> int:
        import json

        from infantjax.evaluation import summary, tables

        if self.per_infant and self.subgroups is not None:
            raise InputError("--per-infant", "gives no subgroups, which are of recordings", "leave one of them out")

        def read(path: Path) -> tables.Scores:
            found = tables.read_scores(path, self.outcomes)
            return tables.per_infant(found, self.outcomes) if self.per_infant else found

        scores, others = read(self.risks), {path: read(path) for path in self.versus}
        pairs = {path: tables.pair(scores, other, path) for path, other in others.items()}
        common.note((*scores.problems, *(p for paired in pairs.values() for p in paired.problems)), self.quiet)
        infants = None if self.per_infant else tables.read_infants(self.outcomes, scores)
        if infants is not None:
            what = "intervals are bootstraps over infants; those of slope and P values take recordings as independent"
            common.say(f"note: some infants have several recordings: {what}", self.quiet)
        threshold = self._threshold(scores)
        found = summary.summarize(scores.risks, scores.outcomes, threshold, groups=infants)
        if pairs:
            thresholds = {path: self._threshold(other) for path, other in others.items()}
            compared = {
                str(path): summary.compare(*paired[:3], (threshold, thresholds[path]), self.test)
                for path, paired in pairs.items()
            }
            found = dataclasses.replace(found, comparisons=summary.corrected(compared))
            shown = " and ".join(f"{t:g}" for t in (threshold, *thresholds.values()))
            common.say(f"note: thresholds {shown}; P by {summary.TESTS[self.test]}", self.quiet)
        if self.subgroups is not None:
            groups = tables.read_groups(self.outcomes or self.risks, self.subgroups, scores.names)
            parts = summary.subgroups(scores.risks, scores.outcomes, groups, threshold)
            found = dataclasses.replace(found, subgroups=parts)
        if self.plots is not None:
            curves = {self.risks.stem: scores.risks}
            outcomes = scores.outcomes
            if others:
                curves, outcomes = tables.common({str(p): s for p, s in {self.risks: scores, **others}.items()})
            self._plot(lambda plots: plots.risk_figures(curves, outcomes))
        print(json.dumps(found.to_dict(), indent=2) if self.json else "\n".join(found.lines()))
        return 0

    def _threshold(self, scores: "Scores") -> float:
        from infantjax.evaluation.discrimination import threshold_at_sensitivity

        if self.at_sensitivity is None:
            return self.threshold
        if not 0 < self.at_sensitivity <= 1:
            raise InputError("--at-sensitivity", f"is {self.at_sensitivity}, must be above 0 and at most 1")
        with common.checked("--at-sensitivity", "leave it out"):
            return threshold_at_sensitivity(scores.risks, scores.outcomes, self.at_sensitivity)

    def _plot(self, draw: Callable[[Any], Mapping[str, Any]]) -> None:
        """Draw with `evaluation.plots`, if pictures are wanted."""
        if self.plots is None:
            return
        from infantjax.evaluation import plots

        with common.written(self.plots, "give another folder"):
            for path in plots.save(draw(plots), self.plots, self.plot_format):
                common.say(f"picture: {path}", self.quiet)


def _share(name: str, value: float) -> str:
    """A share as a percentage, a mean error as a number."""
    return f"{value:>10.3f}" if name == "ME" else f"{100 * value:>10.1f}"
