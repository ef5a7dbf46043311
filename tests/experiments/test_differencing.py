"""Frame differencing: a square that moves, exactly."""

import numpy as np
import pytest
from baseline_methods.differencing import Motion, features, motion

from infantjax.video import open_frames


def frame(left: int | None, level: int = 255) -> np.ndarray:
    image = np.zeros((20, 40, 3), np.uint8)
    if left is not None:
        image[4:8, left : left + 4] = level
    return image


def test_what_appears_is_what_moves():
    found = motion([frame(None), frame(8), frame(8)])
    np.testing.assert_allclose(found.quantity, [16 / 800, 0])
    np.testing.assert_allclose(found.centroid[0], [10 / 40, 6 / 20])
    assert np.isnan(found.centroid[1]).all()


def test_a_change_below_the_threshold_is_none():
    assert motion([frame(None), frame(8, 25)]).quantity == [0]
    assert motion([frame(None), frame(8, 25)], threshold=0.05).quantity == [16 / 800]


def test_features_by_hand():
    centroid = np.array([[0.1, 0.5], [0.3, 0.5], [np.nan, np.nan], [0.2, 0.5], [0.5, 0.5]])
    found = features(Motion(np.array([0.1, 0.3, 0.0, 0.2, 0.4]), centroid), 10.0)
    assert found[:3] == pytest.approx((0.2, 0.2, np.std([0.1, 0.3, 0.0, 0.2, 0.4])))
    assert found.c_sd == pytest.approx(np.std([0.1, 0.3, 0.2, 0.5]))
    assert found.v_sd == pytest.approx(np.std([2.0, 3.0]))
    assert np.isnan(found.a_sd)


def test_a_video_is_read_frame_by_frame(clip):
    found = motion(one.pixels() for one in open_frames(clip))
    assert len(found.quantity) == 29
    # The blue square lies in rows 40 to 56 of 120; towards its end it loses its edges in the colors behind it.
    np.testing.assert_allclose(found.centroid[:, 1], 48 / 120, atol=0.02)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least two frames"):
        motion([frame(None)])
