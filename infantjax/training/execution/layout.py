"""How a stack of runs lies on the devices: its run axis is sharded over them, or the batches of every run are."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from infantjax.cache import COMPILER_OPTIONS
from infantjax.devices import for_platform, platform_of
from infantjax.training.execution import distributed

ONE_BY_ONE = ("cpu",)
"""Platforms whose devices compute their runs one after the other; others compute them side by side, by `vmap`, which on
a CPU would turn convolutions into slow grouped ones."""

BATCH_AXIS = "batch"
"""Name of the mesh axis over which the batches of a run are sharded."""

Tree = TypeVar("Tree")


class Layout(NamedTuple):
    """Devices of a stack.

    Attributes:
        mesh: axes `run` and `batch`, one of them of size 1.
        padding: number of runs appended so that every device holds as many.
    """

    mesh: Mesh
    padding: int

    @classmethod
    def create(cls, count: int, devices: Sequence[jax.Device] | None, shard_batches: bool = False) -> "Layout":
        """Layout of `count` runs.

        Args:
            count: number of runs.
            devices: to use; None is all devices of all processes.
            shard_batches: shard the batches of every run, in place of the runs.
        """
        devices = list(devices or jax.devices())
        # Every process needs a part of each array.
        used = devices if distributed.is_multi_process() else devices[:count]
        grid = np.asarray(devices)[None] if shard_batches else np.asarray(used)[:, None]
        mesh = Mesh(grid, ("run", BATCH_AXIS), axis_types=(AxisType.Auto, AxisType.Auto))
        return cls(mesh, -count % len(grid))

    @property
    def per_run(self) -> Sharding:
        """Of arrays with a leading run axis."""
        return self._sharding(P("run"))

    @property
    def replicated(self) -> Sharding:
        """Of arrays that all runs share."""
        return self._sharding(P())

    def _sharding(self, spec: P) -> Sharding:
        # A mesh is a part of an array's type: mixed with arrays without one, every program would be traced twice.
        return NamedSharding(self.mesh, spec) if self.mesh.size > 1 else SingleDeviceSharding(self.mesh.devices.item())

    def pad(self, runs: Tree) -> Tree:
        """Append copies of the first run so that every device holds as many runs."""
        n = self.padding
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, *[leaf[:1]] * n]) if n else leaf, runs)


def map_runs(function: Callable, mesh: Mesh) -> Callable:
    """Map `function(run_arguments, run, data)` over the run axis of its first two arguments, on every device of a mesh.

    Args:
        function: of one run.
        mesh: see `Layout`.
    """
    platform = platform_of(mesh)

    def on_device(state: Any, run: Any, data: Any) -> Any:
        if platform not in ONE_BY_ONE:
            return jax.vmap(function, in_axes=(0, 0, None))(state, run, data)
        return lax.map(lambda one: function(*one, data), (state, run))

    local = for_platform(on_device, platform)
    if mesh.size == 1:
        # A mesh marks every operation with its sharding: two fifths of the program that XLA would read.
        return local
    specs = (P("run"), P("run"), P())
    return jax.shard_map(
        local, mesh=mesh, in_specs=specs, out_specs=P("run"), check_vma=False, axis_names=frozenset({"run"})
    )


def shard_batch(batch: Array) -> Array:
    """Shard a batch over the devices of a run, where there are several."""
    if BATCH_AXIS not in jax.sharding.get_abstract_mesh().axis_names:
        return batch
    return lax.with_sharding_constraint(batch, P(BATCH_AXIS))


def take_runs(tree: Tree, runs: Sequence[int] | np.ndarray) -> Tree:
    """Some runs of a tree with a leading run axis, as NumPy arrays."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[np.asarray(runs)], tree)


def with_sharding(shapes: Any, sharding: Sharding) -> Any:
    """Shapes of arrays that have this sharding."""
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), shapes)


def compiler_options(mesh: Mesh) -> dict[str, Any] | None:
    """Compiler options of the programs of a training on the devices of a mesh."""
    return COMPILER_OPTIONS.get(platform_of(mesh))
