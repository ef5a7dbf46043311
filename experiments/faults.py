"""Tracking faults for recordings: exchanged sides, jumps, frozen and missing frames, noise and the like.

For `tracking_faults.py` and the tests of the quality of a recording.

Example::
    spoiled = spoil(recording, "exchanged_bursts", severity=0.5, seed=1)

Every fault is a pure function of a recording, a severity and a seed. What a severity means is our choice: 0.1 is the
least that a careful reader of the video would notice, 1 is what no reader would overlook.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.recording import Recording
from infantjax.settings import require_one_of

_ARM = ("shoulder", "elbow", "wrist", "hand")
_LEG = ("hip", "knee", "ankle", "heel", "foot", "big_toe", "small_toe", "toe")
_END = ("wrist", "hand", "elbow")

Fault = Callable[[Recording, np.ndarray, float, np.random.Generator], np.ndarray | Recording]
"""From a recording, a copy of its points, a severity and random numbers to the points, or the recording, afterwards."""


def spoil(recording: Recording, fault: str, severity: float = 0.3, seed: int = 0) -> Recording:
    """A recording with a tracking fault.

    Args:
        recording: any keypoint set with mirror pairs of joints.
        fault: a name of `FAULTS`.
        severity: above 0, at most 1.
        seed: of the random places of the fault.

    Returns:
        A new recording; its history and metadata name the fault.

    Raises:
        ValueError: unknown fault, or a severity outside its range.
    """
    require_one_of("fault", fault, tuple(FAULTS))
    if not 0 < severity <= 1:
        raise ValueError(f"severity must be above 0 and at most 1, got {severity}")
    generator = np.random.default_rng(np.random.SeedSequence([seed, list(FAULTS).index(fault)]))
    changed = FAULTS[fault](recording, recording.keypoints.copy(), severity, generator)
    spoiled = changed if isinstance(changed, Recording) else replace(recording, keypoints=changed)
    metadata = recording.metadata.with_columns({"fault": fault, "severity": severity})
    return spoiled.with_step(f"spoiled: {fault}, severity {severity:g}, seed {seed}", metadata=metadata)


def _trunk(recording: Recording) -> float:
    """A length of the body to scale faults by: the median distance between shoulders and hips, or the extent."""
    joints = recording.skeleton.joints

    def middle(part: str) -> np.ndarray:
        return recording.keypoints[:, [joints.index(f"{side}_{part}") for side in ("right", "left")]].mean(axis=1)

    if {"right_shoulder", "left_shoulder", "right_hip", "left_hip"} <= set(joints):
        length = np.linalg.norm(middle("shoulder") - middle("hip"), axis=-1)
        if np.isfinite(length).any():
            return float(np.nanmedian(length))
    return float(np.nanstd(recording.keypoints))


def _joints(recording: Recording, parts: tuple[str, ...], sides: tuple[str, ...] = ("right", "left")) -> list[int]:
    names = {f"{side}_{part}" for side in sides for part in parts}
    return [i for i, joint in enumerate(recording.skeleton.joints) if joint in names]


def _run(recording: Recording, share: float, rng: np.random.Generator) -> np.ndarray:
    """`[time]` bool: one run that covers a share of the recording."""
    frames = recording.frames
    length = max(1, round(share * frames))
    start = int(rng.integers(0, frames - length + 1))
    chosen = np.zeros(frames, dtype=bool)
    chosen[start : start + length] = True
    return chosen


def _exchange(recording: Recording, frames: np.ndarray, joints: list[int] | None = None) -> Recording:
    """Left and right exchanged in some frames."""
    order = np.array(recording.skeleton.mirror)
    if joints is not None:
        order = np.where(np.isin(np.arange(len(order)), joints), order, np.arange(len(order)))
    points = recording.keypoints.copy()
    points[frames] = points[frames][:, order]
    confidence = None if recording.confidence is None else np.array(recording.confidence)
    if confidence is not None:
        confidence[frames] = confidence[frames][:, order]
    return replace(recording, keypoints=points, confidence=confidence)


def _exchanged(parts: tuple[str, ...] | None, long: bool = False) -> Fault:
    """Left and right of some parts, or of all, exchanged: in one run, or in 1 to 10 of every 50 frames."""

    def exchange(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> Recording:
        frames = _run(recording, 0.5 * severity, rng) if long else _bursts(recording, severity, rng)
        return _exchange(recording, frames, None if parts is None else _joints(recording, parts))

    return exchange


def _bursts(recording: Recording, severity: float, rng: np.random.Generator) -> np.ndarray:
    """`[time]` bool: 1 to 10 of every 50 frames."""
    length = max(1, round(10 * severity))
    return (np.arange(recording.frames) + int(rng.integers(50))) % 50 < length


def exchanged_pair(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> Recording:
    """One pair of joints exchanged in 10 x severity of every 50 frames."""
    pairs = [p for p in recording.skeleton.mirror_pairs if p[0].split("_", 1)[1] in _ARM + _LEG]
    pair = pairs[int(rng.integers(len(pairs)))]
    joints = [recording.skeleton.index(joint) for joint in pair]
    return _exchange(recording, _bursts(recording, severity, rng), joints)


def exchanged_throughout(
    recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator
) -> Recording:
    """Left and right named wrongly throughout, at every severity."""
    return _exchange(recording, np.ones(recording.frames, dtype=bool))


def mirrored(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A mirrored video, at every severity."""
    return points * ([-1.0] + [1.0] * (points.shape[2] - 1))


def jumps(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A wrist jumps away for single frames, 3 x severity a second, by 0.3 to 1.5 trunk lengths."""
    size = _trunk(recording)
    joint = rng.choice(_joints(recording, ("wrist", "hand", "ankle", "foot", "heel")))
    count = max(1, round(3 * severity * recording.duration))
    frames = rng.choice(recording.frames, min(count, recording.frames), replace=False)
    distances = size * rng.uniform(0.3, 1.5, (len(frames), 1))
    points[frames, joint] += distances * _directions(rng, len(frames), points.shape[2])
    return points


def zeros(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Points at the image's corner instead of missing, in a twentieth of the severity of all points."""
    points[rng.random(points.shape[:2]) < 0.05 * severity] = 0.0
    return points


def frozen_tail(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The video stands still from 1 - severity of the recording to its end."""
    start = round((1 - severity) * (recording.frames - 1))
    points[start:] = points[start]
    return points


def frozen_runs(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Runs of one second stand still, in a share of severity of the seconds."""
    length = max(2, round(recording.fps))
    for start in range(0, recording.frames, length):
        if rng.random() < severity:
            points[start : start + length] = points[start]
    return points


def frozen_limb(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One limb stands still relative to the image in a run of severity of the recording."""
    run = np.flatnonzero(_run(recording, severity, rng))
    limb = _joints(recording, (_ARM, _LEG)[int(rng.integers(2))][1:], ("right",))
    points[run[0] : run[-1] + 1, limb] = points[run[0], limb]
    return points


def repeated_frames(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Every frame shown twice to five times at the stated frame rate."""
    step = 2 + round(3 * severity)
    return points[np.arange(recording.frames) // step * step]


def missing_frames(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """A share of severity (at most all but two) of all frames is missing."""
    gone = rng.permutation(recording.frames)[: min(round(severity * recording.frames), recording.frames - 2)]
    points[gone] = np.nan
    return points


def missing_limb(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One limb is missing in a run of severity of the recording."""
    run = _run(recording, 0.98 * severity, rng)
    limb = _joints(recording, (_ARM, _LEG)[int(rng.integers(2))][1:], ("right",))
    points[np.ix_(run, np.array(limb))] = np.nan
    return points


def interpolated(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Only one of 2 + 28 x severity frames is tracked, the others are interpolated linearly."""
    points[np.arange(recording.frames) % (2 + round(28 * severity)) != 0] = np.nan
    return fill_gaps(points)


def noise(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Independent noise of a tenth of severity of the trunk's length on every point."""
    size = 0.1 * severity * _trunk(recording)
    return points + size * rng.standard_normal(points.shape)


def wander(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Slow wander (1 Hz) of severity x a quarter of the trunk's length on one limb's points."""
    limb = _joints(recording, _END, ("left",))
    width = max(3, round(recording.fps))
    window = np.hanning(width + 2)[1:-1]
    shift = rng.standard_normal((recording.frames + width - 1, len(limb) * points.shape[2]))
    shift = np.apply_along_axis(np.convolve, 0, shift, window / np.linalg.norm(window), "valid")
    points[:, limb] += 0.25 * severity * _trunk(recording) * shift.reshape(recording.frames, len(limb), -1)
    return points


def quantized(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Coordinates rounded to a grid of a fifth of severity of the trunk's length."""
    grid = 0.2 * severity * _trunk(recording)
    return np.rint(points / grid) * grid


def oversmoothed(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Moving average over 2 x severity seconds."""
    points = fill_gaps(points).reshape(recording.frames, -1)
    width = max(3, round(2 * severity * recording.fps)) // 2 * 2 + 1
    padded = np.pad(points, ((width // 2, width // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    return ((total[width:] - total[:-width]) / width).reshape(recording.keypoints.shape)


def stated_too_fast(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> Recording:
    """A frame rate of 1 + 3 x severity times the true one is stated."""
    return replace(recording, fps=recording.fps * (1 + 3 * severity))


def stated_too_slow(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> Recording:
    """The true frame rate over 1 + 5 x severity is stated."""
    return replace(recording, fps=recording.fps / (1 + 5 * severity))


def dropped_frames(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> Recording:
    """Half the severity of all frames dropped at the stated frame rate."""
    kept = rng.random(recording.frames) >= 0.5 * severity
    kept[:2] = True
    confidence = None if recording.confidence is None else recording.confidence[kept]
    return replace(recording, keypoints=points[kept], confidence=confidence)


def both_on_one(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One leg tracked on the other in a run of severity of the recording."""
    run = _run(recording, severity, rng)
    noise = 0.003 * _trunk(recording)
    for joint in _joints(recording, _LEG[1:], ("right",)):
        copied = points[run, recording.skeleton.mirror[joint]]
        points[run, joint] = copied + noise * rng.standard_normal(copied.shape)
    return points


def other_person(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Another, larger person beside the infant is tracked in runs of a second, in half the severity of the time."""
    size, length = _trunk(recording), max(2, round(recording.fps))
    middle = np.nanmean(points, axis=(0, 1))
    for start in range(0, recording.frames, length):
        if rng.random() < 0.5 * severity:
            stop = start + length
            points[start:stop] = middle + 1.6 * (points[start:stop] - middle) + 1.5 * size
    return points


def offset(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """One joint lies beside its place by half the severity of the trunk's length throughout."""
    joint = rng.choice(_joints(recording, ("elbow", "wrist", "knee", "ankle", "hip", "hand", "foot", "heel")))
    points[:, joint] += 0.5 * severity * _trunk(recording) * _directions(rng, 1, points.shape[2])
    return points


def shuffled(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Chunks of 3 - 2 x severity seconds in random order."""
    length = max(2, round((3 - 2 * severity) * recording.fps))
    chunks = np.split(np.arange(recording.frames), range(length, recording.frames, length))
    return points[np.concatenate([chunks[i] for i in rng.permutation(len(chunks))])]


def reversed_time(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Time runs backwards, at every severity."""
    return points[::-1]


def stretched(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Width and height in different units: x is 1 + severity times too wide."""
    return points * ([1.0 + severity] + [1.0] * (points.shape[2] - 1))


def delayed_limbs(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The points of arms and legs lag behind the trunk by severity x half a second."""
    lag = max(1, round(0.5 * severity * recording.fps))
    limbs = _joints(recording, _ARM[1:] + _LEG[1:])
    points[lag:, limbs] = recording.keypoints[:-lag, limbs] if lag < recording.frames else points[lag:, limbs]
    return points


def rotated(recording: Recording, points: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """The image turned by 90 x severity degrees (harmless where the method rotates)."""
    turn = np.pi / 2 * severity
    matrix = np.eye(points.shape[2])
    matrix[:2, :2] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    return points @ matrix


def _directions(rng: np.random.Generator, count: int, axes: int) -> np.ndarray:
    """`[count, axes]` random unit vectors."""
    vectors = rng.standard_normal((count, axes))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


FAULTS: dict[str, Fault] = {
    "exchanged_bursts": _exchanged(None),
    "exchanged_arms": _exchanged(_ARM),
    "exchanged_legs": _exchanged(_LEG),
    "exchanged_pair": exchanged_pair,
    "exchanged_long": _exchanged(None, long=True),
    "exchanged_legs_long": _exchanged(_LEG, long=True),
} | {
    fault.__name__: fault
    for fault in (
        exchanged_throughout,
        mirrored,
        jumps,
        zeros,
        frozen_tail,
        frozen_runs,
        frozen_limb,
        repeated_frames,
        missing_frames,
        missing_limb,
        interpolated,
        noise,
        wander,
        quantized,
        oversmoothed,
        stated_too_fast,
        stated_too_slow,
        dropped_frames,
        both_on_one,
        other_person,
        offset,
        shuffled,
        reversed_time,
        stretched,
        delayed_limbs,
        rotated,
    )
}
"""All kinds of faults by name; their order is part of the seed."""
