"""Programs of a training, traced and compiled before it begins: for instance while another training still runs."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable
from jax.sharding import Mesh, SingleDeviceSharding
from jax.stages import Compiled, Traced
from jaxlib.xla_client import CompileOptions, DeviceAssignment

from infantjax.errors import one_line
from infantjax.progress import LOGGER
from infantjax.training.layout import Layout, RunMapping, compiler_options, map_runs, with_sharding
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

    def on_device(self, device: jax.Device) -> "CompiledTraining | None":
        """The same programs for another device of the same kind, without compiling them again.

        Args:
            device: of this process.

        Returns:
            None where the backend cannot move them. That of CPUs cannot if they may be from the compilation cache: XLA
            loses kernels when it writes a program that it has read.

        Raises:
            ValueError: the programs are for several devices.
        """
        if _device_of(self.epoch) == device:
            return self
        if device.platform == "cpu" and jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
            return None
        try:
            init_state, epoch = (_on_device(program, device) for program in (self.init_state, self.epoch))
        # `serialize` refuses a program by the last two, a backend by the first; then compiling again is right.
        except (jax.errors.JaxRuntimeError, NotImplementedError, ValueError) as error:
            LOGGER.warning("%s: a program is compiled again (%s)", device, one_line(str(error))[:200])
            return None
        return CompiledTraining(self.task, with_sharding(self.state, SingleDeviceSharding(device)), init_state, epoch)


def _device_of(program: Compiled) -> jax.Device:
    """The device of a program for one."""
    devices = set().union(*(sharding.device_set for sharding in jax.tree.leaves(program.input_shardings)))
    if len(devices) != 1:
        raise ValueError(f"a program for {len(devices)} devices cannot be moved to another one")
    return devices.pop()


def _on_device(program: Compiled, device: jax.Device) -> Compiled:
    """A program for one device, on another device of its kind: written as an executable and read again.

    Source: `jax.experimental.serialize_executable`, which reads it only for the devices that it was compiled for.
    """
    source = _device_of(program)
    written, arguments, results = serialize_executable.serialize(program)

    # Private: the public `deserialize_and_load` knows no device but that which the program was compiled for.
    class Reader(serialize_executable._JaxPjrtUnpickler):
        def persistent_load(self, pid: tuple[Any, ...]) -> Any:
            if pid == ("device", source.id):
                return device
            if pid[0] != "exec":
                return super().persistent_load(pid)
            options = CompileOptions()
            options.device_assignment = DeviceAssignment.create(np.array([[device.id]]))
            return self.backend.deserialize_executable(pid[1], self.execution_devices, options)

    unloaded, info, no_kwargs = Reader(io.BytesIO(written), device.client, [device]).load()
    return Compiled(unloaded.load(), [], arguments.unflatten(info), results, no_kwargs=no_kwargs)


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
    mapping: RunMapping = "auto",
    devices: Sequence[jax.Device] | None = None,
) -> TracedTraining:
    """Trace the programs of a training, from the arguments of `loop.train`.

    Args:
        task: that compiles its epoch as one program.
        runs: only shapes matter.
        data: only shapes matter.
        mapping: of the runs on one device.
        devices: over which the runs are sharded.
    """
    count = len(jax.tree.leaves(runs)[0])
    layout = Layout.create(count, devices)
    runs, data = jax.eval_shape(lambda runs, data: (layout.pad(runs), data), runs, data)
    runs, data = with_sharding(runs, layout.per_run), with_sharding(data, layout.replicated)
    drawn = {name: ((count + layout.padding, packing.size), packing.dtype) for name, packing in task.packings.items()}
    before = (
        {name: jax.ShapeDtypeStruct(*each, sharding=layout.per_run) for name, each in drawn.items()},
        jax.ShapeDtypeStruct((count + layout.padding,), np.bool_, sharding=layout.per_run),
    )
    init_state = init_program(task, layout, mapping).trace(before, runs, data)
    state = with_sharding(init_state.out_info, layout.per_run)
    epoch = task.trace_epoch(state, runs, data, layout.mesh, mapping)
    return TracedTraining(layout.mesh, task, state, init_state, epoch)


def init_program(task: SupervisedTask, layout: Layout, mapping: RunMapping) -> Any:
    """The jitted program of the state before the first epoch of a whole stack."""

    def init_state(before: tuple[dict[str, Any], Any], run: Any, data: Any) -> TrainState:
        return task.init_state(*before, run, data)

    return jax.jit(map_runs(init_state, layout.mesh, mapping), compiler_options=compiler_options(layout.mesh))
