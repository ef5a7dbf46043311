"""MAM, inference on one video: its risk, its clips with fidgety movements, where these are, and how much they fill."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import TAILS
from infantjax.methods.mam import preprocessing
from infantjax.methods.mam.model import MAM
from infantjax.methods.mam.preprocessing import Distance, Input, Positions
from infantjax.methods.mam.training import TrainingConfig


@lru_cache(maxsize=8)
def _encoder(module: MAM, names: tuple[Input, ...], distance: Distance) -> Callable[..., Any]:
    def encode(variables: Any, clips: Array, real: Array) -> Any:
        return module.apply(variables, preprocessing.inputs(clips, names, distance), real, method="encode")

    return jax.jit(encode)


@lru_cache(maxsize=8)
def _fuser(module: MAM) -> Callable[..., Array]:
    def fuse(variables: Any, z: Array, clips: Array, info: Array | None, present: Array) -> Array:
        fused: Any = module.apply(variables, z, clips, info, present, method="fuse")
        return fused[0]

    return jax.jit(fuse)


def _encoded(
    module: MAM,
    variables: Any,
    positions: Positions,
    starts: Int[np.ndarray, " clip"],
    config: TrainingConfig,
    batch: int,
) -> tuple[Float[np.ndarray, "clip width"], Float[np.ndarray, "clip 2"]]:
    """Embeddings and logits of clips, a fixed number of them at once."""
    encode, found = _encoder(module, config.inputs, config.distance), []
    for first in range(0, len(starts), batch):
        clips, real = preprocessing.cut(positions, np.resize(starts[first : first + batch], batch), module.frames)
        encoded = encode(variables, np.asarray(clips, np.float32), real)
        found.append(tuple(np.asarray(part)[: len(starts) - first] for part in encoded))
    z, logits = (np.concatenate(parts) for parts in zip(*found))
    return z, logits


def video_logit(
    module: MAM,
    variables: Any,
    positions: Positions,
    info: Float[np.ndarray, "4"] | None,
    config: TrainingConfig,
    *,
    starts: Int[np.ndarray, " clip"],
    batch: int = 32,
) -> float:
    """The log-odds of risk of a whole video, from all of its instances.

    Args:
        module: the network.
        variables: of one run.
        positions: of the video (`methods.mam.preprocessing.prepare`).
        info: entries of `methods.mam.model.INFO`, for a network that reads them.
        config: gives the inputs and how far instances are apart.
        starts: first frames of the instances, see `preprocessing.clip_starts`.
        batch: instances that are computed at once; memory, not method.
    """
    parts = _encoded(module, variables, positions, starts, config, batch)
    # Filled up, so that videos of like length share a program.
    z, clips = (np.pad(part, ((0, -len(starts) % batch), (0, 0)))[None] for part in parts)
    present = (np.arange(z.shape[1]) < len(starts))[None]
    known = None if info is None else np.asarray(info, np.float32)[None]
    return float(_fuser(module)(variables, z, clips, known, present)[0])


def localize(
    module: MAM,
    variables: Any,
    positions: Positions,
    config: TrainingConfig,
    *,
    step: int = preprocessing.LOCALIZATION_STEP,
    starts: Int[np.ndarray, " clip"] | None = None,
    batch: int = 32,
) -> Float[np.ndarray, " clip"]:
    """The probability of fidgety movements in every clip that starts at `preprocessing.localization_starts`.

    Args:
        module: the network.
        variables: of one run.
        positions: of the video (`methods.mam.preprocessing.prepare`).
        config: gives the inputs.
        step: frames between two starts.
        starts: first frames of the clips; None takes all of `preprocessing.localization_starts`.
        batch: clips that are computed at once; memory, not method.
    """
    if starts is None:
        starts = preprocessing.localization_starts(len(positions), module.frames, step)
    _, logits = _encoded(module, variables, positions, starts, config, batch)
    return np.asarray(jax.nn.softmax(logits)[:, 1])


def intervals(
    probabilities: ArrayLike, starts: ArrayLike, clip: int, fps: float, threshold: float = 0.5
) -> Float[np.ndarray, "interval 2"]:
    """Seconds from and to which clips are fidgety; clips that overlap or touch are merged.

    Args:
        probabilities: `[clip]` of fidgety movements.
        starts: `[clip]` first frames, ascending.
        clip: frames of a clip.
        fps: frames per second.
        threshold: a clip above it is fidgety.
    """
    p, at = np.asarray(probabilities, np.float64), np.asarray(starts)
    found: list[list[float]] = []
    for start in at[p > threshold]:
        if found and start <= found[-1][1]:
            found[-1][1] = start + clip
        else:
            found.append([start, start + clip])
    return np.array(found, np.float64).reshape(-1, 2) / fps


def frequency(
    probabilities: ArrayLike, starts: ArrayLike, clip: int, threshold: float = 0.5
) -> tuple[float, float, float]:
    """The FMs frequency: the share of a video's clips that are fidgety.

    The interval is our choice, none is published. It is Clopper-Pearson's for as many independent clips as fit into the
    video side by side: clips that overlap say little new. It tells how far a longer video of the same kind might
    differ, and nothing of wrong clips.

    Args:
        probabilities: `[clip]` of fidgety movements.
        starts: `[clip]` first frames, ascending.
        clip: frames of a clip.
        threshold: a clip above it is fidgety.

    Returns:
        The share, and the ends of its interval.

    Source: Gao, Yao, Tian et al. 2023 (MAM), "quantitative GMA".
    """
    from scipy import stats

    p, at = np.asarray(probabilities, np.float64), np.asarray(starts)
    share, independent = float((p > threshold).mean()), (np.minimum(np.diff(at), clip).sum() + clip) / clip
    some, others = share * independent, (1 - share) * independent
    low = stats.beta.ppf(TAILS[0], some, others + 1) if some > 0 else 0.0
    high = stats.beta.ppf(TAILS[1], some + 1, others) if others > 0 else 1.0
    return share, float(low), float(high)
