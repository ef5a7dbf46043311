"""Recordings whose points are known, for the tests of readers."""

from collections.abc import Callable

import numpy as np
import pytest

from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19, Skeleton


@pytest.fixture
def make_recording() -> Callable[..., Recording]:
    """A recording of any keypoint set with a point missing here and there."""

    def make(
        skeleton: Skeleton = IN_MOTION_19, frames: int = 12, fps: float = 30.0, confident: bool = True, axes: int = 2
    ) -> Recording:
        rng = np.random.default_rng(7)
        keypoints = rng.normal(300, 60, (frames, len(skeleton.joints), axes)).round(2)
        keypoints[1, 2] = np.nan
        keypoints[-1, 0] = np.nan
        confidence = rng.random(keypoints.shape[:2]) if confident else None
        return Recording(keypoints, fps, skeleton, "infant", confidence)

    return make
