"""Ensemble-NAS-GCN: settings of the training, without importing what trains."""

from dataclasses import dataclass, field

from infantjax.recording.augmentation_config import Augmentation
from infantjax.settings import Count, Momentum, Positive, Seed, Share, check_fields


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained; the defaults are those of the published cross-validation.

    Attributes:
        epochs: passes over the training samples; 200 in cross-validation, 100 in the search.
        batch_size: windows of a step; an incomplete last batch is dropped.
        learning_rate: of SGD with Nesterov momentum, constant.
        momentum: of the same.
        samples_per_negative: windows that an infant without CP gives in an epoch.
        positive_ratio: an infant with CP gives this many times as many.
        roll: repeat shorter recordings end to end up to the longest of the training set, as the reference
            implementation does; else a window lies within the infant's own recording.
        augmentation: random views of training windows; None trains on the windows as they are.
        required_auc: (epoch, AUC) pairs: a run stops after the validation of an epoch from the named one on if its
            best AUC so far is below; equality passes. Empty in cross-validation.
        evaluation_batch: validation windows that are computed at once; memory, not method.
        seed: root of every random number; a run's draws depend on (seed, run, epoch, sample) and nothing else.

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
    evaluation_batch: Count = 32
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)
