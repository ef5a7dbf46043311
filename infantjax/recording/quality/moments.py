"""Moments of the recordings that an ensemble was trained on, and the distance of a recording from them."""

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from infantjax.recording.quality.body import PARENTS, Body
from infantjax.recording.quality.motion import Motion
from infantjax.recording.recording import Recording
from infantjax.settings import from_settings

BANDS = ((0.3, 1.0), (1.0, 3.0), (3.0, 6.0), (6.0, 10.0))
"""Frequencies of the movement that features tell apart, hertz: slow, fidgety, fast, and faster than infants move."""

MIN_SPREAD = {"speed": 0.15, "slope": 0.15, "length": 0.1, "width": 0.1, "missing": 0.1}
"""Least spread that a distance counts in, by the first word of a feature: cohorts of one camera and one tracker would
make every other one far away. Features are logarithms: 0.15 is a factor of 1.16, 0.1 one of 1.1. Our choice."""


@dataclass(frozen=True)
class Moments:
    """Mean, spread and count of features that depend on neither keypoint set nor scale.

    Attributes:
        mean: by feature.
        spread: standard deviation, by feature.
        count: number of recordings, by feature.
    """

    mean: Mapping[str, float]
    spread: Mapping[str, float]
    count: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Moments":
        """Create from `to_dict`.

        Raises:
            ValueError: fields are missing, or a value is no number.
        """
        try:
            found = from_settings(cls, values)
            complete = found.mean.keys() == found.spread.keys() == found.count.keys()
            if complete and all(map(math.isfinite, (*found.mean.values(), *found.spread.values()))):
                return found
        except TypeError:
            pass
        raise ValueError("moments need mean, spread and count of finite numbers by feature")


def features(recording: Recording, motion: Motion | None = None) -> dict[str, float]:
    """Features of a recording for `moments`; only those that are defined.

    - `speed_arm_1_3` and the like: logarithm of the root mean square velocity (trunk lengths per second) of hands and
      feet between two frequencies, hertz. Noise, smoothing, a wrong frame rate and interpolation change them.
    - `slope_arm_1_3` and the like: the difference of that from the band below.
    - `length_elbow_wrist` and the like: logarithm of the length that a bone commonly reaches, trunk lengths.
    - `missing`: share of missing points of the limbs.

    Args:
        recording: any keypoint set.
        motion: of the recording, where it is known already.
    """
    if recording.frames < 8 or recording.missing.all():
        return {}
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # a feature of nothing is NaN and left out
        motion = motion or Motion(Body(recording))
        body = motion.body
        values = _speeds(motion) | _lengths(body)
        if limb := body.seen(PARENTS):
            values["missing"] = float(recording.missing[:, limb].mean())
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _speeds(motion: Motion) -> dict[str, float]:
    body, points, fps = motion.body, motion.points, motion.fps
    frequencies = np.fft.rfftfreq(len(points) - 1, 1 / fps)
    values = {}
    for limb, parts in (("arm", ("wrist", "hand")), ("leg", ("ankle", "foot", "heel"))):
        ends = body.seen(parts)
        if not ends:
            continue
        velocity = np.diff(points[:, ends], axis=0).reshape(len(points) - 1, -1) * fps
        power = (np.abs(np.fft.rfft(velocity * np.hanning(len(velocity))[:, None], axis=0)) ** 2).sum(axis=1)
        # The window's power is 3/8; both halves of the spectrum count.
        power *= 2 / (len(velocity) ** 2 * 0.375) / len(ends)
        below = math.nan
        for low, high in BANDS:
            if high <= fps / 2:
                band = (frequencies >= low) & (frequencies < high)
                speed = 0.5 * math.log(max(float(power[band].sum()), 1e-12))
                values[f"speed_{limb}_{low:g}_{high:g}"] = speed
                values[f"slope_{limb}_{low:g}_{high:g}"] = speed - below
                below = speed
    return values


def _lengths(body: Body) -> dict[str, float]:
    values = {}
    for (part, parent), length in body.lengths.items():
        name = {"hand": "wrist", "foot": "ankle", "heel": "ankle"}.get(part, part)
        values[f"length_{parent}_{name}"] = float(np.log(np.nanpercentile(length, 95)))
    for part in ("shoulder", "hip"):
        if part in body.limbs:
            width = np.linalg.norm(np.diff(body.pair(part), axis=1)[:, 0], axis=1)
            values[f"width_{part}"] = float(np.log(np.nanmedian(width)))
    return values


def moments(recordings: Iterable[Recording]) -> Moments:
    """Moments of the features of recordings; the order of the recordings does not matter beyond rounding."""
    rows: dict[str, list[float]] = {}
    for recording in recordings:
        for name, value in features(recording).items():
            rows.setdefault(name, []).append(value)
    return Moments(
        {name: float(np.mean(values)) for name, values in rows.items()},
        {name: float(np.std(values)) for name, values in rows.items()},
        {name: len(values) for name, values in rows.items()},
    )


def distance(recording: Recording, reference: Moments, motion: Motion | None = None) -> dict[str, float]:
    """By feature: how many spreads the recording lies from the mean of the training recordings, with sign."""
    return {
        name: (value - reference.mean[name]) / max(reference.spread[name], MIN_SPREAD[name.split("_")[0]])
        for name, value in features(recording, motion).items()
        if name in reference.mean
    }
