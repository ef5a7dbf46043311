"""CP-GCN-29 (ShapGCN): risk of cerebral palsy from 29 points, by the network whose weights are public."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from infantjax.methods.base import Method
from infantjax.methods.cp_gcn_29.config import TrainingConfig
from infantjax.methods.cp_gcn_29.preprocessing import Fingers, standardized, to_in_motion_29
from infantjax.methods.registry import register
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import Count, Share, check_fields
from infantjax.skeletons import IN_MOTION_29
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.explanation.saliency import Explain
    from infantjax.methods.cp_gcn_29.assess import CpGcn29Assessor
    from infantjax.methods.cp_gcn_29.search import CpGcn29Search
    from infantjax.methods.cp_gcn_29.training import CpGcn29Task
    from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.cohorts.window_task import CohortData
    from infantjax.training.splits import Split
    from infantjax.training.state import StackResult

WINDOW = 225
"""Frames of a window, 7.5 s: what the public configuration says; the loader's constant 150 is the option."""


@register("cp-gcn-29")
@dataclass(frozen=True, kw_only=True)
class CpGcn29(Method):
    """Graph network of four streams over windows of 29 points; the risk of an infant is the median over its windows.

    Attributes:
        overrides: choices of the architecture (`architecture.Architecture`) that differ from the public weights'.
        folds: number of folds, or the column of the outcomes table that names them.
        threshold: risk from which the decision is CP; 0.45 in ShapGCN, 0.5 in AutoCP.
        stride: frames between the starts of windows.
        filter_velocity: filter the velocity before the acceleration is taken from it.
        fingers: which point of a finger is taken from sets that have both.
        preprocessing: of recordings; its window is 225 frames, or 150.
        training: of every run.

    Raises:
        ValueError: a value out of range.

    Source: Tempel et al. 2025, Computers in Biology and Medicine 188:109838, and its public code.
    """

    title = "CP-GCN-29"
    source = "Tempel et al. 2025 (ShapGCN)"
    fidelity = "exact"
    skeleton = "in-motion-29"
    model = "cp-gcn-29"

    overrides: Mapping[str, Any] = field(default_factory=dict)
    folds: int | str = 7
    threshold: Share = 0.45
    stride: Count = 75
    filter_velocity: bool = True
    fingers: Fingers = "tip"
    preprocessing: Preprocessing = Preprocessing(window=WINDOW)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one window: time, joint, channel."""
        return self.preprocessing.window, len(IN_MOTION_29.joints), 16

    def build(self) -> "nn.Module":
        """The network with its overrides."""
        from infantjax.methods.cp_gcn_29.model import build

        return build(**self.overrides)

    def convert(self, recording: Recording, strict: bool = False) -> Recording:
        """The 29 points of a recording, see `preprocessing.to_in_motion_29`."""
        return to_in_motion_29(recording, self.preprocessing, self.fingers, strict)

    def prepare(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """Standardized positions `[time, joint, 2]`, float32."""
        return standardized(self.convert(recording, strict), self.preprocessing).keypoints.astype(np.float32)

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> "tuple[Split, ...]":
        """Stratified folds, groups whole; or the folds of a column. Our choice: published is one split."""
        from infantjax.training.cohorts.cohort_splits import cohort_splits

        return cohort_splits(cohort, self.folds, stratify, self.seed)

    def setup(self, inputs: "TrainInputs") -> "TrainingSetup":
        """Windows of all recordings."""
        from infantjax.training.cohorts.crossval import TrainingSetup
        from infantjax.training.cohorts.window_task import window_runs

        data = self.data(inputs.prepared, inputs.cohort.outcomes)
        return TrainingSetup(self.task(self.build()), data, window_runs(data, inputs.splits, self.training))

    def data(self, prepared: Sequence[np.ndarray], outcomes: Sequence[float]) -> "CohortData":
        """Standardized recordings with their outcomes, as the training reads them."""
        from infantjax.training.cohorts.window_task import CohortData

        cut = self.preprocessing
        return CohortData.from_recordings(prepared, outcomes, IN_MOTION_29, cut.rotation, cut.window, self.stride)

    def task(self, network: "nn.Module") -> "CpGcn29Task":
        """Training task of a network."""
        from infantjax.methods.cp_gcn_29.training import CpGcn29Task

        return CpGcn29Task(network, self.training, (1, *self.input_shape), self.filter_velocity)

    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "StackResult") -> "TrainOutputs":
        """Risks of the validation recordings at the best epoch of each run."""
        from infantjax.methods.common import best_epoch_outputs

        return best_epoch_outputs(inputs, result, {"threshold": self.threshold})

    def with_network_of(self, member: Member) -> Self:
        """The method with the choices of a member's network; choices that are given are kept."""
        return replace(self, overrides={**member.overrides, **self.overrides})

    def members(self, result: "StackResult") -> tuple[Member, ...]:
        """The networks of all runs that finished an epoch, with the overrides of the network."""
        return tuple(Member(m.model, m.variables, dict(self.overrides)) for m in super().members(result))

    def with_candidate(self, choices: Mapping[str, Any]) -> Self:
        """The method with a candidate; choices without effect are left out."""
        from infantjax.methods.cp_gcn_29.architecture import canonical

        return replace(self, overrides=canonical(choices))

    @classmethod
    def search_problem(cls) -> "CpGcn29Search":
        """The published space of AutoCP with the AUC of held-out infants."""
        from infantjax.methods.cp_gcn_29.search import CpGcn29Search

        return CpGcn29Search()

    @classmethod
    def assessor(
        cls,
        ensemble: Ensemble,
        *,
        threshold: float | None = None,
        strict: bool = False,
        explain: "Explain" = "class-activation",
    ) -> "CpGcn29Assessor":
        """An assessor; `explain` is its method of the contributions, the other arguments are those of `Method`."""
        from infantjax.methods.cp_gcn_29.assess import CpGcn29Assessor

        return CpGcn29Assessor(cls.from_ensemble(ensemble, threshold), ensemble, strict, explain)
