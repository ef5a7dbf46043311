"""Ensemble-NAS-GCN: settings of the training, without importing what trains."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from infantjax.recording.augmentation_config import Augmentation
from infantjax.settings import Count, Momentum, Positive, Precision, Seed, Share, check_fields

Feature = Literal["position", "velocity", "bone"]
"""Input of one branch of a graph network."""
FEATURES: tuple[Feature, ...] = get_args(Feature)


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained; the defaults are those of the published cross-validation.

    Attributes:
        epochs: number of epochs; 200 in cross-validation and 100 in the search as published.
        batch_size: windows of a step; an incomplete last batch is dropped.
        learning_rate: constant, of SGD with Nesterov momentum.
        momentum: of SGD.
        samples_per_negative: windows of each infant without CP in an epoch.
        positive_ratio: an infant with CP gives this many times as many windows.
        roll: whether to repeat shorter recordings up to the length of the longest, as the reference implementation; if
            not, no window crosses the end of a recording.
        augmentation: random views of training windows; None trains on the windows as they are.
        required_auc: pairs of epoch and AUC: from that epoch on a run stops if its best AUC so far is lower.
        precision: of the activations and products of a training step; weights, norms and validation are in float32.
        evaluation_batch: validation windows of a call; changes memory, not results.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of range.

    Source: Groos et al., Paper III with supplement; the reference implementation.
    """

    epochs: Count = 200
    batch_size: Count = 32
    learning_rate: Positive = 5e-4
    momentum: Momentum = 0.9
    samples_per_negative: Count = 12
    positive_ratio: Count = 5
    roll: bool = True
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    required_auc: tuple[tuple[Count, Share], ...] = ()
    precision: Precision = "float32"
    evaluation_batch: Count = 32
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)
