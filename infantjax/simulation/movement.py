"""The movement of an infant in supine position: posture, posture changes, pulses, restlessness, fidgety movements.

Every joint angle is the sum of a resting posture, slow drift, posture changes (arm sweeps, hand to mouth, head turns),
pulses (kicks, arm flaps), restlessness and, in bouts, fidgety movements. Memory and time grow linearly with the
duration.

Fidgety movements (FMs) are "small movements of moderate speed and variable acceleration, of neck, trunk and limbs, in
all directions" (Einspieler et al., as quoted by Groos 2022). Here: band-limited Gaussian oscillation of all joint
angles of neck, trunk, shoulders, hips and limbs, each angle with its own phase (all directions), its strength
modulated per body part (variable acceleration), present in bouts of whole seconds.

What is published and what is our choice:

- Share of time with FMs: median 0.55 (quartiles 0.41 to 0.71) in normal infants and 0.14 in infants at risk in the
  external validation of MAM (quantitative general movements assessment), which counts sporadic and absent FMs as risk.
  Bouts of 4 s on average are our choice: they give pauses of seconds, as clinicians describe continual and intermittent
  FMs.
- Band 1 to 3 Hz and 0.75 cm are our choice for "small" and "moderate speed": the sources give no values.
- Rates, durations and angles of the repertoire, and the restlessness, are our choice. Speeds and spectra then lie near
  those of six public recordings of real infants (`benchmarks/results/simulated_speeds.csv`). Kicks reach a few m/s2 at
  the ankle, as wearable sensors measure over a day (mean peak 3.1 to 8.8 m/s2, Trujillo-Priego and Smith 2017).

Not simulated: contact (the surface does not stop a limb, hands do not grasp), the caregiver, crying, rolling over, and
all differences of infants with cerebral palsy but absent FMs and a little monotony.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from infantjax.simulation.body import ANGLE_NAMES, ANGLES, COLUMNS, PARTS, forward_kinematics
from infantjax.simulation.config import InfantConfig
from infantjax.simulation.signals import Seed, band_noise, seed_entropy, stream


@dataclass(frozen=True, eq=False)
class Movement:
    """The movement before the camera.

    Attributes:
        positions: `[time, joint, 3]` centimeters, joints of in-motion-19; x to the infant's left, y towards the head,
            z up from the surface; the origin is where the pelvis rests.
        fidgety: `[second]` int, 1 where the second holds fidgety movements; ceil(duration) entries.
    """

    positions: np.ndarray
    fidgety: np.ndarray


# Posture changes a minute, their median duration in seconds; pulses (kicks, flaps) a minute in bouts, and likewise.
_EVENTS = {
    "trunk": (2.0, 1.2, 10.0, 0.6),
    "head": (5.0, 1.0, 12.0, 0.5),
    "right_arm": (14.0, 0.8, 18.0, 0.6),
    "left_arm": (14.0, 0.8, 18.0, 0.6),
    "right_leg": (9.0, 0.9, 22.0, 0.7),
    "left_leg": (9.0, 0.9, 22.0, 0.7),
}
_TRUNK_PULSE = np.array([3, 1, 3, 4], dtype=float)  # roll, yaw, bend, twist
_HEAD_PULSE = np.array([6, 4, 4], dtype=float)  # yaw, pitch, roll
_ARM_PULSE = np.array([0, 0, 18, 20, -26, 24], dtype=float)  # lift, protract, abduction, elevation, elbow, rotation
_LEG_PULSE = np.array([0, -40, 9, -46, 3], dtype=float)  # tilt, flexion, abduction, knee, rotation
_PATTERNS = {"trunk": _TRUNK_PULSE, "head": _HEAD_PULSE, "arm": _ARM_PULSE, "leg": _LEG_PULSE}
_HAND_TO_MOUTH = np.array([5, 10, 30, 40, 136, 60], dtype=float)
_MOUTH_SHARE = 0.2


def move(seed: Seed, config: InfantConfig) -> Movement:
    """The movement alone, in centimeters, as it is before the camera.

    Args:
        seed: as for `simulate`.
        config: the infant; fields of the camera and the detector are ignored.
    """
    entropy = seed_entropy(seed)
    fidgety = _bouts(stream(entropy, "bouts"), config)
    angles = _angles(entropy, config, fidgety)
    drift = band_noise(stream(entropy, "place"), config, 0.01, 0.15, 2) * 0.6
    return Movement(forward_kinematics(np.radians(angles), config.length, drift), fidgety)


def _bouts(rng: np.random.Generator, config: InfantConfig) -> np.ndarray:
    """Per second 1 or 0: bouts and pauses of whole seconds with geometric lengths, in the configured share."""
    seconds = math.ceil(config.duration)
    share = config.fidgety
    if share in (0.0, 1.0):
        return np.full(seconds, int(share), dtype=np.int8)
    # Both mean lengths are at least a second; where one would be shorter, the other grows to keep the share.
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
    rest, lowest, highest, drift, spread, oscillation = ANGLES.T
    body, repertoire = stream(entropy, "body"), stream(entropy, "repertoire")
    times = np.arange(config.frames) / config.fps
    rest = rest + 0.35 * spread * body.standard_normal(len(rest))
    angles = rest + drift * band_noise(body, config, 0.02, 0.25, len(rest))
    for part, (rate, duration, _, _) in _EVENTS.items():
        columns = COLUMNS[part]
        mouth = _HAND_TO_MOUTH - rest[columns] if part.endswith("arm") else None
        angles[:, columns] += _posture_changes(repertoire, config, times, rate, duration, spread[columns], mouth)
    for part, (_, _, rate, duration) in _EVENTS.items():
        pattern = _PATTERNS[part.split("_")[-1]]
        angles[:, COLUMNS[part]] += _pulses(repertoire, config, times, rate, duration, pattern)
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
    """Fidgety oscillation: in bouts its root mean square is the amplitude, in pauses it is zero."""
    low, high = config.fidgety_band
    noise = band_noise(rng, config, low, high, len(ANGLES)) * _strength(rng, config, 0.6)
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
    noise = band_noise(rng, config, 0.1, 0.9, len(ANGLES))
    if config.coupling:
        shared, size = band_noise(common, config, 0.1, 0.9, len(PARTS["left_arm"])), math.sqrt(config.coupling)
        for limb in ("right_arm", "left_arm", "right_leg", "left_leg"):
            columns = COLUMNS[limb]
            own = math.sqrt(1 - config.coupling) * noise[:, columns]
            noise[:, columns] = own + size * shared[:, : len(columns)]
    return config.restlessness * noise * _strength(rng, config, 0.2)


def _strength(rng: np.random.Generator, config: InfantConfig, fastest: float) -> Float[np.ndarray, "time channel"]:
    """Strength of each body part over time: a positive factor with a mean square of 1."""
    strength = np.exp(0.5 * band_noise(rng, config, 0.05, fastest, len(PARTS)) - 0.25)
    return strength[:, [list(PARTS).index(part) for part, _ in ANGLE_NAMES]]


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
