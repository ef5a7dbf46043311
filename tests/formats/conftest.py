"""Recordings whose points are known, for the tests of readers."""

import contextlib
import io
import json
import subprocess
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from infantjax.formats import hdf5, hdf5_child
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


@pytest.fixture(autouse=True)
def hdf5_in_this_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads HDF5 without starting a process for each file, except in the tests of that process."""
    if request.node.get_closest_marker("starts_processes"):
        return
    monkeypatch.setattr(hdf5_child, "_limit_memory", lambda size: None)

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        answer = io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(answer), warnings.catch_warnings(action="ignore"):
            hdf5_child.main(command[-2], json.loads(command[-1]))
        return subprocess.CompletedProcess(command, 0, answer.buffer.getvalue())

    monkeypatch.setattr(hdf5, "subprocess", SimpleNamespace(**vars(subprocess) | {"run": run}))
