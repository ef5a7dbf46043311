"""A trial as a stack of runs: a tiny network on a tiny cohort, and the published protocol."""

import json
from dataclasses import replace

import flax.linen as nn
import numpy as np
import pytest
from optuna.trial import TrialState

from infantjax import search
from infantjax.methods.ensemble_gcn.objective import AucObjective
from infantjax.methods.ensemble_gcn.search import VALIDATION_FOLDS
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig, train
from infantjax.recording.features import CHANNELS
from infantjax.search import KBest, RandomSearch, SearchResult, SearchSpace, TrialResult
from infantjax.search.auc import search_split
from infantjax.search.estimate import estimate_search
from infantjax.search.study import status, table
from infantjax.skeletons import Skeleton
from infantjax.training.splits import stratified_splits

STICK = Skeleton(
    "stick-3", ("pelvis", "thorax", "hand"), ("thorax", "thorax", "thorax"), trunk=("thorax", "pelvis"), source="test"
)
# Few settings in all tests: each is a program to compile.
CONFIG = TrainingConfig(
    epochs=4, batch_size=8, samples_per_negative=2, positive_ratio=2, learning_rate=0.05, required_auc=((2, 0.55),)
)


class Toy(nn.Module):
    """Speed of each joint through a dense layer; without it, or growing without bounds.

    The kinds differ in constants that are variables, so that one program is compiled for all.
    """

    width: int
    kind: str

    @nn.compact
    def __call__(self, x, train=False):
        if self.kind == "broken":
            raise ValueError("this network\ncannot be built")
        factors = np.array([0 if self.kind == "nothing" else 10, np.inf if self.kind == "diverging" else 1], np.float32)
        scale, growth = self.variable("constants", "factors", lambda: factors).value
        speed = x.std(axis=1).reshape(len(x), -1) * scale
        hidden = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(self.width)(speed))
        return nn.Dense(2)(nn.relu(hidden)) * growth, {"pooled": hidden}


def build(choices) -> Toy:
    return Toy(**choices)


def cohort(recordings: int = 14) -> CohortData:
    rng = np.random.default_rng(0)
    positions = []
    for number in range(recordings):
        array = np.zeros((200, 3, 2), np.float32)
        array[:, 0, 1], array[:, 1, 1] = -0.125, 0.125
        array[:, 2] = rng.normal(scale=0.06 if number % 2 else 0.09, size=(200, 2)).cumsum(axis=0) * 0.1
        positions.append(array)
    return CohortData.from_recordings(positions, [number % 2 for number in range(recordings)], STICK)


FOLDS = stratified_splits([number % 2 for number in range(14)], 7, seed=6)


@pytest.fixture(scope="module")
def training() -> AucObjective:
    return AucObjective(build, cohort(), (search_split(FOLDS),), CONFIG)


def never(epoch, value):
    pass


# --- the protocol ----------------------------------------------------------------------------------------------------


def test_the_published_protocol_trains_on_folds_1_3_4_5_6_and_holds_out_2_and_7():
    fold = search_split(FOLDS)
    assert set(fold.validation) == set(FOLDS[1].validation) | set(FOLDS[6].validation)
    assert set(fold.train) == {row for k in (0, 2, 3, 4, 5) for row in FOLDS[k].validation}
    assert VALIDATION_FOLDS == (2, 7)


def test_the_reference_protocol_is_the_first_fold():
    assert search_split(FOLDS, (1,)) == FOLDS[0]


@pytest.mark.parametrize("held_out", [(), (0,), (8,), (2, 2), tuple(range(1, 8))])
def test_folds_that_cannot_be_held_out_are_refused(held_out):
    with pytest.raises(ValueError, match="held_out must be some of the folds 1 to 7"):
        search_split(FOLDS, held_out)


def test_a_search_estimates_what_its_first_candidate_costs(training):
    space = SearchSpace({"width": (3,), "kind": ("speed",)})
    known = estimate_search(space, training, RandomSearch(), 1, 7)
    assert (known["candidates"], known["fewest_trials"], known["fewest_programs"]) == (1, 7, 14)
    assert known["choices"] == {"width": 3, "kind": "speed"}
    inputs = 3 * sum(CHANNELS[name] for name in training.features)
    assert known["parameters"] == (inputs * 3 + 3) + (3 + 3) + (3 * 2 + 2)
    # The weights, the best ones and the momentum stay, and the cohort.
    assert known["resident_bytes"] > 3 * 4 * known["parameters"] + training.data.positions.nbytes
    assert known["temporary_bytes"] > 0
    assert "memory_analysis" in known["memory_from"]
    json.dumps(known, allow_nan=False)


def test_an_objective_without_programs_has_no_estimate():
    with pytest.raises(ValueError, match="cannot be compiled beforehand"):
        estimate_search(SearchSpace({"a": (1,)}), lambda *given: None, KBest(), 1, None)


# --- candidates ------------------------------------------------------------------------------------------------------

SPEED = {"width": 3, "kind": "speed"}


def without_times(result: TrialResult) -> TrialResult:
    return replace(result, details={name: v for name, v in result.details.items() if "seconds" not in name})


@pytest.fixture(scope="module")
def compiled(training):
    return training.precompile(SPEED)


@pytest.fixture(scope="module")
def whole(training, compiled, tmp_path_factory) -> TrialResult:
    """Result of a candidate."""
    return training(SPEED, tmp_path_factory.mktemp("whole"), never, compiled)


def test_the_value_of_a_candidate_is_the_best_auc_of_its_training(training, compiled, whole):
    result = train(Toy(3, "speed"), training.data, training.splits, training.config, compiled=compiled)
    assert whole.value == pytest.approx(float(result.best_score[0]), abs=1e-6)
    assert whole.status == "finished"
    assert whole.details["epochs"] == 4
    assert whole.details["best_epoch"] == [int(result.best_epoch[0])]


def test_a_training_that_is_run_again_continues_from_its_checkpoint(training, compiled, whole, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch, value):
        raise Killed

    with pytest.raises(Killed):
        training(SPEED, tmp_path, kill, compiled)
    reports = []
    again = training(SPEED, tmp_path, lambda *arguments: reports.append(arguments), compiled)
    assert not reports
    assert without_times(again) == without_times(whole)


@pytest.mark.slow
def test_repeats_are_one_stack_whose_mean_counts(training, tmp_path):
    several = replace(training, splits=training.splits * 3)
    result = several(SPEED, tmp_path, never)
    assert len(result.details["auc"]) == 3
    assert result.value == pytest.approx(np.mean(result.details["auc"]), abs=1e-6)


def searched(training, directory, *kinds: str) -> SearchResult:
    """A search over these kinds of toys."""
    space = {"width": (3,), "kind": kinds}
    return search.run(space, training, RandomSearch(), directory, seed=3, trials=len(kinds), study="toy")


def test_a_tiny_search_of_real_trainings_runs_to_its_end(training, tmp_path):
    found = searched(training, tmp_path, "nothing", "broken")
    nothing, broken = sorted(found.trials, key=lambda trial: trial.params["kind"], reverse=True)
    assert broken.state is TrialState.FAIL
    assert broken.user_attrs["reason"] == "ValueError: this network cannot be built"
    assert nothing.user_attrs["stopped"] == "AUC below 0.55 at epoch 2"
    assert (nothing.state, nothing.value) == (TrialState.PRUNED, 0.5)
    assert nothing.intermediate_values == {2: 0.5}
    shown = status(found)
    assert (shown["trials"], shown["failed"], shown["best"]) == (2, 1, 0.5)
    rows = table(found).splitlines()
    assert rows[0].split(",")[:4] == ["trial", "state", "value", "epochs"]
    assert len(rows) == 3


@pytest.mark.slow
def test_a_search_keeps_what_the_trainings_of_all_kinds_gave(training, whole, tmp_path):
    found = searched(training, tmp_path, "speed", "nothing", "broken", "diverging")
    by_kind = {trial.params["kind"]: trial for trial in found.trials}
    assert by_kind["diverging"].user_attrs["stopped"] == "diverged in epoch 1"
    assert (by_kind["diverging"].state, by_kind["diverging"].value) == (TrialState.PRUNED, 0.0)
    assert by_kind["speed"].value == whole.value
    assert by_kind["speed"].intermediate_values == dict(whole.intermediate)
    assert found.evaluated[0].params["kind"] == "speed"
