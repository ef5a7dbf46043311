"""Lifting of whole recordings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.nn.initializers import initialize
from infantjax.pose import lifting
from infantjax.pose.lifting import Lifter
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import HUMAN36M_17, MPII_16


@pytest.mark.parametrize(
    ("causal", "skeleton", "key"),
    [
        (False, None, "sequence_padded_output"),
        pytest.param(True, None, "sequence_causal_output", marks=pytest.mark.slow),
        (False, HUMAN36M_17, "sequence_flip_averaged"),
    ],
)
def test_a_whole_recording_is_lifted_as_in_the_reference(causal, skeleton, key, lifting_golden):
    network, variables, golden = lifting_golden
    found = lifting.lift(network.clone(causal=causal), variables, golden["sequence"], skeleton)
    np.testing.assert_allclose(found, golden[key], rtol=0, atol=1e-5 * np.abs(golden[key]).max())


def test_screen_coordinates_are_those_of_the_reference(lifting_golden):
    golden = lifting_golden[2]
    found = lifting.screen(golden["pixels"], *golden["image_size"])
    np.testing.assert_allclose(found, golden["pixels_normalised"], rtol=0, atol=1e-6)


def test_the_corners_of_an_image_on_the_screen():
    corners = lifting.screen(np.array([[0, 0], [640, 480], [320, 240]]), 640, 480)
    np.testing.assert_allclose(corners, [[-1, -0.75], [1, 0.75], [0, 0]])
    with pytest.raises(ValueError, match="above 0"):
        lifting.screen(np.zeros((1, 2)), 640, 0)


def test_lifting_the_mirror_image_gives_the_mirror_image():
    network = LiftingNetwork(widths=(3, 3), channels=4)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((12, 17, 2)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x[None])
    found = lifting.lift(network, variables, x, HUMAN36M_17)
    assert found.shape == (12, 17, 3)
    flipped = lifting.lift(network, variables, lifting._mirrored(x, HUMAN36M_17), HUMAN36M_17)
    np.testing.assert_allclose(lifting._mirrored(flipped, HUMAN36M_17), found, atol=1e-5)


# --- recordings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lifter(lifting_weights):
    return Lifter.load(lifting_weights)


@pytest.fixture(scope="module")
def infant():
    return simulate(3, InfantConfig(duration=2.0, dropout_rate=0))


def test_a_recording_is_lifted_where_its_joints_are_seen(lifter, infant):
    points = infant.keypoints.copy()
    points[10:13, infant.skeleton.index("left_knee")] = np.nan
    found = lifter(Recording(points, infant.fps, infant.skeleton))
    assert (found.keypoints.shape, found.skeleton) == ((60, 17, 3), HUMAN36M_17)
    expected = np.zeros((60, 17), bool)
    expected[10:13, HUMAN36M_17.index("left_knee")] = True
    np.testing.assert_array_equal(found.missing, expected)
    assert "trained on adults" in found.notes[-1]
    assert "VideoPose3D (weights SHA-256 " in found.history[-1]


def test_without_a_size_of_the_image_place_and_scale_do_not_matter(lifter, infant):
    moved = Recording(3 * infant.keypoints + 500, infant.fps, infant.skeleton)
    np.testing.assert_allclose(lifter(moved).keypoints, lifter(infant).keypoints, atol=1e-4)


def test_with_a_size_the_positions_are_those_of_the_images_coordinates(lifting_weights, infant):
    lifter = Lifter.load(lifting_weights, image_size=(640, 480))
    found = lifter(infant).keypoints
    assert not np.allclose(found, Lifter.load(lifting_weights)(infant).keypoints, atol=1e-2)
    points = lifting.screen(lifting.convert(infant, HUMAN36M_17).keypoints, 640, 480)
    expected = lifting.lift(lifter.network, lifter.variables, points, HUMAN36M_17)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_keypoints_of_a_pose_network_suffice(lifter, infant):
    points = infant.keypoints[:, [infant.skeleton.joints.index(joint) for joint in MPII_16.joints]]
    found = lifter(Recording(points, infant.fps, MPII_16))
    assert not found.missing.any()
    assert set(found.approximated) == {"spine", "neck_nose", "head"}


def test_what_cannot_be_lifted_is_refused_in_one_line(lifter, lifting_weights, infant):
    with pytest.raises(InputError, match="has three coordinates already"):
        lifter(lifter(infant))
    with pytest.raises(InputError, match=r"has no left eye in any frame; lifting needs all joints of coco-17"):
        Lifter.load(lifting_weights, "coco-17")(infant)
    with pytest.raises(InputError, match="lifts 17 keypoints to 17 joints, not 19 to 17"):
        Lifter.load(lifting_weights, "in-motion-19")
    still = Recording(np.zeros((5, 17, 2)), 30.0, HUMAN36M_17)
    with pytest.raises(InputError, match="lie all in one place"):
        lifter(still)
