"""Ensemble-NAS-GCN: settings of the training, without importing what trains."""

import math
from dataclasses import dataclass, field

from infantjax.recording.augmentation_config import Augmentation


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

    epochs: int = 200
    batch_size: int = 32
    learning_rate: float = 5e-4
    momentum: float = 0.9
    samples_per_negative: int = 12
    positive_ratio: int = 5
    roll: bool = True
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    required_auc: tuple[tuple[int, float], ...] = ()
    evaluation_batch: int = 32
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "samples_per_negative", "positive_ratio", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")
        for epoch, least in self.required_auc:
            if epoch < 1 or not 0 <= least <= 1:
                raise ValueError(f"required_auc must hold (epoch from 1, AUC in 0..1) pairs, got ({epoch}, {least})")
