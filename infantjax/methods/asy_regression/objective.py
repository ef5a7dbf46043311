"""Searches the settings of both trainings: a candidate is trained as published, see `AsyRegression.crossval`."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import jax

from infantjax.methods.asy_regression.method import AsyRegression
from infantjax.search.crossval import with_settings
from infantjax.search.objective import Report, TrialResult
from infantjax.search.space import Choices
from infantjax.training.cohorts.crossval import TrainInputs, train_inputs
from infantjax.training.loop import TrainOptions


@dataclass(frozen=True, eq=False)
class DepthObjective:
    """Minus the error of a candidate on the clips that test: the mean of its limbs' median RMSD (our choice).

    Attributes:
        method: whose settings the choices replace.
        inputs: depth frames and their split.
        device: number of the local device to train on, modulo their number; None uses all of them.
    """

    method: AsyRegression
    inputs: TrainInputs
    device: int | None = None

    @cached_property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate."""
        return {"method": self.method.name, "settings": self.method.settings, "images": self.inputs.cohort.digest}

    def on_device(self, number: int) -> Self:
        """The objective on one local device."""
        return replace(self, device=number)

    def __call__(self, choices: Choices, directory: Path, report: Report) -> TrialResult:
        """Train both networks of a candidate.

        Raises:
            InputError: a training that diverged in its first epoch, or a directory that cannot be written.
            ValueError: a limb of which no joint was found.
        """
        method, devices = with_settings(self.method, choices), jax.local_devices()
        used = None if self.device is None else [devices[self.device % len(devices)]]
        with jax.default_device(used[0] if used else None):
            metrics = train_inputs(method, self.inputs, directory, TrainOptions(devices=used)).outputs.metrics
        errors = [value for name, value in metrics.items() if name.startswith("RMSD")]
        if not errors or not all(map(math.isfinite, errors)):
            raise ValueError("a limb has no joint that was found")
        known = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return TrialResult("finished", -round(sum(errors) / len(errors), 6), details={"metrics": known})
