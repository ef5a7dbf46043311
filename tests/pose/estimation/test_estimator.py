"""Pose networks from their files and folders."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.models.entry import variable_shapes
from infantjax.pose import PoseEstimator, Tracker, load_pose_network
from infantjax.pose.estimation.config import PoseConfig
from infantjax.pose.estimation.estimator import save_pose_network
from infantjax.pose.networks import cima_pose, efficienthourglass, efficientpose
from infantjax.pose.training.task import PoseTrainingConfig
from infantjax.skeletons import IN_MOTION_19


def network(module, side=64) -> PoseEstimator:
    rng = np.random.default_rng(0)
    shapes = variable_shapes(module, (side, side, 3))
    variables = jax.tree.map(lambda leaf: rng.uniform(0.5, 1, leaf.shape).astype(np.float32), dict(shapes))
    return PoseEstimator(module, variables, IN_MOTION_19, side, "lite", "test", "")


@pytest.mark.parametrize(
    "module",
    [
        efficientpose.build("rt-lite", IN_MOTION_19, head_width=None),
        efficientpose.build("rt-lite", IN_MOTION_19, passes=1, skeleton_pass=False),
        efficienthourglass.build("l0", IN_MOTION_19, deepest=5, se_ratios=(6, 6, 6)),
        cima_pose.build(IN_MOTION_19),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_saved_network_is_the_one_that_is_loaded(module, tmp_path):
    saved = network(module)
    digest = save_pose_network(saved, tmp_path, {"statement": "random"})
    loaded = load_pose_network(tmp_path, early_heads=True)
    assert loaded.module == module.clone(upscale=False)
    assert (loaded.side, loaded.normalization, loaded.skeleton, loaded.digest) == (64, "lite", IN_MOTION_19, digest)
    for a, b in zip(jax.tree.leaves(saved.variables), jax.tree.leaves(loaded.variables), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_to_be_used_has_no_heads_that_only_training_needs(tmp_path):
    save_pose_network(network(efficientpose.build("rt-lite", IN_MOTION_19)), tmp_path)
    used, trained = load_pose_network(tmp_path), load_pose_network(tmp_path, early_heads=True)
    assert not used.module.early_heads
    assert set(trained.variables["params"]) - set(used.variables["params"]) == {
        "pass1_pafs",
        "pass1_pafs_hidden",
        "pass2_confs",
        "pass2_confs_hidden",
    }
    assert (used.affinity_fields, trained.affinity_fields) == (None, "pass1_pafs")
    shapes = variable_shapes(used.module, (64, 64, 3))
    assert jax.tree.map(np.shape, dict(used.variables)) == jax.tree.map(lambda leaf: leaf.shape, dict(shapes))


def test_a_network_keeps_its_own_decoder_which_a_configuration_replaces(tmp_path):
    module = efficientpose.build("rt-lite", IN_MOTION_19)
    save_pose_network(replace(network(module), decoder=PoseTrainingConfig(exact_peaks=True).decoder), tmp_path)
    loaded = load_pose_network(tmp_path)
    assert loaded.decoder == "dark"
    assert Tracker(loaded).config.decoder == "dark"
    assert Tracker(loaded, PoseConfig(decoder="quarter")).config.decoder == "quarter"
    assert Tracker(network(module)).config.decoder == "smoothed"


def test_the_last_head_of_a_network_with_fewer_passes_is_kept(tmp_path):
    save_pose_network(network(efficientpose.build("rt-lite", passes=1, keypoints=19)), tmp_path)
    used, trained = load_pose_network(tmp_path), load_pose_network(tmp_path, early_heads=True)
    assert set(trained.variables["params"]) - set(used.variables["params"]) == {"pass1_pafs"}


def test_another_skeleton_or_side_than_fits_is_refused(tmp_path):
    save_pose_network(network(efficientpose.build("rt-lite", IN_MOTION_19)), tmp_path)
    with pytest.raises(InputError, match="in-motion-19, not of mpii-16"):
        load_pose_network(tmp_path, skeleton="mpii-16")
    with pytest.raises(InputError, match="side 65"):
        load_pose_network(tmp_path, 65)


def test_an_ensemble_for_risks_is_no_pose_network(ensemble_folder):
    with pytest.raises(InputError, match="holds no pose network"):
        load_pose_network(ensemble_folder)


def test_weights_of_a_graph_network_are_no_pose_network(tmp_path):
    np.savez(tmp_path / "a.npz", **{"stgcn.gcn.conv.weight": np.zeros((4, 3, 1, 1), np.float32)})
    with pytest.raises(InputError, match=r"a\.npz") as caught:
        load_pose_network(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_a_network_of_no_registered_kind_is_not_saved(tmp_path):
    import flax.linen as nn

    with pytest.raises(ValueError, match="not a registered pose network"):
        save_pose_network(PoseEstimator(nn.Dense(3), {}, IN_MOTION_19, 64, "lite", "", ""), tmp_path)
