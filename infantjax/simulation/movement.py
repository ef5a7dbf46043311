"""An infant in supine position whose movement is known: joint angles, forward kinematics, a camera above.

The body is a tree of rigid segments. Every joint angle is the sum of a resting posture, slow drift, posture changes
(arm sweeps, hand to mouth, head turns), pulses (kicks, arm flaps) and, in bouts, fidgety movements. The pose in
centimetres is projected by a camera above into pixels, and jitter, keypoint noise and dropouts are added. Runs on
the host, vectorized over time; memory and time grow linearly with the duration.

Fidgety movements (FMs) are "small movements of moderate speed and variable acceleration, of neck, trunk and limbs, in
all directions" (Einspieler et al., as quoted by Groos 2022). Here: band-limited Gaussian oscillation of all joint
angles of neck, trunk, shoulders, hips and limbs, each angle with its own phase (all directions), its strength
modulated per body part (variable acceleration), present in bouts of whole seconds.

What is published and what is chosen:

- Body: 60.6 cm, about the WHO median length at three months (girls 59.8 cm, boys 61.4 cm). Limb segments: the lengths
  of humerus, ulna, femur and tibia that belong to this length by the regressions for infants' long bones (body length
  is 7.52 humerus + 2.47 cm, 8.20 ulna + 2.38 cm, 6.44 femur + 4.51 cm, 7.24 tibia + 4.90 cm), plus about a centimetre
  for the unossified ends (chosen). Trunk, head, shoulder and hip widths: chosen, near the proportions of the
  recordings below.
- Share of time with FMs: median 0.55 (quartiles 0.41 to 0.71) in normal and 0.14 in risk infants is what MAM
  (quantitative general movements assessment, external validation) reports; it counts sporadic and absent FMs as risk.
  Bouts of 4 s on average are chosen; they give pauses of seconds, as clinicians describe continual and
  intermittent FMs.
- Band 1 to 3 Hz and 0.75 cm: the sources give no figures, so both are chosen for "small" and "moderate speed".
- Repertoire and restlessness (slow irregular movement in the background): rates, durations and angles are chosen and
  set so that speeds lie where the recordings below have them. Kicks reach a few m/s2 at the ankle, as wearable
  sensors measure over a day (mean peak 3.1 to 8.8 m/s2, Trujillo-Priego and Smith 2017).

Not simulated: contact (the surface does not stop a limb, hands do not grasp), the caregiver, crying, rolling over, lens
distortion, and whatever sets infants with cerebral palsy apart beyond absent FMs and a little monotony.

Measured on six public recordings of real infants (MINI-RGBD, Hesse et al. 2018: 40 s each, 25 Hz, movement transferred
to a body model) and on the first 40 infants of the default cohort of seed 1, cut and sampled alike. Speed relative to
mid pelvis, in trunk lengths per second, by a quadratic fit over 7 frames; `band` is the share of the velocity's power
between 0.1 and 6 Hz that lies from 1 to 3 Hz. Median over infants (lowest to highest infant):

    joint     infants     median               mean                 95th percentile      band
    head      real       0.11 (0.07 to 0.16)  0.15 (0.11 to 0.19)  0.44 (0.29 to 0.52)  0.48 (0.41 to 0.57)
              simulated  0.14 (0.08 to 0.31)  0.19 (0.10 to 0.39)  0.54 (0.24 to 1.06)  0.52 (0.14 to 0.83)
    shoulder  real       0.08 (0.05 to 0.13)  0.10 (0.08 to 0.17)  0.28 (0.23 to 0.49)  0.54 (0.51 to 0.71)
              simulated  0.10 (0.06 to 0.21)  0.14 (0.07 to 0.25)  0.36 (0.16 to 0.59)  0.55 (0.20 to 0.78)
    elbow     real       0.12 (0.06 to 0.20)  0.19 (0.11 to 0.36)  0.55 (0.42 to 1.24)  0.57 (0.50 to 0.80)
              simulated  0.19 (0.10 to 0.41)  0.27 (0.14 to 0.50)  0.78 (0.37 to 1.47)  0.60 (0.31 to 0.75)
    wrist     real       0.30 (0.07 to 0.40)  0.50 (0.20 to 0.79)  1.65 (0.92 to 2.95)  0.56 (0.49 to 0.80)
              simulated  0.27 (0.12 to 0.56)  0.40 (0.20 to 0.70)  1.18 (0.61 to 2.26)  0.58 (0.34 to 0.71)
    knee      real       0.13 (0.11 to 0.26)  0.24 (0.21 to 0.43)  0.89 (0.73 to 1.40)  0.56 (0.49 to 0.67)
              simulated  0.16 (0.08 to 0.35)  0.22 (0.11 to 0.45)  0.58 (0.33 to 1.14)  0.56 (0.32 to 0.75)
    ankle     real       0.16 (0.14 to 0.31)  0.30 (0.22 to 0.49)  1.08 (0.73 to 1.64)  0.52 (0.48 to 0.61)
              simulated  0.23 (0.11 to 0.56)  0.37 (0.16 to 0.74)  1.13 (0.46 to 1.92)  0.61 (0.37 to 0.78)
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.files import MAX_FRAMES
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19

STATEMENT = "Simulated movement, not an infant: for demonstration, tests and benchmarks only."
"""Goes with everything that the simulator writes."""

OUTCOME_SHARE = 0.3
"""Share of time with fidgety movements below which an infant counts as outcome 1 (absent or sporadic); chosen
between the published quartiles, 0.215 (upper, risk) and 0.412 (lower, normal)."""

MAX_SECONDS = 24 * 3600.0
"""Longest recording that is simulated."""


@dataclass(frozen=True)
class InfantConfig:
    """One infant, its camera and its keypoint detector.

    Attributes:
        duration: seconds. An hour at 30 Hz takes about 3 s and 250 MB to simulate.
        fps: frames per second, hertz. The movement itself does not depend on it (up to the frames' Nyquist limit).
        fidgety: share of seconds with fidgety movements, 0 (absent) to 1.
        fidgety_amplitude: root mean square displacement of wrists and ankles in a bout, about; centimetres.
        fidgety_band: lowest and highest frequency of the fidgety oscillation, hertz.
        fidgety_bout: mean length of a bout, seconds.
        restlessness: root mean square displacement of wrists and ankles by slow irregular movement (0.1 to 0.9 Hz) of
            the whole body, which every infant has at all times and which waxes and wanes, about; centimetres.
        activity: scales how often events of the repertoire happen (proportionally) and how large they are (by its
            square root); 1 is average, 0 is an infant without kicks, sweeps and turns.
        monotony: 0 every event differs in size, direction and duration, 1 all repeat one pattern.
        coupling: share of the restlessness that all limbs have in common: 0 each moves on its own, 1 all turn alike.
        length: crown to heel, centimetres; all segments scale with it.
        camera_height: centimetres above the surface.
        camera_rotation: about the view axis, degrees; 0 shows the head at the top.
        camera_tilt: of the view axis against the vertical, degrees.
        focal_length: pixels.
        image_size: width and height, pixels. Points outside the image keep their coordinates.
        camera_jitter: root mean square shift of the whole picture by a hand-held camera, pixels (each axis).
        camera_drift: root mean square of its slow shift (over some 3 s), pixels (each axis).
        camera_roll: root mean square of its slow turning about the middle of the picture, degrees.
        noise: root mean square error of a keypoint, pixels (each axis); wrists, ankles and head top have 1.5 times it.
        noise_seconds: correlation time of that error, seconds.
        dropout_rate: runs of missing points per minute and joint.
        dropout_seconds: mean length of such a run, seconds.
        confidence: whether the recording has a confidence per point.

    Raises:
        ValueError: a value is outside its range.
    """

    duration: float = 60.0
    fps: float = 30.0
    fidgety: float = 0.6
    fidgety_amplitude: float = 0.75
    fidgety_band: tuple[float, float] = (1.0, 3.0)
    fidgety_bout: float = 4.0
    restlessness: float = 1.4
    activity: float = 1.0
    monotony: float = 0.0
    coupling: float = 0.0
    length: float = 60.6
    camera_height: float = 110.0
    camera_rotation: float = 0.0
    camera_tilt: float = 0.0
    focal_length: float = 1000.0
    image_size: tuple[int, int] = (1280, 720)
    camera_jitter: float = 0.5
    camera_drift: float = 0.0
    camera_roll: float = 0.0
    noise: float = 0.7
    noise_seconds: float = 0.1
    dropout_rate: float = 0.5
    dropout_seconds: float = 0.2
    confidence: bool = True

    def __post_init__(self) -> None:
        low, high = self.fidgety_band
        for holds, rule in (
            (0 < self.duration <= MAX_SECONDS, f"duration must be above 0 and at most {MAX_SECONDS:g} seconds"),
            (0 < self.fps <= 1000, "fps must be above 0 and at most 1000 hertz"),
            (0.5 < self.duration * self.fps <= MAX_FRAMES, f"duration times fps must be from 1 to {MAX_FRAMES} frames"),
            (0 <= self.fidgety <= 1, "fidgety must be a share from 0 to 1"),
            (0 <= self.fidgety_amplitude <= 5, "fidgety_amplitude must be from 0 to 5 cm"),
            (0.1 <= low < high <= 15, "fidgety_band must be two rising frequencies from 0.1 to 15 hertz"),
            (1 <= self.fidgety_bout <= 600, "fidgety_bout must be from 1 to 600 seconds"),
            (0 <= self.restlessness <= 5, "restlessness must be from 0 to 5 cm"),
            (0 <= self.activity <= 10, "activity must be from 0 to 10"),
            (0 <= self.monotony <= 1, "monotony must be from 0 to 1"),
            (0 <= self.coupling <= 1, "coupling must be a share from 0 to 1"),
            (40 <= self.length <= 90, "length must be from 40 to 90 cm"),
            (60 <= self.camera_height <= 1000, "camera_height must be from 60 to 1000 cm"),
            (math.isfinite(self.camera_rotation), "camera_rotation must be a finite number of degrees"),
            (-30 <= self.camera_tilt <= 30, "camera_tilt must be from -30 to 30 degrees"),
            (10 <= self.focal_length <= 100_000, "focal_length must be from 10 to 100000 pixels"),
            (min(self.image_size) >= 1, "image_size must be two positive numbers of pixels"),
            (0 <= self.camera_jitter <= 100, "camera_jitter must be from 0 to 100 pixels"),
            (0 <= self.camera_drift <= 100, "camera_drift must be from 0 to 100 pixels"),
            (0 <= self.camera_roll <= 45, "camera_roll must be from 0 to 45 degrees"),
            (0 <= self.noise <= 100, "noise must be from 0 to 100 pixels"),
            (0 < self.noise_seconds <= 10, "noise_seconds must be above 0 and at most 10"),
            (0 <= self.dropout_rate <= 600, "dropout_rate must be from 0 to 600 runs a minute"),
            (0 <= self.dropout_seconds <= 60, "dropout_seconds must be from 0 to 60"),
        ):
            if not holds:
                raise ValueError(rule)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.duration * self.fps)

    @property
    def outcome(self) -> int:
        """1 where fidgety movements are absent or sporadic (`fidgety` below `OUTCOME_SHARE`), else 0."""
        return int(self.fidgety < OUTCOME_SHARE)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-compatible values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Movement:
    """What the infant did, before any camera.

    Attributes:
        positions: `[time, joint, 3]` centimetres, joints of in-motion-19; x to the infant's left, y towards the head,
            z up from the surface; the origin is where the pelvis rests.
        fidgety: `[second]` int, 1 where the second holds fidgety movements; ceil(duration) entries.
    """

    positions: np.ndarray
    fidgety: np.ndarray


# Angles in degrees: rest, lowest, highest, spread of the slow drift, spread of posture changes, oscillation. The last
# column is the root mean square of fidgety movements (and restlessness) of amplitude 1 cm: wrists and ankles then
# move by about that much, neck and trunk by less.
_TRUNK = {
    "roll": (0, -30, 30, 2.0, 4, 0.8),
    "yaw": (0, -30, 30, 1.5, 3, 0.3),
    "bend": (0, -25, 25, 2.0, 4, 0.7),
    "twist": (0, -30, 30, 2.0, 4, 1.2),
}
_HEAD = {
    "yaw": (0, -75, 75, 5.0, 28, 2.4),
    "pitch": (5, -20, 30, 3.0, 5, 1.8),
    "roll": (0, -30, 30, 3.0, 6, 1.8),
}
_ARM = {
    "lift": (0, -20, 25, 2.0, 4, 2.2),
    "protract": (0, -20, 25, 2.0, 4, 2.2),
    "abduction": (70, 5, 160, 5.0, 22, 3.0),
    "elevation": (25, -5, 90, 5.0, 18, 3.0),
    "elbow": (85, 10, 142, 6.0, 25, 3.4),
    "rotation": (25, -40, 150, 6.0, 28, 3.4),
}
_LEG = {
    "tilt": (0, -15, 15, 1.0, 2, 1.0),
    "flexion": (60, 0, 120, 5.0, 14, 2.6),
    "abduction": (32, 0, 65, 4.0, 9, 2.6),
    "knee": (85, 5, 140, 5.0, 18, 3.4),
    "rotation": (0, -40, 40, 4.0, 9, 3.4),
}
_PARTS = {"trunk": _TRUNK, "head": _HEAD, "right_arm": _ARM, "left_arm": _ARM, "right_leg": _LEG, "left_leg": _LEG}
_TABLE = np.array([row for part in _PARTS.values() for row in part.values()], dtype=float)
_NAMES = [(part, angle) for part, angles in _PARTS.items() for angle in angles]
_CHANNEL = {name: channel for channel, name in enumerate(_NAMES)}
_COLUMNS = {part: [c for c, (p, _) in enumerate(_NAMES) if p == part] for part in _PARTS}

# Posture changes a minute, their median duration in seconds; pulses (kicks, flaps) a minute in bouts, and likewise.
_SHIFTS = {
    "trunk": (2.0, 1.2),
    "head": (5.0, 1.0),
    "right_arm": (14.0, 0.8),
    "left_arm": (14.0, 0.8),
    "right_leg": (9.0, 0.9),
    "left_leg": (9.0, 0.9),
}
_PULSES = {
    "trunk": (10.0, 0.6),
    "head": (12.0, 0.5),
    "right_arm": (18.0, 0.6),
    "left_arm": (18.0, 0.6),
    "right_leg": (22.0, 0.7),
    "left_leg": (22.0, 0.7),
}
_TRUNK_PULSE = np.array([3, 1, 3, 4], dtype=float)  # roll, yaw, bend, twist
_HEAD_PULSE = np.array([6, 4, 4], dtype=float)  # yaw, pitch, roll
_ARM_PULSE = np.array([0, 0, 18, 20, -26, 24], dtype=float)  # lift, protract, abduction, elevation, elbow, rotation
_LEG_PULSE = np.array([0, -40, 9, -46, 3], dtype=float)  # tilt, flexion, abduction, knee, rotation
_PATTERNS = {"trunk": _TRUNK_PULSE, "head": _HEAD_PULSE, "arm": _ARM_PULSE, "leg": _LEG_PULSE}
_HAND_TO_MOUTH = np.array([5, 10, 30, 40, 136, 60], dtype=float)
_MOUTH_SHARE = 0.2

# Segment lengths as a share of the infant's length; see the module's docstring.
_SEGMENTS = {
    "trunk": 19.0 / 60.6,
    "neck": 3.2 / 60.6,
    "shoulder": 6.2 / 60.6,
    "hip": 3.0 / 60.6,
    "upper_arm": 8.7 / 60.6,
    "forearm": 7.9 / 60.6,
    "thigh": 9.7 / 60.6,
    "shank": 9.0 / 60.6,
}
# The head as points relative to the upper neck, centimetres at 60.6 cm: left, up to the crown, forwards to the face.
_HEAD_POINTS = {
    "head_top": (0.0, 12.5, 1.5),
    "nose": (0.0, 4.6, 6.3),
    "right_ear": (-5.4, 5.4, 0.0),
    "left_ear": (5.4, 5.4, 0.0),
}
_COARSE = ("head_top", "right_wrist", "left_wrist", "right_ankle", "left_ankle")


def simulate(
    seed: int | Sequence[int] | np.random.Generator,
    config: InfantConfig | None = None,
    name: str = "simulated",
) -> Recording:
    """One simulated infant as keypoints of in-motion-19.

    The same seed and configuration give the same bytes (see `simulate_cohort`). Body, repertoire, bouts, camera and
    detector draw from streams of their own: two configurations that differ in `fidgety_amplitude` only, say, give the
    same kicks and noise.

    Args:
        seed: any integer from 0, a sequence of such (as `(seed, infant)`), or a generator, which is advanced.
        config: the infant; None is `InfantConfig()`.
        name: name of the recording.

    Returns:
        A recording `[time, joint, 2]` in pixels, y downwards, NaN in dropouts; its metadata holds `simulated`,
        `statement`, `seed`, `outcome`, `fidgety` (0 or 1 per second), and `simulation` (the configuration).

    Raises:
        ValueError: a seed below 0.
    """
    config = config or InfantConfig()
    entropy = _entropy(seed)
    movement = move(entropy, config)
    pixels = project(movement.positions, config)
    rng = stream(entropy, "detector")
    shake = _low_pass_noise(stream(entropy, "camera"), config, 2, 0.5) * config.camera_jitter
    coarse = np.array([1.5 if joint in _COARSE else 1.0 for joint in IN_MOTION_19.joints])
    joints = len(coarse)
    error = _low_pass_noise(rng, config, 2 * joints, config.noise_seconds).reshape(-1, joints, 2)
    error *= config.noise * coarse[:, None]
    pixels += shake[:, None] + error
    if config.camera_drift or config.camera_roll:
        pixels = _held(pixels, stream(entropy, "hand"), config)
    missing = _dropouts(stream(entropy, "dropouts"), config, joints)
    pixels[missing] = np.nan
    confidence = None
    if config.confidence:
        # A detector is unsure where it errs; 3 pixels halve its confidence.
        confidence = np.where(missing, 0.0, 1.0 / (1.0 + (error**2).sum(axis=-1) / 9.0))
    metadata: dict[str, Any] = {
        "simulated": True,
        "statement": STATEMENT,
        "seed": list(entropy),
        "outcome": config.outcome,
        "fidgety": movement.fidgety.tolist(),
        "simulation": config.to_dict(),
    }
    return Recording(
        keypoints=pixels,
        fps=float(config.fps),
        skeleton=IN_MOTION_19,
        name=name,
        confidence=confidence,
        metadata=metadata,
        history=(f"simulated by infantjax, seed {', '.join(map(str, entropy))}",),
        notes=(STATEMENT,),
    )


def move(seed: int | Sequence[int] | np.random.Generator, config: InfantConfig) -> Movement:
    """The movement alone, in centimetres, as it is before the camera.

    Args:
        seed: as for `simulate`.
        config: the infant; fields of the camera and the detector are ignored.
    """
    entropy = _entropy(seed)
    fidgety = _bouts(stream(entropy, "bouts"), config)
    angles = _angles(entropy, config, fidgety)
    drift = _band_noise(stream(entropy, "place"), config, 0.01, 0.15, 2) * 0.6
    return Movement(_kinematics(np.radians(angles), config.length, drift), fidgety)


def project(positions: Float[np.ndarray, "time joint 3"], config: InfantConfig) -> Float[np.ndarray, "time joint 2"]:
    """Centimetres above the surface to pixels of the configured camera.

    The camera looks down on the point of the surface 6 cm above the resting pelvis, which appears in the image's
    center. Perspective without lens distortion; x to the right, y downwards.
    """
    turn, tilt = math.radians(config.camera_rotation), math.radians(config.camera_tilt)
    x, y, z = positions[..., 0], positions[..., 1] - 6.0, positions[..., 2]
    y, z = math.cos(tilt) * y + math.sin(tilt) * z, math.cos(tilt) * z - math.sin(tilt) * y
    x, y = math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y
    scale = config.focal_length / (config.camera_height - z)
    return np.stack([config.image_size[0] / 2 + scale * x, config.image_size[1] / 2 - scale * y], axis=-1)


def _held(
    pixels: Float[np.ndarray, "time joint 2"], rng: np.random.Generator, config: InfantConfig
) -> Float[np.ndarray, "time joint 2"]:
    """The picture of a camera in somebody's hand, which slowly drifts and turns."""
    slow = _low_pass_noise(rng, config, 3, 3.0)
    roll = np.radians(config.camera_roll * slow[:, 2, None])
    x, y = np.moveaxis(pixels - np.array(config.image_size) / 2, -1, 0)
    turned = np.stack([np.cos(roll) * x - np.sin(roll) * y, np.sin(roll) * x + np.cos(roll) * y], axis=-1)
    return turned + np.array(config.image_size) / 2 + config.camera_drift * slow[:, None, :2]


def _entropy(seed: int | Sequence[int] | np.random.Generator) -> tuple[int, ...]:
    if isinstance(seed, np.random.Generator):
        return (int(seed.integers(2**63)),)
    values = tuple(int(s) for s in seed) if isinstance(seed, Sequence) else (int(seed),)
    if not values or min(values) < 0:
        raise ValueError("a seed is an integer from 0 or a sequence of such")
    return values


_STREAMS = (
    *("outcomes", "traits", "body", "repertoire", "bouts", "oscillation", "restlessness", "place"),
    *("camera", "detector", "dropouts", "hand", "coupling", "metadata", "scores"),
)


def stream(entropy: tuple[int, ...], name: str) -> np.random.Generator:
    """A generator for one purpose, so that a change in one leaves the draws of the others as they are."""
    # The length is part of the key: NumPy pads entropy with zeros, which would make (1,) and (1, 0) the same.
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(len(entropy), _STREAMS.index(name))))


def _times(config: InfantConfig) -> np.ndarray:
    return np.arange(config.frames) / config.fps


def _band_noise(
    rng: np.random.Generator, config: InfantConfig, low: float, high: float, channels: int
) -> Float[np.ndarray, "time channel"]:
    """Gaussian noise of unit variance with a flat spectrum between two frequencies (hertz)."""
    # A Fourier series over a period longer than the recording, so that its end does not continue its beginning.
    # Random numbers belong to frequencies, not to frames: the movement is the same at every frame rate.
    period = math.ceil(config.duration) + 10
    first, last = max(1, round(low * period)), max(2, round(high * period))
    weights = rng.standard_normal((last - first + 1, channels, 2)) / math.sqrt(last - first + 1)
    return _series(weights, first, period, config)


def _low_pass_noise(
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


def _bouts(rng: np.random.Generator, config: InfantConfig) -> np.ndarray:
    """Per second 1 or 0: bouts and pauses of whole seconds with geometric lengths, in the configured share."""
    seconds = math.ceil(config.duration)
    share = config.fidgety
    if share in (0.0, 1.0):
        return np.full(seconds, int(share), dtype=np.int8)
    # Both mean lengths are at least a second; the shorter of the two gives way to keep the share.
    pause = config.fidgety_bout * (1 - share) / share
    bout = config.fidgety_bout if pause >= 1 else share / (1 - share)
    bout, pause = min(bout, 1e6), min(max(pause, 1.0), 1e6)
    runs = 2 * math.ceil(seconds / (bout + pause)) + 8 + 8 * math.ceil(math.sqrt(seconds))
    on = bool(rng.random() < share)
    lengths = np.empty(runs, dtype=int)
    lengths[0::2] = rng.geometric(1 / (bout if on else pause), (runs + 1) // 2)
    lengths[1::2] = rng.geometric(1 / (pause if on else bout), runs // 2)
    states = (np.arange(runs) % 2 == 0) == on
    return np.resize(np.repeat(states, np.minimum(lengths, seconds)), seconds).astype(np.int8)


def _angles(entropy: tuple[int, ...], config: InfantConfig, fidgety: np.ndarray) -> np.ndarray:
    """All joint angles, `[time, channel]` degrees, inside their limits."""
    rest, lowest, highest, drift, spread, oscillation = _TABLE.T
    body, repertoire, times = stream(entropy, "body"), stream(entropy, "repertoire"), _times(config)
    rest = rest + 0.35 * spread * body.standard_normal(len(rest))
    angles = rest + drift * _band_noise(body, config, 0.02, 0.25, len(rest))
    for part, (rate, duration) in _SHIFTS.items():
        columns = _COLUMNS[part]
        mouth = _HAND_TO_MOUTH - rest[columns] if part.endswith("arm") else None
        angles[:, columns] += _posture_changes(repertoire, config, times, rate, duration, spread[columns], mouth)
    for part, (rate, duration) in _PULSES.items():
        pattern = _PATTERNS[part.split("_")[-1]]
        angles[:, _COLUMNS[part]] += _pulses(repertoire, config, times, rate, duration, pattern)
    if config.restlessness > 0:
        angles += _restlessness(stream(entropy, "restlessness"), config, stream(entropy, "coupling")) * oscillation
    if fidgety.any():
        angles += _oscillation(stream(entropy, "oscillation"), config, times, fidgety) * oscillation
    # A soft stop at the joint's limits keeps movement smooth.
    middle, half = (highest + lowest) / 2, (highest - lowest) / 2
    relative = (angles - middle) / half
    over = np.maximum(np.abs(relative) - 0.7, 0.0)
    return middle + half * np.sign(relative) * (np.minimum(np.abs(relative), 0.7) + 0.3 * np.tanh(over / 0.3))


def _oscillation(
    rng: np.random.Generator, config: InfantConfig, times: np.ndarray, fidgety: np.ndarray
) -> Float[np.ndarray, "time channel"]:
    """Fidgety oscillation with unit root mean square in bouts, times the amplitude; zero in pauses."""
    low, high = config.fidgety_band
    noise = _band_noise(rng, config, low, high, len(_TABLE)) * _strength(rng, config, 0.6)
    # Bouts fade in and out inside their first and last quarter of a second, so that pauses hold nothing of them.
    ramp = 0.25
    inside = np.concatenate([fidgety[:1], fidgety, fidgety[-1:]])
    second = np.minimum(times.astype(int), len(fidgety) - 1) + 1
    since, until = times - (second - 1), second - times
    rise = np.where(inside[second - 1] == 1, 1.0, np.minimum(since / ramp, 1.0))
    fall = np.where(inside[second + 1] == 1, 1.0, np.minimum(until / ramp, 1.0))
    gate = inside[second] * np.sin(np.pi / 2 * rise) ** 2 * np.sin(np.pi / 2 * fall) ** 2
    return config.fidgety_amplitude * gate[:, None] * noise


def _restlessness(
    rng: np.random.Generator, config: InfantConfig, common: np.random.Generator
) -> Float[np.ndarray, "time channel"]:
    noise = _band_noise(rng, config, 0.1, 0.9, len(_TABLE))
    if config.coupling:
        shared, size = _band_noise(common, config, 0.1, 0.9, len(_ARM)), math.sqrt(config.coupling)
        for limb in ("right_arm", "left_arm", "right_leg", "left_leg"):
            columns = _COLUMNS[limb]
            own = math.sqrt(1 - config.coupling) * noise[:, columns]
            noise[:, columns] = own + size * shared[:, : len(columns)]
    return config.restlessness * noise * _strength(rng, config, 0.2)


def _strength(rng: np.random.Generator, config: InfantConfig, fastest: float) -> Float[np.ndarray, "time channel"]:
    """Body parts wax and wane on their own: a positive factor with a mean square of 1."""
    strength = np.exp(0.5 * _band_noise(rng, config, 0.05, fastest, len(_PARTS)) - 0.25)
    return strength[:, [list(_PARTS).index(part) for part, _ in _NAMES]]


def _events(
    rng: np.random.Generator, config: InfantConfig, rate: float, duration: float, chained: float
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and durations (seconds) of events that do not overlap; `chained` is the share that follow closely."""
    mean_gap = 60.0 / max(rate * config.activity, 1e-9)
    count = 10 + math.ceil(config.duration / mean_gap) + 6 * math.ceil(math.sqrt(config.duration / mean_gap))
    if chained:
        count = math.ceil(count / (1 - chained)) + 10
    durations = duration * np.exp(0.3 * (1 - config.monotony) * rng.standard_normal(count))
    gaps = rng.exponential(mean_gap, count)
    close = rng.random(count) < chained
    gaps = np.where(close, 0.05 + 0.2 * rng.random(count), gaps / (1 - chained))
    starts = np.cumsum(gaps) + np.concatenate([[0.0], np.cumsum(durations)[:-1]])
    return starts, durations


def _progress(times: np.ndarray, starts: np.ndarray, durations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each time the last event that has begun (-1 before the first) and the share of it that is over, 0 to 1."""
    event = np.searchsorted(starts, times, side="right") - 1
    safe = np.maximum(event, 0)
    return event, np.clip((times - starts[safe]) / durations[safe], 0.0, 1.0)


def _posture_changes(
    rng: np.random.Generator,
    config: InfantConfig,
    times: np.ndarray,
    rate: float,
    duration: float,
    spread: np.ndarray,
    mouth: np.ndarray | None,
) -> Float[np.ndarray, "time angle"]:
    """Offsets from rest that change from one posture to the next by minimum-jerk movements."""
    starts, durations = _events(rng, config, rate, duration, 0.0)
    count = len(starts)
    size = spread * math.sqrt(config.activity)
    pattern = np.where(np.arange(count) % 2, 1.0, -1.0)[:, None] * rng.choice([-1.0, 1.0], len(spread))
    offsets = (1 - config.monotony) * rng.standard_normal((count, len(spread))) + config.monotony * pattern
    offsets = offsets * size
    to_mouth = rng.random(count) < _MOUTH_SHARE
    if mouth is not None and config.activity > 0:
        offsets = np.where(to_mouth[:, None], mouth + 0.2 * offsets, offsets)
    offsets = np.concatenate([np.zeros((1, len(spread))), offsets])
    event, share = _progress(times, starts, durations)
    done = share**3 * (10 - 15 * share + 6 * share**2)
    before = offsets[np.maximum(event, 0)]
    return before + (offsets[event + 1] - before) * np.where(event < 0, 0.0, done)[:, None]


def _pulses(
    rng: np.random.Generator,
    config: InfantConfig,
    times: np.ndarray,
    rate: float,
    duration: float,
    pattern: np.ndarray,
) -> Float[np.ndarray, "time angle"]:
    """Kicks and flaps: out and back, singly or in bouts, each with its own size and mix of angles."""
    starts, durations = _events(rng, config, rate, duration, 0.5)
    count, varied = len(starts), 1 - config.monotony
    sizes = np.exp(0.45 * varied * rng.standard_normal(count)) * math.sqrt(config.activity)
    mix = pattern + varied * (0.4 * np.abs(pattern) + 1.5) * rng.standard_normal((count, len(pattern)))
    event, share = _progress(times, starts, durations)
    shape = np.where(event < 0, 0.0, np.sin(np.pi * share) ** 2)
    return (sizes[:, None] * mix)[np.maximum(event, 0)] * shape[:, None]


def _kinematics(angles: np.ndarray, length: float, place: np.ndarray) -> np.ndarray:
    """Joint angles (radians) to positions, `[time, joint, 3]` centimetres, along the tree of in-motion-19."""
    segment = {name: share * length for name, share in _SEGMENTS.items()}
    points: dict[str, np.ndarray] = {}

    def angle(part: str, name: str) -> np.ndarray:
        return angles[:, _CHANNEL[part, name]]

    # The trunk's frame: columns left, up (towards the head) and front; the thorax is bent and twisted against it.
    body = _turn(_turn(np.eye(3)[None], angle("trunk", "yaw"), 2), angle("trunk", "roll"), 1)
    chest = _turn(_turn(body, angle("trunk", "bend"), 2), angle("trunk", "twist"), 1)
    points["pelvis"] = np.concatenate([place, np.full((len(angles), 1), 4.0)], axis=1)
    points["thorax"] = points["pelvis"] + segment["trunk"] * chest[..., 1]
    points["upper_neck"] = points["thorax"] + segment["neck"] * chest[..., 1]
    head = _turn(_turn(_turn(chest, angle("head", "yaw"), 1), angle("head", "roll"), 2), angle("head", "pitch"), 0)
    for joint, offset in _HEAD_POINTS.items():
        points[joint] = points["upper_neck"] + head @ (np.array(offset) * length / 60.6)
    for side, sign in (("right", -1.0), ("left", 1.0)):
        arm, leg = f"{side}_arm", f"{side}_leg"
        girdle = _along(chest, sign, angle(arm, "lift"), angle(arm, "protract"))
        points[f"{side}_shoulder"] = points["thorax"] + segment["shoulder"] * girdle
        upper, forearm = _limb(
            chest, sign, angle(arm, "abduction"), angle(arm, "elevation"), angle(arm, "elbow"), angle(arm, "rotation")
        )
        points[f"{side}_elbow"] = points[f"{side}_shoulder"] + segment["upper_arm"] * upper
        points[f"{side}_wrist"] = points[f"{side}_elbow"] + segment["forearm"] * forearm
        points[f"{side}_hip"] = points["pelvis"] + segment["hip"] * _along(body, sign, angle(leg, "tilt"), 0.0)
        thigh, shank = _bent_leg(
            body, sign, angle(leg, "abduction"), angle(leg, "flexion"), angle(leg, "knee"), angle(leg, "rotation")
        )
        points[f"{side}_knee"] = points[f"{side}_hip"] + segment["thigh"] * thigh
        points[f"{side}_ankle"] = points[f"{side}_knee"] + segment["shank"] * shank
    return np.stack([points[joint] for joint in IN_MOTION_19.joints], axis=1)


def _turn(frame: np.ndarray, angle: np.ndarray, axis: int) -> np.ndarray:
    """A frame `[time, 3, axis]` turned about its own axis 0 (left), 1 (up) or 2 (front)."""
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned = np.repeat(frame, len(angle), axis=0) if len(frame) == 1 else frame.copy()
    first, second = turned[..., a].copy(), turned[..., b].copy()
    turned[..., a], turned[..., b] = cos * first + sin * second, cos * second - sin * first
    return turned


def _combine(frame: np.ndarray, left: Any, up: Any, front: Any) -> np.ndarray:
    parts = np.broadcast_arrays(left, up, front)
    return sum(np.asarray(p)[:, None] * frame[..., i] for i, p in enumerate(parts))  # type: ignore[return-value]


def _along(frame: np.ndarray, sign: float, up: np.ndarray, front: Any) -> np.ndarray:
    """Unit vector to the side, raised by two angles."""
    return _combine(frame, sign * np.cos(up) * np.cos(front), np.sin(up) * np.cos(front), np.sin(front))


def _limb(
    frame: np.ndarray, sign: float, abduction: np.ndarray, elevation: np.ndarray, bend: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of upper arm and forearm.

    Abduction 0 lies along the trunk, 90 degrees to the side; elevation lifts off the surface. A bent elbow points the
    forearm towards the head at rotation 0 and up from the surface at 90 degrees.
    """
    ca, sa, ce, se = np.cos(abduction), np.sin(abduction), np.cos(elevation), np.sin(elevation)
    ct, st = np.cos(turn), np.sin(turn)
    upper = (sign * sa * ce, -ca * ce, se)
    headward = (sign * ca, sa, np.zeros_like(ca))
    lifted = (-sign * sa * se, ca * se, ce)
    fore = [np.cos(bend) * u + np.sin(bend) * (ct * h + st * v) for u, h, v in zip(upper, headward, lifted)]
    return _combine(frame, *upper), _combine(frame, *fore)


def _bent_leg(
    frame: np.ndarray, sign: float, abduction: np.ndarray, flexion: np.ndarray, bend: np.ndarray, turn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of thigh and shank.

    Flexion 0 lies along the trunk, 90 degrees points up from the surface; abduction spreads the knees. A bent knee
    points the shank back, away from the head, and rotation turns it about the thigh.
    """
    ca, sa, cf, sf = np.cos(abduction), np.sin(abduction), np.cos(flexion), np.sin(flexion)
    ct, st = np.cos(turn), np.sin(turn)
    thigh = (sign * sa, -ca * cf, ca * sf)
    back = (np.zeros_like(sf), -sf, -cf)
    side = (-sign * ca, -sa * cf, sa * sf)
    shank = [np.cos(bend) * t + np.sin(bend) * (ct * b + st * s) for t, b, s in zip(thigh, back, side)]
    return _combine(frame, *thigh), _combine(frame, *shank)


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
