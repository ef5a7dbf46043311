"""A candidate of the published search: its space of 20 choices, its network, and the training that gives its AUC.

Source: Groos et al., Paper III, supplement; thesis Appendix A.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.search import VALIDATION_FOLDS
from infantjax.methods.ensemble_gcn.training import FEATURES, CohortData, TrainingConfig, trace, train
from infantjax.search.objective import Report, Stage, TrialResult, report_stage
from infantjax.search.space import Choices, SearchSpace
from infantjax.skeletons import IN_MOTION_19, Skeleton
from infantjax.training.compiled import CompiledTraining
from infantjax.training.loop import TrainOptions, digest_of
from infantjax.training.splits import Split
from infantjax.training.state import Status, TrainState

SPACE = SearchSpace(tuple(ALTERNATIVES.items()))
"""The published choices: 5,435,817,984 candidates, of which 4,416,602,112 differ (without squeeze-and-excitation its
ratio and type have no effect; the search counts them as different all the same)."""


def build(choices: Choices, skeleton: Skeleton = IN_MOTION_19) -> GraphNetwork:
    """The graph network of a candidate of `SPACE`, without the parameters that never influence its output."""
    return GraphNetwork(Architecture.from_choices(choices), skeleton, lean=True)


def search_split(folds: Sequence[Split], held_out: Sequence[int] = VALIDATION_FOLDS) -> Split:
    """Train on some folds of a cross-validation and validate on the infants of the others together.

    Args:
        folds: of a cross-validation; their validation parts partition the cohort.
        held_out: numbers of the folds to validate on, counted from 1.

    Raises:
        ValueError: a fold that does not exist or repeats, or none or all of them.
    """
    if not held_out or len(set(held_out)) != len(held_out) or not set(held_out) < set(range(1, len(folds) + 1)):
        raise ValueError(f"held_out must be some of the folds 1 to {len(folds)}, got {', '.join(map(str, held_out))}")
    validation = tuple(sorted(row for number in held_out for row in folds[number - 1].validation))
    training = sorted({row for fold in folds for row in fold.validation} - set(validation))
    return Split(tuple(training), validation)


@dataclass(frozen=True, eq=False)
class AucObjective:
    """Trains a candidate as one stack of runs; its value is the mean over the runs of their best AUC.

    Attributes:
        build: from choices to a network; a function of a module, so that worker processes can import it.
        data: the cohort.
        splits: one run each; the same split several times gives repeats with other random numbers.
        config: of every run, `required_auc` included.
        features: input features of the networks.
        device: number of the local device to train on, modulo their number; None uses all of them.
    """

    build: Callable[[Choices], nn.Module]
    data: CohortData
    splits: tuple[Split, ...]
    config: TrainingConfig
    features: tuple[str, ...] = FEATURES
    device: int | None = None

    @property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate."""
        function = getattr(self.build, "func", self.build)
        return {
            "build": f"{function.__module__}.{function.__qualname__}",
            "cohort": self._digest,
            "splits": [asdict(split) for split in self.splits],
            "config": asdict(self.config),
            "features": list(self.features),
            "checkpoints": list(self.config.required_auc),
        }

    def on_device(self, number: int) -> "AucObjective":
        """The objective on one local device."""
        return replace(self, device=number)

    @property
    def _devices(self) -> list[jax.Device] | None:
        devices = jax.local_devices()
        return None if self.device is None else [devices[self.device % len(devices)]]

    @cached_property
    def _placed(self) -> CohortData:
        """The cohort, on the device for all candidates that train there."""
        return self.data if self._devices is None else jax.device_put(self.data, self._devices[0])

    @cached_property
    def _digest(self) -> str:
        return digest_of(self.data)

    def precompile(self, choices: Choices) -> CompiledTraining:
        """Compile the training of a candidate."""
        module = self.build(choices)
        traced = trace(module, self.data, self.splits, self.config, features=self.features, devices=self._devices)
        return traced.compile()

    def __call__(
        self, choices: Choices, directory: Path, report: Report, compiled: CompiledTraining | None = None
    ) -> TrialResult:
        """Train a candidate; continues from the checkpoints in the directory.

        Args:
            choices: of the candidate.
            directory: of its checkpoints.
            report: called at the epochs of `required_auc`.
            compiled: by `precompile`; None compiles here.
        """
        due = {epoch for epoch, _ in self.config.required_auc}
        began = time.perf_counter()
        first: list[float] = []
        used = self._devices or jax.devices()
        device = f"{used[0].platform}:{used[0].id}" if len(used) == 1 else f"{len(used)} devices"

        def on_epoch(epoch: int, state: TrainState) -> None:
            first.append(time.perf_counter() - began)
            report_stage(report, Stage("training", epoch, self.config.epochs, device))
            if epoch in due:
                report(epoch, _mean(jax.device_get(state.best_score)[: len(self.splits)]))

        if compiled is not None and self._devices is not None:
            compiled = compiled.on_device(self._devices[0])
        # Whatever else is computed lies on the same device: the others are busy.
        with nullcontext() if self._devices is None else jax.default_device(self._devices[0]):
            result = train(
                self.build(choices),
                self._placed,
                self.splits,
                self.config,
                features=self.features,
                directory=directory,
                description={"choices": dict(choices)},
                data_digest=self._digest,
                options=TrainOptions(devices=self._devices, on_epoch=on_epoch),
                compiled=compiled,
            )
        ended = int(result.last_epoch.max())
        so_far = np.fmax.accumulate(np.nan_to_num(result.history["auc"][:, : max(ended, 1)]), axis=1)
        epochs = sorted({epoch for epoch in due if epoch < ended} | {max(ended, 1)})
        finished = Status.FINISHED in result.status
        return TrialResult(
            status="finished" if finished else "stopped",
            value=_mean(result.best_score),
            reason="" if finished else _why_stopped(result.status, result.last_epoch, self.config),
            intermediate=tuple((epoch, _mean(so_far[:, epoch - 1])) for epoch in epochs),
            details={
                "epochs": ended,
                "auc": [_mean(auc) for auc in result.best_score],
                "best_epoch": [int(epoch) for epoch in result.best_epoch],
                "runs": [status.name.lower() for status in result.status],
                "parameters": sum(leaf[0].size for leaf in jax.tree.leaves(result.variables["params"])),
                "seconds": time.perf_counter() - began,
                "seconds_to_first_epoch": first[0] if first else None,
            },
        )


def _mean(auc: np.ndarray) -> float:
    """Mean AUC, rounded to six digits: in float32 0.9 is less than 0.9. The resolution of AUCs is coarser."""
    return round(float(np.mean(auc, dtype=np.float64)), 6)


def _why_stopped(status: Sequence[Status], ended: np.ndarray, config: TrainingConfig) -> str:
    """Why no run of a stack reached its last epoch."""
    if Status.DIVERGED in status:
        return f"diverged in epoch {int(ended[list(status).index(Status.DIVERGED)]) + 1}"
    due, minimum = max((epoch, minimum) for epoch, minimum in config.required_auc if epoch <= ended.max())
    return f"AUC below {minimum:g} at epoch {due}"
