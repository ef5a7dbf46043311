"""Random signals: one stream of random numbers per purpose, and Gaussian noise of a given spectrum."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from infantjax.simulation.config import InfantConfig

Seed = int | Sequence[int]
"""An integer from 0, or a sequence of such (as `(seed, infant)`)."""


def seed_entropy(seed: Seed) -> tuple[int, ...]:
    """A seed as a tuple of integers.

    Raises:
        ValueError: a seed below 0.
    """
    values = tuple(int(s) for s in seed) if isinstance(seed, Sequence) else (int(seed),)
    if not values or min(values) < 0:
        raise ValueError("a seed is an integer from 0 or a sequence of such")
    return values


_STREAMS = (
    *("outcomes", "traits", "body", "repertoire", "bouts", "oscillation", "restlessness", "place"),
    *("camera", "detector", "dropouts", "hand", "coupling", "metadata", "scores", "look", "view", "shake", "depth"),
)


def stream(entropy: tuple[int, ...], name: str) -> np.random.Generator:
    """A generator for one purpose, independent of the draws for other purposes."""
    # The length is part of the key: NumPy pads entropy with zeros, which would make (1,) and (1, 0) the same.
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(len(entropy), _STREAMS.index(name))))


def band_noise(
    rng: np.random.Generator, config: InfantConfig, low: float, high: float, channels: int
) -> Float[np.ndarray, "time channel"]:
    """Gaussian noise of unit variance with a flat spectrum between two frequencies (hertz)."""
    # A Fourier series over a period longer than the recording, so that its end does not continue its beginning.
    # Random numbers belong to frequencies, not to frames: the movement is the same at every frame rate.
    period = math.ceil(config.duration) + 10
    first, last = max(1, round(low * period)), max(2, round(high * period))
    weights = rng.standard_normal((last - first + 1, channels, 2)) / math.sqrt(last - first + 1)
    return _series(weights, first, period, config)


def low_pass_noise(
    rng: np.random.Generator, config: InfantConfig, channels: int, seconds: float
) -> Float[np.ndarray, "time channel"]:
    """Gaussian noise of unit variance whose correlation decays exponentially with the given time constant."""
    period = math.ceil(config.duration) + 10
    last = max(1, int(period * config.fps) // 2 - 1)
    power = 1.0 / (1.0 + (2 * np.pi * seconds * np.arange(1, last + 1) / period) ** 2)
    weights = rng.standard_normal((last, channels, 2)) * np.sqrt(power / power.sum())[:, None, None]
    return _series(weights, 1, period, config)


def _series(weights: np.ndarray, first: int, period: int, config: InfantConfig) -> np.ndarray:
    points = max(2, round(period * config.fps))
    spectrum = np.zeros((weights.shape[1], points // 2 + 1), dtype=complex)
    kept = max(0, min(len(weights), (points - 1) // 2 + 1 - first))
    spectrum[:, first : first + kept] = (weights[:kept, :, 0] - 1j * weights[:kept, :, 1]).T * (points / 2)
    return np.fft.irfft(spectrum, n=points, axis=-1)[:, : config.frames].T
