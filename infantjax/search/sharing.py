"""Which choices the candidates of one program may differ in: compilation weighed against arithmetic. Pure.

A candidate of a program of its own is compiled, and then does its own arithmetic in every epoch. A program that serves
all alternatives of some choices (`supernet`) is compiled once for all candidates that agree in the others, and each of
them does the arithmetic of the largest. `decide` estimates both in seconds and takes what is clearly less:

    own:     candidates x (compilation + windows x operations)
    shared:  programs x compilation' + candidates x windows x operations'

The programs are the groups among so many different candidates, drawn uniformly: K-Best, which repeats the alternatives
of its best, has fewer, so the estimate is on the side of programs of their own. Operations are those that the layers
record (`nn.counting`), means over a few candidates; compilation goes by the number of parameter arrays.

There are too many sets of choices to try them all. One choice at a time is shared and counted; in the order of what
they add to the arithmetic per alternative they make a chain of sets, of which the cheapest is taken.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infantjax.nn import flops as counting
from infantjax.nn.initializers import shapes
from infantjax.search.space import SearchSpace
from infantjax.search.supernet import GROUPING, SuperNetwork, group_of
from infantjax.skeletons import IN_MOTION_19, Skeleton

CANDIDATES = 60
"""Of a search whose rule decides when it ends; chosen. Published searches took 49 to 85."""
WORTH = 0.9
"""Sharing must take less than this part of the time of programs of their own; chosen: the estimate is not finer."""
DRAWN = 3
"""Candidates over which sizes are averaged; chosen."""


class Size(NamedTuple):
    """What a network costs.

    Attributes:
        operations: of one window in training mode, forwards, of all kinds.
        arrays: of parameters.
    """

    operations: float
    arrays: float


@dataclass(frozen=True)
class Costs:
    """CPU seconds of a machine; the defaults are measured on two cores, see the guide on searching.

    Attributes:
        program: to trace and compile the epoch of any network.
        array: the same, for each of its parameter arrays.
        operation: for each operation of a training.
    """

    program: float = 8.0
    array: float = 0.1
    operation: float = 7e-11

    def compilation(self, size: Size) -> float:
        """Of one program."""
        return self.program + self.array * size.arrays

    def arithmetic(self, size: Size, windows: float) -> float:
        """Of one candidate's training, see `Training.windows`."""
        return self.operation * size.operations * windows


@dataclass(frozen=True)
class Sharing:
    """What was decided for a study.

    Attributes:
        shared: choices in which candidates of one program may differ; none are programs of their own.
        why: in one line.
    """

    shared: tuple[str, ...]
    why: str


def decide(
    space: SearchSpace,
    candidates: int,
    windows: float,
    size: Callable[[SearchSpace], Size] | None = None,
    costs: Costs = Costs(),
) -> Sharing:
    """The choices that candidates of a search should share programs in, if any.

    Args:
        space: that is searched, of the names and alternatives of `models.gcn.ALTERNATIVES`.
        candidates: that are expected.
        windows: that each passes forwards, see `Training.windows`.
        size: of the network that serves all candidates of a space; None counts, see `size_of`.
        costs: of the machine.
    """
    size, candidates = size or size_of, min(candidates, space.size)
    generator = random.Random(0)
    drawn = [space.choices(space.sample(generator.random)) for _ in range(DRAWN)]

    def mean(shared: tuple[str, ...]) -> Size:
        """Of the programs of some candidates."""
        sizes = [size(group_of(space, choices, shared)) for choices in drawn]
        return Size(*np.mean(sizes, axis=0).tolist())

    own = mean(())
    apart = candidates * (costs.compilation(own) + costs.arithmetic(own, windows))
    counts = {name: len(values) for name, values in space.alternatives if len(values) > 1 and name not in GROUPING}
    growth = {name: math.log(mean((name,)).operations / own.operations) / math.log(n) for name, n in counts.items()}
    chain = sorted(counts, key=lambda name: growth[name])
    tried = []
    for length in range(1, len(chain) + 1):
        shared = tuple(name for name in space.names if name in chain[:length])
        programs = expected_groups(space, shared, candidates)
        if programs > candidates - 1:
            continue  # not one is saved
        large = mean(shared)
        arithmetic = candidates * costs.arithmetic(large, windows)
        tried.append((programs * costs.compilation(large) + arithmetic, shared, programs))
        if arithmetic >= apart:
            break  # as that of all longer sets
    if not tried:
        return Sharing((), "nothing is shared: it would not save a program")
    together, shared, programs = min(tried)
    if together < WORTH * apart:
        needed = f"{candidates} candidates need about {programs:.0f} programs and {_hours(together)} of CPU time"
        return Sharing(shared, f"sharing {', '.join(shared)}: {needed} in place of {_hours(apart)}")
    needed = f"{candidates} candidates take about {_hours(apart)} of CPU time"
    return Sharing((), f"nothing is shared: {needed}, with {', '.join(shared)} shared {_hours(together)}")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds > 3600 else f"{seconds / 60:.0f} min"


def expected_groups(space: SearchSpace, shared: tuple[str, ...], candidates: int) -> float:
    """Expected number of groups among so many different candidates, drawn uniformly.

    Args:
        space: that is searched.
        shared: choices in which candidates of a group may differ.
        candidates: at most `space.size`.
    """
    members = math.prod(len(values) for name, values in space.alternatives if name in shared)
    missed = math.prod(max(space.size - members - i, 0) / (space.size - i) for i in range(candidates))
    return space.size / members * (1 - missed)


def size_of(space: SearchSpace, skeleton: Skeleton = IN_MOTION_19, frames: int = 150) -> Size:
    """Of the network that serves all candidates of a space, from an abstract trace: nothing is computed."""
    x = jnp.zeros((1, frames, len(skeleton.joints), 6))
    with counting.tally() as operations:
        variables = shapes(SuperNetwork(space, skeleton), x, train=True)
    return Size(operations.total(), len(jax.tree.leaves(variables["params"])))
