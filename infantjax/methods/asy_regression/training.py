"""The depth-video networks of preterm infants' limbs, trained one after the other on clips of depth frames.

First the detection network, towards binary discs and limbs; then a regression network (`babypose-regression` or
`asy-regression`), which reads the frames and what the detection network, now fixed, makes of them.

Published: losses, optimizers, learning rates, batch, epochs and the kept epoch. Chosen, since nobody says: no weights
for positive pixels, and an accuracy that counts every pixel of every map alike.

Source: Migliorelli et al. 2021, "Asy-regression"; Moccia et al. 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.files import sha256
from infantjax.methods.asy_regression.model import FRAMES, DetectionNetwork, RegressionNetwork, connections
from infantjax.pose.codec.limb import DiscCodec, FallOff
from infantjax.skeletons import Skeleton
from infantjax.training import loop
from infantjax.training.loop import EpochResult, EvalResult, Execution, shuffled
from infantjax.training.splits import Split
from infantjax.training.state import TrainState, run_keys, stack_tables

RADIUS = 6.0
"""Of discs and limbs, pixels of a frame of 96 x 128."""


@dataclass(frozen=True)
class ClipTrainingConfig:
    """How a network of clips is trained; `DETECTION` and `REGRESSION` are the published settings.

    Attributes:
        epochs: passes over the clips.
        batch_size: clips of a step; an incomplete last batch is dropped.
        optimizer: `adam`, or `momentum` for plain SGD with momentum.
        learning_rate: of the first epochs.
        momentum: of SGD.
        decay: factor of the learning rate behind every `decay_every` epochs. "Reduced by 10 %" is read as 0.9.
        decay_every: epochs.
        radius: of discs and limbs, pixels.
        deviation: of the targets of a regression, see `codec.FallOff`.
        truncated: likewise.
        fall_off: likewise, its direction.
        evaluation_batch: validation clips that are computed at once; memory, not method.
        seed: root of every random number.

    Raises:
        ValueError: a value out of its range.
    """

    epochs: int = 150
    batch_size: int = 16
    optimizer: Literal["adam", "momentum"] = "adam"
    learning_rate: float = 0.01
    momentum: float = 0.98
    decay: float = 0.9
    decay_every: int = 10
    radius: float = RADIUS
    deviation: float = 3.0
    truncated: bool = True
    fall_off: Literal["across", "along"] = "across"
    evaluation_batch: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "decay_every", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "radius", "decay"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.optimizer not in ("adam", "momentum"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; known: adam, momentum")
        if not (0 <= self.momentum < 1 and 0 <= self.seed < 2**32):
            raise ValueError(f"momentum or seed out of range: {self.momentum}, {self.seed}")
        FallOff(self.deviation, self.truncated, self.fall_off)


DETECTION = ClipTrainingConfig()
REGRESSION = ClipTrainingConfig(epochs=100, optimizer="momentum")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ClipData:
    """Annotated depth frames of all infants in a row: what lies on the device once.

    Attributes:
        frames: `[frame, row, column]` float32, each with its mean taken away.
        points: `[frame, joint, 2]` float32, x and y in pixels of the frame; NaN where missing.
        detector: variables of a trained detection network, for the training of a regression; else None.
        skeleton: of the points.
    """

    frames: Float[Array, "frame row column"]
    points: Float[Array, "frame joint 2"]
    detector: Any
    skeleton: Skeleton = field(metadata={"static": True})

    @property
    def digest(self) -> str:
        """SHA-256 over all that training sees."""
        text = f"{self.frames.shape} {self.skeleton}".encode()
        leaves = (self.frames, self.points, *jax.tree.leaves(self.detector))
        return sha256(text + b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves))


class ClipRun(NamedTuple):
    """The index sets of one run. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of training clips.
        first: `[sample]` their first frames.
        held: `[]` number of validation clips.
        held_first: `[clip]` their first frames.
    """

    key: Array
    samples: Array
    first: Array
    held: Array
    held_first: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipResult(loop.TrainResult):
    """What the training of a network of clips came to; arrays are NumPy with a leading run axis.

    Attributes:
        best_score: `[run]`: pixel accuracy of a detection, minus the mean absolute error of a regression.
    """

    best_score: np.ndarray


class TimeSplit(NamedTuple):
    """First frames of clips.

    Attributes:
        fold: those that train, and those that choose the epoch.
        test: the others.
    """

    fold: Split
    test: tuple[int, ...]


def split_in_time(frames: Sequence[int], training: int = 751, test: int = 249) -> TimeSplit:
    """The published split: within each infant, earlier clips train and later ones test.

    The first `training` frames give clips that overlap, one from every frame; the last `test` frames give clips that do
    not. Chosen: 751 and 249 of 1000 frames, since the published numbers of clips need two frames more than there are
    (749 and 83 clips come out); and the last tenth of the training clips chooses the epoch, without those that share
    frames with one that trains.

    The same infants train and test, so an error on this split is within infants; `split_by_infant` is the other kind.

    Args:
        frames: of each infant, in the order of `ClipData`.
        training: frames.
        test: frames.

    Raises:
        ValueError: an infant with fewer frames, or too few of them to split.
    """
    if min(frames, default=0) < training + test or training < 12 + FRAMES or test < FRAMES:
        raise ValueError(f"every infant needs {training} + {test} frames, the fewest are {min(frames, default=0)}")
    train: list[int] = []
    held: list[int] = []
    tested: list[int] = []
    for start, count in zip(_starts(frames), frames):
        clips = range(start, start + training - FRAMES + 1)
        cut = len(clips) - len(clips) // 10
        train += clips[:cut]
        held += clips[min(cut + FRAMES - 1, len(clips) - 1) :]
        tested += range(start + count - test, start + count - FRAMES + 1, FRAMES)
    return TimeSplit(Split(tuple(train), tuple(held)), tuple(tested))


def split_by_infant(frames: Sequence[int], folds: Sequence[Split]) -> list[Split]:
    """Folds of infants as folds of clips: overlapping ones train, those that do not overlap are held out.

    Args:
        frames: of each infant, in the order of `ClipData`.
        folds: by infant.
    """
    starts = _starts(frames)

    def clips(infants: Sequence[int], step: int) -> tuple[int, ...]:
        return tuple(first for i in infants for first in range(starts[i], starts[i] + frames[i] - FRAMES + 1, step))

    return [Split(clips(fold.train, 1), clips(fold.validation, FRAMES)) for fold in folds]


def _starts(frames: Sequence[int]) -> list[int]:
    return [int(first) for first in np.cumsum(frames) - np.asarray(frames)]


def train(
    module: DetectionNetwork | RegressionNetwork,
    data: ClipData,
    folds: Sequence[Split],
    config: ClipTrainingConfig | None = None,
    *,
    description: Mapping[str, Any] | None = None,
    spread_batches: bool = True,
    **how: Unpack[Execution],
) -> ClipResult:
    """Train a network of clips for each fold and keep each run's best epoch.

    Args:
        module: the network; a regression needs the detection network's variables in the data.
        data: all infants.
        folds: first frames of the clips that each run trains and is validated on.
        config: the same for all runs; None is as published for the network.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        spread_batches: spread every batch over the devices, and not the runs.
        how: see `loop.Execution`.

    Raises:
        ValueError: no folds, clips that do not exist, too few for a batch, or no detector for a regression.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    detects = isinstance(module, DetectionNetwork)
    config = config or (DETECTION if detects else REGRESSION)
    if not detects and data.detector is None:
        raise ValueError("a regression reads the maps of a detection network: give its variables in the data")
    for fold in folds:
        for clips in (fold.train, fold.validation):
            if not clips or min(clips) < 0 or max(clips) + FRAMES > len(data.frames):
                raise ValueError(f"a fold must name clips within frames 0..{len(data.frames) - 1} on both sides")
        if len(fold.train) < config.batch_size:
            raise ValueError(f"{len(fold.train)} clips do not fill a batch of {config.batch_size}")
    if not folds:
        raise ValueError("training needs a fold")
    channels = 1 if detects else 1 + module.maps
    task = ClipTask(module, config, (1, FRAMES, *data.frames.shape[1:], channels))
    tables = [
        {
            "samples": np.int32(len(fold.train)),
            "first": np.asarray(fold.train, np.int32),
            "held": np.int32(len(fold.validation)),
            "held_first": np.asarray(fold.validation, np.int32),
        }
        for fold in folds
    ]
    state = loop.train(
        task,
        ClipRun(key=run_keys(config.seed, range(len(folds))), **stack_tables(tables)),  # type: ignore[arg-type]
        data,
        {
            "config": asdict(config),
            "clips": data.digest,
            "folds": [asdict(fold) for fold in folds],
            "model": dict(description or {}),
        },
        run_ids=range(len(folds)),
        spread_batches=spread_batches,
        summary=lambda scores: f"best {task.figure} {abs(scores.max()):.4f}",
        **how,
    )
    return ClipResult(
        **loop.TrainResult.of(state),
        best_score=np.asarray(state.best_score),
    )


@dataclass(frozen=True, eq=False)
class ClipTask(loop.Task):
    """Maps of joints and connections from clips."""

    module: DetectionNetwork | RegressionNetwork
    config: ClipTrainingConfig

    @property
    def detects(self) -> bool:
        """Whether it is a detection network."""
        return isinstance(self.module, DetectionNetwork)

    @property
    def figure(self) -> str:
        """What chooses the epoch."""
        return "accuracy" if self.detects else "mean_absolute_error"

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The published one; the rate of an epoch is set by `train_epoch`."""
        if self.config.optimizer == "adam":
            return optax.scale_by_adam()
        return optax.trace(self.config.momentum)

    def train_epoch(self, state: TrainState, run: ClipRun, data: ClipData, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; as many as the run has whole batches."""
        size = self.config.batch_size
        order = shuffled(key, run.samples, run.first.shape[0])
        steps = jnp.where(running, run.samples // size, 0)
        rate = self.config.learning_rate * self.config.decay ** (state.epoch // self.config.decay_every)

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, total = carry
            x, points = self.clips(run.first[lax.dynamic_slice_in_dim(order, i * size, size)], data)

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                (maps, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"])
                return self.off(maps, points, data.skeleton).mean(), updates

            variables, optimizer, value = self.step(variables, optimizer, loss, -rate)
            return variables, optimizer, total + value

        carry = (state.variables, state.opt_state, jnp.float32(0))
        variables, optimizer, total = lax.fori_loop(0, steps, step, carry)
        return EpochResult(variables, optimizer, total / steps)

    def clips(
        self, first: Int[Array, " batch"], data: ClipData
    ) -> tuple[Float[Array, "batch time row column channel"], Float[Array, "batch time joint 2"]]:
        """Clips by their first frames, for a regression with the maps that are detected in them; and their points."""
        at = first[:, None] + jnp.arange(FRAMES)
        x = loop.shard_batch(data.frames[at][..., None])
        if not self.detects:
            detector = DetectionNetwork(maps=self.module.maps)
            x = jnp.concatenate([x, detector.apply(data.detector, x)[1]["maps"]], -1)
        return x, data.points[at]

    def wanted(self, points: Float[Array, "batch time joint 2"], skeleton: Skeleton, shape: tuple[int, ...]) -> Array:
        """Maps of joints and connections: binary for a detection, falling off for a regression."""
        config = self.config
        fall_off = None if self.detects else FallOff(config.deviation, config.truncated, config.fall_off)
        codec = DiscCodec(connections(skeleton), config.radius, fall_off)
        return codec.encode(points, shape[0], shape[1])

    def off(self, maps: Array, points: Array, skeleton: Skeleton) -> Float[Array, "batch time row column map"]:
        """Cross-entropy of every pixel, or its squared error."""
        wanted = self.wanted(points, skeleton, maps.shape[2:4])
        return optax.sigmoid_binary_cross_entropy(maps, wanted) if self.detects else jnp.square(maps - wanted)

    def evaluate_run(self, variables: dict[str, Array], run: ClipRun, data: ClipData, running: Array) -> EvalResult:
        """Share of pixels on the right side of one half, or minus the mean absolute error."""
        size, most = self.config.evaluation_batch, run.held_first.shape[0]
        unpacked = self.unpack(variables)

        def chunk(i: Array, carry: tuple) -> tuple:
            number = i * size + jnp.arange(size)
            x, points = self.clips(run.held_first[jnp.minimum(number, most - 1)], data)
            maps, _ = self.module.apply(unpacked, x)
            wanted = self.wanted(points, data.skeleton, maps.shape[2:4])
            found = ((maps > 0) == (wanted > 0.5)) if self.detects else jnp.abs(maps - wanted)
            each = (self.off(maps, points, data.skeleton), found.astype(jnp.float32))
            real = number < run.held
            return jax.tree.map(lambda total, v: total + jnp.where(real, v.mean((1, 2, 3, 4)), 0).sum(), carry, each)

        chunks = jnp.where(running, -(-run.held // size), 0)
        loss, figure = lax.fori_loop(0, chunks, chunk, (jnp.float32(0), jnp.float32(0)))
        figure = figure / run.held
        return EvalResult(loss / run.held, figure if self.detects else -figure, jnp.zeros(0), {self.figure: figure})
