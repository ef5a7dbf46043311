"""An ensemble as a program of its own."""

import numpy as np
import pytest

from infantjax import cli
from infantjax.weights.ensemble import load_ensemble
from infantjax.weights.program import load_program


@pytest.fixture(scope="module")
def exported(ensemble_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "ensemble.stablehlo"
    assert cli.run(["export", str(ensemble_folder), "-o", str(path), "--windows", "3", "--platforms", "cpu"]) == 0
    return path


def test_the_program_gives_the_risks_of_the_ensemble(exported, ensemble_folder):
    ensemble = load_ensemble(ensemble_folder)
    windows = np.random.default_rng(1).normal(0, 0.1, (3, 150, 19, 2)).astype(np.float32)
    expected = ensemble.predict_fn()(ensemble.variables, windows)
    np.testing.assert_allclose(load_program(exported)(windows), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [(("-o", "a.onnx"), "not for ensembles"), (("-o", "a.stablehlo", "--windows", "0"), "must be at least 1")],
)
def test_what_cannot_be_exported_is_one_line(ensemble_folder, capsys, options, message):
    assert cli.run(["export", str(ensemble_folder), *options]) == 2
    assert message in capsys.readouterr().err
