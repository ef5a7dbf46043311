"""A recording that moves, for tests of the whole chain in seconds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate


@pytest.fixture(scope="session")
def record() -> Callable[..., Recording]:
    """Makes recordings: `record(frames, seed=0, **fields)`, a simulated infant without missing points."""

    def make(frames: int, seed: int = 0, **fields) -> Recording:
        infant = simulate(seed, InfantConfig(duration=frames / 30, dropout_rate=0), name="recording")
        return replace(infant, confidence=None, **fields)

    return make
