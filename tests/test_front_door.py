"""`import infantjax as ij` and what it offers."""

import dataclasses
import json
import subprocess
import sys

import flax.linen as nn
import numpy as np
import pytest
from jax import monitoring

import infantjax as ij
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.weights import bundled

SUBPACKAGES = [name for name in dir(ij) if name.islower() and not name.startswith("_") and name not in ij._FUNCTIONS]


@pytest.fixture(scope="module")
def recording() -> ij.Recording:
    return ij.simulate(1, duration=6, dropout_rate=0)


def modules_after(code: str) -> set[str]:
    """Modules that a fresh process loads for some code."""
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_importing_infantjax_loads_three_modules_of_its_own_and_nothing_heavy():
    loaded = modules_after("import infantjax")
    assert {name for name in loaded if name.startswith("infantjax")} == {
        "infantjax",
        "infantjax.lazy",
        "infantjax.version",
    }
    # Under 50 ms: a handful of light modules of the standard library.
    assert len(loaded - modules_after("import pathlib, typing, difflib, importlib, pkgutil, functools")) < 20
    assert not loaded & {"numpy", "jax", "flax", "scipy"}


def test_every_subpackage_resolves_after_the_one_import():
    names = ", ".join(f"ij.{name}" for name in SUBPACKAGES)
    assert len(SUBPACKAGES) >= 20
    subprocess.run([sys.executable, "-c", f"import infantjax as ij; {names}"], check=True)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("asses", "assess"), ("Recordings", "Recording"), ("list_model", "list_models"), ("formts", "formats")],
)
def test_a_wrong_name_gets_the_nearest_right_one(name, nearest):
    with pytest.raises(AttributeError, match=f"module 'infantjax' has no attribute '{name}'; did you mean {nearest}"):
        getattr(ij, name)


def test_a_model_is_found_by_pattern_and_built():
    assert ij.list_models("kbest*") == [f"kbest-gcn-{number}" for number in range(1, 11)]
    assert set(ij.list_models("kbest*")) < set(ij.list_models())
    assert isinstance(ij.create_model("st-gcn", widths=(4,)), nn.Module)
    with pytest.raises(ValueError, match='unknown model "kbest-gcn-77"; did you mean kbest-gcn-7'):
        ij.create_model("kbest-gcn-77")


def test_the_same_keypoints_are_assessed_from_a_file_a_recording_and_an_array(recording, ensemble_folder, tmp_path):
    ij.formats.write(recording, tmp_path / "infant.npz")
    sources = [tmp_path / "infant.npz", recording, np.asarray(recording.keypoints)]
    assert repr(recording) == "Recording('simulated', 180 frames, 30 fps, 6.0 s, in-motion-19, 2-D, 0.0 % missing)"
    first, *others = ij.assess(sources, ensemble=ensemble_folder, fps=30, skeleton="in-motion-19", threshold=0.4)
    assert [other.value for other in others] == pytest.approx([first.value] * 2, abs=1e-6)
    assert first.threshold == 0.4
    assert first.provenance["input"]["sha256"]
    first.save(tmp_path / "infant.json")
    assert json.loads((tmp_path / "infant.json").read_text()) == first.to_dict()


def test_two_calls_compile_once(recording, ensemble_folder):
    seen = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(duration)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        first = ij.assess(recording, ensemble=ensemble_folder, threshold=0.45)
        assert seen, "nothing would be counted"
        seen.clear()
        second = ij.assess(recording, ensemble=ensemble_folder, threshold=0.45, error=0.2)
    finally:
        monitoring.unregister_event_duration_listener(listen)
    assert not seen
    assert second.value == first.value
    assert [found.provenance["calibration"]["error"] for found in (first, second)] == [0.1, 0.2]
    for number in range(9):
        ij.assess([], ensemble=ensemble_folder, threshold=number / 10)
    assert len(ij._assessors) == ij._MOST_ASSESSORS


def test_an_array_needs_to_be_described(ensemble_folder):
    with pytest.raises(ValueError, match="an array needs fps and skeleton"):
        ij.assess(np.zeros((200, 19, 2)), ensemble=ensemble_folder)


def test_the_demonstration_ensemble_has_a_name():
    assert ij.load_ensemble("demo").digest == bundled.ensemble().digest
    with pytest.raises(ij.InputError, match="demos"):
        ij.load_ensemble("demos")


def test_the_demonstration_holds_out_of_fold_risks_of_simulated_infants():
    found = RiskCalibration.from_dict(bundled.ensemble().info.calibration)
    assert found.counts() == (54, 30)
    given = found.apply(0.5, dict.fromkeys(range(7), 0.5))
    assert 0 < given.low < given.risk < given.high < 1
    assert "for simulated infants like those of the cross-validation (84 simulated infants" in given.statement


def test_an_error_and_a_prevalence_are_options(recording, ensemble_folder):
    trained = ij.load_ensemble(ensemble_folder)
    ensemble = dataclasses.replace(
        trained, info=dataclasses.replace(trained.info, calibration=bundled.ensemble().info.calibration)
    )
    found = ij.assess(recording, ensemble=ensemble, error=0.2, prevalence=0.1)
    assert (found.calibration.prevalence, found.provenance["calibration"]["error"]) == (0.1, 0.2)
    with pytest.raises(ValueError, match="prevalence must lie between 0 and 1"):
        ij.assess(recording, ensemble=ensemble, prevalence=10)
