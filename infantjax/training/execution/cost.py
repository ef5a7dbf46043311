"""Cost of a training before it begins: parameters, programs, and the memory that its compiler plans."""

from typing import Any, NamedTuple

import jax

from infantjax.training.execution.compiled import CompiledTraining
from infantjax.training.task import SupervisedTask

PROGRAMS = 2
"""Programs of a training: the state before the first epoch, and an epoch."""


class TrainingMemory(NamedTuple):
    """Bytes on each device while an epoch of a stack of runs is computed, by the compiler's `memory_analysis`.

    Both are None where the compiler has none.

    Attributes:
        resident: state of all runs and the data, which stay from one epoch to the next.
        temporary: what the epoch needs beside them: activations, gradients.
        platform: that the program was compiled for.
    """

    resident: int | None
    temporary: int | None
    platform: str

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with where it comes from."""
        source = f"memory_analysis of the compiled epoch, {self.platform}"
        return {"resident_bytes": self.resident, "temporary_bytes": self.temporary, "memory_from": source}


def training_memory(compiled: CompiledTraining) -> TrainingMemory:
    """The memory of a compiled training on each of its devices."""
    platform = next(iter(jax.tree.leaves(compiled.epoch.input_shardings)[0].device_set)).platform
    analysis: Any = compiled.epoch.memory_analysis()
    if analysis is None:
        return TrainingMemory(None, None, platform)
    new = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
    return TrainingMemory(analysis.argument_size_in_bytes + new, analysis.temp_size_in_bytes, platform)


def count_task_parameters(task: SupervisedTask) -> int:
    """Number of parameters of one run."""
    return sum(leaf.size for leaf in jax.tree.leaves(task.variables["params"]))
