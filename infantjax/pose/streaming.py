"""Pose networks trained on more images than fit on the devices: they come in parts, while others are trained on.

An epoch is the same sequence of steps as on the device, cut into parts; Grain reads the next parts in the background.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from infantjax.errors import MissingExtraError
from infantjax.pose.training import ImageData, Plan, PoseRun, PoseTask, Tally
from infantjax.training import distributed as processes
from infantjax.training.layout import RunMapping, compiler_options
from infantjax.training.splits import Split
from infantjax.training.state import TrainState

AHEAD = 2
"""Parts that are read ahead of the one that is trained on."""


@dataclass(frozen=True)
class Parts:
    """Images of an epoch, part by part, as Grain reads them: `parts[i]` are images and points of the i-th."""

    data: ImageData
    rows: Sequence[np.ndarray]

    @classmethod
    def of(cls, data: ImageData, rows: np.ndarray, length: int) -> "Parts":
        """These rows in order, `length` a part."""
        return cls(data, [rows[i : i + length] for i in range(0, len(rows), length)])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: Any) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows[int(number)]
        return np.asarray(self.data.images[rows]), np.asarray(self.data.points[rows])

    def ahead(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All parts in order, the next ones read in the background."""
        grain = _grain()
        options = grain.ReadOptions(num_threads=AHEAD, prefetch_buffer_size=AHEAD)
        return iter(grain.MapDataset.source(self).to_iter_dataset(options))


class Stream(NamedTuple):
    """What stays on the host.

    Attributes:
        data: all images.
        fold: of the only run.
        part: steps whose images are on the devices at once.
    """

    data: ImageData
    fold: Split
    part: int


@dataclass(frozen=True, eq=False)
class StreamedPoseTask(PoseTask):
    """One run whose images stay on the host.

    Attributes:
        stream: the images.
    """

    stream: Stream | None = None

    @classmethod
    def streaming(cls, task: PoseTask, data: ImageData, folds: Sequence[Split], part: int) -> "StreamedPoseTask":
        """The task with its images on the host.

        Raises:
            ValueError: several folds, no steps a part, or several processes.
            MissingExtraError: without Grain.
        """
        if len(folds) != 1 or part < 1:
            raise ValueError(f"streaming takes one fold and at least one step a part, got {len(folds)} and {part}")
        if processes.is_multi_process():
            raise ValueError("streaming takes one process")
        _grain()
        given = {f.name: getattr(task, f.name) for f in fields(task)}
        return cls(**given, stream=Stream(data, folds[0], part))

    def compile(
        self, state: TrainState, runs: PoseRun, data: ImageData, mesh: Mesh, mapping: RunMapping
    ) -> Callable[[TrainState, PoseRun, ImageData], TrainState]:
        """The programs of a part of the steps, of a part of the validation, and of what lies between."""
        assert self.stream is not None
        host, fold, part = self.stream
        size, evaluated = self.config.batch_size, self.config.evaluation_batch
        evaluated *= max(1, part * size // evaluated)
        compiled = partial(jax.jit, compiler_options=compiler_options())
        everywhere = NamedSharding(mesh, P())
        run: PoseRun = jax.device_put(jax.tree.map(lambda leaf: leaf[0], runs), everywhere)

        @compiled
        def begin(state: TrainState, run: PoseRun) -> tuple[TrainState, Plan, Any, Tally]:
            one = jax.tree.map(lambda leaf: leaf[0], state)
            carry = one.variables, one.opt_state, jnp.zeros(self.steps)
            return one, self.plan(run, jax.random.fold_in(run.key, one.epoch + 1)), carry, self.nothing(data)

        @compiled
        def steps(carry: Any, plan: Plan, here: ImageData, epoch: Array, first: Array, count: Array) -> Any:
            return self.steps_of_part(carry, plan, jnp.arange(len(here.images)), here, epoch, first, count)

        @compiled
        def tally(before: Tally, variables: dict[str, Array], here: ImageData, real: Array) -> Tally:
            chunks = jnp.int32(evaluated // self.config.evaluation_batch)
            return self.tally(before, variables, jnp.arange(evaluated), real, here, chunks)

        @compiled
        def conclude(state: TrainState, carry: Any, tally: Tally, run: PoseRun) -> TrainState:
            variables, optimizer, losses = carry
            ended = self.update_state(state, self.trained(variables, optimizer, losses, run), self.judged(tally, run))
            return jax.tree.map(lambda leaf: leaf[None], ended)

        def put(arrays: tuple[np.ndarray, np.ndarray], rows: int) -> ImageData:
            padded = (np.pad(a, [(0, rows - len(a)), *[(0, 0)] * (a.ndim - 1)]) for a in arrays)
            images, points = jax.device_put(tuple(padded), everywhere)
            return replace(data, images=images, points=points)

        def advance(state: TrainState, runs: PoseRun, data: ImageData) -> TrainState:
            with jax.set_mesh(mesh):
                one, plan, carry, total = begin(state, run)
                order = np.asarray(fold.train)[jax.device_get(plan.samples)]
                for number, arrays in enumerate(Parts.of(host, order, part * size).ahead()):
                    scalars = np.int32(number * part), np.int32(len(arrays[0]) // size)
                    carry = steps(carry, plan, put(arrays, part * size), one.epoch, *jax.device_put(scalars))
                for arrays in Parts.of(host, np.asarray(fold.validation), evaluated).ahead():
                    real = jax.device_put(np.arange(evaluated) < len(arrays[0]))
                    total = tally(total, carry[0], put(arrays, evaluated), real)
                return conclude(one, carry, total, run)

        return advance


def _grain() -> Any:
    try:
        import grain
    except ImportError:
        raise MissingExtraError("grain", "pose-train") from None
    return grain
