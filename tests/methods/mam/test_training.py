"""MAM, training: its losses by hand, what a run draws, and that a small one learns both branches."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.evaluation.discrimination import auc
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam import training as mam
from infantjax.methods.mam.inference import localize
from infantjax.methods.mam.model import MAM
from infantjax.methods.mam.training import TrainingConfig, Videos, VideoTask, closeness, moved, presence, triplet
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, draw_infant, move
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.fitting import fit
from infantjax.training.splits import Split
from infantjax.training.state import Status

MODULE = MAM(channels=4, joints=4, frames=8, token=4, width=8, blocks=1, heads=2, hidden=8, dropout=0.0, info=4)
CONFIG = TrainingConfig(
    pretraining=40, joint=20, clips=8, instances=4, step=5, lowest_rate=0.05, highest_rate=0.1, half_cycle=20
)


# --- losses ----------------------------------------------------------------------------------------------------------

POINTS = jnp.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])


def test_triplets_by_hand():
    # Unit vectors at 0, 90 and 180 degrees; the first two are of one class.
    labels = jnp.array([1, 1, 0])
    first, second = 2**0.5 - 2 + 0.4, 0.4
    expected = (max(first, 0) + second) / 2
    found = jax.jit(triplet)
    assert float(found(POINTS, labels)) == pytest.approx(expected)
    assert float(found(POINTS, labels, 1.0)) == pytest.approx((2**0.5 - 1 + 1) / 2)
    slopes = jax.jit(jax.value_and_grad(triplet))
    assert slopes(POINTS, 0 * labels)[0] == 0  # one class has none
    assert np.isfinite(slopes(np.ones((3, 2), np.float32), labels)[1]).all()


def test_closeness_by_hand():
    centers = jnp.array([[0.0, 0.0], [2.0, 0.0]])
    p = jnp.array([1.0, 0.5, 0.0])
    for squares, width in (("sum", 1), ("mean", 2)):
        assert float(closeness(POINTS, p, centers, squares)) == pytest.approx((0 + (13 + 9) / 2 + 1) / 3 / width)


def test_of_a_risk_video_only_the_top_tenth_counts_as_fidgety():
    p = jnp.linspace(0.1, 1.0, 16)[::-1].reshape(1, 16).repeat(2, 0)
    found = presence(p, jnp.array([False, True]))
    np.testing.assert_array_equal(found[0], p[0])
    assert (found[1] > 0).tolist() == [True, True] + [False] * 14


def test_centers_move_by_a_tenth_and_a_class_without_clips_stays():
    centers = jnp.array([[1.0, 1.0], [5.0, 5.0]])
    found = moved(centers, POINTS, jnp.array([[1.0, 0, 1], [0, 0, 0]]))
    np.testing.assert_allclose(found, [[0.9 + 0.05, 0.9], [5, 5]], rtol=1e-6)


# --- runs ------------------------------------------------------------------------------------------------------------


def movement(rng, frames, fidgety):
    """Four joints that stand, or whose distances change where fidgety."""
    rest = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]])
    return (
        rest + 0.02 * rng.standard_normal((frames, 4, 2)) + fidgety[:, None, None] * rng.normal(0, 0.8, (frames, 4, 2))
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    lengths, labels = [30, 6, 23, 40, 12, 30, 33, 21], [0, 1] * 4
    videos = [movement(rng, n, np.full(n, 1.0 - label)) for n, label in zip(lengths, labels)]
    fidgety = np.arange(20) % 2
    clips = np.stack([movement(rng, 8, np.full(8, float(f))) for f in fidgety])
    return Videos.create(videos, labels, clips, fidgety, rng.standard_normal((8, 4)))


FOLDS = (Split((0, 1, 2, 3, 4), (5, 6, 7)), Split((3, 4, 5, 6, 7), (0, 1, 2)))


@pytest.fixture(scope="module")
def result(data):
    return fit(*mam.setup(MODULE, data, FOLDS, CONFIG))


@pytest.mark.slow
def test_a_small_run_learns_clips_and_videos(result, data):
    assert set(result.status) == {Status.FINISHED}
    assert np.isnan(result.held_out(FOLDS, 8)).tolist() == [False] * 3 + [True] * 2 + [False] * 3
    assert (result.history["training_loss"][:, -1] < result.history["training_loss"][:, 40]).all()
    variables = jax.tree.map(lambda leaf: leaf[0], result.variables)
    risk, normal = (localize(MODULE, variables, data.positions[v], CONFIG, step=4, batch=4) for v in (3, 6))
    assert risk.shape == (9,)
    # One clip with fidgety movements makes a video normal; none may show them in a video of an infant at risk.
    assert normal.max() > 0.9
    assert risk.max() < 0.1


@pytest.mark.slow
def test_held_out_videos_are_judged_by_all_of_their_instances(result, data):
    variables = jax.tree.map(lambda leaf: leaf[0], result.variables)
    apply = jax.jit(MODULE.apply)
    for video in (5, 7):
        length = int(data.lengths[video])
        clips, real = motion.cut(data.positions[video][:length], motion.clip_starts(length, 8, 5), 8)
        logit, _ = apply(variables, motion.inputs(clips)[None], data.info[video][None], real[None])
        assert float(logit[0]) == pytest.approx(result.held_out(FOLDS, 8)[video], abs=1e-4)


@pytest.mark.slow
def test_every_parameter_was_trained_and_info_is_standardized_by_the_training_videos(result, data):
    for path, leaf in jax.tree_util.tree_leaves_with_path(result.variables["params"]):
        name = jax.tree_util.keystr(path)
        # A softmax over instances does not depend on what is added to each score, so its bias has no gradient.
        assert not np.allclose(leaf[0], leaf[1]) or name == "['instance_attention']['score']['bias']", name
    rows = data.info[list(FOLDS[1].train)]
    np.testing.assert_allclose(result.variables["standard"]["mean"][1], rows.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.variables["standard"]["deviation"][1], rows.std(0), rtol=1e-4)
    assert (np.abs(result.variables["centers"]["centers"]).sum(-1) > 0).all()


def test_an_epoch_changes_no_shape_and_the_last_weights_are_kept(data):
    task = VideoTask(MODULE, CONFIG, (1, 1, 8, 4, 4))
    runs = mam.video_runs(data, FOLDS[:1], 1)
    drawn = {name: jax.tree.map(jnp.zeros, packing.sizes) for name, packing in task.packings.items()}
    run, placed = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), runs), jax.tree.map(jnp.asarray, data)
    before = jax.eval_shape(task.init_state, drawn, True, run, placed)
    after = jax.eval_shape(task.epoch, before, run, placed)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), before
    )
    assert task.first_epoch == CONFIG.epochs == 60


@pytest.fixture(scope="module")
def standards(data):
    runs = mam.video_runs(data, FOLDS[:1], 1)
    tasks = {
        kind: VideoTask(MODULE, replace(CONFIG, standardize=kind), (1, 1, 8, 4, 4))
        for kind in ("none", "channel", "token")
    }
    drawn = jax.tree.map(lambda leaf: leaf[0], tasks["none"].draw_variables(runs.key))

    @jax.jit
    def all_kinds(drawn, run, data):
        return {kind: t.init_variables(t.unpack(drawn), run, data)["inputs"] for kind, t in tasks.items()}

    return all_kinds(drawn, jax.tree.map(lambda leaf: leaf[0], runs), data)


def test_channels_are_standardized_by_the_annotated_clips(data, standards):
    found, x = standards["channel"], np.asarray(motion.inputs(data.clips), np.float64).reshape(-1, 4, 4)
    np.testing.assert_allclose(found["mean"], x.mean(0), rtol=1e-5, atol=1e-6)
    # A joint does not stand away from itself.
    np.testing.assert_allclose(found["deviation"], x.std(0) + np.eye(4), rtol=1e-4)
    np.testing.assert_array_equal(found["mixing"], np.eye(4))


def test_the_frames_of_tokens_are_decorrelated_by_the_annotated_clips(data, standards):
    found = standards["token"]
    z = (np.asarray(motion.inputs(data.clips)) - found["mean"]) / found["deviation"]
    z = np.einsum("stf,tu->suf", z.reshape(-1, 4, 16), found["mixing"])
    # Of 16 channels four are always zero.
    np.testing.assert_allclose(np.einsum("stf,suf->tu", z, z) / len(z) / 16, np.eye(4), atol=0.01)


def clips_of(seed, number):
    """Annotated clips of simulated infants, half of them without fidgety movements."""
    clips, labels = [], []
    for index in range(number):
        known = move((seed, index), draw_infant(seed, index, index % 2, InfantConfig(duration=60, fps=motion.RATE)))
        positions = motion.prepare(Recording(known.positions, motion.RATE, IN_MOTION_19))
        starts = motion.clip_starts(len(positions))
        clips.append(motion.cut(positions, starts)[0])
        labels.append(motion.clip_labels(np.repeat(known.fidgety, int(motion.RATE)), starts))
    return np.concatenate(clips), np.concatenate(labels)


@pytest.mark.slow
def test_distances_teach_which_clips_of_other_infants_are_fidgety():
    """Of 120 infants: with 60 the AUC was 0.51, and with distances as they are 0.57."""
    clips, labels = clips_of(1, 120)
    others, truth = clips_of(2, 12)
    module = MAM(width=32, blocks=1, hidden=64, token=24)
    config = TrainingConfig(pretraining=8, joint=1, clips=24, instances=2, half_cycle=100)
    data = Videos.create([*others[:4]], [0, 1, 0, 1], clips, labels)
    found = fit(*mam.setup(module, data, [Split((0, 1), (2, 3))], config))
    variables = jax.tree.map(lambda leaf: leaf[0], found.variables)
    p = np.concatenate([localize(module, variables, clip, config, batch=1) for clip in others])
    assert auc(p, truth) > 0.65


def test_instances_are_drawn_once_each_or_repeatedly_where_there_are_few(data):
    task = VideoTask(MODULE, replace(CONFIG, instances=4), (1, 1, 8, 4, 4))
    placed = jax.tree.map(jnp.asarray, data)
    draw = jax.jit(lambda key, video: task.draw(key, placed, video))
    for seed in range(3):
        clips, real = draw(jax.random.key(seed), 3)
        assert len(np.unique(np.asarray(clips), axis=0)) == 4
        assert (real == 8).all()
    clips, real = draw(jax.random.key(0), 1)
    assert len(np.unique(np.asarray(clips), axis=0)) == 1
    assert (real == 6).all()
    np.testing.assert_array_equal(clips[0][6:], clips[0][5:6].repeat(2, 0))


@pytest.mark.slow
@pytest.mark.parametrize("parts", [("closeness",), ("reference",), ("reference", "closeness")])
def test_ablations_run(parts, data):
    config = replace(CONFIG, joint=2)
    for part in parts:
        config = config.without(part)
    found = fit(*mam.setup(MODULE, data, FOLDS[:1], config))
    assert found.status == (Status.FINISHED,)
    assert np.abs(found.variables["centers"]["centers"]).sum() > 0


def test_what_cannot_be_trained_is_refused(data):
    with pytest.raises(ValueError, match="the network needs info"):
        mam.setup(MODULE, data._replace(info=None), FOLDS, CONFIG)
    with pytest.raises(ValueError, match="4 channels, the data have 8, 4 and 2"):
        mam.setup(MODULE, data, FOLDS, replace(CONFIG, inputs=("velocities",)))


@pytest.mark.parametrize(
    "wrong",
    [{"inputs": ()}, {"center_rate": 0.0}, {"lowest_rate": 0.0}, {"clip_weight": 0.0, "triplet_weight": 0.0}],
)
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError):
        TrainingConfig(**wrong)
