"""Statistics of dense optical flow in a video, without keypoints, for an SVM or a random forest (`classifiers`).

Source: Stahl et al. 2012 (points of a grid followed through time, energies of their tracks in relative frequency bands,
SVM), Orlandi et al. 2018 (nine global features, random forest), of which only outlines could be read: an
interpretation. The limbs of Rahmati et al. 2014, marked by hand, are not here. Our choice: the iterative Lucas-Kanade
solver of scikit-image, since total variation, as Stahl has it, takes six times as long; speeds in image sides per
second; octaves of a spectrum in place of wavelets. The camera must not move, and the image must show the infant
only.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from baseline_methods.protocol import Clip
from infantjax.errors import MissingExtraError

GRID = 8
"""Points of a side of the grid that are followed."""
OCTAVES = 4
"""Bands, the highest one up to half of the frame rate."""
STILL = 0.02
"""Speed below which a pixel does not move, image sides per second."""
_BINS = 16

Flow = Float[np.ndarray, "time height width 2"]


def flow(clip: Clip) -> Flow:
    """Velocity of each pixel between successive frames, x and y in image sides per second.

    Args:
        clip: at least two frames.

    Raises:
        MissingExtraError: scikit-image is not installed.
        ValueError: fewer than two frames.
    """
    try:
        from skimage.registration import optical_flow_ilk
    except ImportError:
        raise MissingExtraError("scikit-image", "baselines") from None
    if len(clip.frames) < 2:
        raise ValueError("flow needs at least two frames")
    frames = clip.frames.astype(np.float32) / 255
    pairs = [optical_flow_ilk(a, b, radius=5, num_warp=3, dtype=np.float32) for a, b in pairwise(frames)]
    height, width = frames.shape[1:]
    # The library gives rows before columns.
    return np.stack(pairs).transpose(0, 2, 3, 1)[..., ::-1] * (clip.fps / np.array([width, height], np.float32))


def features(clip: Clip) -> Float[np.ndarray, " feature"]:
    """Statistics of the speed, of the place of movement, and of the tracks of a grid: 9 global and 2 x 4 of bands.

    Mean, median and deviation over time of the mean speed; mean deviation and entropy over pixels; mean and deviation
    of the moving share; deviation of the centroid of movement; mean of how far the directions agree (0..1). Then the
    mean and deviation over the grid's points of the share of each octave in the energy of their velocity.

    Args:
        clip: see `flow`.
    """
    field = flow(clip)
    speed = np.linalg.norm(field, axis=-1)
    total, moving = speed.mean(axis=(1, 2)), (speed > STILL).mean(axis=(1, 2))
    agreement = np.linalg.norm(field.mean(axis=(1, 2)), axis=-1) / np.maximum(total, 1e-9)
    place = [total.mean(), np.median(total), total.std(), speed.std(axis=(1, 2)).mean(), _entropy(speed)]
    shares = octaves(follow(field, clip.fps), clip.fps)
    spread = [moving.mean(), moving.std(), _centroid_deviation(speed), agreement.mean()]
    return np.array([*place, *spread, *shares.mean(axis=0), *shares.std(axis=0)])


def follow(field: Flow, fps: float) -> Float[np.ndarray, "time point 2"]:
    """Velocities along the paths of the points of a grid, which the flow carries; points stay within the image.

    Args:
        field: of `flow`.
        fps: of the clip.
    """
    height, width = field.shape[1:3]
    ticks = (np.arange(GRID) + 0.5) / GRID
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    velocities = np.empty((len(field), len(points), 2))
    for time, frame in enumerate(field):
        column, row = (np.clip(points * (width, height), 0, (width - 1, height - 1))).astype(int).T
        velocities[time] = frame[row, column]
        points = np.clip(points + velocities[time] / fps, 0, 1)
    return velocities


def octaves(velocities: Float[np.ndarray, "time point 2"], fps: float) -> Float[np.ndarray, "point octave"]:
    """Share of each octave in the energy of each point's velocity, the lowest first; 0 where a point is still.

    The highest octave ends at half of the frame rate; what lies below the lowest one does not count.

    Args:
        velocities: of `follow`.
        fps: hertz.
    """
    power = (np.abs(np.fft.rfft(velocities - velocities.mean(axis=0), axis=0)) ** 2).sum(axis=-1)
    frequency = np.fft.rfftfreq(len(velocities), 1 / fps)
    edges = fps / 2 / 2.0 ** np.arange(OCTAVES, -1, -1)
    bands = [(frequency > low) & (frequency <= high) for low, high in pairwise(edges)]
    energy = np.stack([power[band].sum(axis=0) for band in bands], axis=-1)
    total = energy.sum(axis=-1, keepdims=True)
    return np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)


def _entropy(speed: Float[np.ndarray, "time height width"]) -> float:
    """Of the histogram of the speeds of moving pixels, up to their largest 1 %, bits."""
    values = speed[speed > STILL]
    if not len(values):
        return 0.0
    share = np.histogram(np.minimum(values, np.quantile(values, 0.99)), _BINS)[0] / len(values)
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def _centroid_deviation(speed: Float[np.ndarray, "time height width"]) -> float:
    """Deviation over time of the mean place of movement, weighted by speed; x and y added in squares."""
    rows, columns = speed.sum(axis=2), speed.sum(axis=1)
    total = speed.sum(axis=(1, 2))
    seen = total > 0
    if not seen.any():
        return 0.0
    y, x = (
        values[seen] @ ((np.arange(values.shape[1]) + 0.5) / values.shape[1]) / total[seen]
        for values in (rows, columns)
    )
    return float(np.sqrt(x.var() + y.var()))
