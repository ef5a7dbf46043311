"""Spectra of the parts of the body, for linear classifiers (`classifiers`).

Source: Rahmati et al. 2015 and 2016, who made 2376 features of amplitude spectra of body parts' tracks for partial
least squares; their composition could not be read, so this is an interpretation. Our choice: six parts as means of
keypoints, Welch's spectrum over 10 s, its logarithm at every 0.1 Hz up to 10 Hz: 1200 features. In float64.
"""

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton, limbs

SECONDS = 10
"""Length of the pieces whose spectra are averaged."""
FREQUENCIES = tuple(k / SECONDS for k in range(1, 10 * SECONDS + 1))
"""Hertz."""
_FLOOR = 1e-12


PARTS = ("head", "trunk", "right_arm", "left_arm", "right_leg", "left_leg")
"""Parts of the body."""

_HEAD = (
    *("head", "head_top", "crown", "chin", "nose", "neck_nose", "eye", "ear", "eye_inner", "eye_outer", "mouth"),
    *("jaw", "brow", "nose_bridge", "nostril", "nose_base", "eyelid", "lip", "inner_lip"),
    *("upper_lip", "lower_lip", "upper_inner_lip", "lower_inner_lip"),
)


def body_parts(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Joints of each of `PARTS` by index; shoulders and hips belong to the trunk, parts without joints are left out."""
    parts = limbs(skeleton)
    others = set(range(len(skeleton.joints))).difference(*parts.values())
    plain = [joint.rstrip("_0123456789").removeprefix("right_").removeprefix("left_") for joint in skeleton.joints]
    parts["head"] = tuple(j for j in sorted(others) if plain[j] in _HEAD)
    parts["trunk"] = tuple(sorted(others.difference(parts["head"])))
    return {part: parts[part] for part in PARTS if parts.get(part)}


def part_tracks(recording: Recording) -> Float[np.ndarray, "time part 2"]:
    """The mean of the keypoints of each of `PARTS`; gaps are filled, points without any frame are left out.

    Raises:
        InputError: all points of a part are missing in all frames.
    """
    points = fill_gaps(recording.keypoints)[..., :2]
    seen = ~np.asarray(recording.missing.all(axis=0))
    joints, tracks = body_parts(recording.skeleton), []
    for part in PARTS:
        columns = [joint for joint in joints.get(part, ()) if seen[joint]]
        if not columns:
            raise InputError(recording.name, f"has no point of the {part.replace('_', ' ')}", "it has no spectrum")
        tracks.append(points[:, columns].mean(axis=1))
    return np.stack(tracks, axis=1)


def features(recording: Recording) -> Float[np.ndarray, "part axis frequency"]:
    """Logarithm to base 10 of the spectral density of each part's velocity at `FREQUENCIES`.

    Velocities and not positions: slow drift would dominate the spectrum of positions. Divide the keypoints by the
    trunk's length beforehand where infants differ in size. A part without movement has -12.

    Raises:
        InputError: as `part_tracks`; shorter than `SECONDS`, or below 20 frames per second.
    """
    from scipy.signal import welch

    if recording.fps < 2 * FREQUENCIES[-1]:
        raise InputError(recording.name, f"has {recording.fps:g} frames per second", "spectra up to 10 Hz need 20")
    velocity = np.diff(part_tracks(recording), axis=0) * recording.fps
    piece = round(SECONDS * recording.fps)
    if len(velocity) < piece - 1:
        raise InputError(recording.name, f"lasts {recording.duration:.1f} s", f"spectra need {SECONDS} s")
    at, density = welch(velocity, recording.fps, nperseg=min(piece, len(velocity)), axis=0)
    density = np.apply_along_axis(lambda series: np.interp(FREQUENCIES, at, series), 0, density)
    return np.log10(np.moveaxis(density, 0, -1) + _FLOOR)
