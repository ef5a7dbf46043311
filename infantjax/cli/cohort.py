"""Cohorts: made by `simulate`, dealt to parts by `folds`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli import common


@dataclass(frozen=True)
class Simulate:
    """Write a cohort of simulated infants: recordings, outcomes, and the truth of every second.

    Example:
        infantjax simulate -n 60 -o cohort
    """

    output: common.Output
    """Folder for the cohort."""
    n: Annotated[int, arg(aliases=["-n"])] = 60
    """Number of infants; for sma each has three recordings."""
    system: common.SystemName = "groos"
    """Published system that reads the cohort: its keypoints, metadata, camera, and for sma scores for outcomes."""
    first: int = 0
    """Number of the first infant; cohorts of one seed that share no numbers share no infants."""
    seed: int = 0
    """Seed; infant i of a seed is the same in every cohort."""
    duration: float = 60.0
    """Seconds of each recording."""
    prevalence: float = 0.15
    """Share of infants with absent fidgety movements (outcome 1)."""
    fps: Annotated[float, arg(metavar="HZ")] = 30.0
    """Frames per second."""
    overwrite: bool = False
    """Replace an earlier simulated cohort."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Simulate the cohort."""
        from infantjax.progress import Progress
        from infantjax.simulation import write_cohort

        with (
            common.written(self.output, "make room"),
            common.checked("simulate"),
            Progress(self.n, "simulating", quiet=self.quiet) as progress,
        ):
            write_cohort(
                self.output,
                self.n,
                self.seed,
                self.duration,
                self.prevalence,
                self.fps,
                overwrite=self.overwrite,
                system=self.system,
                first=self.first,
                progress=lambda done, n: progress.update(done),
            )
        print(self.output)
        return 0


@dataclass(frozen=True)
class Folds:
    """Deal a cohort to folds, and hold infants out until the end, with equal shares of outcomes, centers, subtypes.

    Writes two tables of outcomes with the fold of each recording, development.csv and test.csv, for `--outcomes` of
    other commands, and tells what each part holds.

    Example:
        infantjax folds cohort -o split --stratify center --stratify subtype
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: common.Output
    """Folder for the tables."""
    folds: int = 7
    """Number of folds; 7 as published."""
    held_out: int = 4
    """One of so many parts is held out, of four a quarter as published; 0 holds nobody out."""
    stratify: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")] = ()
    """Column of the outcomes table to balance beside the outcome; may be repeated. In the paper center and subtype."""
    rule: Literal["paper", "released"] = "paper"
    """Balanced as in the paper, or the split of the released program, which balances the outcome alone."""
    seed: int | None = None
    """Of the shuffles; 1 if not given, for the released split 1433."""
    outcomes: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of the outcomes; the cohort's outcomes.csv if not given."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames per second of the recordings, where the files do not say."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Deal, write, tell."""
        from infantjax.files import write_atomically
        from infantjax.methods.ensemble_gcn import crossval as protocols
        from infantjax.recording.cohort import read_cohort
        from infantjax.training import splits as folds

        common.require_fps(self.fps)
        common.require_known(self.format)
        cohort = read_cohort(self.cohort, self.outcomes, fps=self.fps, format=self.format)
        common.note(cohort.problems, self.quiet)
        with common.checked():
            if self.rule == "paper":
                seed = 1 if self.seed is None else self.seed
                fold_of = protocols.deal(cohort, self.folds, self.held_out, self.stratify, seed)
            elif self.stratify or cohort.groups is not None:
                raise ValueError("the released split knows neither columns nor groups; take --rule paper")
            else:
                seed = folds.REFERENCE_SEED if self.seed is None else self.seed
                share = 1 / self.held_out if self.held_out else 0.0
                dealt = folds.reference_split(
                    dict(zip(cohort.names, map(int, cohort.outcomes))), self.folds, share, seed
                )
                number = {name: k for k, part in enumerate(dealt.folds, start=1) for name in part}
                fold_of = tuple(number.get(name, 0) for name in cohort.names)
        with common.written(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            for name, held_out in (("development", False), ("test", True)):
                rows = [row for row, k in enumerate(fold_of) if (k == 0) == held_out]
                text = protocols.folds_table(cohort, fold_of, rows, self.stratify)
                write_atomically(self.output / f"{name}.csv", text)
        for line in protocols.folds_summary(cohort, fold_of, self.stratify):
            print(line)
        return 0
