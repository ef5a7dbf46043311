"""Ensembles of every method as programs of their own."""

import jax
import numpy as np
import pytest

from infantjax import cli
from infantjax.methods import registry
from infantjax.weights.ensemble import load_ensemble
from infantjax.weights.program import load_program


@pytest.mark.parametrize(
    "name", ["baby-moves", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mam", "sma-cnn"))]
)
def test_the_program_gives_the_output_of_every_network(name, ensembles, small, tmp_path, capsys):
    path, method = tmp_path / "a.stablehlo", small(name)
    words = ["export", str(ensembles[name]), "-o", str(path), "--windows", "3", "--platforms", "cpu"]
    assert cli.run(words) == 0, capsys.readouterr().err
    assert "largest difference 0.0e+00" in capsys.readouterr().out
    x = np.random.default_rng(1).normal(0, 0.1, (3, *method.input_shape)).astype(np.float32)
    (variables,) = load_ensemble(ensembles[name]).variables
    found = np.asarray(load_program(path)(x))
    second = method.build().apply(jax.tree.map(lambda leaf: leaf[1], variables), x)[0]
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found[:, 1], second, rtol=1e-4, atol=1e-5)


def test_a_network_that_reads_metadata_too_is_no_program_of_one_array(random_ensemble):
    ensemble = load_ensemble(random_ensemble("baby-moves", network={"metadata": True}))
    with pytest.raises(ValueError, match="baby-moves with metadata reads more than one array"):
        registry.get("baby-moves").program(ensemble, 1)
