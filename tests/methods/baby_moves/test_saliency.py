"""Saliency: the gradient of the reference, and points from their coordinates."""

import jax
import numpy as np

from infantjax.methods.baby_moves import assess as saliency
from infantjax.methods.baby_moves import model as baby_moves
from infantjax.skeletons import BABY_MOVES_18


def test_a_video_of_one_clip_has_the_reference_gradient(shared, baby_moves_variables):
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / "model_plain.npz") as z, np.load(folder / "model_input.npz") as given:
        start = 8 * int(z["clip_index"][0])
        network, variables = baby_moves.build(), baby_moves_variables(z, "w.")
        clip = given["timeseries"][start : start + 128]
        found = jax.jit(lambda v, x: saliency.clip_saliency(network, v, x))(variables, clip)
        expected = np.abs(z["clip0.saliency"]).sum(axis=1)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5 * expected.max())


def test_the_saliency_of_a_point_is_that_of_its_x_and_its_y():
    points = saliency.of_points(np.arange(46.0))
    assert points.shape == (18,)
    assert points[BABY_MOVES_18.index("left_eye")] == 2 + 3
