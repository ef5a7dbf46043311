"""Training on windows of keypoints with two classes, as a stack of runs; see `training.loop`.

Splits, seeds, repeats and candidates of one shape are runs of a stack. Sampling, augmentation, the optimizer and the
evaluation of an epoch are one compiled call over the whole stack; the data set lies on the device once.

Source: Groos et al., Paper III with supplement, and the reference implementation (movement-outcome program), whose
parent code that of ShapGCN is.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from infantjax.recording import augmentation, windows
from infantjax.recording.windows import AnyArray
from infantjax.skeletons import Skeleton
from infantjax.training import metrics
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_padded, stack_runs
from infantjax.training.task import EpochPlan, EvalResult, SupervisedTask, mask, permute_from_bits


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class CohortData:
    """Standardized positions of a whole cohort, padded to the longest recording: what lies on the device once.

    Attributes:
        positions: `[recording, time, joint, 2]` float32, 0 after a recording's end.
        lengths: `[recording]` int32, frames.
        labels: `[recording]` int32, 1 is CP.
        skeleton: of the joints.
        rotation: of the preprocessing; `window_first` turns each window when it is cut.
        window: frames of a window.
        stride: frames between the starts of validation windows; None is half a window.
    """

    positions: Float[Array, "recording time joint 2"]
    lengths: Int[Array, " recording"]
    labels: Int[Array, " recording"]
    skeleton: Skeleton = field(metadata={"static": True})
    rotation: str = field(default="frame", metadata={"static": True})
    window: int = field(default=windows.WINDOW, metadata={"static": True})
    stride: int | None = field(default=None, metadata={"static": True})

    @classmethod
    def from_recordings(
        cls,
        positions: Sequence[Float[np.ndarray, "time joint 2"]],
        labels: Sequence[float],
        skeleton: Skeleton,
        rotation: str = "frame",
        window: int = windows.WINDOW,
        stride: int | None = None,
    ) -> "CohortData":
        """Pad standardized positions, one array a recording.

        Raises:
            ValueError: no recordings, a number of labels or joints that does not fit, a recording shorter than a
                window, missing points, or a label that is neither 0 nor 1.
        """
        if not positions or len(positions) != len(labels):
            raise ValueError(f"{len(positions)} recordings need as many labels, got {len(labels)}")
        if not set(labels) <= {0, 1}:
            raise ValueError("labels must be 0 or 1")
        for number, array in enumerate(positions):
            if array.ndim != 3 or array.shape[1:] != (len(skeleton.joints), 2) or len(array) < window:
                expected = f"[time from {window}, {len(skeleton.joints)}, 2]"
                raise ValueError(f"recording {number} has shape {array.shape}, expected {expected}")
            if not np.isfinite(array).all():
                raise ValueError(f"recording {number} has missing points; training needs every joint of every frame")
        lengths: Any = np.array([len(p) for p in positions], np.int32)
        padded: Any = np.zeros((len(positions), int(lengths.max()), len(skeleton.joints), 2), np.float32)
        for row, array in zip(padded, positions):
            row[: len(array)] = array
        outcomes: Any = np.asarray(labels, np.int32)
        return cls(padded, lengths, outcomes, skeleton, rotation, window, stride)


class TrainRow(NamedTuple):
    """Training samples of a run: each is a window within one part of a recording.

    Attributes:
        recording: `[sample]` recording that the window is cut from.
        part: `[sample]` which part of the recording, from 0.
        parts: `[sample]` number of parts of the recording.
    """

    recording: Array
    part: Array
    parts: Array


class WindowRow(NamedTuple):
    """Validation windows of a run.

    Attributes:
        recording: `[window]` recording of each window.
        start: `[window]` its first frame.
    """

    recording: Array
    start: Array


class RunExtra(NamedTuple):
    """Further arrays of a run.

    Attributes:
        longest: `[]` frames of the longest training recording.
        infant_windows: `[infant, slot]` validation windows of each validation recording.
        infant_count: `[infant]` their number; 0 is padding.
        infant_label: `[infant]` its label.
    """

    longest: Array
    infant_windows: Array
    infant_count: Array
    infant_label: Array


def window_runs(data: CohortData, splits: Sequence[Split], config: Any) -> Run:
    """Index sets of a stack of runs.

    Args:
        data: the cohort.
        splits: recordings of each run.
        config: see `BinaryWindowTask`.

    Raises:
        ValueError: no splits, a split that names a recording that does not exist or has no
            recordings, or too few samples for a batch.
    """
    if not splits:
        raise ValueError("training needs at least one split")
    return stack_runs(config.seed, range(len(splits)), [_index_sets(data, split, config) for split in splits])


def _index_sets(data: CohortData, split: Split, config: Any) -> IndexSets:
    lengths, labels = np.asarray(data.lengths), np.asarray(data.labels)
    split.check(len(lengths), "recordings")
    rows, held = np.asarray(split.train), np.asarray(split.validation)
    parts = config.samples_per_negative * np.where(labels[rows] == 1, config.positive_ratio, 1)
    if parts.sum() < config.batch_size:
        what = f"{parts.sum()} training samples do not fill a batch of {config.batch_size}"
        raise ValueError(f"{what}; use --batch-size {parts.sum()} at most, or more --samples-per-negative")
    train = TrainRow(
        recording=np.repeat(rows, parts),  # type: ignore[arg-type]
        part=np.concatenate([np.arange(p) for p in parts]),  # type: ignore[arg-type]
        parts=np.repeat(parts, parts),  # type: ignore[arg-type]
    )
    starts = [windows.window_starts(int(lengths[r]), data.window, data.stride) for r in held]
    counts = np.array([len(s) for s in starts])
    first = np.cumsum(counts) - counts
    extra = RunExtra(
        longest=lengths[rows].max(),
        infant_windows=stack_padded([np.arange(f, f + c) for f, c in zip(first, counts)]),  # type: ignore[arg-type]
        infant_count=counts,  # type: ignore[arg-type]
        infant_label=labels[held],
    )
    return IndexSets(train, WindowRow(np.repeat(held, counts), np.concatenate(starts)), extra)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class BinaryWindowTask(SupervisedTask):
    """Two classes from windows; the best epoch has the highest AUC of the validation recordings.

    The network is `apply(variables, x, train=...) -> (logits [batch, 2], aux)`. A method adds `inputs` and the
    optimizer. Of `config` it reads `batch_size`; `samples_per_negative`, the windows of each infant without CP in an
    epoch, of which one with CP gives `positive_ratio` times as many; `roll`, which repeats shorter recordings up to the
    length of the longest; `precision` of a training step; and `augmentation`, None for windows as they are.
    """

    min_score = 0.0
    """The published rule: the AUC of the best epoch is above 0."""

    def index_sets(self, split: Split, data: CohortData) -> IndexSets:
        """Samples and windows of the recordings of a split."""
        return _index_sets(data, split, self.config)

    @abstractmethod
    def inputs(self, positions: Float[AnyArray, "batch time joint 2"], data: CohortData) -> Float[Array, "batch ..."]:
        """Inputs of the network from standardized windows."""

    def draw_order(self, key: Array, run: Run, data: CohortData) -> tuple[Array, Array]:
        """The order of the samples, and the random bits of each: one for its start, the others for its view."""
        bits = jax.random.bits(key, (len(run.train.recording), 2 + len(augmentation.AffineParams._fields)))
        return permute_from_bits(bits[:, 0], run.train_count), bits[:, 1:]

    def batch(
        self, plan: EpochPlan, step: Array, run: Run, data: CohortData
    ) -> tuple[Float[Array, "batch ..."], Int[Array, " batch"]]:
        """Cut and augment the windows of a step."""
        order, bits = plan.order
        size = self.config.batch_size
        samples = jax.lax.dynamic_slice_in_dim(order, step * size, size)
        recording, part, parts = (leaf[samples] for leaf in run.train)
        length = data.lengths[recording]
        frames = jnp.broadcast_to(run.extra.longest, length.shape) if self.config.roll else length
        low, high = windows.sample_range(frames, part, parts, data.window)
        start = low + (bits[samples, 0] % (high - low + 1).astype(jnp.uint32)).astype(low.dtype)
        # A recording repeated end to end is read modulo its length; without repetition the remainder changes nothing.
        times = (start[:, None] + jnp.arange(data.window)) % length[:, None]
        positions = windows.align_windows(data.positions[recording[:, None], times], data.skeleton, data.rotation)
        if self.config.augmentation is not None:
            view = augmentation.sample_from_bits(bits[samples, 1:], self.config.augmentation)
            positions = augmentation.apply(positions, view)
        return self.inputs(positions, data), data.labels[recording]

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Cross-entropy."""
        x, labels = batch
        if self.config.precision == "bfloat16":
            # Running statistics stay in float32: they change by less than bfloat16 resolves.
            given = {name: tree for name, tree in variables.items() if name != "batch_stats"}
            given, x = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (given, x))
            variables = {**variables, **given}
        (logits, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return metrics.cross_entropy(logits, labels).mean(), updates

    def predict(self, variables: dict[str, Any], rows: WindowRow, data: CohortData) -> Float[Array, "window 2"]:
        """Logits of windows."""
        times = rows.start[:, None] + jnp.arange(data.window)
        positions = windows.align_windows(data.positions[rows.recording[:, None], times], data.skeleton, data.rotation)
        return self.module.apply(variables, self.inputs(positions, data), train=False)[0]

    def evaluate(self, predictions: Array, variables: dict[str, Any], run: Run, data: CohortData) -> EvalResult:
        """AUC of the validation recordings (median over their windows), and the class-balanced loss over windows."""
        labels = data.labels[run.validation.recording]
        of_class = mask(run.validation_count, len(labels)) & (labels == jnp.arange(2)[:, None])
        total = jnp.sum(jnp.where(of_class, metrics.cross_entropy(predictions, labels), 0), axis=1)
        loss = metrics.balanced(total, jnp.sum(of_class, axis=1).astype(total.dtype))
        infants = run.extra
        risks = metrics.median_over_windows(
            jax.nn.softmax(predictions)[:, 1], infants.infant_windows, infants.infant_count
        )
        auc = metrics.auc(risks, infants.infant_label, (infants.infant_count > 0).astype(jnp.float32))
        return EvalResult(loss, auc, risks, {"auc": auc, "risks": risks})

    def format_summary(self, best_scores: np.ndarray) -> str:
        """Median and range of the best AUC; nothing where no run has one."""
        best_scores = best_scores[best_scores > self.min_score]
        if not len(best_scores):
            return ""
        return f"best AUC {np.median(best_scores):.3f} ({best_scores.min():.3f} to {best_scores.max():.3f})"
