"""Base of the methods with graph networks over windows: folds, training data, networks of an ensemble."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from infantjax import models, skeletons
from infantjax.methods.base import Method
from infantjax.methods.window_preprocessing import standardized
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.cohorts.window_task import BinaryWindowTask, CohortData
    from infantjax.training.splits import Split
    from infantjax.training.state import StackResult


class WindowMethod(Method):
    """A method whose networks read windows of standardized keypoints.

    Attributes:
        overrides: arguments of the network's `build`.
        folds: number of folds, or a column of the outcomes table.
        preprocessing: standardization of recordings.
        stride: frames between the starts of windows; None is half a window.
    """

    overrides: Mapping[str, Any]
    folds: int | str
    preprocessing: Preprocessing
    stride: int | None = None

    @abstractmethod
    def convert(self, recording: Recording, strict: bool = False) -> Recording:
        """The points of a recording that the network reads, see `window_preprocessing.to_points`."""

    @abstractmethod
    def task(self, network: "nn.Module", data: "CohortData") -> "BinaryWindowTask":
        """Training task of a network."""

    @property
    @abstractmethod
    def info(self) -> dict[str, Any]:
        """Facts that the use of an ensemble needs beside the settings."""

    @classmethod
    def program(cls, ensemble: Ensemble, samples: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
        """From standardized windows `[window, time, joint, 2]` to risks, see `Ensemble.predict_fn`."""
        import jax
        import jax.numpy as jnp

        predict, variables = ensemble.predict_fn(), jax.tree.map(jnp.asarray, ensemble.variables)
        frames = models.get(ensemble.members[0].model).input_shape[0]
        shape = (samples, frames, len(skeletons.get(ensemble.info.skeleton).joints), 2)
        return lambda x: predict(variables, x), shape

    def prepare(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """Standardized positions `[time, joint, 2]`, float32."""
        return standardized(self.convert(recording, strict), self.preprocessing).keypoints.astype(np.float32)

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> "tuple[Split, ...]":
        """Stratified folds, groups whole; or the folds of a column."""
        from infantjax.training.cohorts.cohort_splits import cohort_splits

        return cohort_splits(cohort, self.folds, stratify, self.seed)

    def data(self, prepared: Sequence[np.ndarray], outcomes: Sequence[float]) -> "CohortData":
        """Standardized recordings with their outcomes, as the training reads them."""
        from infantjax.training.cohorts.window_task import CohortData

        cut, skeleton = self.preprocessing, skeletons.get(self.skeleton)
        return CohortData.from_recordings(prepared, outcomes, skeleton, cut.rotation, cut.window, self.stride)

    def setup(self, inputs: "TrainInputs") -> "TrainingSetup":
        """Windows of all recordings."""
        from infantjax.training.cohorts.crossval import TrainingSetup
        from infantjax.training.cohorts.window_task import window_runs

        data = self.data(inputs.prepared, inputs.cohort.outcomes)
        return TrainingSetup(self.task(self.build(), data), data, window_runs(data, inputs.splits, self.training))

    def search_inputs(
        self, cohort: Cohort, held_out: Sequence[int], repeats: int, stratify: Sequence[str], strict: bool
    ) -> "tuple[CohortData, tuple[Split, ...]]":
        """The data of an architecture search, and a run for each training of a candidate.

        Args:
            cohort: recordings with outcomes; those of one group are never on both sides of the split.
            held_out: folds, from 1, that together give the AUC.
            repeats: trainings of each candidate.
            stratify: columns of the outcomes table to balance over the parts beside the outcome (center, subtype).
            strict: refuse recordings whose points have to be approximated.

        Raises:
            InputError: recordings that cannot be used, or a cohort that cannot be split into that many parts.
            ValueError: a column that no recording has, parts that do not exist, or no repeats.
        """
        from infantjax.search.auc import search_split

        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}")
        split = search_split(self.splits(cohort, stratify), held_out)
        cohort, prepared = cohort.map(lambda recording: self.prepare(recording, strict))
        return self.data(prepared, cohort.outcomes), (split,) * repeats

    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "StackResult") -> "TrainOutputs":
        """Risks of the validation recordings at the best epoch of each run, or the last one where none has an AUC."""
        from infantjax.methods.common import best_epoch_outputs

        return best_epoch_outputs(inputs, result, self.info)

    def with_network_of(self, member: Member) -> Self:
        """The method with the overrides of a member's network; overrides that are given are kept."""
        return replace(self, overrides={**member.overrides, **self.overrides})  # type: ignore[type-var]

    def members(self, result: "StackResult") -> tuple[Member, ...]:
        """The networks of all runs that finished an epoch, with the overrides of the network."""
        return tuple(Member(m.model, m.variables, dict(self.overrides)) for m in super().members(result))
