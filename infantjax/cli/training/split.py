"""`split`: the parts of a cohort, fixed before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.errors import InputError, printable


@dataclass(frozen=True)
class Split(common.Command):
    """Split a cohort into a test set and cross-validation folds.

    Writes two tables of outcomes with the fold of each recording, development.csv and test.csv, for `--outcomes` of
    other commands, and prints the size of each part.

    Example:
        infantjax split cohort -o split --stratify center --stratify subtype
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: common.Output
    """Folder for the tables."""
    folds: int = 7
    """Number of folds; 7 as published."""
    test_fraction: float = 0.25
    """Fraction of infants reserved for testing; a quarter as published; 0 reserves none."""
    stratify: common.Columns = ()
    """Column of the outcomes table to balance over the folds, besides the outcome; may be repeated."""
    rule: Literal["paper", "reference"] = "paper"
    """Balance as in the paper, or split as the reference implementation, which balances the outcome alone."""
    seed: int | None = None
    """Seed; 1 if not given, 1433 for `--rule reference`."""
    scale: Annotated[tuple[float, float] | None, arg(metavar="LOW HIGH")] = None
    """Lowest and highest score, where outcomes are scores; infants are then dealt at random."""
    files: Annotated[common.CohortOptions, common.FLAT] = common.CohortOptions()

    def run(self) -> int:
        """Split, write the tables, and print a summary."""
        from infantjax.files import refuse_inputs, write_together
        from infantjax.training import splits as folds
        from infantjax.training.cohorts import cohort_splits

        if not 0 <= self.test_fraction < 1:
            raise InputError("--test-fraction", f"is {self.test_fraction}, must be at least 0 and below 1")
        tables = {self.output / "development.csv": False, self.output / "test.csv": True}
        refuse_inputs(tables, [self.cohort, *([self.files.outcomes] if self.files.outcomes else [])])
        if self.scale is not None and self.rule == "reference":
            raise InputError("--scale", "is for scores, which the reference split does not know", "use --rule paper")
        cohort = self.files.read(self.cohort, self.scale)
        with common.checked():
            if self.rule == "paper":
                seed = 1 if self.seed is None else self.seed
                fold_of = cohort_splits.assign_folds(cohort, self.folds, self.test_fraction, self.stratify, seed)
            elif self.stratify or cohort.groups is not None:
                raise ValueError("the reference split uses neither columns nor groups; use --rule paper")
            else:
                seed = folds.REFERENCE_SEED if self.seed is None else self.seed
                outcomes = dict(zip(cohort.names, map(int, cohort.outcomes)))
                parts = folds.reference_split(outcomes, self.folds, self.test_fraction, seed)
                number = {name: k for k, part in enumerate(parts.folds, start=1) for name in part}
                fold_of = tuple(number.get(name, 0) for name in cohort.names)
        with common.written(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            contents: dict[Path, str | bytes] = {}
            for path, is_test in tables.items():
                rows = [row for row, k in enumerate(fold_of) if (k == 0) == is_test]
                contents[path] = cohort_splits.folds_table(cohort, fold_of, rows, self.stratify)
            write_together(contents)
        for line in cohort_splits.folds_summary(cohort, fold_of, self.stratify):
            print(printable(line))
        return 0
