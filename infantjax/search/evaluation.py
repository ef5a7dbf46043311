"""What a trial of a search is: a stack of runs of one candidate, and what it came to.

The published protocol trains each candidate once, on folds 1, 3, 4, 5 and 6 of seven, for 100 epochs; its performance
is the best AUC over the infants of folds 2 and 7 together, the easiest and the hardest for ST-GCN. At epochs 10, 20 ...
90 a training that has not reached 0.75, 0.775 ... 0.95 stops, and the value reached counts.

Source: Groos et al., thesis Appendix A.2. The released program trains on folds 2 to 7 and takes the AUC of fold 1.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import jax
import numpy as np

from infantjax.errors import one_line
from infantjax.methods.ensemble_gcn.training import (
    FEATURES,
    CohortData,
    TrainingConfig,
    prepare_cohort,
    trace,
    train,
)
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import REFERENCE, Preprocessing
from infantjax.search.space import Build, Choices
from infantjax.skeletons import IN_MOTION_19, Skeleton
from infantjax.training.cohort_splits import cohort_splits
from infantjax.training.compiled import CompiledTraining
from infantjax.training.loop import TrainOptions, digest_of
from infantjax.training.splits import Split
from infantjax.training.state import Status, TrainState

CHECKPOINTS: tuple[tuple[int, float], ...] = tuple((10 * i, 0.725 + 0.025 * i) for i in range(1, 10))
"""Epoch and AUC that a training must have reached by then, as published."""
HELD_OUT = (2, 7)
"""Folds whose infants give a candidate's performance, counted from 1; the released program takes `(1,)`."""
EPOCHS = 100
"""Of a trial, as published."""

Report = Callable[[int, float], None]
"""Told the epoch and the best performance so far, while a candidate is evaluated."""


@dataclass(frozen=True)
class Outcome:
    """What a trial came to; plain data.

    Attributes:
        status: `finished` after all epochs, `stopped` at a checkpoint or diverged with a value, `failed` without one.
        performance: higher is better; None where the trial failed.
        reason: why it stopped or failed; empty where it finished.
        reached: (epoch, best performance so far) pairs, at the checkpoints and at the end.
        details: what else was found, JSON-compatible.
    """

    status: Literal["finished", "stopped", "failed"]
    performance: float | None
    reason: str = ""
    reached: tuple[tuple[int, float], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def failed(cls, error: BaseException) -> "Outcome":
        """Of a candidate whose evaluation raised an error."""
        return cls("failed", None, f"{type(error).__name__}: {one_line(str(error))[:300]}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Outcome":
        """The inverse of `to_dict`.

        Raises:
            ValueError: it is not one.
        """
        try:
            reached = tuple((int(epoch), float(value)) for epoch, value in values["reached"])
            given = cls(values["status"], values["performance"], str(values["reason"]), reached, values["details"])
        except (KeyError, TypeError) as error:
            raise ValueError("this is no outcome of a trial") from error
        if given.status not in ("finished", "stopped", "failed") or (given.performance is None) != (
            given.status == "failed"
        ):
            raise ValueError("this is no outcome of a trial")
        return given


class Evaluation(Protocol):
    """How candidates are evaluated; goes to worker processes, so it is of a class of a module, with plain fields.

    It may have a method `ahead(choices)`, which workers call in another thread while they evaluate the candidate
    before. What it returns is then the argument `ready` of the call.
    """

    @property
    def description(self) -> dict[str, Any]:
        """All that decides what a candidate comes to, JSON-compatible."""

    def __call__(self, choices: Choices, directory: Path, report: Report) -> Outcome:
        """Evaluate a candidate; what it leaves in the directory lets it continue there.

        Raises:
            InputError: the directory cannot be written or is in use; anything else is a fault of the candidate.
        """


@dataclass(frozen=True, eq=False)
class Training:
    """A candidate's performance is the best AUC of its runs, the mean over them.

    Attributes:
        build: from choices to a network.
        data: the cohort.
        folds: one run each; the same fold several times gives seeds.
        config: of every run, `required_auc` included.
        features: that the networks read.
        device: number of the local device to train on, modulo how many there are; None is all of them.
    """

    build: Build
    data: CohortData
    folds: tuple[Split, ...]
    config: TrainingConfig
    features: tuple[str, ...] = FEATURES
    device: int | None = None

    @property
    def description(self) -> dict[str, Any]:
        """All that decides what a candidate comes to."""
        name = getattr(self.build, "func", self.build)
        return {
            "build": f"{name.__module__}.{name.__qualname__}",
            "cohort": digest_of(self.data),
            "folds": [asdict(fold) for fold in self.folds],
            "config": asdict(self.config),
            "features": list(self.features),
        }

    def ahead(self, choices: Choices) -> CompiledTraining:
        """Compile a candidate's training."""
        module = self.build(choices)
        traced = trace(module, self.data, self.folds, self.config, features=self.features, devices=self._devices)
        return traced.compile()

    def __call__(
        self, choices: Choices, directory: Path, report: Report, ready: CompiledTraining | None = None
    ) -> Outcome:
        """Train a candidate as one stack; continues from its checkpoints if there are any.

        Args:
            choices: of the candidate.
            directory: of its checkpoints.
            report: told at the checkpoints.
            ready: what `ahead` made of the candidate; None compiles here.
        """
        due = {epoch for epoch, _ in self.config.required_auc}
        began = time.perf_counter()
        first: list[float] = []

        def on_epoch(epoch: int, state: TrainState) -> None:
            first.append(time.perf_counter() - began)
            if epoch in due:
                report(epoch, _mean(jax.device_get(state.best_score)[: len(self.folds)]))

        result = train(
            self.build(choices),
            self.data,
            self.folds,
            self.config,
            features=self.features,
            directory=directory,
            description={"choices": dict(choices)},
            options=TrainOptions(devices=self._devices, on_epoch=on_epoch),
            compiled=ready,
        )
        ended = int(result.last_epoch.max())
        so_far = np.fmax.accumulate(np.nan_to_num(result.history["auc"][:, : max(ended, 1)]), axis=1)
        epochs = sorted({epoch for epoch in due if epoch < ended} | {max(ended, 1)})
        finished = Status.FINISHED in result.status
        return Outcome(
            status="finished" if finished else "stopped",
            performance=_mean(result.best_score),
            reason="" if finished else _ending(result.status, result.last_epoch, self.config),
            reached=tuple((epoch, _mean(so_far[:, epoch - 1])) for epoch in epochs),
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

    @property
    def _devices(self) -> list[jax.Device] | None:
        devices = jax.local_devices()
        return None if self.device is None else [devices[self.device % len(devices)]]


def _mean(auc: np.ndarray) -> float:
    """A mean of AUCs without the noise of float32, in which 0.9 is below 0.9; AUCs differ by more than that."""
    return round(float(np.mean(auc, dtype=np.float64)), 6)


def _ending(status: Sequence[Status], ended: np.ndarray, config: TrainingConfig) -> str:
    """Why no run of a stack came to its last epoch."""
    if Status.DIVERGED in status:
        return f"diverged in epoch {int(ended[list(status).index(Status.DIVERGED)]) + 1}"
    due, least = max((epoch, least) for epoch, least in config.required_auc if epoch <= ended.max())
    return f"AUC below {least:g} at epoch {due}"


def on_cohort(
    cohort: Cohort,
    build: Build,
    config: TrainingConfig,
    *,
    skeleton: Skeleton | str = IN_MOTION_19,
    features: tuple[str, ...] = FEATURES,
    folds: int | str = 7,
    held_out: Sequence[int] = HELD_OUT,
    stratify: Sequence[str] = (),
    repeats: int = 1,
    preprocessing: Preprocessing = REFERENCE,
    strict: bool = False,
) -> Training:
    """How candidates are evaluated on a cohort.

    Args:
        cohort: recordings with outcomes; those of one group are never in training and held out at once.
        build: from choices to a network that reads `features` of `skeleton`.
        config: of every training; its seed also deals the recordings to the folds.
        skeleton: that the networks read.
        features: that the networks read.
        folds: parts of the cohort, or the column of the outcomes table that names the part of each recording.
        held_out: parts whose infants give a candidate's performance, see `protocol`.
        stratify: columns of the outcomes table to balance beside the outcome (center, subtype).
        repeats: trainings of a candidate, one stack, with different random numbers; 1 as published.
        preprocessing: of the recordings.
        strict: refuse recordings whose points have to be approximated.

    Raises:
        InputError: recordings that cannot be used, or a cohort that cannot be dealt to that many folds.
        ValueError: a column that no recording has, folds that do not exist, or no repeats.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    parts = cohort_splits(cohort, folds, stratify, config.seed)
    data = prepare_cohort(cohort, skeleton, preprocessing, strict)
    return Training(build, data, (protocol(parts, held_out),) * repeats, config, features)


def protocol(folds: Sequence[Split], held_out: Sequence[int] = HELD_OUT) -> Split:
    """Train on some folds of a partition, hold out the infants of the others together.

    Args:
        folds: of a cross-validation, whose validation parts are the partition.
        held_out: numbers of the folds, counted from 1; `(2, 7)` as published, `(1,)` as released.

    Raises:
        ValueError: a fold that does not exist or repeats, or none or all of them.
    """
    if not held_out or len(set(held_out)) != len(held_out) or not set(held_out) < set(range(1, len(folds) + 1)):
        raise ValueError(f"held_out must be some of the folds 1 to {len(folds)}, got {', '.join(map(str, held_out))}")
    validation = tuple(sorted(row for number in held_out for row in folds[number - 1].validation))
    train_on = sorted({row for fold in folds for row in fold.validation} - set(validation))
    return Split(tuple(train_on), validation)
