"""A search strategy as an Optuna sampler.

A proposal is a function of the seed, the number of the trial and the trials before it: the same in any process, and
the same whether or not a study was interrupted. Candidates of running and waiting trials count as tried.
"""

from collections.abc import Sequence
from typing import Any

from infantjax.errors import MissingExtraError
from infantjax.search.kbest import FAILED, Observation, State, Strategy, draw, random_numbers
from infantjax.search.space import Candidate, SearchSpace

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

REASON = "reason"
"""User attribute of a failed trial: why its candidate could not be evaluated; without it the trial is no result."""


class NoCandidateError(Exception):
    """No untried candidate is left."""


class StrategySampler(BaseSampler):
    """Proposes the candidates of a search strategy, for studies over one space.

    Args:
        strategy: `KBest()` or `RandomSearch()`.
        space: the search space; objectives suggest each of its choices by name.
        seed: of the search. Independent searches take different seeds.
    """

    def __init__(self, strategy: Strategy, space: SearchSpace, seed: int) -> None:
        self.strategy, self.space, self.seed = strategy, space, seed

    def infer_relative_search_space(self, study: "optuna.Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All choices are drawn together."""
        return distributions(self.space)

    def sample_relative(
        self, study: "optuna.Study", trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate; nothing for a trial that has its choices already, or if no candidate is left.

        Optuna calls it when the first choice of several alternatives is suggested.

        Raises:
            ValueError: the study has several objectives, or minimizes: the strategies maximize.
        """
        self._raise_error_if_multi_objective(study)
        if study.direction is not optuna.study.StudyDirection.MAXIMIZE:
            raise ValueError("search strategies maximize; make the study with direction='maximize'")
        if candidate_of(self.space, trial) is not None:
            return {}
        candidate = self.propose(study.get_trials(deepcopy=False), trial.number)
        if candidate is None:
            return {}
        # A sampler around this one may have fixed some choices.
        return {name: value for name, value in self.space.choices(candidate).items() if name in search_space}

    def sample_independent(
        self, study: "optuna.Study", trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Called for a choice that the space does not have, and where no candidate is left.

        Raises:
            ValueError: the space has no such choice.
            NoCandidateError: every draw was tried before.
        """
        if param_name not in self.space.names:
            raise ValueError(f"the search space has no choice {param_name}; it has {', '.join(self.space.names)}")
        raise NoCandidateError("no untried candidate is left")

    def propose(self, trials: Sequence[FrozenTrial], number: int | None = None) -> Candidate | None:
        """The candidate of a trial, given all trials; None if none is left.

        Args:
            trials: of the study.
            number: of the trial; None is the next one.
        """
        number = len(trials) if number is None else number
        state = self.state([trial for trial in trials if trial.number < number])
        tried = {candidate for trial in trials if (candidate := candidate_of(self.space, trial)) is not None}
        return draw(self.space, state.probabilities, tried, random_numbers(self.seed, number))[0]

    def state(self, trials: Sequence[FrozenTrial]) -> State:
        """The state of the strategy after these trials."""
        return self.strategy.replay(self.space, history(self.space, trials))


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space in Optuna's form."""
    return {name: CategoricalDistribution(values) for name, values in space.alternatives}


def candidate_of(space: SearchSpace, trial: FrozenTrial) -> Candidate | None:
    """The candidate of a trial, stored or enqueued; None while some choice is open."""
    params = trial.system_attrs.get("fixed_params", {}) | trial.params
    return tuple(params[name] for name in space.names) if params.keys() >= set(space.names) else None


def failure(trial: FrozenTrial) -> str:
    """Why a candidate could not be evaluated; empty for any other trial."""
    return trial.user_attrs.get(REASON, "") if trial.state is TrialState.FAIL else ""


def value_of(trial: FrozenTrial) -> float | None:
    """Value of a trial, also of a pruned one, or `FAILED`; None where it is no result."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return FAILED if trial.value is None else trial.value
    return FAILED if failure(trial) else None


def history(space: SearchSpace, trials: Sequence[FrozenTrial]) -> list[Observation]:
    """The results in the order of the trial numbers, each candidate once."""
    found: dict[Candidate, float] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        candidate, value = candidate_of(space, trial), value_of(trial)
        if candidate is not None and value is not None:
            found.setdefault(candidate, value)
    return [Observation(candidate, value) for candidate, value in found.items()]
