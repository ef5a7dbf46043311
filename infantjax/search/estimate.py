"""Cost of a search before it begins, from the compiled program of its first candidate."""

import time
from typing import Any

from infantjax.search.kbest import Strategy, fewest_left, propose
from infantjax.search.space import SearchSpace
from infantjax.training.execution.cost import PROGRAMS, count_task_parameters, training_memory


def estimate_search(
    space: SearchSpace, objective: Any, strategy: Strategy, seed: int, trials: int | None
) -> dict[str, Any]:
    """Size of the space, fewest trials and programs, and cost of the first candidate, as plain data.

    The first candidate, which depends on the seed alone, is compiled; others may be larger or smaller. Nothing is
    trained or written. Arguments as of `driver.run`.

    Raises:
        ValueError: the objective does not compile its candidates beforehand, or the space has no candidate.
    """
    candidate = propose(strategy, space, seed, (), ())
    on_device: Any = getattr(objective, "on_device", None)
    precompile = getattr(on_device(0) if on_device else objective, "precompile", None)
    if candidate is None or precompile is None:
        raise ValueError("the first candidate of this search cannot be compiled beforehand")
    began = time.perf_counter()
    compiled = precompile(space.choices(candidate))
    seconds = time.perf_counter() - began
    counts = [trials, fewest_left(strategy, strategy.replay(space, ()))]
    fewest = min((count for count in counts if count is not None), default=None)
    return {
        "candidates": space.size,
        "fewest_trials": fewest,
        "fewest_programs": None if fewest is None else PROGRAMS * fewest,
        "parameters": count_task_parameters(compiled.task),
        **training_memory(compiled).to_dict(),
        "seconds_to_compile": round(seconds, 1),
        "choices": space.choices(candidate),
    }
