"""The AUC of infants as the objective of a search: a candidate is trained as one stack of runs over windows.

`TrainingObjective` is what all objectives that train share.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import flax.linen as nn
import jax
import numpy as np

from infantjax.errors import DivergedError
from infantjax.search.objective import Report, Stage, TrialResult, report_stage
from infantjax.search.space import Choices
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.cohorts.window_task import BinaryWindowTask, CohortData, window_runs
from infantjax.training.execution.compiled import CompiledTraining, trace
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions, digest_of
from infantjax.training.splits import Split
from infantjax.training.state import StackResult, Status, TrainState


def search_split(folds: Sequence[Split], held_out: Sequence[int] = (2, 7)) -> Split:
    """Train on some folds of a cross-validation and validate on the infants of the others together.

    Args:
        folds: of a cross-validation; their validation parts partition the cohort.
        held_out: numbers of the folds to validate on, counted from 1; 2 and 7 are published for graph networks.

    Raises:
        ValueError: a fold that does not exist or repeats, or none or all of them.
    """
    if not held_out or len(set(held_out)) != len(held_out) or not set(held_out) < set(range(1, len(folds) + 1)):
        raise ValueError(f"held_out must be some of the folds 1 to {len(folds)}, got {', '.join(map(str, held_out))}")
    validation = tuple(sorted(row for number in held_out for row in folds[number - 1].validation))
    training = sorted({row for fold in folds for row in fold.validation} - set(validation))
    return Split(tuple(training), validation)


@dataclass(frozen=True, eq=False)
class TrainingObjective(ABC):
    """An objective that trains a candidate as one stack of runs; it continues from the checkpoints of the trial.

    Attributes:
        device: number of the local device to train on, modulo their number; None uses all of them.
    """

    device: int | None = field(default=None, kw_only=True)

    def on_device(self, number: int) -> Self:
        """The objective on one local device."""
        return replace(self, device=number)

    @property
    def devices(self) -> list[jax.Device] | None:
        """The one to train on, as a list; None is all."""
        devices = jax.local_devices()
        return None if self.device is None else [devices[self.device % len(devices)]]

    @abstractmethod
    def setup(self, choices: Choices) -> TrainingSetup:
        """The training of a candidate.

        Raises:
            ValueError: it cannot be trained.
        """

    def precompile(self, choices: Choices) -> CompiledTraining:
        """Compile the training of a candidate."""
        task, data, runs = self.setup(choices)
        return trace(task, runs, data, devices=self.devices).compile()

    def on_it(self) -> AbstractContextManager[Any]:
        """Whatever is computed within lies on the same device: the others are busy."""
        return nullcontext() if self.devices is None else jax.default_device(self.devices[0])

    def train(
        self,
        setup: TrainingSetup,
        description: Mapping[str, Any],
        directory: Path,
        report: Report,
        compiled: CompiledTraining | None,
        *,
        at_epoch: Callable[[int, TrainState], None] = lambda epoch, state: None,
        **given: Any,
    ) -> tuple[StackResult, dict[str, Any]]:
        """Train a candidate and report its stages.

        Args:
            setup: of the candidate.
            description: of the candidate, JSON-compatible.
            directory: of its checkpoints.
            report: of the trial.
            compiled: by `precompile`; None compiles here.
            at_epoch: called after each epoch.
            given: other arguments of `training.fit`.

        Returns:
            The stack, and how it was trained, JSON-compatible.

        Raises:
            DivergedError: no run finished an epoch.
        """
        began = time.perf_counter()
        first: list[float] = []
        used = self.devices or jax.devices()
        device = f"{used[0].platform}:{used[0].id}" if len(used) == 1 else f"{len(used)} devices"

        def on_epoch(epoch: int, state: TrainState) -> None:
            first.append(time.perf_counter() - began)
            report_stage(report, Stage("training", epoch, setup.task.config.epochs, device))
            at_epoch(epoch, state)

        if compiled is not None and self.devices is not None and not compiled.is_for(self.devices[0]):
            compiled = None
        given |= {"description": description, "directory": directory, "compiled": compiled}
        options = TrainOptions(devices=self.devices, on_epoch=on_epoch)
        task = compiled.task if compiled else setup.task
        with self.on_it():
            result = fit(task, setup.data, setup.runs, options=options, **given)
        return result, {
            "epochs": int(result.last_epoch.max()),
            "best_epoch": [int(epoch) for epoch in result.best_epoch],
            "runs": [status.name.lower() for status in result.status],
            "parameters": sum(leaf[0].size for leaf in jax.tree.leaves(result.variables["params"])),
            "seconds": time.perf_counter() - began,
            "seconds_to_first_epoch": first[0] if first else None,
        }


@dataclass(frozen=True, eq=False)
class AucObjective(TrainingObjective, ABC):
    """Trains a candidate as one stack of runs; its value is the mean over the runs of their best AUC.

    A method adds the task.

    Attributes:
        build: from choices to a network; a function of a module, so that worker processes can import it.
        data: the cohort.
        splits: one run each; the same split several times gives repeats with other random numbers.
        config: of every run.
    """

    build: Callable[[Choices], nn.Module]
    data: CohortData
    splits: tuple[Split, ...]
    config: Any

    @abstractmethod
    def task(self, module: nn.Module) -> BinaryWindowTask:
        """Training task of a network."""

    @property
    def checkpoints(self) -> tuple[tuple[int, float], ...]:
        """Pairs of epoch and AUC that a training must have reached by then; default: none."""
        return ()

    @property
    def inputs(self) -> dict[str, Any]:
        """All else that decides the inputs of the network, JSON-compatible."""
        return {}

    @property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate."""
        function = getattr(self.build, "func", self.build)
        return {
            "build": f"{function.__module__}.{function.__qualname__}",
            "cohort": self._digest,
            "splits": [asdict(split) for split in self.splits],
            "config": asdict(self.config),
            **self.inputs,
            "checkpoints": list(self.checkpoints),
        }

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.data)

    def setup(self, choices: Choices) -> TrainingSetup:
        """The network of a candidate, the cohort, and a run for each split."""
        runs = window_runs(self.data, self.splits, self.config)
        return TrainingSetup(self.task(self.build(choices)), self.data, runs)

    def __call__(
        self, choices: Choices, directory: Path, report: Report, compiled: CompiledTraining | None = None
    ) -> TrialResult:
        """Train a candidate, see `train`; the report is also called at the epochs of `checkpoints`."""
        due = {epoch for epoch, _ in self.checkpoints}

        def at_epoch(epoch: int, state: TrainState) -> None:
            if epoch in due:
                report(epoch, _mean(jax.device_get(state.best_score)[: len(self.splits)]))

        setup = self.setup(choices)
        try:
            given = {**self.inputs, "choices": dict(choices)}, directory, report, compiled
            result, details = self.train(setup, *given, at_epoch=at_epoch, data_digest=self._digest)
        except DivergedError:
            return TrialResult("stopped", 0.0, "diverged in epoch 1")
        ended = details["epochs"]
        so_far = np.fmax.accumulate(np.nan_to_num(result.history["auc"][:, : max(ended, 1)]), axis=1)
        epochs = sorted({epoch for epoch in due if epoch < ended} | {max(ended, 1)})
        finished = Status.FINISHED in result.status
        return TrialResult(
            status="finished" if finished else "stopped",
            value=_mean(result.best_score),
            reason="" if finished else _why_stopped(result.status, result.last_epoch, self.checkpoints),
            intermediate=tuple((epoch, _mean(so_far[:, epoch - 1])) for epoch in epochs),
            details={**details, "auc": [_mean(auc) for auc in result.best_score]},
        )


def _mean(auc: np.ndarray) -> float:
    """Mean AUC, rounded to six digits: in float32 0.9 is less than 0.9. The resolution of AUCs is coarser."""
    return round(float(np.mean(auc, dtype=np.float64)), 6)


def _why_stopped(status: Sequence[Status], ended: np.ndarray, checkpoints: Sequence[tuple[int, float]]) -> str:
    """Why no run of a stack reached its last epoch."""
    if Status.DIVERGED in status:
        return f"diverged in epoch {int(ended[list(status).index(Status.DIVERGED)]) + 1}"
    due, minimum = max((epoch, minimum) for epoch, minimum in checkpoints if epoch <= ended.max())
    return f"AUC below {minimum:g} at epoch {due}"
