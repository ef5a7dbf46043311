"""A simulated infant as a keypoint recording: its movement under a camera and an imperfect keypoint detector."""

import math

import numpy as np
from einops import rearrange
from jaxtyping import Float

from infantjax.recording.metadata import Metadata
from infantjax.recording.recording import Recording
from infantjax.settings import to_settings
from infantjax.simulation.config import STATEMENT, InfantConfig
from infantjax.simulation.movement import move
from infantjax.simulation.signals import Seed, low_pass_noise, seed_entropy, stream
from infantjax.skeletons import IN_MOTION_19

_COARSE = ("head_top", "right_wrist", "left_wrist", "right_ankle", "left_ankle")


def simulate(seed: Seed, config: InfantConfig | None = None, name: str = "simulated") -> Recording:
    """One simulated infant as keypoints of in-motion-19.

    The same seed and configuration give the same bytes (see `simulate_cohort`). Body, repertoire, bouts, camera and
    detector draw from streams of their own: two configurations that differ in `fidgety_amplitude` only, say, give the
    same kicks and noise.

    Args:
        seed: any integer from 0, or a sequence of such (as `(seed, infant)`).
        config: the infant; None is `InfantConfig()`.
        name: name of the recording.

    Returns:
        A recording `[time, joint, 2]` in pixels, y downwards, NaN in dropouts; its metadata holds `simulated`,
        `statement`, `seed`, `outcome`, `fidgety` (0 or 1 per second), and `simulation` (the configuration).

    Raises:
        ValueError: a seed below 0.
    """
    config = config or InfantConfig()
    entropy = seed_entropy(seed)
    movement = move(entropy, config)
    shake = low_pass_noise(stream(entropy, "camera"), config, 2, 0.5) * config.camera_jitter
    error = _detector_error(stream(entropy, "detector"), config)
    pixels = project(movement.positions, config) + (shake[:, None] + error)
    if config.camera_drift or config.camera_roll:
        pixels = _hand_held(pixels, stream(entropy, "hand"), config)
    missing = _dropouts(stream(entropy, "dropouts"), config, len(IN_MOTION_19.joints))
    pixels[missing] = np.nan
    # The confidence falls with the error: 3 pixels halve it.
    confidence = np.where(missing, 0.0, 1.0 / (1.0 + (error**2).sum(axis=-1) / 9.0)) if config.confidence else None
    metadata = {
        "simulated": True,
        "statement": STATEMENT,
        "seed": list(entropy),
        "outcome": config.outcome,
        "fidgety": movement.fidgety.tolist(),
        "simulation": to_settings(config),
    }
    return Recording(
        keypoints=pixels,
        fps=float(config.fps),
        skeleton=IN_MOTION_19,
        name=name,
        confidence=confidence,
        metadata=Metadata(columns=metadata),
        history=(f"simulated by infantjax, seed {', '.join(map(str, entropy))}",),
        notes=(STATEMENT,),
    )


def project(positions: Float[np.ndarray, "time joint 3"], config: InfantConfig) -> Float[np.ndarray, "time joint 2"]:
    """Centimeters above the surface to pixels of the configured camera.

    The camera looks down on the point of the surface 6 cm above the resting pelvis, which appears in the image's
    center. Perspective without lens distortion; x to the right, y downwards.
    """
    x, y, z = np.moveaxis(to_camera(positions, config), -1, 0)
    scale = config.focal_length / (config.camera_height - z)
    return np.stack([config.image_size[0] / 2 + scale * x, config.image_size[1] / 2 - scale * y], axis=-1)


def to_camera(positions: Float[np.ndarray, "time joint 3"], config: InfantConfig) -> Float[np.ndarray, "time joint 3"]:
    """Centimeters above the surface to the camera's axes: x to the right, y upwards, z towards the camera.

    The origin is the point that appears in the image's center; the camera is `camera_height` away from it.
    """
    turn, tilt = math.radians(config.camera_rotation), math.radians(config.camera_tilt)
    x, y, z = positions[..., 0], positions[..., 1] - 6.0, positions[..., 2]
    y, z = math.cos(tilt) * y + math.sin(tilt) * z, math.cos(tilt) * z - math.sin(tilt) * y
    x, y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
    return np.stack([x, y, z], axis=-1)


def _detector_error(rng: np.random.Generator, config: InfantConfig) -> Float[np.ndarray, "time joint 2"]:
    """Errors of the detected points, pixels; correlated over time, larger at the ends of the body."""
    scale = np.array([1.5 if joint in _COARSE else 1.0 for joint in IN_MOTION_19.joints])
    error = low_pass_noise(rng, config, 2 * len(scale), config.noise_seconds)
    return rearrange(error, "time (joint xy) -> time joint xy", xy=2) * (config.noise * scale[:, None])


def _hand_held(
    pixels: Float[np.ndarray, "time joint 2"], rng: np.random.Generator, config: InfantConfig
) -> Float[np.ndarray, "time joint 2"]:
    """Keypoints in the image of a hand-held camera, which slowly drifts and turns."""
    slow = low_pass_noise(rng, config, 3, 3.0)
    roll = np.radians(config.camera_roll * slow[:, 2, None])
    x, y = np.moveaxis(pixels - np.array(config.image_size) / 2, -1, 0)
    turned = np.stack([np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y], axis=-1)
    return turned + np.array(config.image_size) / 2 + config.camera_drift * slow[:, None, :2]


def _dropouts(rng: np.random.Generator, config: InfantConfig, joints: int) -> np.ndarray:
    """`[time, joint]` bool: runs of missing points, exponential in length, Poisson in number."""
    missing = np.zeros((config.frames, joints), dtype=bool)
    counts = rng.poisson(config.dropout_rate * config.duration / 60.0, joints)
    joint = np.repeat(np.arange(joints), counts)
    starts = np.floor(rng.random(len(joint)) * config.frames).astype(int)
    lengths = np.rint(rng.exponential(max(config.dropout_seconds, 1e-9), len(joint)) * config.fps).astype(int)
    for j, start, length in zip(joint, starts, lengths):
        missing[start : start + length, j] = True
    return missing
