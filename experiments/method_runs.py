"""Shared by the experiments of one method: training of its published splits."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from support import exit_status as exit_status

from infantjax.methods.base import Method
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.training.cohorts.crossval import TrainInputs, TrainOutputs
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.state import StackResult


class MethodRuns(NamedTuple):
    """A trained stack: one run for each split.

    Attributes:
        inputs: usable recordings, prepared, and their splits.
        result: of the training.
        outputs: values of held-out recordings and metrics.
    """

    inputs: TrainInputs
    result: StackResult
    outputs: TrainOutputs


def train_runs(
    method: Method, cohort: Cohort, output: Path | None = None, annotated: Sequence[Recording] = ()
) -> MethodRuns:
    """Train a method on its published splits of a cohort; recordings that cannot be used are reported and skipped.

    Args:
        method: with its settings.
        cohort: with outcomes.
        output: folder for checkpoints and logs; an interrupted training there is continued.
        annotated: other recordings with annotated seconds.

    Raises:
        InputError: a cohort that cannot be used.
    """
    cohort, prepared = cohort.map(method.prepare, skip_invalid=True)
    for problem in cohort.problems:
        print(f"note: {problem}", file=sys.stderr)
    marked = [method.prepare_annotated(recording) for recording in annotated]
    inputs = TrainInputs(cohort, prepared, method.splits(cohort), marked)
    setup = method.setup(inputs)
    description = {"method": method.name, "settings": method.settings}
    result = fit(*setup, directory=output, description=description, options=TrainOptions(quiet=False))
    return MethodRuns(inputs, result, method.outputs(inputs, setup, result))
