"""Search spaces as data: named choices with alternatives.

A candidate is a tuple with one alternative for each choice, in the order of the space.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infantjax.errors import InputError

Alternative = str | int | float | bool | None
"""One value of a choice; what JSON and Optuna can hold."""

Candidate = tuple[Alternative, ...]
"""An alternative for each choice, in the order of the space."""

Choices = Mapping[str, Alternative]
"""A candidate with the names of its choices."""


@dataclass(frozen=True)
class SearchSpace:
    """Named choices with their alternatives.

    Attributes:
        alternatives: (choice, its alternatives) pairs; a mapping is accepted too. Random numbers are used in the order
            of the choices.
        constraint: says which combinations are valid, by their choices; None accepts all.

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
            # 1, 1.0 and True are equal as dictionary keys, so they cannot be alternatives of one choice.
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
            ValueError: a choice is unknown or missing, or a value is not one of its alternatives; all are named.
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
            ValueError: an unknown choice or alternative.
        """
        wanted = {n: tuple(v) if isinstance(v, list | tuple) else (v,) for n, v in choices.items()}
        if unknown := sorted(set(wanted) - set(self.names)):
            raise ValueError(f"unknown choices {', '.join(unknown)}; known: {', '.join(self.names)}")
        for name, values in self.alternatives:
            if wrong := [value for value in wanted.get(name, ()) if value not in values]:
                raise ValueError(f"{name} has no alternative {wrong[0]!r}; allowed: {', '.join(map(str, values))}")
        return SearchSpace(tuple((n, wanted.get(n, values)) for n, values in self.alternatives), self.constraint)


def pick(probabilities: Mapping[str, Mapping[Alternative, float]], random: Callable[[], float]) -> Candidate:
    """Sample each choice with one random number: the first alternative whose cumulative probability reaches it.

    The last alternative is taken where rounding leaves the sum of the probabilities below the number.
    """
    candidate = []
    for alternatives in probabilities.values():
        number, cumulative, picked = random(), 0.0, None
        for value, probability in alternatives.items():
            picked, cumulative = value, cumulative + probability
            if cumulative >= number:
                break
        candidate.append(picked)
    return tuple(candidate)


def read_space(path: str | Path, whole: SearchSpace) -> SearchSpace:
    """Read a part of a space from a JSON file: an object that maps some choices to lists of their alternatives.

    Raises:
        InputError: the file cannot be read, or has an unknown choice or alternative.
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
