"""Tracking faults for recordings: exchanged sides, jumps, frozen and missing frames, noise and the like.

Example::
    spoiled = spoil(recording, "exchanged_bursts", severity=0.5, seed=1)

Every fault is a pure function of a recording, a severity and a seed. What a severity means is our choice: 0.1 is the
least that a careful reader of the video would notice, 1 is what no reader would overlook.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.recording import Recording

SEVERITIES = (0.1, 0.3, 1.0)
"""Severities that the experiments use."""

_ARM = ("shoulder", "elbow", "wrist", "hand")
_LEG = ("hip", "knee", "ankle", "heel", "foot", "big_toe", "small_toe", "toe")
_END = ("wrist", "hand", "elbow")

Apply = Callable[[Recording, float, np.random.Generator], Recording]


@dataclass(frozen=True)
class TrackingFault:
    """A kind of tracking fault.

    Attributes:
        name: key of `FAULTS`.
        text: what happens, and how the severity scales it.
        apply: the function `(recording, severity, generator) -> recording`.
    """

    name: str
    text: str
    apply: Apply


FAULTS: dict[str, TrackingFault] = {}
"""All kinds of faults by name."""


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
    require_fault(fault, severity)
    generator = np.random.default_rng(np.random.SeedSequence([seed, list(FAULTS).index(fault)]))
    spoiled = FAULTS[fault].apply(recording, severity, generator)
    metadata = {**recording.metadata, "fault": fault, "severity": severity}
    return spoiled.with_step(f"spoiled: {fault}, severity {severity:g}, seed {seed}", metadata=metadata)


def require_fault(fault: str, severity: float) -> None:
    """Check the name and the severity of a fault.

    Raises:
        ValueError: unknown fault, or a severity outside its range.
    """
    if fault not in FAULTS:
        raise ValueError(f'unknown fault "{fault}"; known: {", ".join(FAULTS)}')
    if not 0 < severity <= 1:
        raise ValueError(f"severity must be above 0 and at most 1, got {severity}")


def _fault(text: str) -> Callable[[Apply], Apply]:
    def register(function: Apply) -> Apply:
        name = function.__name__
        FAULTS[name] = TrackingFault(name, text, function)
        return function

    return register


def _with(recording: Recording, keypoints: np.ndarray, **changes: Any) -> Recording:
    return replace(recording, keypoints=keypoints, **changes)


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
        order = np.array([m if j in joints else j for j, m in enumerate(order)])
    points = recording.keypoints.copy()
    points[frames] = points[frames][:, order]
    confidence = None if recording.confidence is None else np.array(recording.confidence)
    if confidence is not None:
        confidence[frames] = confidence[frames][:, order]
    return _with(recording, points, confidence=confidence)


def _bursts(recording: Recording, severity: float, rng: np.random.Generator) -> np.ndarray:
    """`[time]` bool: 1 to 10 of every 50 frames."""
    length = max(1, round(10 * severity))
    return (np.arange(recording.frames) + int(rng.integers(50))) % 50 < length


@_fault("left and right exchanged in 10 x severity of every 50 frames")
def exchanged_bursts(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, _bursts(recording, severity, rng))


@_fault("left and right arm exchanged in 10 x severity of every 50 frames")
def exchanged_arms(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, _bursts(recording, severity, rng), _joints(recording, _ARM))


@_fault("left and right leg exchanged in 10 x severity of every 50 frames")
def exchanged_legs(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, _bursts(recording, severity, rng), _joints(recording, _LEG))


@_fault("one pair of joints exchanged in 10 x severity of every 50 frames")
def exchanged_pair(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    pairs = [p for p in recording.skeleton.mirror_pairs if p[0].split("_", 1)[1] in _ARM + _LEG]
    pair = pairs[int(rng.integers(len(pairs)))]
    joints = [recording.skeleton.index(joint) for joint in pair]
    return _exchange(recording, _bursts(recording, severity, rng), joints)


@_fault("left and right exchanged in one run of half the severity of the recording")
def exchanged_long(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, _run(recording, 0.5 * severity, rng))


@_fault("left and right leg exchanged in one run of half the severity of the recording")
def exchanged_legs_long(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, _run(recording, 0.5 * severity, rng), _joints(recording, _LEG))


@_fault("left and right named wrongly throughout, at every severity")
def exchanged_throughout(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _exchange(recording, np.ones(recording.frames, dtype=bool))


@_fault("a mirrored video, at every severity")
def mirrored(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _with(recording, recording.keypoints * ([-1.0] + [1.0] * (recording.keypoints.shape[2] - 1)))


@_fault("a wrist jumps away for single frames, 3 x severity a second, by 0.3 to 1.5 trunk lengths")
def jumps(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, size = recording.keypoints.copy(), _trunk(recording)
    joint = rng.choice(_joints(recording, ("wrist", "hand", "ankle", "foot", "heel")))
    count = max(1, round(3 * severity * recording.duration))
    frames = rng.choice(recording.frames, min(count, recording.frames), replace=False)
    distances = size * rng.uniform(0.3, 1.5, (len(frames), 1))
    points[frames, joint] += distances * _directions(rng, len(frames), points.shape[2])
    return _with(recording, points)


@_fault("points at the image's corner instead of missing, in a twentieth of the severity of all points")
def zeros(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    points[rng.random(points.shape[:2]) < 0.05 * severity] = 0.0
    return _with(recording, points)


@_fault("the video stands still from 1 - severity of the recording to its end")
def frozen_tail(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    start = round((1 - severity) * (recording.frames - 1))
    points[start:] = points[start]
    return _with(recording, points)


@_fault("runs of one second stand still, in a share of severity of the seconds")
def frozen_runs(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, length = recording.keypoints.copy(), max(2, round(recording.fps))
    for start in range(0, recording.frames, length):
        if rng.random() < severity:
            points[start : start + length] = points[start]
    return _with(recording, points)


@_fault("one limb stands still relative to the image in a run of severity of the recording")
def frozen_limb(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, run = recording.keypoints.copy(), np.flatnonzero(_run(recording, severity, rng))
    limb = _joints(recording, (_ARM, _LEG)[int(rng.integers(2))][1:], ("right",))
    points[run[0] : run[-1] + 1, limb] = points[run[0], limb]
    return _with(recording, points)


@_fault("every frame shown twice to five times at the stated frame rate")
def repeated_frames(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    step = 2 + round(3 * severity)
    return _with(recording, recording.keypoints[np.arange(recording.frames) // step * step])


@_fault("a share of severity (at most all but two) of all frames is missing")
def missing_frames(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    gone = rng.permutation(recording.frames)[: min(round(severity * recording.frames), recording.frames - 2)]
    points[gone] = np.nan
    return _with(recording, points)


@_fault("one limb is missing in a run of severity of the recording")
def missing_limb(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, run = recording.keypoints.copy(), _run(recording, 0.98 * severity, rng)
    limb = _joints(recording, (_ARM, _LEG)[int(rng.integers(2))][1:], ("right",))
    points[np.ix_(run, np.array(limb))] = np.nan
    return _with(recording, points)


@_fault("only one of 2 + 28 x severity frames is tracked, the others are interpolated linearly")
def interpolated(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    points[np.arange(recording.frames) % (2 + round(28 * severity)) != 0] = np.nan
    return _with(recording, fill_gaps(points))


@_fault("independent noise of a tenth of severity of the trunk's length on every point")
def noise(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    size = 0.1 * severity * _trunk(recording)
    return _with(recording, recording.keypoints + size * rng.standard_normal(recording.keypoints.shape))


@_fault("slow wander (1 Hz) of severity x a quarter of the trunk's length on one limb's points")
def wander(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    limb = _joints(recording, _END, ("left",))
    width = max(3, round(recording.fps))
    window = np.hanning(width + 2)[1:-1]
    shift = rng.standard_normal((recording.frames + width - 1, len(limb) * points.shape[2]))
    shift = np.apply_along_axis(np.convolve, 0, shift, window / np.linalg.norm(window), "valid")
    points[:, limb] += 0.25 * severity * _trunk(recording) * shift.reshape(recording.frames, len(limb), -1)
    return _with(recording, points)


@_fault("coordinates rounded to a grid of a fifth of severity of the trunk's length")
def quantized(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    grid = 0.2 * severity * _trunk(recording)
    return _with(recording, np.rint(recording.keypoints / grid) * grid)


@_fault("moving average over 2 x severity seconds")
def oversmoothed(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = fill_gaps(recording.keypoints).reshape(recording.frames, -1)
    width = max(3, round(2 * severity * recording.fps)) // 2 * 2 + 1
    padded = np.pad(points, ((width // 2, width // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    return _with(recording, ((total[width:] - total[:-width]) / width).reshape(recording.keypoints.shape))


@_fault("a frame rate of 1 + 3 x severity times the true one is stated")
def stated_too_fast(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return replace(recording, fps=recording.fps * (1 + 3 * severity))


@_fault("the true frame rate over 1 + 5 x severity is stated")
def stated_too_slow(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return replace(recording, fps=recording.fps / (1 + 5 * severity))


@_fault("half the severity of all frames dropped at the stated frame rate")
def dropped_frames(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    kept = rng.random(recording.frames) >= 0.5 * severity
    kept[:2] = True
    confidence = None if recording.confidence is None else recording.confidence[kept]
    return _with(recording, recording.keypoints[kept], confidence=confidence)


@_fault("one leg tracked on the other in a run of severity of the recording")
def both_on_one(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, run = recording.keypoints.copy(), _run(recording, severity, rng)
    noise = 0.003 * _trunk(recording)
    for joint in _joints(recording, _LEG[1:], ("right",)):
        copied = points[run, recording.skeleton.mirror[joint]]
        points[run, joint] = copied + noise * rng.standard_normal(copied.shape)
    return _with(recording, points)


@_fault("another, larger person beside the infant is tracked in runs of a second, in half the severity of the time")
def other_person(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, size, length = recording.keypoints.copy(), _trunk(recording), max(2, round(recording.fps))
    middle = np.nanmean(points, axis=(0, 1))
    for start in range(0, recording.frames, length):
        if rng.random() < 0.5 * severity:
            stop = start + length
            points[start:stop] = middle + 1.6 * (points[start:stop] - middle) + 1.5 * size
    return _with(recording, points)


@_fault("one joint lies beside its place by half the severity of the trunk's length throughout")
def offset(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points = recording.keypoints.copy()
    joint = rng.choice(_joints(recording, ("elbow", "wrist", "knee", "ankle", "hip", "hand", "foot", "heel")))
    points[:, joint] += 0.5 * severity * _trunk(recording) * _directions(rng, 1, points.shape[2])
    return _with(recording, points)


@_fault("chunks of 3 - 2 x severity seconds in random order")
def shuffled(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    length = max(2, round((3 - 2 * severity) * recording.fps))
    chunks = np.split(np.arange(recording.frames), range(length, recording.frames, length))
    return _with(recording, recording.keypoints[np.concatenate([chunks[i] for i in rng.permutation(len(chunks))])])


@_fault("time runs backwards, at every severity")
def reversed_time(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _with(recording, recording.keypoints[::-1])


@_fault("width and height in different units: x is 1 + severity times too wide")
def stretched(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    return _with(recording, recording.keypoints * ([1.0 + severity] + [1.0] * (recording.keypoints.shape[2] - 1)))


@_fault("the points of arms and legs lag behind the trunk by severity x half a second")
def delayed_limbs(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    points, lag = recording.keypoints.copy(), max(1, round(0.5 * severity * recording.fps))
    limbs = _joints(recording, _ARM[1:] + _LEG[1:])
    points[lag:, limbs] = recording.keypoints[:-lag, limbs] if lag < recording.frames else points[lag:, limbs]
    return _with(recording, points)


@_fault("the image turned by 90 x severity degrees (harmless where the method rotates)")
def rotated(recording: Recording, severity: float, rng: np.random.Generator) -> Recording:  # noqa: D103
    turn = np.pi / 2 * severity
    matrix = np.eye(recording.keypoints.shape[2])
    matrix[:2, :2] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    return _with(recording, recording.keypoints @ matrix)


def _directions(rng: np.random.Generator, count: int, axes: int) -> np.ndarray:
    """`[count, axes]` random unit vectors."""
    vectors = rng.standard_normal((count, axes))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
