"""Programs of a training, traced and compiled before it begins: for instance while another training still runs."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jax.stages import Compiled, Traced

from infantjax.training.execution.layout import Layout, compiler_options, map_runs, with_sharding
from infantjax.training.state import TrainState
from infantjax.training.task import SupervisedTask


@dataclass(frozen=True, eq=False)
class CompiledTraining:
    """Compiled programs of a training.

    Attributes:
        task: that the runs train.
        state: shapes of the padded stack with their shardings.
        init_state: state before the first epoch, from the drawn variables and active runs, the runs and the data.
        epoch: state after an epoch, from the state before it, the runs and the data.
    """

    task: SupervisedTask
    state: TrainState
    init_state: Compiled
    epoch: Compiled

    def is_for(self, device: jax.Device) -> bool:
        """Whether the programs run on this device alone."""
        return all(sharding.device_set == {device} for sharding in jax.tree.leaves(self.epoch.input_shardings))


@dataclass(frozen=True, eq=False)
class TracedTraining:
    """Traced programs of a training on the devices of a mesh; see `trace` and `CompiledTraining`."""

    mesh: Mesh
    task: SupervisedTask
    state: TrainState
    init_state: Traced
    epoch: Traced

    def compile(self) -> CompiledTraining:
        """Compile both programs at once. No device is needed, and XLA releases the GIL while it compiles."""
        with ThreadPoolExecutor(1) as other:
            init_state = other.submit(self.init_state.lower().compile)
            epoch = self.epoch.lower().compile(compiler_options=compiler_options(self.mesh))
        return CompiledTraining(self.task, self.state, init_state.result(), epoch)


def trace(
    task: SupervisedTask,
    runs: Any,
    data: Any,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> TracedTraining:
    """Trace the programs of a training, from the arguments of `training.fit`.

    Args:
        task: that compiles its epoch as one program.
        runs: only shapes matter.
        data: only shapes matter.
        devices: over which the runs are sharded.
    """
    count = len(jax.tree.leaves(runs)[0])
    layout = Layout.create(count, devices)
    runs, data = jax.eval_shape(lambda runs, data: (layout.pad(runs), data), runs, data)
    runs, data = with_sharding(runs, layout.per_run), with_sharding(data, layout.replicated)
    padded = count + layout.padding
    drawn = {
        name: {dtype: jax.ShapeDtypeStruct((padded, size), dtype) for dtype, size in packing.sizes.items()}
        for name, packing in task.packings.items()
    }
    before = with_sharding((drawn, jax.ShapeDtypeStruct((padded,), np.bool_)), layout.per_run)
    init_state = init_program(task, layout).trace(before, runs, data)
    state = with_sharding(init_state.out_info, layout.per_run)
    epoch = task.trace_epoch(state, runs, data, layout.mesh)
    return TracedTraining(layout.mesh, task, state, init_state, epoch)


def init_program(task: SupervisedTask, layout: Layout) -> Any:
    """The jitted program of the state before the first epoch of a whole stack."""

    def init_state(before: tuple[dict[str, Any], Any], run: Any, data: Any) -> TrainState:
        return task.init_state(*before, run, data)

    return jax.jit(map_runs(init_state, layout.mesh), compiler_options=compiler_options(layout.mesh))
