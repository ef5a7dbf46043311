"""A search rule as an Optuna sampler.

What is proposed is a function of the seed, of the trial's place among the candidates, and of the trials before: the
same in any process, and the same whether a study was interrupted or not. Running trials count as tried.

A trial that is run again (Optuna gives it a new number and remembers the first one in `failed_trial`) stands at the
place of its first attempt. A trial that failed without a `reason` died with its worker and is no result yet.
"""

from collections.abc import Callable, Sequence
from typing import Any

from infantjax.errors import MissingExtraError
from infantjax.search.kbest import FAILED, Rule, State, Trial, draw, numbers
from infantjax.search.space import Candidate, SearchSpace

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

MAX_RETRIES = 3
"""How often a trial whose worker died is run again, before the candidate counts as failed."""
REASON = "reason"
"""User attribute of a failed trial: why its candidate could not be evaluated."""
GAVE_WAY = "gave_way"
"""User attribute of a trial that ended without a candidate of its own: why. It is no result."""


class NoCandidateError(Exception):
    """No candidate is left that was not tried."""


class RuleSampler(BaseSampler):
    """Candidates of a search rule, for studies over one space.

    Args:
        rule: `KBest()` or `RandomSearch()`.
        space: the search space; objectives suggest each of its choices by name.
        seed: of the search. Independent searches take different seeds.
        on_begin: called with the study and each trial as it begins.
    """

    def __init__(
        self,
        rule: Rule,
        space: SearchSpace,
        seed: int,
        on_begin: Callable[["optuna.Study", FrozenTrial], None] | None = None,
    ) -> None:
        self.rule, self.space, self.seed, self.on_begin = rule, space, seed, on_begin

    def before_trial(self, study: "optuna.Study", trial: FrozenTrial) -> None:
        """Tell `on_begin`."""
        if self.on_begin is not None:
            self.on_begin(study, trial)

    def infer_relative_search_space(self, study: "optuna.Study", trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All choices are drawn together."""
        return distributions(self.space)

    def sample_relative(
        self, study: "optuna.Study", trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next candidate; nothing for a trial that has its choices already, or where none is left.

        Optuna asks for it when the first choice of several alternatives is suggested.

        Raises:
            ValueError: the study has several objectives, or minimizes: the rules look for high values.
        """
        self._raise_error_if_multi_objective(study)
        if study.direction is not optuna.study.StudyDirection.MAXIMIZE:
            raise ValueError("the rules look for high values; make the study with direction='maximize'")
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
        """Reached for a choice that the space does not have, and where no candidate is left.

        Raises:
            ValueError: the space has no such choice.
            NoCandidateError: every draw was tried before.
        """
        if param_name not in self.space.names:
            raise ValueError(f"the search space has no choice {param_name}; it has {', '.join(self.space.names)}")
        raise NoCandidateError("no untried candidate is left")

    def propose(self, trials: Sequence[FrozenTrial], number: int | None = None) -> Candidate | None:
        """The candidate of a trial, given all trials; None where none is left.

        Args:
            trials: of the study.
            number: of the trial; None is the next one.
        """
        number = len(trials) if number is None else number
        state = self.state([trial for trial in trials if origin(trial) < number])
        tried = {candidate for trial in trials if (candidate := candidate_of(self.space, trial)) is not None}
        random = numbers(self.seed, place(self.space, trials, number))
        return draw(self.space, state.probabilities, tried, random)[0]

    def state(self, trials: Sequence[FrozenTrial]) -> State:
        """Where the search stands."""
        return self.rule.replay(self.space, history(self.space, trials))


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space as Optuna has it."""
    return {name: CategoricalDistribution(values) for name, values in space.alternatives}


def candidate_of(space: SearchSpace, trial: FrozenTrial) -> Candidate | None:
    """The candidate of a trial; None while its choices are not all stored."""
    if any(name not in trial.params for name in space.names):
        return None
    return tuple(trial.params[name] for name in space.names)


def origin(trial: FrozenTrial) -> int:
    """Number of the first attempt at a trial's candidate."""
    return trial.system_attrs.get("failed_trial", trial.number)


def retries(trial: FrozenTrial) -> int:
    """How often it was begun before."""
    return len(trial.system_attrs.get("retry_history", ()))


def failure(trial: FrozenTrial) -> str:
    """Why a candidate could not be evaluated; empty for any other trial."""
    if trial.state is not TrialState.FAIL or GAVE_WAY in trial.user_attrs:
        return ""
    if retries(trial) >= MAX_RETRIES:
        return trial.user_attrs.get(REASON, f"its worker died {retries(trial) + 1} times")
    return trial.user_attrs.get(REASON, "")


def performance(trial: FrozenTrial) -> float | None:
    """What a trial came to: its value, also where it was pruned, or `FAILED`; None where it is no result."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return FAILED if trial.value is None else trial.value
    return FAILED if failure(trial) else None


def history(space: SearchSpace, trials: Sequence[FrozenTrial]) -> list[Trial]:
    """The results in the order in which their candidates were first proposed, each candidate once."""
    found: dict[Candidate, float] = {}
    for trial in sorted(trials, key=lambda trial: (origin(trial), trial.number)):
        candidate, reached = candidate_of(space, trial), performance(trial)
        if candidate is not None and reached is not None:
            found.setdefault(candidate, reached)
    return [Trial(candidate, reached) for candidate, reached in found.items()]


def place(space: SearchSpace, trials: Sequence[FrozenTrial], number: int) -> int:
    """How many candidates were proposed before the trial of this number; further attempts at one do not count."""
    return sum(1 for trial in trials if trial.number < number and _proposes(space, trial))


def _proposes(space: SearchSpace, trial: FrozenTrial) -> bool:
    """Whether it is the first attempt at a candidate, which it has or is about to get."""
    without = trial.state is TrialState.FAIL and candidate_of(space, trial) is None
    return origin(trial) == trial.number and GAVE_WAY not in trial.user_attrs and not without
