"""Training on more images than fit on the devices: they come in parts, while others are trained on.

An epoch is the same sequence of steps as on the device, cut into parts; Grain reads the next parts in the background.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from infantjax.devices import for_platform, platform_of
from infantjax.errors import MissingExtraError
from infantjax.pose.training.task import Batch, ImageData, PoseTask
from infantjax.training.execution import distributed
from infantjax.training.execution.layout import compiler_options
from infantjax.training.splits import Split
from infantjax.training.state import Run, TrainState
from infantjax.training.task import Carry, EpochPlan, EpochResult

AHEAD = 2
"""Parts that are read ahead of the one that is trained on."""


@dataclass(frozen=True)
class Parts:
    """Images of an epoch in parts, as a source for Grain: `parts[i]` are images and points of the i-th."""

    data: ImageData
    rows: Sequence[np.ndarray]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: Any) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows[int(number)]
        return np.asarray(self.data.images[rows]), np.asarray(self.data.points[rows])


def prefetch(data: ImageData, rows: np.ndarray, length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and points of some rows in order, `length` at a time, the next ones read in the background."""
    grain = _import_grain()
    parts = Parts(data, [rows[i : i + length] for i in range(0, len(rows), length)])
    options = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
    return iter(grain.MapDataset.source(parts).to_iter_dataset(options))


class Stream(NamedTuple):
    """Parts of the data that stay on the host.

    Attributes:
        data: all images.
        split: of the only run.
        steps: whose images are on the devices at once.
    """

    data: ImageData
    split: Split
    steps: int


@dataclass(frozen=True, eq=False)
class StreamedPoseTask(PoseTask):
    """One run whose images stay on the host.

    Attributes:
        stream: the images.
    """

    stream: Stream | None = None

    @classmethod
    def streaming(cls, task: PoseTask, data: ImageData, splits: Sequence[Split], steps: int) -> "StreamedPoseTask":
        """The task with its images on the host.

        Args:
            task: with the images on the devices.
            data: the images.
            splits: one.
            steps: whose images are on the devices at once.

        Raises:
            ValueError: several splits, no steps, or several processes.
            MissingExtraError: Grain is not installed.
        """
        if len(splits) != 1 or steps < 1:
            raise ValueError(f"prefetching takes one split and at least one step, got {len(splits)} and {steps}")
        if distributed.is_multi_process():
            raise ValueError("prefetching takes one process")
        _import_grain()
        given = {f.name: getattr(task, f.name) for f in fields(task)}
        return cls(**given, stream=Stream(data, splits[0], steps))

    def compile(
        self, state: TrainState, runs: Run, data: ImageData, mesh: Mesh
    ) -> Callable[[TrainState, Run, ImageData], TrainState]:
        """The programs of the beginning and end of an epoch, and of a part of its steps and of its validation."""
        assert self.stream is not None
        host, split, part = self.stream
        size, evaluated = self.config.batch_size, self.evaluation_batch
        evaluated *= max(1, part * size // evaluated)

        def compiled(function: Callable) -> Callable:
            return jax.jit(for_platform(function, platform_of(mesh)), compiler_options=compiler_options(mesh))

        everywhere = NamedSharding(mesh, P())
        run: Run = jax.device_put(jax.tree.map(lambda leaf: leaf[0], runs), everywhere)

        @compiled
        def begin(state: TrainState, run: Run) -> tuple[TrainState, EpochPlan, Array, Carry]:
            one = jax.tree.map(lambda leaf: leaf[0], state)
            plan, key = self.plan_epoch(one.epoch, run, None, jax.random.fold_in(run.key, one.epoch + 1))
            return one, plan, key, (one.variables, one.opt_state, jnp.float32(0))

        @compiled
        def take_steps(carry: Carry, plan: EpochPlan, key: Array, here: ImageData, first: Array, count: Array) -> Carry:
            def batch(step: Array) -> Batch:
                at = partial(lax.dynamic_slice_in_dim, start_index=(step - first) * size, slice_size=size)
                return self.view(
                    plan, self.samples_of(plan, step), at(here.images), at(here.points), here.normalization
                )

            return self.train_steps(carry, batch, plan.epoch, key, count, first)

        @compiled
        def predict(variables: dict[str, Any], here: ImageData) -> Any:
            return self.predict_all(variables, jnp.arange(evaluated), jnp.int32(evaluated), here)

        @compiled
        def finish(state: TrainState, carry: Carry, predictions: list[Any], run: Run) -> TrainState:
            variables, opt_state, total = carry
            trained = EpochResult(variables, opt_state, total / self.count_steps(run))
            found = jax.tree.map(lambda *parts: jnp.concatenate(parts)[: len(split.validation)], *predictions)
            result = self.evaluate(found, self.unpack(variables), run, data)
            return jax.tree.map(lambda leaf: leaf[None], self.update_state(state, trained, result))

        def put(arrays: tuple[np.ndarray, np.ndarray], rows: int) -> ImageData:
            padded = (np.pad(a, [(0, rows - len(a)), *[(0, 0)] * (a.ndim - 1)]) for a in arrays)
            images, points = jax.device_put(tuple(padded), everywhere)
            return replace(data, images=images, points=points)

        def advance(state: TrainState, runs: Run, data: ImageData) -> TrainState:
            with jax.set_mesh(mesh):
                one, plan, key, carry = begin(state, run)
                order = np.asarray(split.train)[jax.device_get(plan.order)]
                for number, arrays in enumerate(prefetch(host, order, part * size)):
                    scalars = np.int32(number * part), np.int32(len(arrays[0]) // size)
                    carry = take_steps(carry, plan, key, put(arrays, part * size), *jax.device_put(scalars))
                validation = prefetch(host, np.asarray(split.validation), evaluated)
                predictions = [predict(carry[0], put(arrays, evaluated)) for arrays in validation]
                return finish(one, carry, predictions, run)

        return advance


def _import_grain() -> Any:
    try:
        import grain
    except ImportError:
        raise MissingExtraError("grain", "pose-train") from None
    return grain
