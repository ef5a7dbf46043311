"""Standardization: from pixels of any camera to positions that are comparable between infants.

There are two published presets; each step can be set on its own:

| step | `REFERENCE` (reference implementation) | `PAPER` (article and supplement) |
| --- | --- | --- |
| frame rate | linear interpolation to 30 Hz | 30 Hz; linear interpolation is our choice |
| smoothing | `butterworth`, order 8 at half of half the frame rate | `median5`; repeated edge values are our choice |
| y axis | upwards | not stated; upwards is our choice |
| center | `trunk_frame`: trunk midpoint of each frame | `pelvis_sequence`: median pelvis over the recording |
| rotation | `frame`: each frame's trunk upright | `window_first`: by each window's first frame (`align_windows`) |
| scale | 4 median trunk lengths are 1 | 2 median trunk lengths are 1 |

With `REFERENCE` the trunk stands upright at the origin in every frame, from (0, -1/8) to (0, 1/8) on average; with
`PAPER` the trunk's movement within a window is kept and lengths are twice as large.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FPS
from infantjax.recording import cleaning
from infantjax.recording.recording import Recording
from infantjax.settings import NonNegative, Positive, Range, check_fields

WINDOW = 150
"""Frames of a window: 5 s at 30 Hz."""

Rotation = Literal["frame", "window_first", "none"]
Smoothing = Literal["none", "butterworth", "median5"]
Centering = Literal["trunk_frame", "pelvis_sequence"]

FARTHEST = 1e6
"""A standardized coordinate beyond this is refused: it is a marker for a missing point, or damage."""
LARGEST = 1e100
"""A raw coordinate beyond this is refused: its square would overflow."""


@dataclass(frozen=True)
class Preprocessing:
    """Settings of standardization and windows; the defaults are those of `REFERENCE`.

    Attributes:
        fps: frame rate to interpolate to, hertz.
        smoothing: low-pass filter over time.
        centering: origin: the middle of the trunk in each frame, or the median pelvis.
        rotation: make the trunk upright in each frame, or by the first frame of each window.
        scale: median trunk lengths that become 1; 4 in the reference implementation, 2 in the paper.
        flip_y: whether to let y point upwards.
        max_gap: seconds; longer gaps are interpolated too, with a note.
        min_confidence: points of lower confidence are missing; 0 keeps all.
        window: frames of a window; 150 (5 s) as published. Windows overlap by half.

    Raises:
        ValueError: a value that is not allowed; the message names the allowed ones.
    """

    fps: Annotated[float, Range(above=0, at_most=MAX_FPS)] = 30.0
    smoothing: Smoothing = "butterworth"
    centering: Centering = "trunk_frame"
    rotation: Rotation = "frame"
    scale: Positive = 4.0
    flip_y: bool = True
    max_gap: NonNegative = 1.0
    min_confidence: NonNegative = 0.0
    window: Annotated[int, Range(2)] = WINDOW

    def __post_init__(self) -> None:
        check_fields(self)


REFERENCE = Preprocessing()
"""The defaults of the reference implementation, which published weights expect. Its reference scores are reproduced
with the Butterworth filter, and not without it or with the median."""

PAPER = Preprocessing(smoothing="median5", centering="pelvis_sequence", rotation="window_first", scale=2.0)
"""The preprocessing that Groos et al., Paper III and its supplement, describe."""

PRESETS: dict[str, Preprocessing] = {"reference": REFERENCE, "paper": PAPER}
"""The published preprocessings by name."""


def standardize(recording: Recording, preprocessing: Preprocessing = REFERENCE) -> Recording:
    """Fill gaps, resample, smooth, flip, center, rotate and scale a recording, in this order.

    Runs on the host, in float64, for any skeleton with a trunk. A frame whose trunk has length zero (as when a tracker
    writes zeros) has no direction: it counts as missing and is interpolated; the reference implementation gives NaN.

    Args:
        recording: two-dimensional keypoints, image coordinates; NaN is missing.
        preprocessing: the settings.

    Returns:
        A new recording at `preprocessing.fps`. Only joints that were never seen are NaN, in all frames. The history
        names each step; notes state the share of interpolated frames and the joints that were never seen. Confidence is
        resampled with the keypoints.

    Raises:
        InputError: an end of the trunk is never seen, the trunk never has a length, the recording is too short for
            its filter, or a coordinate is absurdly far away.
        ValueError: keypoints with three coordinates, or a skeleton without trunk.

    Source: Groos et al., Paper III with supplement; reference implementation of movement outcome.
    """
    if recording.keypoints.shape[-1] != 2:
        raise ValueError(
            "standardization is defined for two coordinates, got three; project the keypoints onto the camera's plane"
            " first, for example keypoints[..., :2]"
        )
    _refuse_far(recording.keypoints, LARGEST, recording)
    recording = _resampled(_filled(recording, preprocessing), preprocessing)
    return _placed(_smoothed(recording, preprocessing), preprocessing)


def _filled(recording: Recording, preprocessing: Preprocessing) -> Recording:
    """Fill gaps of all joints that are seen at least once, and note how much was filled."""
    upper, lower = recording.skeleton.trunk_indices
    joints = recording.skeleton.joints
    keypoints = np.array(recording.keypoints)
    if recording.confidence is not None and preprocessing.min_confidence > 0:
        keypoints[~(np.asarray(recording.confidence) >= preprocessing.min_confidence)] = np.nan
    for joint in (upper, lower):
        if np.isnan(keypoints[:, joint]).any(axis=-1).all():
            raise InputError(
                recording.name,
                f'joint "{joints[joint]}" is never seen',
                "both ends of the trunk are needed to center and scale the movement",
            )
    collapsed = (keypoints[:, upper] == keypoints[:, lower]).all(axis=-1)
    keypoints[collapsed] = np.nan
    missing = np.isnan(keypoints).any(axis=-1)
    if missing[:, upper].all() or missing[:, lower].all():
        raise InputError(
            recording.name,
            f'"{joints[upper]}" and "{joints[lower]}" are never apart',
            "a trunk of length zero has neither direction nor scale; check the columns of the file",
        )
    never = missing.all(axis=0)
    notes = list(recording.notes)
    if never.any():
        notes.append("never seen: " + ", ".join(j for j, absent in zip(joints, never) if absent))
    if not (missing & ~never).any():
        return replace(recording, keypoints=keypoints, notes=tuple(notes))
    share, points = (missing & ~never).any(axis=1).mean(), missing[:, ~never].mean()
    frames, joint = cleaning.longest_gap(missing)
    gap = frames / recording.fps
    note = f"{_percent(share)} of the frames had missing points ({_percent(points)} of all points), now interpolated"
    if collapsed.any():
        note += f"; in {_percent(collapsed.mean())} of the frames the trunk had length zero: they count as missing"
    if gap > preprocessing.max_gap:
        note += f"; the longest gap ({joints[joint]}, {gap:.1f} s) exceeds {preprocessing.max_gap:g} s"
    return recording.with_step(
        "missing points interpolated (linear, nearest at the ends)",
        keypoints=cleaning.fill_gaps(keypoints),
        notes=(*notes, note),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _resampled(recording: Recording, preprocessing: Preprocessing) -> Recording:
    fps, new_fps = recording.fps, float(preprocessing.fps)
    if fps == new_fps:
        return recording
    confidence = recording.confidence
    return recording.with_step(
        f"resampled from {fps:g} to {new_fps:g} Hz (linear)",
        keypoints=cleaning.resample(recording.keypoints, fps, new_fps),
        confidence=None if confidence is None else cleaning.resample(np.asarray(confidence), fps, new_fps),
        fps=new_fps,
    )


def _smoothed(recording: Recording, preprocessing: Preprocessing) -> Recording:
    if preprocessing.smoothing == "none":
        return recording
    if preprocessing.smoothing == "median5":
        return recording.with_step("median over 5 frames", keypoints=cleaning.median_filter(recording.keypoints))
    try:
        keypoints = cleaning.butterworth(recording.keypoints)
    except ValueError as error:
        raise InputError(recording.name, str(error), "use a longer recording") from None
    return recording.with_step(
        f"Butterworth low-pass, order 8, {recording.fps / 4:g} Hz, forwards and backwards", keypoints=keypoints
    )


def _placed(recording: Recording, preprocessing: Preprocessing) -> Recording:
    """Flip, center, rotate, scale."""
    upper, lower = recording.skeleton.trunk_indices
    keypoints = np.array(recording.keypoints)
    steps: list[str] = []
    # Filters and interpolation can give a trunk length zero (medians of whole pixels).
    collapsed = (keypoints[:, upper] == keypoints[:, lower]).all(axis=-1)
    if collapsed.all():
        raise InputError(recording.name, "the trunk has length zero after smoothing", "check the columns of the file")
    if collapsed.any():
        keypoints[collapsed] = np.nan
        keypoints = cleaning.fill_gaps(keypoints)
        steps.append(f"{collapsed.sum()} frames whose trunk vanished in smoothing interpolated")
    if preprocessing.flip_y:
        keypoints[..., 1] *= -1
        steps.append("y turned upwards")
    if preprocessing.centering == "trunk_frame":
        keypoints -= (keypoints[:, [upper]] + keypoints[:, [lower]]) / 2
        steps.append("centered on the trunk of each frame")
    else:
        keypoints -= np.median(keypoints[:, lower], axis=0)
        steps.append("centered on the median pelvis of the recording")
    trunk = keypoints[:, upper] - keypoints[:, lower]
    length = np.hypot(trunk[:, 0], trunk[:, 1])
    if preprocessing.rotation == "frame":
        cosine, sine = (trunk[:, 1] / length)[:, None], (trunk[:, 0] / length)[:, None]
        x, y = keypoints[..., 0], keypoints[..., 1]
        keypoints = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
        steps.append("trunk of each frame turned upright")
    with np.errstate(over="ignore"):
        keypoints /= preprocessing.scale * np.median(length)
    steps.append(f"divided by {preprocessing.scale:g} median trunk lengths")
    _refuse_far(keypoints, FARTHEST, recording)
    return replace(recording, keypoints=keypoints, history=(*recording.history, *steps))


def _refuse_far(keypoints: np.ndarray, limit: float, recording: Recording) -> None:
    far = (np.abs(keypoints) > limit).any(axis=-1)
    if far.any():
        frame, joint = np.argwhere(far)[0]
        raise InputError(
            recording.name,
            f'joint "{recording.skeleton.joints[joint]}" is implausibly far away at second {frame / recording.fps:.1f}',
            "check for damaged numbers and for markers of missing points that should be empty",
        )
