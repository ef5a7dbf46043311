"""Recordings are divided among devices, and every method gives the bytes of one device; one process for all methods."""

import json
import os
import subprocess
import sys

import pytest

METHODS = ("baby-moves", "cp-gcn-29", "mam", "sma-cnn")
SCRIPT = """
import gc
import json
import sys
import jax
from infantjax import cache
cache.use_compilation_cache()
from infantjax.files import canonical_json
from infantjax.methods import registry
from infantjax.weights.ensemble import load_ensemble

found = {}
for folder in sys.argv[1:]:
    ensemble = load_ensemble(folder)
    assessor = registry.assessor(ensemble)
    recordings = [one for one, _ in assessor.method.simulate(3, 0, 12.0)][:3]
    alone = [assessor.assess(one) for one in recordings]
    together = assessor.assess_many([*recordings, recordings[0]], [""] * 4)
    found[assessor.method.name] = {
        "alone": [canonical_json(each.to_dict()) for each in alone],
        "together": [canonical_json(each.to_dict()) for each in together[:3]],
        "devices": len({device for array in jax.live_arrays() for device in array.devices()}),
        "together_for": str(assessor.seconds_together),
    }
    del assessor, together, alone
    gc.collect()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(ensembles) -> dict:
    """What two devices give for the recordings of each method."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", SCRIPT, *(ensembles[name] for name in METHODS)]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(command, check=True, env=environment, timeout=300, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_recordings_use_all_devices_and_give_the_bytes_of_one(found, name):
    assert found[name]["devices"] == 2
    assert (found[name]["together_for"] == "inf") == (name != "cp-gcn-29")  # whose windows fill the devices
    assert found[name]["together"] == found[name]["alone"]
