"""K-Best search as a pure rule: from the ordered observations to the probabilities of the next candidate.

Phase 1 evaluates uniform candidates until K of them reach the threshold: the population. In phase 2 a candidate takes
each choice from the population, in which better members have more weight; a lower temperature increases the contrast. A
candidate that is better than the worst member replaces it. After K candidates in a row that are not, the temperature
drops; at the lowest temperature the search ends instead. It also ends when no untried candidate is drawn in twice as
many attempts as there are combinations.

Source: Groos et al., thesis Appendix A.2 (Algorithm 1), and the reference implementation. They differ: in the reference
implementation a drop of the temperature takes effect one trial later (`temperature_lag`), no candidate is evaluated
twice, and a search ends that finds no new one. It also resets the random generator before every training, so that
its ten searches repeat each other's candidates; here each search has its own random numbers (our choice).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import accumulate
from typing import Annotated, NamedTuple, Protocol

import numpy as np

from infantjax.search.space import Alternative, Candidate, SearchSpace, pick
from infantjax.settings import Count, Positive, Range, check_fields

Probabilities = Mapping[str, Mapping[Alternative, float]]
"""Probability of each alternative of each choice; both orders matter to `pick`."""

FAILED = -math.inf
"""Value of a candidate that could not be evaluated."""


class Observation(NamedTuple):
    """A candidate with its value (higher is better), or `FAILED`."""

    candidate: Candidate
    value: float


@dataclass(frozen=True)
class State:
    """State of a search after some observations.

    Attributes:
        probabilities: of the next candidate.
        population: members, worst first.
        temperature: None in phase 1 and in random search.
        unsuccessful: observations in a row that did not change the population.
        ended: the strategy needs no more observations.
    """

    probabilities: Probabilities
    population: tuple[Observation, ...] = ()
    temperature: float | None = None
    unsuccessful: int = 0
    ended: bool = False


class Strategy(Protocol):
    """Decides which candidates come next."""

    def update(self, state: State, observation: Observation) -> State:
        """The state after one more observation."""

    def states(self, space: SearchSpace, observations: Iterable[Observation]) -> Iterator[State]:
        """The state before any observation, and after each of these, in order."""
        return accumulate(observations, self.update, initial=State(space.uniform()))

    def replay(self, space: SearchSpace, observations: Iterable[Observation]) -> State:
        """The state after these observations, in order."""
        return reduce(self.update, observations, State(space.uniform()))


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Uniform candidates without repetition; never ends by itself. The population is the best one."""

    def update(self, state: State, observation: Observation) -> State:
        """The state after one more observation."""
        best = max((FAILED, *(member.value for member in state.population)))
        return replace(state, population=(observation,)) if observation.value > best else state


@dataclass(frozen=True)
class KBest(Strategy):
    """K-Best search; the defaults are the published settings.

    Attributes:
        population: K.
        threshold: minimum value of the first population.
        start_temperature: of phase 2.
        end_temperature: at which the search ends; no drop goes below it (our choice: the reference implementation
            misses an end that no drop meets exactly, and continues below zero).
        temperature_drop: after K unsuccessful observations in a row.
        temperature_lag: the first candidate after a drop is still drawn at the old temperature, as in the reference
            implementation; False is the algorithm of the paper.

    Raises:
        ValueError: a value out of range.
    """

    population: Count = 5
    threshold: Annotated[float, Range()] = 0.9
    start_temperature: Positive = 10
    end_temperature: Positive = 1
    temperature_drop: Positive = 3
    temperature_lag: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if self.end_temperature > self.start_temperature:
            raise ValueError(f"temperatures must fall, got {self.start_temperature} to {self.end_temperature}")

    def update(self, state: State, observation: Observation) -> State:
        """The state after one more observation; nothing changes after the end."""
        if state.ended:
            return state
        if state.temperature is None:
            return self._fill_population(state, observation)
        members, unsuccessful = state.population, state.unsuccessful + 1
        if observation.value > members[0].value:
            members, unsuccessful = _ranked((observation, *members[1:])), 0
        drawn_at = temperature = state.temperature
        ended = False
        if unsuccessful == self.population:
            ended = temperature <= self.end_temperature
            if not ended:
                temperature, unsuccessful = max(temperature - self.temperature_drop, self.end_temperature), 0
        drawn_at = drawn_at if self.temperature_lag else temperature
        probabilities = self.probabilities(members, drawn_at, state.probabilities)
        return State(probabilities, members, temperature, unsuccessful, ended)

    def _fill_population(self, state: State, observation: Observation) -> State:
        """Phase 1: a good candidate becomes a member; phase 2 begins once there are K."""
        if not observation.value >= self.threshold:
            return state
        members = _ranked((*state.population, observation))
        if len(members) < self.population:
            return replace(state, population=members)
        probabilities = self.probabilities(members, self.start_temperature, state.probabilities)
        return State(probabilities, members, self.start_temperature)

    def probabilities(
        self, members: tuple[Observation, ...], temperature: float, names: Iterable[str]
    ) -> Probabilities:
        """Softmax over the alternatives that occur in a population, of the sums of their members' ranks.

        Args:
            members: worst first; the worst has rank 1.
            temperature: divides the sums.
            names: of the choices.

        Returns:
            For each choice the alternatives in the order of their first appearance from the worst member on.
        """
        probabilities = {}
        for place, name in enumerate(names):
            ranks: dict[Alternative, int] = defaultdict(int)
            for rank, member in enumerate(members, start=1):
                ranks[member.candidate[place]] += rank
            # Relative to the largest, since low temperatures would overflow.
            highest = max(ranks.values())
            weights = {value: math.exp((rank - highest) / temperature) for value, rank in ranks.items()}
            total = sum(weights.values())
            probabilities[name] = {value: weight / total for value, weight in weights.items()}
        return probabilities


def fewest_left(strategy: Strategy, state: State, most: int = 1000) -> int | None:
    """Fewest candidates after which a search can end: good ones until the population is full, then none better.

    Args:
        strategy: of the search.
        state: of the strategy now.
        most: numbers above it are not looked for.

    Returns:
        None where the strategy does not end by itself.
    """
    candidate = tuple(next(iter(alternatives)) for alternatives in state.probabilities.values())
    for count in range(most):
        if state.ended:
            return count
        value = math.inf if state.temperature is None else FAILED
        state = strategy.update(state, Observation(candidate, value))
    return None


def _ranked(members: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """Worst first; the sort is stable, so a newcomer stands before older members of equal value."""
    return tuple(sorted(members, key=lambda member: member.value))


def draw(
    space: SearchSpace,
    probabilities: Probabilities,
    tried: Collection[Candidate | None],
    random: Callable[[], float],
) -> tuple[Candidate | None, int]:
    """Draw an untried candidate.

    Args:
        space: a candidate that violates its constraint counts as tried.
        probabilities: of the alternatives.
        tried: candidates that are finished, running or waiting.
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


def random_numbers(seed: int, number: int) -> Callable[[], float]:
    """The random numbers in [0, 1) of a trial of a search, by its number from 0; the same in any process."""
    return np.random.default_rng((seed, number)).random


def propose(
    strategy: Strategy,
    space: SearchSpace,
    seed: int,
    observations: Iterable[Observation],
    tried: Collection[Candidate | None],
) -> Candidate | None:
    """The candidate of the next trial: a pure function, the same in any process; None where no untried one is drawn.

    Args:
        strategy: of the search.
        space: the search space.
        seed: of the search; independent ones take different seeds.
        observations: the results, in the order of the trials.
        tried: candidates of all trials, finished or not; their number is that of the next trial.
    """
    state = strategy.replay(space, observations)
    return draw(space, state.probabilities, tried, random_numbers(seed, len(tried)))[0]


def run(
    strategy: Strategy,
    space: SearchSpace,
    objective: Callable[[Candidate], float],
    seed: int,
    trials: int | None = None,
) -> list[Observation]:
    """Search without a folder; the candidates are those of a search on one device.

    Args:
        strategy: which candidates come next.
        space: the search space.
        objective: value of a candidate, higher is better, or `FAILED`.
        seed: of the search.
        trials: maximum number; None leaves the end to the strategy, which random search does not have.

    Returns:
        The observations in order; fewer where the strategy ended or no untried candidate was found.
    """
    found: dict[Candidate, float] = {}
    state = State(space.uniform())
    while not state.ended and (trials is None or len(found) < trials):
        candidate, _ = draw(space, state.probabilities, found, random_numbers(seed, len(found)))
        if candidate is None:
            break
        found[candidate] = objective(candidate)
        state = strategy.update(state, Observation(candidate, found[candidate]))
    return [Observation(candidate, value) for candidate, value in found.items()]
