"""SMA CNN: ordinal regression, normalized scores, and scores of other scales."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.methods.sma_cnn.method import SmaCnn
from infantjax.methods.sma_cnn.model import cumulative_loss, rising_thresholds
from infantjax.methods.sma_cnn.training import ScoreTask
from infantjax.weights.ensemble import load_ensemble, save_ensemble

LATENT, LEVELS = np.array([-4.0, 0.3, 0.4, 9.0, 1.0]), np.array([0, 2, 1, 3, 3], np.int32)
OTHER = {"scale": [0, 64], "score_name": "HFMSE"}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_loss_is_the_likelihood_of_cumulative_links():
    thresholds = np.array([-1.0, 0.2, 2.5])
    cumulative = sigmoid(np.array([-np.inf, *thresholds, np.inf]) - LATENT[:, None])
    expected = -np.log(np.diff(cumulative)[np.arange(5), LEVELS]).mean()
    with jax.enable_x64():
        found = cumulative_loss(jnp.asarray(LATENT), jnp.asarray(thresholds), jnp.asarray(LEVELS))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_its_gradients_are_those_of_differences_and_finite_at_the_ends():
    def loss(latent, offsets):
        return cumulative_loss(latent, rising_thresholds(offsets), jnp.asarray(LEVELS))

    with jax.enable_x64():
        check_grads(
            jax.jit(loss), (jnp.asarray(LATENT), jnp.asarray([0.1, -0.7, 1.3])), order=1, modes="rev", rtol=1e-6
        )
    far = jax.jit(jax.grad(loss))(jnp.array([80.0, -80, 80, -80, 80]), jnp.zeros(3))
    assert np.isfinite(far).all()


@pytest.mark.parametrize("offsets", [np.full(9, -200.0), np.random.default_rng(0).normal(0, 5, 9)])
def test_thresholds_rise(offsets):
    thresholds = np.asarray(rising_thresholds(jnp.asarray(offsets, jnp.float32)))
    assert (np.diff(thresholds) > 0).all()


@pytest.fixture(scope="module")
def tasks():
    """The task and initial variables of each loss."""
    x = np.random.default_rng(0).standard_normal((3, 12, 120, 1)).astype(np.float32)

    def make(**training):
        method = SmaCnn.from_settings({"network": {"features": [2, 2, 2, 4]}, "training": training, **OTHER})
        task = ScoreTask(method.build(), method.training, (1, 12, 120, 1))
        return task, jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), task.unpack(task.draw_variables(KEYS))), x

    return make


KEYS = jax.random.split(jax.random.key(0), 1)


def test_the_expected_score_is_in_points_within_the_scale_and_every_level_can_be_learned(tasks):
    task, variables, x = tasks(loss="ordinal")
    assert variables["params"]["thresholds_bias"].shape == (64,)
    found, aux = jax.jit(task.module.apply)(variables, x)
    cumulative = sigmoid(np.append(aux["thresholds"], np.inf) - np.asarray(aux["latent"])[:, None])
    probabilities = np.diff(np.pad(cumulative, ((0, 0), (1, 0))))
    np.testing.assert_allclose(found, probabilities @ np.arange(65), rtol=1e-4)
    scores = jnp.array([0.0, 31.4, 64.0])
    expected = cumulative_loss(aux["latent"], aux["thresholds"], jnp.array([0, 31, 64]))
    np.testing.assert_allclose(task.data_loss(found, aux, scores), expected, rtol=1e-6)


def test_normalized_scores_are_shares_of_the_scale_and_predictions_stay_in_points(tasks):
    task, variables, x = tasks(normalize=True)
    found, aux = jax.jit(task.module.apply)(variables, x)
    plain = jax.jit(task.module.clone(scale=None).apply)(variables, x)[0]
    np.testing.assert_allclose(found, 64 * plain, rtol=1e-6)
    scores = jnp.array([0.0, 31.4, 64.0])
    np.testing.assert_allclose(task.data_loss(found, aux, scores), np.square(plain - scores / 64).mean() / 2, rtol=1e-5)


def test_an_ensemble_keeps_its_scale_and_name(small, random_ensemble, cohort_of, tmp_path):
    ensemble = load_ensemble(random_ensemble("sma-cnn", training={"loss": "ordinal"}, **OTHER))
    save_ensemble(ensemble, tmp_path)
    recording = cohort_of("sma-cnn", 1, duration=6).recordings[0]
    found = registry.assessor(load_ensemble(tmp_path), scale=(0.0, 64.0)).assess(recording)
    assert found.headline.label == "motor score of the HFMSE, 0 to 64, mean over windows"
    assert found.headline.limits[0] <= 0
    assert found.headline.limits[1] >= 64
    named = registry.assessor(ensemble, score_name="HFMSE, first form").assess(recording)
    assert named.headline.label.startswith("motor score of the HFMSE, first form, 0 to 64")
    assert named.value == found.value
    with pytest.raises(InputError, match="has scores from 0 to 64, not from 0 to 72; leave out --scale"):
        registry.assessor(ensemble, scale=(0, 72))


def test_an_ensemble_tells_which_change_between_visits_exceeds_its_error(random_ensemble, cohort_of):
    ensemble = load_ensemble(random_ensemble("sma-cnn"))
    recording = cohort_of("sma-cnn", 1, duration=6).recordings[0]
    known = replace(ensemble, info=replace(ensemble.info, extra={"reliable_change": 8.5}))
    *averages, change = registry.assessor(known).assess(recording).quantities
    assert (change.name, change.value, len(averages)) == ("reliable_change", 8.5, 3)
    assert len(registry.assessor(ensemble).assess(recording).quantities) == 3
    with pytest.raises(InputError, match="reliable_change that is no number"):
        registry.assessor(replace(ensemble, info=replace(ensemble.info, extra={"reliable_change": "8"}))).assess(
            recording
        )


def test_a_cohort_is_read_on_the_scale_of_the_settings(small, cohort_of, tmp_path):
    method = small("sma-cnn", **OTHER)
    assert (method.score_range, SmaCnn.score_range) == ((0, 64), (0, 72))
    with pytest.raises(ValueError, match=r"learns from outcomes on \(0.0, 64.0\)"):
        method.crossval(cohort_of("sma-cnn", 2, duration=6), tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": [64, 0], "score_name": "x"}, "scale must be a lowest and a higher score, got 64 0"),
        ({"scale": [0, 64]}, "score_name must say what has the scale 0 to 64"),
        ({"training": {"levels": 5}}, "levels are for the loss ordinal"),
        ({"training": {"loss": "ordinal", "levels": 1}}, "levels must be within 2..1000"),
        ({"training": {"loss": "ordinal", "normalize": True}}, "normalize is for the loss mse"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SmaCnn.from_settings(settings)


def test_a_second_layer_over_windows_is_read_from_the_ensemble(random_ensemble, cohort_of):
    ensemble = load_ensemble(random_ensemble("sma-cnn", aggregation="linear"))
    recording = cohort_of("sma-cnn", 1, duration=6).recordings[0]
    known = replace(ensemble, info=replace(ensemble.info, extra={"aggregator": [7.5, [0.0] * 5]}))
    found = registry.assessor(known).assess(recording)
    assert found.headline.label.endswith("linear over windows")
    assert [q.name for q in found.quantities] == ["score_mean", "score_median", "score_fence", "score_linear"]
    assert found.value == pytest.approx(found.quantities[0].value + 7.5)
    with pytest.raises(InputError, match="cannot be used with the aggregation linear"):
        registry.assessor(ensemble).assess(recording)


@pytest.mark.slow
def test_a_second_layer_is_trained_and_saved(small, cohort_of, tmp_path):
    ensemble = small("sma-cnn", aggregation="linear").crossval(cohort_of("sma-cnn", 3), tmp_path)
    assert len(ensemble.info.extra["aggregator"][1]) == 5
    assert ensemble.info.extra["reliable_change"] > 0
    found = registry.assessor(load_ensemble(tmp_path)).assess(cohort_of("sma-cnn", 1).recordings[0])
    assert found.quantities[-1].name == "reliable_change"
    assert abs(found.value - found.quantities[0].value) > 1e-6
