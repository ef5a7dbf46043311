"""The checkpoints of the search, as an Optuna pruner.

Trainings of this package stop on the device by the same pairs (`TrainingConfig.required_auc`); the pruner is for
objectives of one's own, which report the best AUC so far at each epoch, counted from 1.

Source: Groos et al., thesis Appendix A.2; the released program.
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
    """Prunes a trial whose best value so far is below what its epoch requires; equality passes.

    Optuna keeps the last reported value as that of a pruned trial: report the best so far, and the value reached is
    kept.

    Args:
        required: (epoch, least value) pairs; from each epoch on its value is required.
    """

    def __init__(self, required: Sequence[tuple[int, float]]) -> None:
        self.required = tuple(required)

    def prune(self, study: "optuna.Study", trial: FrozenTrial) -> bool:
        """Whether the newest report is behind a checkpoint that the best one does not meet."""
        epoch = trial.last_step
        if epoch is None:
            return False
        best = max(trial.intermediate_values.values())
        return any(epoch >= due and not best >= least for due, least in self.required)
