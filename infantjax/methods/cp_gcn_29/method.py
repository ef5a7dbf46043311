"""CP-GCN-29 (ShapGCN): risk of cerebral palsy from 29 points, by the network whose weights are public."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from infantjax.methods.cp_gcn_29.preprocessing import Fingers, to_in_motion_29
from infantjax.methods.registry import register
from infantjax.methods.window_method import WindowMethod
from infantjax.recording.augmentation_config import Augmentation
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import Count, Positive, Precision, Seed, Share, check_fields
from infantjax.skeletons import IN_MOTION_29
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.explanation.saliency import Explain
    from infantjax.methods.cp_gcn_29.assess import CpGcn29Assessor
    from infantjax.methods.cp_gcn_29.search import CpGcn29Search
    from infantjax.methods.cp_gcn_29.training import CpGcn29Task
    from infantjax.training.cohorts.window_task import CohortData


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained.

    Attributes:
        epochs: number of epochs.
        batch_size: windows of a step; an incomplete last batch is dropped.
        learning_rate: of Adam after the warm-up; halved after 200 and after 250 epochs.
        warm_up: epochs in which the rate rises from a quarter.
        samples_per_negative: windows of each infant without CP in an epoch.
        positive_ratio: an infant with CP gives this many times as many windows.
        augmentation: random views of training windows; None trains on the windows as they are.
        precision: of the activations and products of a training step; weights, norms and validation are in float32.
        evaluation_batch: validation windows of a call; changes memory, not results.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of range.

    Source: the public code of ShapGCN; optimizer and batch of the same network from the log of AutoCP. Our choice:
        views from whole ranges in place of steps of 10 degrees and a tenth; one window from each equal part of a
        recording; validation after every epoch; biases that begin at random in place of 0.
    """

    epochs: Count = 300
    batch_size: Count = 32
    learning_rate: Positive = 5e-3
    warm_up: Count = 10
    samples_per_negative: Count = 5
    positive_ratio: Count = 6
    augmentation: Augmentation | None = field(default_factory=lambda: Augmentation(60, 0.3, 0.4, discrete=False))
    precision: Precision = "float32"
    evaluation_batch: Count = 16
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def roll(self) -> bool:
        """Windows lie within the recording."""
        return False


WINDOW = 225
"""Frames of a window, 7.5 s: what the public configuration says; the loader's constant 150 is the option."""


@register("cp-gcn-29")
@dataclass(frozen=True, kw_only=True)
class CpGcn29(WindowMethod):
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

    def task(self, network: "nn.Module", data: "CohortData") -> "CpGcn29Task":
        """Training task of a network."""
        from infantjax.methods.cp_gcn_29.training import CpGcn29Task

        return CpGcn29Task(network, self.training, (1, *self.input_shape), self.filter_velocity)

    @property
    def info(self) -> dict[str, Any]:
        """The threshold."""
        return {"threshold": self.threshold}

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
