"""The training settings of a method as a search space; a candidate is cross-validated as the method publishes it.

Of each setting the space has a fifth, the value itself and five times of it, of whole numbers a half, the value and
twice; those that the method refuses are left out. All of it is our choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.search.auc import TrainingObjective
from infantjax.search.objective import Report, TrialResult
from infantjax.search.space import Alternative, Choices, SearchSpace
from infantjax.settings import from_settings
from infantjax.training.cohorts.crossval import Trainable, TrainingSetup, TrainInputs, TrainOutputs, crossval_inputs
from infantjax.training.execution.compiled import CompiledTraining
from infantjax.training.loop import digest_of


def settings_space(method: Trainable, names: Sequence[str]) -> SearchSpace:
    """The space around some settings of a method.

    Args:
        method: its settings are the middle of the space.
        names: of the settings, with dots.
    """
    alternatives: dict[str, tuple[Alternative, ...]] = {}
    for name in names:
        value: Any = reduce(getitem, name.split("."), method.settings)
        near = (value // 2, value, 2 * value) if isinstance(value, int) else (value / 5, value, 5 * value)
        values = dict.fromkeys(each if isinstance(each, int) else float(f"{each:.6g}") for each in near)
        alternatives[name] = tuple(each for each in values if _accepts(method, {name: each}))
    return SearchSpace(tuple(alternatives.items()))


def _accepts(method: Trainable, choices: Choices) -> bool:
    try:
        with_settings(method, choices)
    except ValueError:
        return False
    return True


def with_settings(method: Trainable, choices: Mapping[str, Any]) -> Trainable:
    """The method with some settings changed, each by its name with dots.

    Raises:
        ValueError: a value that the setting cannot have.
    """
    settings = method.settings
    for name, value in choices.items():
        *path, last = name.split(".")
        reduce(getitem, path, settings)[last] = value
    return from_settings(type(method), settings)


@dataclass(frozen=True, eq=False)
class CrossvalObjective(TrainingObjective):
    """The held-out metric of a cross-validation: the AUC, or minus the mean error of a score.

    It is optimistic where held-out recordings also choose the epoch, as in the method's own cross-validation.

    Attributes:
        method: whose settings the choices replace.
        inputs: prepared recordings and their splits; the choices change neither.
    """

    method: Trainable
    inputs: TrainInputs

    @classmethod
    def create(
        cls, method: Trainable, cohort: Cohort, stratify: Sequence[str], strict: bool, annotated: Sequence[Recording]
    ) -> "CrossvalObjective":
        """The objective on a cohort; arguments and errors as of `training.cohorts.crossval.crossval`."""
        inputs = crossval_inputs(method, cohort, stratify=stratify, strict=strict, annotated=annotated)
        made = cls(method, inputs)
        method.setup(inputs)  # refuses a cohort before any trial
        return made

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate."""
        return {
            "method": self.method.name,
            "settings": self.method.settings,
            "cohort": digest_of(self.method.setup(self.inputs).data),
            "splits": [asdict(split) for split in self.inputs.splits],
        }

    def setup(self, choices: Choices) -> TrainingSetup:
        """The training of the method with the settings of a candidate.

        Raises:
            ValueError: settings that the cohort is too small for.
        """
        try:
            return with_settings(self.method, choices).setup(self.inputs)
        except InputError as error:
            raise ValueError(str(error)) from error

    def __call__(
        self, choices: Choices, directory: Path, report: Report, compiled: CompiledTraining | None = None
    ) -> TrialResult:
        """Cross-validate a candidate, see `train`.

        Raises:
            DivergedError: no run finished an epoch.
            ValueError: the candidate has no value.
        """
        method, setup = with_settings(self.method, choices), self.setup(choices)
        result, details = self.train(setup, {"choices": dict(choices)}, directory, report, compiled)
        try:
            with self.on_it():
                outputs = method.outputs(self.inputs, setup, result)
        except InputError as error:
            raise ValueError(str(error)) from error
        if not math.isfinite(value := self._value(outputs)):
            raise ValueError("no held-out recording has a value")
        metrics = {name: each for name, each in outputs.metrics.items() if math.isfinite(each)}
        return TrialResult("finished", round(value, 6), details={**details, "metrics": metrics})

    def _value(self, outputs: TrainOutputs) -> float:
        if self.method.score_range is None:
            return float(outputs.metrics["AUC"])
        errors = [abs(held.value - self.inputs.cohort.outcomes[held.row]) for held in outputs.held_out]
        return -float(np.mean(errors)) if errors else math.nan
