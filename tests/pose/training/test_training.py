"""Pose networks trained on images whose keypoints are colored dots."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infantjax
from infantjax.nn.image import ImageConv
from infantjax.pose.codec.heatmap import HeatmapCodec
from infantjax.pose.codec.limb import affinity_fields
from infantjax.pose.images import normalize
from infantjax.pose.training import training as pose
from infantjax.pose.training.augmentation import ImageAugmentation
from infantjax.pose.training.task import Batch, ImageData, PoseTask, PoseTrainingConfig, pose_runs
from infantjax.skeletons import Skeleton
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split

SIDE = 32
OPTIONS = TrainOptions(devices=jax.devices()[:1])
ARM = Skeleton(
    "arm-3", ("chest", "right_hand", "left_hand"), ("chest", "chest", "chest"), (("right_hand", "left_hand"),)
)
FOLD = Split(tuple(range(8)), tuple(range(8, 12)))
CONFIG = PoseTrainingConfig(
    epochs=3,
    batch_size=3,
    learning_rate=3e-3,
    augmentation=ImageAugmentation(rotation_degrees=10, scale=0.1),
    evaluation_batch=3,
)


class Eye(nn.Module):
    """Two convolutions to maps of a quarter of the side, with an early head for fields."""

    @nn.compact
    def __call__(self, x, train=False):
        y = nn.relu(ImageConv(3, 12, 3, 2, name="first")(x, train))
        y = nn.relu(ImageConv(12, 12, 3, 2, name="second")(y, train))
        fields = ImageConv(12, 4, use_bias=True, norm=False, name="fields")(y, train)
        maps = ImageConv(12, 3, use_bias=True, norm=False, name="maps")(y, train)
        return maps, {"features": y, "pass1_pafs": fields, "confs": maps}


def dots(count: int = 12) -> ImageData:
    """A red, a green and a blue dot in each image; the blue one is not annotated in the first."""
    rng = np.random.default_rng(0)
    points = rng.uniform(0.2, 0.8, (count, 3, 2)).astype(np.float32)
    middle = np.arange(SIDE) + 0.5
    x, y = np.moveaxis(points * SIDE, -1, 0)
    square = (middle[:, None] - y[:, None, None]) ** 2 + (middle[:, None, None] - x[:, None, None]) ** 2
    drawn = 255 * np.exp(-np.transpose(square, (0, 2, 1, 3)) / 4)
    points[0, 2] = np.nan
    return ImageData(drawn.astype(np.uint8), points, {}, ARM, "lite")


def assert_same(result, other, **tolerance):
    for a, b in zip(jax.tree.leaves(vars(result)), jax.tree.leaves(vars(other)), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0, "atol": 0} | tolerance))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three epochs, with their folder."""
    folder = tmp_path_factory.mktemp("trained")
    return pose.train(Eye(), dots(), [FOLD], CONFIG, directory=folder, options=OPTIONS), folder


def test_the_network_learns_where_the_dots_are():
    training = {"epochs": 100, "batch_size": 4, "learning_rate": 1e-2, "augmentation": None, "seed": 2}
    config = replace(CONFIG, **training, sigma_schedule="cropped")
    result = pose.train(Eye(), dots(24), [Split(tuple(range(20)), tuple(range(20, 24)))], config, options=OPTIONS)
    assert -result.best_score[0] < 0.06
    assert result.history["mean_error"][0, result.best_epoch[0] - 1] == -result.best_score[0]
    np.testing.assert_allclose(np.nanmean(result.outputs[0]), -result.best_score[0], rtol=1e-6)


@cache
def first_run(config=CONFIG, start=None):
    """A task, its run, its data and its first state."""
    data = replace(dots(), start=start or {})
    task = PoseTask.create(Eye(), data, [FOLD], config)
    runs = pose_runs([FOLD], config.seed)
    run, drawn = jax.tree.map(lambda leaf: leaf[0], (runs, task.draw_variables(runs.key)))
    run, data = jax.device_put((run, data))
    return task, run, data, jax.jit(task.init_state)(drawn, jnp.bool_(True), run, data)


def test_an_epoch_changes_every_parameter_of_every_pass(trained):
    begun = first_run()[3]
    start = PoseTask.create(Eye(), dots(), [FOLD], CONFIG).unpack(begun.variables)
    changed = jax.tree.map(lambda a, b: bool((np.asarray(a) != b[0]).all()), start, trained[0].variables)
    assert all(jax.tree.leaves(changed)), changed


def test_the_loss_is_the_mean_square_of_every_pass_added_up():
    task, _, data, state = first_run()
    variables = task.unpack(state.variables)

    @jax.jit
    def both(variables, shown, points):
        x = normalize(shown, "lite")
        batch = Batch(x, points, jnp.float32(3.5), jnp.float32(1.75))
        loss, _ = task.loss(variables, batch, {"dropout": jax.random.key(0)})
        (maps, aux), _ = Eye().apply(variables, x, train=True, mutable=["batch_stats"])
        fields = affinity_fields(points, ((0, 1), (0, 2)), 8, 1.75 / 4)
        peaks = HeatmapCodec().encode(points, 8, 3.5)
        return loss, jnp.square(aux["pass1_pafs"] - fields).mean() + jnp.square(maps - peaks).mean()

    loss, expected = both(variables, jnp.asarray(data.images[:4]), jnp.asarray(data.points[:4]))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_an_epoch_has_every_image_and_fills_its_last_batch_up():
    task, run, data, state = first_run()
    assert task.steps == 3  # 8 images in batches of 3
    order = np.asarray(task.plan_epoch(state.epoch, run, data, jax.random.key(0))[0].order)
    assert sorted(order[:8]) == list(range(8))
    assert order[8] == order[0]


def test_a_missing_point_is_no_error_and_padding_changes_nothing():
    task, run, data, state = first_run()
    judge = jax.jit(task.evaluate_run)
    judged = judge(state.variables, run, data, jnp.bool_(True))
    larger = replace(task, config=replace(CONFIG, evaluation_batch=4))
    whole = jax.jit(larger.evaluate_run)(state.variables, run, data, jnp.bool_(True))
    for a, b in zip(jax.tree.leaves(judged), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    points = np.array(data.points)
    points[8:, 2] = np.nan
    hidden = judge(state.variables, run, replace(data, points=jnp.asarray(points)), jnp.bool_(True))
    np.testing.assert_allclose(hidden.outputs[:2], judged.outputs[:2], rtol=1e-6)
    assert np.isnan(hidden.outputs[2])
    np.testing.assert_allclose(hidden.score, -np.mean(judged.outputs[:2]), rtol=1e-6)


def test_an_interrupted_training_continues_bit_for_bit(trained):
    result, folder = trained
    for epoch in ("2", "3"):
        (folder / "checkpoints" / epoch).rename(folder / f"away-{epoch}")
    again = pose.train(Eye(), dots(), [FOLD], CONFIG, directory=folder, options=OPTIONS)
    assert_same(again, result)


@pytest.mark.slow
def test_folds_are_runs_of_one_stack(trained):
    other = Split(tuple(range(4, 12)), tuple(range(4)))
    both = pose.train(Eye(), dots(), [FOLD, other], CONFIG, options=OPTIONS)
    one = jax.tree.map(lambda leaf: leaf[:1], both.variables)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(trained[0].variables), strict=True):
        np.testing.assert_array_equal(a, b)
    assert both.best_score[0] == trained[0].best_score[0] != both.best_score[1]


def test_training_starts_from_given_variables():
    given = {"params": {"first": {"kernel": np.full((3, 3, 3, 12), 0.25, np.float32)}}}
    task, _, _, state = first_run.__wrapped__(start=given)
    assert (task.unpack(state.variables)["params"]["first"]["kernel"] == 0.25).all()
    plain = first_run()[3]
    second = [task.unpack(s.variables)["params"]["second"]["kernel"] for s in (state, plain)]
    np.testing.assert_array_equal(*second)


@pytest.mark.slow
def test_half_precision_keeps_weights_and_statistics_in_float32(trained):
    result = pose.train(Eye(), dots(), [FOLD], replace(CONFIG, dtype="bfloat16"), options=OPTIONS)
    assert {leaf.dtype for leaf in jax.tree.leaves(result.variables)} == {np.dtype(np.float32)}
    # Eight bits of mantissa in every activation.
    np.testing.assert_allclose(result.history["training_loss"], trained[0].history["training_loss"], rtol=3e-2)


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        ("amsgrad", [3e-3, 3e-3, 3e-3]),
        ("adam", [2.886e-3, 1.5e-3, 1.142e-4]),
        ("cyclical", [1.334e-3, 2.667e-3, 6.674e-4]),
    ],
)
def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step(optimizer, rates):
    config = replace(CONFIG, optimizer=optimizer, epochs=3, cycle=3)
    task = PoseTask.create(Eye(), dots(), [FOLD], config)
    np.testing.assert_allclose([task.learning_rate(epoch) for epoch in range(3)], rates, rtol=1e-3)


IN_SUBPROCESS = """
import importlib.util, sys
import jax, numpy as np
spec = importlib.util.spec_from_file_location("here", sys.argv[1])
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
assert len(jax.devices()) == 8
result = here.pose.train(here.Eye(), here.dots(), [here.FOLD], here.replace(here.CONFIG, batch_size=8))
np.savez(sys.argv[2], *jax.tree.leaves(vars(result)))
"""


@pytest.mark.slow
def test_a_batch_over_eight_devices_gives_what_one_device_gives(tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    subprocess.run(
        [sys.executable, "-c", IN_SUBPROCESS, __file__, tmp_path / "eight.npz"],
        check=True,
        cwd=Path(infantjax.__file__).parents[1],
        env={**os.environ, "XLA_FLAGS": flags},
    )
    one = pose.train(Eye(), dots(), [FOLD], replace(CONFIG, batch_size=8), options=OPTIONS)
    with np.load(tmp_path / "eight.npz") as eight:
        for name, leaf in zip(eight.files, jax.tree.leaves(vars(one)), strict=True):
            # The order of the sums over a batch differs.
            np.testing.assert_allclose(eight[name], leaf, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("optimizer", "sgd"),
        ("optimizer", "cyclical"),
        ("sigma_schedule", "x"),
        ("dtype", "f2"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}|learning_rate"):
        PoseTrainingConfig(**{name: value})


def test_images_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"0\.\.11"):
        pose.train(Eye(), dots(), [Split((0, 12), (1,))], CONFIG)


@pytest.mark.slow
def test_images_that_stay_on_the_host_train_the_same_network_and_continue_bit_for_bit(trained, tmp_path):
    pytest.importorskip("grain")
    data = dots()
    np.save(tmp_path / "images.npy", data.images)
    on_disk = replace(data, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    options = {"directory": tmp_path, "options": OPTIONS, "prefetch": 2}
    whole = pose.train(Eye(), on_disk, [FOLD], CONFIG, **options)
    # Other programs, which add in another order.
    assert_same(whole, trained[0], rtol=1e-4, atol=1e-6)
    for epoch in ("2", "3"):
        (tmp_path / "checkpoints" / epoch).rename(tmp_path / f"away-{epoch}")
    assert_same(pose.train(Eye(), on_disk, [FOLD], CONFIG, **options), whole)


def test_only_one_run_is_streamed():
    with pytest.raises(ValueError, match="one split"):
        pose.train(Eye(), dots(), [FOLD, FOLD], CONFIG, prefetch=1)
