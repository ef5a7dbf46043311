"""K-Best search as a rule: from the ordered history of finished trials to the odds of the next candidate. Pure.

Phase 1 evaluates uniform candidates until K of them reach the threshold: the population. In phase 2 a candidate takes
each choice from the population, in which better members weigh more, the more so the lower the temperature. One that is
better than the worst replaces it; after K in a row that are not, the temperature drops, and at the lowest one the
search ends. It also ends when twice as many draws as there are combinations gave nothing new.

Source: Groos et al., thesis Appendix A.2 (Algorithm 1), and the released program. They differ: in the released one a
drop of the temperature acts one trial late (`temperature_lag`); only it says that no candidate is evaluated twice, and
how a search ends that finds none. In the released program every training also sets the generator back to one point, so
that its ten searches repeat each other's candidates; here each search has its own numbers.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np

from infantjax.search.space import Alternative, Candidate, SearchSpace, pick

Probabilities = Mapping[str, Mapping[Alternative, float]]
"""Probability of each alternative of each choice; the orders decide which candidate a random number stands for."""

FAILED = -math.inf
"""Performance of a candidate that could not be evaluated."""


class Trial(NamedTuple):
    """A candidate with the performance that it reached (higher is better), or `FAILED`."""

    candidate: Candidate
    performance: float


@dataclass(frozen=True)
class State:
    """Where a search stands after some trials.

    Attributes:
        probabilities: from which the next candidate is drawn.
        population: members, worst first.
        temperature: None in phase 1 and in random search.
        unsuccessful: trials in a row that did not change the population.
        ended: the rule wants no more trials.
    """

    probabilities: Probabilities
    population: tuple[Trial, ...] = ()
    temperature: float | None = None
    unsuccessful: int = 0
    ended: bool = False


class Rule(Protocol):
    """What decides which candidates come next."""

    def after(self, state: State, trial: Trial) -> State:
        """The state after one more finished trial."""

    def states(self, space: SearchSpace, trials: Iterable[Trial]) -> Iterator[State]:
        """The state before any trial, and after each of these finished ones, in order."""
        return accumulate(trials, self.after, initial=State(space.uniform()))

    def replay(self, space: SearchSpace, trials: Iterable[Trial]) -> State:
        """The state after these finished trials, in order; trials behind the end change nothing."""
        return reduce(self.after, trials, State(space.uniform()))


@dataclass(frozen=True)
class RandomSearch(Rule):
    """Uniform candidates, none of them twice; never ends by itself. The population is the best one."""

    def after(self, state: State, trial: Trial) -> State:
        """The state after one more finished trial."""
        best = max((FAILED, *(member.performance for member in state.population)))
        return replace(state, population=(trial,)) if trial.performance > best else state


@dataclass(frozen=True)
class KBest(Rule):
    """K-Best search; the defaults are the published settings.

    Attributes:
        population: K.
        threshold: least performance of the first population.
        start_temperature: of phase 2.
        end_temperature: at which the search ends; no drop goes below it (chosen here: the released program would miss
            an end that no drop meets, and go on below zero).
        temperature_drop: after K unsuccessful trials in a row.
        temperature_lag: the first candidate after a drop is still drawn at the old temperature, as released; False is
            the paper's algorithm.

    Raises:
        ValueError: a value out of range.
    """

    population: int = 5
    threshold: float = 0.9
    start_temperature: float = 10
    end_temperature: float = 1
    temperature_drop: float = 3
    temperature_lag: bool = True

    def __post_init__(self) -> None:
        if self.population < 1:
            raise ValueError(f"population must be at least 1, got {self.population}")
        if not 0 < self.end_temperature <= self.start_temperature < math.inf:
            raise ValueError(
                f"temperatures must fall to an end above 0, got {self.start_temperature} to {self.end_temperature}"
            )
        if not self.temperature_drop > 0:
            raise ValueError(f"temperature_drop must be above 0, got {self.temperature_drop}")
        if math.isnan(self.threshold):
            raise ValueError("threshold must be a number")

    def after(self, state: State, trial: Trial) -> State:
        """The state after one more finished trial; behind the end nothing changes."""
        if state.ended:
            return state
        if state.temperature is None:
            return self._found(state, trial)
        members, unsuccessful = state.population, state.unsuccessful + 1
        if trial.performance > members[0].performance:
            members, unsuccessful = _ranked((trial, *members[1:])), 0
        drawn_at = temperature = state.temperature
        ended = False
        if unsuccessful == self.population:
            ended = temperature <= self.end_temperature
            if not ended:
                temperature, unsuccessful = max(temperature - self.temperature_drop, self.end_temperature), 0
        odds = self.probabilities(members, drawn_at if self.temperature_lag else temperature, state.probabilities)
        return State(odds, members, temperature, unsuccessful, ended)

    def _found(self, state: State, trial: Trial) -> State:
        """Phase 1: a member if it is good enough, and phase 2 once there are K."""
        if not trial.performance >= self.threshold:
            return state
        members = _ranked((*state.population, trial))
        if len(members) < self.population:
            return replace(state, population=members)
        odds = self.probabilities(members, self.start_temperature, state.probabilities)
        return State(odds, members, self.start_temperature)

    def probabilities(self, members: tuple[Trial, ...], temperature: float, names: Iterable[str]) -> Probabilities:
        """Odds of the alternatives that occur in a population: softmax of the sums of their members' ranks.

        Args:
            members: worst first; the worst has rank 1.
            temperature: what the sums are divided by.
            names: of the choices.

        Returns:
            For each choice the alternatives in the order of their first appearance from the worst member on.
        """
        odds = {}
        for place, name in enumerate(names):
            ranks: dict[Alternative, int] = defaultdict(int)
            for rank, member in enumerate(members, start=1):
                ranks[member.candidate[place]] += rank
            # Relative to the largest, since low temperatures would overflow.
            highest = max(ranks.values())
            weights = {value: math.exp((rank - highest) / temperature) for value, rank in ranks.items()}
            total = sum(weights.values())
            odds[name] = {value: weight / total for value, weight in weights.items()}
        return odds


def _ranked(members: tuple[Trial, ...]) -> tuple[Trial, ...]:
    """Worst first; equal ones stay in order, which puts a newcomer before older ones."""
    return tuple(sorted(members, key=lambda member: member.performance))


def draw(
    space: SearchSpace, probabilities: Probabilities, tried: Collection[Candidate], random: Callable[[], float]
) -> tuple[Candidate | None, int]:
    """A candidate that was not tried before.

    Args:
        space: a candidate outside its constraint counts as tried.
        probabilities: of the alternatives.
        tried: finished, running or waiting.
        random: gives numbers in [0, 1); one for each choice of each attempt.

    Returns:
        The candidate and the number of attempts; None after twice as many as the probabilities have combinations.
    """
    limit = 2 * math.prod(len(alternatives) for alternatives in probabilities.values())
    for attempt in range(1, limit + 1):
        candidate = pick(probabilities, random)
        if candidate not in tried and (space.constraint is None or space.constraint(space.choices(candidate))):
            return candidate, attempt
    return None, limit


def numbers(seed: int, place: int) -> Callable[[], float]:
    """The random numbers in [0, 1) of the candidate at a place of a search, counted from 0; the same in any process."""
    return np.random.default_rng((seed, place)).random


def run(
    rule: Rule, space: SearchSpace, worth: Callable[[Candidate], float], seed: int, trials: int | None = None
) -> list[Trial]:
    """A search in this process, without a study: the very trials of a study with one worker.

    Args:
        rule: which candidates come next.
        space: what is searched.
        worth: performance of a candidate, higher is better, or `FAILED`.
        seed: of the search.
        trials: at most; None leaves the end to the rule, which random search does not have.

    Returns:
        The trials in order; fewer where the rule ended or no untried candidate was found.
    """
    found: dict[Candidate, float] = {}
    state = State(space.uniform())
    while not state.ended and (trials is None or len(found) < trials):
        candidate, _ = draw(space, state.probabilities, found, numbers(seed, len(found)))
        if candidate is None:
            break
        found[candidate] = worth(candidate)
        state = rule.after(state, Trial(candidate, found[candidate]))
    return [Trial(candidate, reached) for candidate, reached in found.items()]
