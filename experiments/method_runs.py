"""Shared by the experiments of one method: training of its published splits."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support import exit_status as exit_status

from infantjax.errors import InputError
from infantjax.methods.base import Method
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.training.cohorts.crossval import RECORD, TrainInputs, TrainOutputs
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


def read_record(folder: Path, method: str) -> dict[str, Any]:
    """What `infantjax crossval` kept of a training.

    Raises:
        InputError: nothing, or it is of another method.
    """
    record = json.loads((folder / RECORD).read_text("utf-8")) if (folder / RECORD).is_file() else {}
    if record.get("method") != method:
        raise InputError(folder, f"holds no training of {method}", f"run infantjax crossval --method {method}")
    return record


def train_runs(
    method: Method, cohort: Cohort, output: Path | None = None, annotated: Sequence[Recording] = ()
) -> MethodRuns:
    """Train a method on its published splits of a cohort; recordings that cannot be used are reported and skipped.

    Args:
        method: with its settings.
        cohort: with outcomes.
        output: folder for checkpoints and logs; a training there is continued, also one of `infantjax crossval`.
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
