"""The checkpoints of a search as an Optuna pruner, for objectives of your own.

The objectives of this package stop by the same pairs inside the compiled training loop.

Source: Groos et al., thesis Appendix A.2; the reference implementation.
"""

from collections.abc import Sequence

from infantjax.errors import MissingExtraError

try:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial
except ImportError:
    raise MissingExtraError("optuna", "search") from None


class CheckpointPruner(BasePruner):
    """Prunes a trial whose best reported value is below the minimum of its epoch; an equal value passes.

    Report the best value so far at each epoch, counted from 1: Optuna keeps the last report as the value of a pruned
    trial.

    Args:
        required: (epoch, minimum value) pairs; each holds from its epoch on.
    """

    def __init__(self, required: Sequence[tuple[int, float]]) -> None:
        self.required = tuple(required)

    def prune(self, study: "optuna.Study", trial: FrozenTrial) -> bool:
        """Whether the best reported value misses a checkpoint."""
        epoch = trial.last_step
        if epoch is None:
            return False
        best = max(trial.intermediate_values.values())
        return any(epoch >= due and not best >= minimum for due, minimum in self.required)
