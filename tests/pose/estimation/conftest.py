"""A tracker that compiles nothing."""

import numpy as np
import pytest

from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.pose.codec.heatmap import Points
from infantjax.skeletons import MPII_16


class Blue(Tracker):
    """Finds the middle of the blue square in the test videos."""

    def find(self, squares):
        seen = squares[..., 2] > squares[..., :2].max(-1)
        middles = [[np.mean(axis) for axis in np.nonzero(one)[::-1]] for one in seen]
        return Points(np.array(middles)[:, None].repeat(16, 1) / squares.shape[1], np.ones((len(squares), 16)))


@pytest.fixture(scope="session")
def network():
    """A network that is never computed."""
    return PoseEstimator(None, {}, MPII_16, 32, "imagenet", "tiny", "0" * 64)


@pytest.fixture
def blue(network):
    return Blue(network, PoseConfig(min_confidence=0.0, batch_size=4))
