"""The checkpoints of the search as an Optuna pruner."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.methods.ensemble_gcn.search import CHECKPOINTS
from infantjax.search.pruning import CheckpointPruner


def test_the_published_checkpoints():
    epochs = (10, 20, 30, 40, 50, 60, 70, 80, 90)
    aucs = (0.75, 0.775, 0.80, 0.825, 0.85, 0.875, 0.90, 0.925, 0.95)
    assert tuple(zip(epochs, aucs)) == CHECKPOINTS


def judged(reports: dict[int, float], required=CHECKPOINTS) -> bool:
    study = optuna.create_study(pruner=CheckpointPruner(required), direction="maximize")
    trial = study.ask()
    for epoch, value in reports.items():
        trial.report(value, epoch)
    return trial.should_prune()


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize(
    ("reports", "pruned"),
    [
        ({}, False),
        ({9: 0.1}, False),
        ({10: 0.749}, True),
        ({10: 0.75}, False),
        ({5: 0.76, 10: 0.2}, False),
        ({19: 0.75}, False),
        ({20: 0.75}, True),
        ({95: 0.949}, True),
        ({100: 0.95}, False),
        ({10: float("nan")}, True),
    ],
)
def test_a_trial_is_pruned_when_its_best_is_below_what_its_epoch_requires(reports, pruned):
    assert judged(reports) is pruned


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12))
def test_the_pruner_stops_where_the_training_stops(aucs):
    required = ((2, 0.3), (4, 0.5), (6, 0.7))
    best, stopped = 0.0, None
    for epoch, auc in enumerate(aucs, start=1):
        best = max(best, auc)
        if stopped is None and any(epoch >= due and best < least for due, least in required):
            stopped = epoch
    study = optuna.create_study(pruner=CheckpointPruner(required), direction="maximize")
    trial, best, found = study.ask(), 0.0, None
    for epoch, auc in enumerate(aucs, start=1):
        best = max(best, auc)
        trial.report(best, epoch)
        if trial.should_prune():
            found = epoch
            break
    assert found == stopped


def test_the_value_reached_is_kept():
    study = optuna.create_study(pruner=CheckpointPruner(CHECKPOINTS), direction="maximize")

    def objective(trial):
        for epoch in (10, 20):
            trial.report(0.76, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 1.0

    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert study.trials[0].value == 0.76
