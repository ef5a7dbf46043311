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
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, Protocol

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

    def replay(self, space: SearchSpace, trials: Iterable[Trial]) -> State:
        """The state after these finished trials, in order."""


@dataclass(frozen=True)
class RandomSearch:
    """Uniform candidates, none of them twice; never ends by itself. The population is the best one."""

    def replay(self, space: SearchSpace, trials: Iterable[Trial]) -> State:
        """The state after these finished trials."""
        best = max(trials, key=lambda trial: trial.performance, default=None)
        return State(space.uniform(), (best,) if best and best.performance > FAILED else ())


@dataclass(frozen=True)
class KBest:
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

    def replay(self, space: SearchSpace, trials: Iterable[Trial]) -> State:
        """The state after these finished trials, in order; trials behind the end change nothing."""
        return reduce(self.after, trials, State(space.uniform()))

    def after(self, state: State, trial: Trial) -> State:
        """The state after one more finished trial."""
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
