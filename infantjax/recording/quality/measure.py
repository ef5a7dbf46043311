"""`measure_quality`: the measures of tracking quality put together."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from infantjax.recording.quality import shape
from infantjax.recording.quality.body import PARENTS, Body
from infantjax.recording.quality.limits import DEFAULT_LIMITS as LIMITS
from infantjax.recording.quality.moments import Moments, distance
from infantjax.recording.quality.motion import Motion
from infantjax.recording.quality.result import Fault, Measure, Quality
from infantjax.recording.quality.sides import exchanged
from infantjax.recording.recording import Recording, find_fps_notes

MAX_SECONDS = 48 * 3600.0
"""Longest recording that is measured: beyond it the frame rate is wrong, and the measures would fill the memory."""


def measure_quality(recording: Recording, reference: Moments | None = None) -> Quality:
    """Tracking quality of a recording as it was read, before interpolation.

    Args:
        recording: any keypoint set, two or three dimensions, NaN where a point is missing.
        reference: moments of the recordings that the networks were trained on; None leaves out the distance from them.

    Returns:
        The measures. No recording is refused: where a measure is not defined, its values are NaN.
    """
    if recording.missing.all():
        return _refused(recording, "has no point in any frame")
    if recording.duration > MAX_SECONDS:
        return _refused(recording, f"lasts {recording.duration / 3600:.0f} hours: the frame rate is wrong")
    body = Body(recording)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # means of nothing are NaN, as wanted
        motion = Motion(body)
        states = exchanged(body).found
        measures = _measures(body, motion, states)
        usable = ~np.any([m.failed for m in measures], axis=0)
        summary = _summary(body, motion, measures, usable)
        reasons, doubts = _verdict(summary, usable, states)
        doubts += tuple(find_fps_notes(recording))
        if reference is not None:
            far = distance(recording, reference, motion)
            summary["distance"] = max(map(abs, far.values()), default=math.nan)
            doubts += _far(far)
            if absent := [name for name in reference.mean if name.startswith("speed") and name not in far]:
                high = absent[-1].rsplit("_", 1)[1]
                doubts += (f"movement up to {high} Hz, which the networks were trained on, cannot be compared",)
    faults = _faults(measures, body, motion, states)
    return Quality(measures, usable, faults, summary, not reasons, reasons, doubts)


def _refused(recording: Recording, reason: str) -> Quality:
    """The quality of a recording that nothing can be measured of."""
    summary = {"fps": float(recording.fps), "seconds": float(recording.duration), "usable": 0.0, "missing": 1.0}
    if recording.missing.size:
        summary["missing"] = float(recording.missing.mean())
    return Quality((), np.zeros(0, dtype=bool), (), summary, False, (reason,))


def _measures(body: Body, motion: Motion, states: dict[str, np.ndarray]) -> tuple[Measure, ...]:
    """The measures of every second; one that the keypoint set does not define has NaN."""
    limb_states = [state for part, state in states.items() if part in PARENTS]
    sides = np.any(limb_states, axis=0) if limb_states else np.full(body.recording.frames, np.nan)
    block = max(8, round(body.recording.fps))
    noise = np.full(body.seconds, np.nan)
    if len(motion.points) > 3 and body.seconds:
        blocks = motion.noise(block)
        noise = blocks[np.minimum(np.arange(body.seconds), len(blocks) - 1)]
    values = {
        "exchanged_sides": body.share(sides),
        "jumps": body.peak(motion.jumps.max(axis=1)),
        "cuts": body.peak(motion.cuts),
        "speed": body.peak(motion.speed),
        "limb_lengths": body.peak(shape.excess_length(body)),
        "trunk": body.peak(shape.trunk_change(body)),
        "impossible_body": body.share(shape.limbs_on_each_other(body, LIMITS.together)),
        "missing": body.share(motion.missing[:, body.tracked].mean(axis=1)),
        "gaps": body.share(np.asarray(motion.gaps.any(axis=1))),
        "interpolated": body.share(motion.straight.mean(axis=1)),
        "frozen": body.share(motion.repeated),
        "stuck": np.max([body.share(column) for column in motion.stuck.T], axis=0),
        "noise": noise,
        "movement": _spread(body, motion),
    }
    jumps = LIMITS.jump_at(body.recording.fps)
    limits = asdict(LIMITS) | {"exchanged_sides": LIMITS.exchanged, "jumps": jumps, "cuts": LIMITS.cut, "stuck": 0.5}
    return tuple(Measure(name, _LABELS[name], each, limits.get(name, math.nan)) for name, each in values.items())


def _spread(body: Body, motion: Motion) -> np.ndarray:
    """`[second]` root mean square distance of the ends of the limbs from their mean within the second."""
    total = np.zeros(body.seconds)
    for series in motion.points[:, motion.ends].reshape(body.recording.frames, -1).T:
        total += np.maximum(body.share(series**2) - body.share(series) ** 2, 0)
    return np.sqrt(total / max(len(motion.ends), 1))


def _summary(body: Body, motion: Motion, measures: tuple[Measure, ...], usable: np.ndarray) -> dict[str, float]:
    """Figures of the whole recording."""
    known = {m.name: m.values[np.isfinite(m.values)] for m in measures}
    shares = ("exchanged_sides", "missing", "interpolated", "frozen", "stuck", "impossible_body")
    jumps = (motion.jumps > LIMITS.jump_at(motion.fps)).any(axis=1).sum()
    return {
        "fps": float(body.recording.fps),
        "seconds": float(body.recording.duration),
        "usable": float(usable.mean()) if usable.size else 0.0,
        "windows": _windows(usable, LIMITS.window),
        **{name: float(known[name].mean()) if known[name].size else math.nan for name in shares},
        "jumps_per_minute": float(jumps / max(body.recording.duration, 1e-9) * 60),
        **{n: float(np.median(known[n])) if known[n].size else math.nan for n in ("noise", "movement")},
        "bandwidth": motion.bandwidth,
        "asymmetry": shape.asymmetry(body),
        "longest_bone": shape.longest_bone(body),
        "grid": body.step,
        "trunk": body.unit,
    }


def _verdict(
    summary: dict[str, float], usable: np.ndarray, states: dict[str, np.ndarray]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Why the recording is not assessable, and why an answer about it would not be certain."""
    reasons, doubts = [], []
    if summary["fps"] < LIMITS.min_fps:
        reasons.append(f"the frame rate of {summary['fps']:.3g} Hz is below {LIMITS.min_fps:g} Hz")
    roots = [states[part].mean() for part in ("shoulder", "hip") if part in states and states[part].size]
    if roots and min(roots) > 0.9:
        reasons.append("left and right are exchanged throughout, or the video is mirrored")
    if not summary["movement"] >= LIMITS.min_movement:
        reasons.append("practically nothing moves")
    if not summary["bandwidth"] >= LIMITS.min_bandwidth:
        reasons.append("the movement has no fast parts: it was smoothed, or the frame rate is wrong")
    if summary["longest_bone"] > LIMITS.longest_bone:
        reasons.append("a bone is longer than the trunk")
    if summary["usable"] < LIMITS.min_share:
        reasons.append(f"only {usable.sum()} of {len(usable)} seconds are usable")
    elif summary["windows"] == 0:
        reasons.append(f"no {LIMITS.window:g} usable seconds follow each other")
    elif summary["windows"] < LIMITS.certain_share:
        doubts.append(f"tracking faults leave only {summary['windows']:.0%} of the windows of {LIMITS.window:g} s")
    if LIMITS.min_bandwidth <= summary["bandwidth"] < LIMITS.doubtful_bandwidth:
        doubts.append("the movement has few fast parts: the infant is quiet, or the points were smoothed")
    if summary["noise"] > LIMITS.doubtful_noise:
        doubts.append(f"the points are noisy: {summary['noise']:.3f} trunk lengths")
    if summary["asymmetry"] > LIMITS.asymmetry:
        doubts.append(f"a bone is {summary['asymmetry']:.2f} times as long on one side as on the other")
    if summary["grid"] > LIMITS.grid:
        doubts.append(f"coordinates are rounded to {summary['grid']:.3f} trunk lengths")
    return tuple(reasons), tuple(doubts)


def _far(far: Mapping[str, float]) -> tuple[str, ...]:
    """Measures that lie far from the recordings that the networks were trained on."""
    if not far:
        return ("nothing can be compared with the recordings that the networks were trained on",)
    name = max(far, key=lambda key: abs(far[key]))
    if abs(far[name]) <= LIMITS.distance:
        return ()
    kind, *words = name.split("_")
    if kind in ("speed", "slope"):
        limb, low, high = words
        what = f"the {limb} movement from {low} to {high} Hz" + (" against slower one" if kind == "slope" else "")
    else:
        what = f"the {kind} of {' to '.join(words)}" if words else "the share of missing points"
    side = "above" if far[name] > 0 else "below"
    return (f"{what} is {abs(far[name]):.1f} spreads {side} that of the recordings that the networks were trained on",)


def _windows(usable: np.ndarray, window: float) -> float:
    """Share of the runs of so many seconds that are usable throughout; a shorter recording is one run."""
    length = min(math.ceil(window), len(usable))
    if not length:
        return 0.0
    return float((np.convolve(usable, np.ones(length), "valid") > length - 0.5).mean())


_LABELS = {
    "exchanged_sides": "frames with left and right exchanged (share)",
    "jumps": "largest jump of a point (trunk lengths)",
    "cuts": "largest jump of the whole body (trunk lengths)",
    "speed": "largest speed of a point (trunk lengths per second)",
    "limb_lengths": "longest bone relative to its common length",
    "trunk": "change of the trunk's length (ratio)",
    "impossible_body": "frames with both arms or both legs in one place (share)",
    "missing": "missing points (share)",
    "gaps": "frames in which a joint of arms and legs is missing for long (share)",
    "interpolated": "points on straight lines in time (share)",
    "frozen": "frames that repeat the frame before (share)",
    "stuck": "frames with a hand or foot exactly in place for long (share)",
    "noise": "error of the points from frame to frame (trunk lengths)",
    "movement": "spread of hands and feet within a second (trunk lengths)",
}
_TEXTS = {
    "exchanged_sides": "left and right are exchanged",
    "jumps": "a point jumps away and back",
    "cuts": "the whole body jumps: a cut, or another person",
    "speed": "a point moves faster than an infant can",
    "limb_lengths": "a limb is longer than it can be",
    "trunk": "the trunk changes its length: another person, or wrong points",
    "impossible_body": "both arms or both legs lie on each other: one limb is tracked twice",
    "missing": "many points are missing",
    "gaps": "a joint of a limb is missing for long",
    "interpolated": "points were interpolated",
    "frozen": "frames are repeated: the picture stands still, or the frame rate is too high",
    "stuck": "a hand or foot stays exactly in place",
    "noise": "the points are noisy",
}


def _faults(
    measures: tuple[Measure, ...], body: Body, motion: Motion, states: dict[str, np.ndarray]
) -> tuple[Fault, ...]:
    """Runs of failed seconds as faults, by time."""
    faults = []
    for measure in measures:
        edges = np.flatnonzero(np.diff(measure.failed.astype(np.int8), prepend=0, append=0))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist()):
            frames = (body.second >= start) & (body.second < stop)
            joints = _joints(measure.name, frames, body, motion, states)
            end = min(float(stop), body.recording.duration)
            faults.append(Fault(measure.name, _TEXTS[measure.name], float(start), end, joints))
    return tuple(sorted(faults, key=lambda fault: (fault.start, fault.kind)))


def _joints(
    kind: str, frames: np.ndarray, body: Body, motion: Motion, states: dict[str, np.ndarray]
) -> tuple[str, ...]:
    """The joints that a fault concerns, where the measure knows them."""
    if kind == "exchanged_sides":
        return tuple(body.joints[j] for part, state in states.items() if state[frames].any() for j in body.parts[part])
    if kind == "jumps":
        chosen = np.flatnonzero((motion.jumps[frames] > LIMITS.jump_at(motion.fps)).any(axis=0)).tolist()
    elif kind == "gaps":
        chosen = [j for j, gap in zip(motion.limb, motion.gaps[frames].any(axis=0)) if gap]
    elif kind == "stuck":
        chosen = [j for j, stuck in zip(motion.ends, motion.stuck[frames].mean(axis=0)) if stuck > 0.5]
    else:
        return ()
    return tuple(body.joints[j] for j in chosen)
