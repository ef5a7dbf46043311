"""Search spaces as data: named choices with alternatives, and what they build.

A candidate is a tuple with one alternative for each choice, in the order of the space. Any function from choices to a
network makes any space searchable; `PUBLISHED` with `build_published` is the space of Ensemble-NAS-GCN.

Source: Groos et al., Paper III, supplement; thesis Appendix A.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn

from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn import model as gcn
from infantjax.skeletons import IN_MOTION_19, Skeleton

Alternative = str | int | float | bool | None
"""One value of a choice; what JSON and Optuna can hold."""

Candidate = tuple[Alternative, ...]
"""An alternative for each choice, in the order of the space."""

Choices = Mapping[str, Alternative]
"""A candidate with the names of its choices."""

Build = Callable[[Choices], nn.Module]
"""From choices to a network; a function of a module, so that worker processes find it by name."""


@dataclass(frozen=True)
class SearchSpace:
    """Named choices with their alternatives.

    Attributes:
        alternatives: (choice, its alternatives) pairs; a mapping is taken too. The order of the choices is the order in
            which random numbers are used.
        constraint: which combinations are meant, by their choices; None means all. A function of a module.

    Raises:
        ValueError: no choices, names that repeat, or a choice without or with repeated alternatives.
    """

    alternatives: tuple[tuple[str, tuple[Alternative, ...]], ...]
    constraint: Callable[[Choices], bool] | None = None

    def __post_init__(self) -> None:
        given: Any = self.alternatives
        pairs = tuple(
            (name, tuple(values)) for name, values in (given.items() if isinstance(given, Mapping) else given)
        )
        object.__setattr__(self, "alternatives", pairs)
        if not pairs or len(set(self.names)) != len(pairs):
            raise ValueError(f"a search space needs choices with different names, got {self.names}")
        for name, values in pairs:
            # 1, 1.0 and True are one dictionary key: not to be told apart.
            if not values or len(set(values)) != len(values):
                raise ValueError(f"choice {name} needs different alternatives, got {values}")

    @property
    def names(self) -> tuple[str, ...]:
        """The choices in order."""
        return tuple(name for name, _ in self.alternatives)

    @property
    def size(self) -> int:
        """Number of combinations, before the constraint."""
        return math.prod(len(values) for _, values in self.alternatives)

    def choices(self, candidate: Candidate) -> dict[str, Alternative]:
        """A candidate with the names of its choices."""
        return dict(zip(self.names, candidate, strict=True))

    def candidate(self, choices: Choices) -> Candidate:
        """The inverse of `choices`.

        Raises:
            ValueError: a choice is unknown or missing, or an alternative is not one of its choice; all are named.
        """
        wrong = [f"{name} is unknown" for name in choices if name not in self.names]
        for name, values in self.alternatives:
            if name not in choices:
                wrong.append(f"{name} is missing")
            elif choices[name] not in values:
                wrong.append(f"{name} is {choices[name]!r}, allowed: {', '.join(map(str, values))}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return tuple(choices[name] for name in self.names)

    def contains(self, candidate: Candidate) -> bool:
        """Whether it is a combination of this space that meets the constraint."""
        return (
            len(candidate) == len(self.alternatives)
            and all(value in values for value, (_, values) in zip(candidate, self.alternatives))
            and (self.constraint is None or self.constraint(self.choices(candidate)))
        )

    def label(self, candidate: Candidate) -> str:
        """Text form: `choice-alternative` pairs joined by `+`, in the order of the space."""
        return "+".join(f"{name}-{value}" for name, value in self.choices(candidate).items())

    def neighbors(self, candidate: Candidate) -> Iterator[Candidate]:
        """The candidates of the space that differ from this one in one choice."""
        for place, (_, values) in enumerate(self.alternatives):
            for value in values:
                neighbor = (*candidate[:place], value, *candidate[place + 1 :])
                if value != candidate[place] and self.contains(neighbor):
                    yield neighbor

    def uniform(self) -> dict[str, dict[Alternative, float]]:
        """Equal probabilities for the alternatives of each choice."""
        return {name: {value: 1 / len(values) for value in values} for name, values in self.alternatives}

    def sample(self, random: Callable[[], float]) -> Candidate:
        """A uniform candidate; `random` gives numbers in [0, 1).

        Raises:
            ValueError: no candidate met the constraint in a thousand attempts.
        """
        for _ in range(1000):
            candidate = pick(self.uniform(), random)
            if self.contains(candidate):
                return candidate
        raise ValueError("no candidate meets the constraint of the search space")

    def restricted(self, choices: Mapping[str, Any]) -> "SearchSpace":
        """The space with only these alternatives of some choices (one, or a list of them).

        Raises:
            ValueError: a choice or an alternative that this space does not have.
        """
        wanted = {n: tuple(v) if isinstance(v, list | tuple) else (v,) for n, v in choices.items()}
        if unknown := sorted(set(wanted) - set(self.names)):
            raise ValueError(f"unknown choices {', '.join(unknown)}; known: {', '.join(self.names)}")
        for name, values in self.alternatives:
            if wrong := [value for value in wanted.get(name, ()) if value not in values]:
                raise ValueError(f"{name} has no alternative {wrong[0]!r}; allowed: {', '.join(map(str, values))}")
        return SearchSpace(tuple((n, wanted.get(n, values)) for n, values in self.alternatives), self.constraint)


def pick(probabilities: Mapping[str, Mapping[Alternative, float]], random: Callable[[], float]) -> Candidate:
    """One random number a choice, in order: the first alternative whose cumulative probability is not below it.

    Where rounding leaves the sum below the number, the last alternative is taken.
    """
    candidate = []
    for alternatives in probabilities.values():
        number, cumulative, chosen = random(), 0.0, None
        for value, probability in alternatives.items():
            chosen, cumulative = value, cumulative + probability
            if cumulative >= number:
                break
        candidate.append(chosen)
    return tuple(candidate)


def read_space(path: str | Path, whole: SearchSpace) -> SearchSpace:
    """A part of a space from a JSON file: an object that maps some choices to lists of their alternatives.

    Raises:
        InputError: the file cannot be read, or names what the space does not have.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError('it must be an object such as {"graph": ["spatial", "dis2"]}')
        return whole.restricted(content)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(path, f"is no part of the search space: {error}", "see docs/train/search.md") from None


PUBLISHED = SearchSpace(tuple(gcn.ALTERNATIVES.items()))
"""The 20 choices of Ensemble-NAS-GCN: 5,435,817,984 candidates, of which 4,416,602,112 differ (without
squeeze-and-excitation its ratio and type mean nothing; the search tells them apart all the same)."""


def build_published(choices: Choices, skeleton: Skeleton = IN_MOTION_19) -> gcn.GraphNetwork:
    """The graph network of a candidate of `PUBLISHED`, without the parameters that never influence its output."""
    return gcn.GraphNetwork(gcn.Architecture.from_choices(choices), skeleton, lean=True)
