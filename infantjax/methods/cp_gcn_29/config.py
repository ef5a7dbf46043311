"""CP-GCN-29: settings of the training, without importing what trains."""

from dataclasses import dataclass, field

from infantjax.recording.augmentation_config import Augmentation
from infantjax.settings import Count, Positive, Precision, Seed, check_fields


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
