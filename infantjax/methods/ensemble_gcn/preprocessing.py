"""Ensemble-NAS-GCN, preprocessing: standardized positions of the network's keypoints."""

import numpy as np

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.recording.conversion import convert
from infantjax.recording.preprocessing import Preprocessing, standardize
from infantjax.recording.recording import Recording, require_movement


def standardized_positions(
    recording: Recording,
    skeleton: skeletons.Skeleton | str,
    preprocessing: Preprocessing | None = None,
    strict: bool = False,
) -> np.ndarray:
    """Standardized positions of a recording `[time, joint, 2]`, float32.

    Args:
        recording: of any keypoints that convert to the network's.
        skeleton: that the network reads.
        preprocessing: how recordings are standardized; None is the reference implementation's.
        strict: refuse points that have to be approximated.

    Raises:
        InputError: three coordinates, shorter than a window, no movement, or a joint that the network needs is missing.
    """
    preprocessing, skeleton = preprocessing or Preprocessing(), skeletons.get(skeleton)
    if recording.keypoints.shape[-1] != 2:
        raise InputError(
            recording.name, "has three coordinates, the networks read two", "give two-dimensional keypoints"
        )
    require_movement(recording)
    prepared = standardize(convert(recording, skeleton, strict=strict), preprocessing)
    if prepared.frames < preprocessing.window:
        seconds = preprocessing.window / preprocessing.fps
        raise InputError(recording.name, f"lasts {prepared.duration:.1f} s, shorter than a window of {seconds:g} s")
    if absent := [j for j, missing in zip(skeleton.joints, prepared.missing.T) if missing.any()]:
        raise InputError(recording.name, f"missing {', '.join(absent)}, which the network needs")
    return prepared.keypoints.astype(np.float32)
