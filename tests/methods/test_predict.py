"""An ensemble as a pure function: the risks that an assessment has, through every transformation."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.methods import registry
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.recording.windows import window_starts
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, load_ensemble


@pytest.fixture(scope="module")
def infant():
    return simulate(0, InfantConfig(duration=12, dropout_rate=0))


@pytest.fixture(scope="module")
def ensemble(ensemble_folder) -> Ensemble:
    return load_ensemble(ensemble_folder)


@pytest.fixture(scope="module")
def windows(infant) -> np.ndarray:
    positions = standardize(infant, REFERENCE).keypoints.astype(np.float32)
    return positions[window_starts(len(positions))[:, None] + np.arange(150)]


@pytest.fixture(scope="module")
def predict(ensemble):
    return ensemble.predict_fn()


def test_it_gives_the_risks_of_an_assessment_and_compiles_once(ensemble, infant, windows, predict):
    risks = predict(ensemble.variables, windows)
    expected = registry.assessor(ensemble).window_risks(infant)
    assert risks.shape == (len(windows), 2)
    np.testing.assert_allclose(risks.T, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(predict(ensemble.variables, windows[:1]), risks[:1], rtol=0, atol=2e-6)


def test_jit_vmap_and_constants_give_the_same(ensemble, windows, predict):
    expected = predict(ensemble.variables, windows[:2])
    traced = jax.jit(lambda given: predict(ensemble.variables, given))(windows[:2])
    mapped = jax.vmap(predict, in_axes=(None, 0))(ensemble.variables, np.stack([windows[:2]] * 2))
    np.testing.assert_allclose(traced, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(mapped, np.stack([expected] * 2), rtol=0, atol=2e-6)


@pytest.mark.slow
def test_windows_over_two_devices_give_the_risks_of_one(ensemble, ensemble_folder, windows, predict, tmp_path):
    given = np.concatenate([windows] * 2)
    np.save(tmp_path / "windows.npy", given)
    program = f"""
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
from infantjax.weights.ensemble import load_ensemble
ensemble = load_ensemble({str(ensemble_folder)!r})
mesh = jax.make_mesh((2,), ("window",), (jax.sharding.AxisType.Auto,))
over = NamedSharding(mesh, P("window"))
windows = jax.device_put(np.load({str(tmp_path / "windows.npy")!r}), over)
variables = jax.device_put(ensemble.variables, NamedSharding(mesh, P()))
risks = jax.jit(ensemble.predict_fn(), out_shardings=over)(variables, windows)
assert len(risks.sharding.device_set) == 2
np.save({str(tmp_path / "risks.npy")!r}, risks)
"""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "XLA_FLAGS": flags}, check=True)
    expected = predict(ensemble.variables, given)
    np.testing.assert_allclose(np.load(tmp_path / "risks.npy"), expected, rtol=0, atol=2e-6)


def test_the_gradient_is_the_slope(ensemble, windows, predict):
    @jax.jit
    def mean(x):
        return predict(ensemble.variables, x).mean()

    given = jnp.asarray(windows[:1])
    slope = jax.jit(jax.grad(mean))(given)
    step = 0.02 * slope / jnp.abs(slope).max()
    assert np.isfinite(slope).all()
    assert float(mean(given + step) - mean(given - step)) == pytest.approx(2 * float((slope * step).sum()), rel=0.05)


def test_another_platform_is_lowered_here(ensemble, windows):
    predict = ensemble.predict_fn(platform="tpu")
    traced = jax.jit(predict).trace(ensemble.variables, jax.ShapeDtypeStruct(windows.shape, np.float32))
    assert "stablehlo" in traced.lower(lowering_platforms=("tpu",)).as_text()


def test_a_network_of_29_points_is_a_function_too(random_ensemble, infant):
    ensemble = load_ensemble(random_ensemble("cp-gcn-29"))
    rng = np.random.default_rng(0)
    cut = rng.normal(0, 0.1, (3, 90, 29, 2)).astype(np.float32)
    risks = np.asarray(ensemble.predict_fn()(ensemble.variables, cut))
    scores, _ = registry.assessor(ensemble)._program.scores(np.concatenate(cut), np.arange(5) < 1)
    assert risks.shape == (3, 2)
    np.testing.assert_allclose(risks[0], scores[0].risk[:, 0], rtol=0, atol=1e-5)


def test_what_is_no_window_of_the_method_is_refused(ensemble, windows, predict):
    with pytest.raises(ValueError, match=r"windows must be \[window, 150, 19, 2\], got \(1, 149, 19, 2\)"):
        predict(ensemble.variables, windows[:1, :149])
    with pytest.raises(ValueError, match=r"got \(0, 150, 19, 2\)"):
        predict(ensemble.variables, windows[:0])
    with pytest.raises(ValueError, match="mam gives no risk for windows alone; known: cp-gcn-29, ensemble-gcn"):
        Ensemble(ensemble.members, EnsembleInfo(method="mam")).predict_fn()
