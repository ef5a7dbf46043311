"""Networks of depth clips, trained on discs that are joints."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infantjax.methods.asy_regression import model as babypose
from infantjax.methods.asy_regression import training as depth
from infantjax.methods.asy_regression.model import DetectionNetwork, RegressionNetwork
from infantjax.methods.asy_regression.training import DETECTION, REGRESSION, ClipData, ClipTask, ClipTrainingConfig
from infantjax.nn.initializers import initialize
from infantjax.pose.codec import limb as targets
from infantjax.skeletons import BABYPOSE_12
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split

OPTIONS = TrainOptions(devices=jax.devices()[:1])
SPLIT = Split((0, 1, 2, 3), (6,))
CONFIG = ClipTrainingConfig(epochs=2, batch_size=2, radius=2, evaluation_batch=1)


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """The networks with an eighth of their channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babypose, "_DOWN", (2, 2, 2, 2))
        patch.setattr(babypose, "_UP", (2, 2, 2, 2))
        patch.setattr(babypose, "_REGRESSION", (4, 4))
        yield


def clips(detector=None) -> ClipData:
    """Nine frames of 16 x 32 pixels, bright at the joints; the last joint is missing in the first frame."""
    rng = np.random.default_rng(0)
    points = rng.uniform((3, 3), (29, 13), (9, 12, 2)).astype(np.float32)
    frames = np.asarray(targets.discs(jnp.asarray(points), 16, 32, 2, None)).max(-1)
    points[0, 11] = np.nan
    return ClipData(frames - frames.mean((1, 2), keepdims=True), points, detector, BABYPOSE_12)


def detector():
    shapes = jnp.zeros((1, 3, 16, 32, 1))
    return jax.device_get(dict(initialize(DetectionNetwork(), jax.random.key(0), shapes)))


def test_the_published_settings():
    assert (DETECTION.epochs, DETECTION.optimizer, DETECTION.learning_rate) == (150, "adam", 0.01)
    assert (REGRESSION.epochs, REGRESSION.optimizer, REGRESSION.momentum) == (100, "momentum", 0.98)
    assert DETECTION.batch_size == REGRESSION.batch_size == 16


def test_the_split_in_time_has_the_published_numbers_of_clips():
    split = depth.split_in_time([1000] * 16)
    assert len(split.test) == 16 * 83
    first = np.array(split.train + split.validation)
    assert len(first) == 16 * (749 - 2)  # two clips of each infant share frames with both sides
    trained = {frame for clip in split.train for frame in range(clip, clip + 3)}
    assert not trained & {frame for clip in (*split.validation, *split.test) for frame in range(clip, clip + 3)}
    assert max(split.test) + 2 == 15_999 - (249 % 3)


def test_an_infant_with_too_few_frames_is_not_split_in_time():
    with pytest.raises(ValueError, match="the fewest are 999"):
        depth.split_in_time([1000, 999])


def test_splits_by_infant_share_none():
    [split] = depth.split_by_infant([5, 7, 6], [Split((0, 2), (1,))])
    assert split.train == (0, 1, 2, 12, 13, 14, 15)
    assert split.validation == (5, 8)


@pytest.mark.slow
def test_a_detection_learns_binary_maps_by_cross_entropy():
    data = clips()
    task = ClipTask(DetectionNetwork(), CONFIG, (1, 3, 16, 32, 1))
    x, points = task.clips(jnp.array([0, 4]), jax.device_put(data))
    np.testing.assert_array_equal(x[1, :, :, :, 0], data.frames[4:7])
    maps = jax.random.normal(jax.random.key(0), (2, 3, 16, 32, 20))
    wanted = np.concatenate(
        [
            targets.discs(points, 16, 32, 2, None),
            targets.limb_heatmaps(points, babypose.connections(BABYPOSE_12), 16, 32, 2, None),
        ],
        -1,
    )
    assert set(np.unique(wanted)) == {0, 1}
    assert (wanted[0, 0, ..., 11] == 0).all()
    expected = optax.sigmoid_binary_cross_entropy(maps, wanted)
    targets_of_task = task.targets(points, BABYPOSE_12, (16, 32))
    np.testing.assert_allclose(task.pixel_loss(maps, targets_of_task), expected, rtol=1e-6)


@pytest.mark.slow
def test_a_regression_reads_what_the_fixed_detection_makes_of_the_frames():
    data = jax.device_put(clips(detector()))
    task = ClipTask(RegressionNetwork(), CONFIG, (1, 3, 16, 32, 21))
    x, points = jax.jit(task.clips)(jnp.array([2]), data)
    detect = jax.jit(lambda x: DetectionNetwork().apply(data.detector, x)[1]["maps"])
    maps = detect(data.frames[2:5][None, ..., None])
    np.testing.assert_allclose(x[..., 1:], maps, atol=1e-6)
    wanted = task.targets(points, BABYPOSE_12, (16, 32))
    assert 0.8 < wanted.max() <= 1
    assert len(np.unique(wanted)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detection", "regression"])
def test_a_training_lowers_its_loss_and_keeps_its_best_epoch(kind, tmp_path):
    data = clips(None if kind == "detection" else detector())
    module = DetectionNetwork() if kind == "detection" else RegressionNetwork(asymmetric=True)
    config = replace(CONFIG, epochs=6, **({} if kind == "detection" else {"optimizer": "momentum", "momentum": 0.5}))
    arguments = depth.setup(module, data, [SPLIT], config)
    result = fit(*arguments, options=OPTIONS, directory=tmp_path, shard_batches=True)
    loss = result.history["training_loss"][0]
    assert loss[-1] < loss[0]
    figure = result.history["accuracy" if kind == "detection" else "mean_absolute_error"][0]
    best = figure.max() if kind == "detection" else -figure.min()
    assert result.best_score[0] == best
    for epoch in ("5", "6"):
        (tmp_path / "checkpoints" / epoch).rename(tmp_path / f"away-{epoch}")
    again = fit(*arguments, options=OPTIONS, directory=tmp_path, shard_batches=True)
    for a, b in zip(jax.tree.leaves(vars(again)), jax.tree.leaves(vars(result)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_rate_falls_by_a_tenth_after_every_ten_epochs():
    task = ClipTask(DetectionNetwork(), replace(CONFIG, learning_rate=0.1), (1, 3, 16, 32, 1))
    rates = [-float(task.update_scale(jnp.int32(epoch))) for epoch in (0, 9, 10, 20)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.09, 0.081], rtol=1e-6)
    np.testing.assert_allclose([task.learning_rate(epoch) for epoch in (0, 10)], [0.1, 0.09], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"splits": [Split((0, 7), (1,))]}, r"clips from frames 0\.\.6"),
        ({"splits": []}, "at least one split"),
        ({"module": RegressionNetwork()}, "give its variables"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(change, message):
    given = {"module": DetectionNetwork(), "data": clips(), "splits": [SPLIT], "config": CONFIG} | change
    with pytest.raises(ValueError, match=message):
        depth.setup(**given)


def test_a_setting_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="optimizer must be one of adam, momentum"):
        ClipTrainingConfig(optimizer="sgd")
