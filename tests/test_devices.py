"""Several devices give what one gives, byte for byte; eight virtual devices, in one process for all tests."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax import devices
from infantjax import formats as readers
from infantjax.nn.kernels.convolution import pointwise
from infantjax.simulation import InfantConfig, simulate

SCRIPT = """
import jax
import jax.experimental.pallas  # Flax and SciPy import it, and from JAX 0.12 on it adds to the key of traces

traces = []


@jax.jit
def own(x):
    traces.append(1)
    return x + 1


own(1.0)
import sys
from dataclasses import replace
from pathlib import Path
import flax.linen as nn
import numpy as np
from infantjax import cache
cache.use_compilation_cache()
from infantjax.devices import PerDevice, map_over_devices
from infantjax.assessment.batch import ReadOptions, assess_files
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.skeletons import MPII_16
from infantjax.weights.ensemble import Member, load_ensemble

ensemble, output, *paths = map(Path, sys.argv[1:])
assert jax.local_device_count() == 8
found = {}


def busy():
    return len({device for array in jax.live_arrays() for device in array.devices()})


for name, used in (("one", jax.local_devices()[:1]), ("all", None)):
    assessor = EnsembleGcnAssessor(load_ensemble(ensemble), devices=used)
    assess_files(paths, output / name, assessor, ReadOptions(fps=30.0))
    found |= {f"devices_for_{name}": busy()}

# Seven networks on two rows of four devices: one row of the second call is padding.
(member,) = load_ensemble(ensemble).members
seven = jax.tree.map(lambda leaf: leaf[np.arange(7) % 2], member.variables)
several = replace(load_ensemble(ensemble), members=(Member(member.model, seven, member.overrides),))
program = EnsembleGcnAssessor(several)._program
positions = np.random.default_rng(0).standard_normal((900, 19, 2)).astype(np.float32)
(scores,), _ = program.scores(positions)
found |= {"risk": scores.risk, "contributions": scores.contributions}


class Maps(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Conv(16, (8, 8), 8)(x), {}


crops = np.random.default_rng(0).integers(0, 256, (5, 96, 96, 3), np.uint8)
variables = Maps().init(jax.random.key(0), np.zeros((1, 96, 96, 3), np.float32))
network = PoseEstimator(Maps(), variables, MPII_16, 96, "imagenet", "maps", "0" * 64)
for name, used in (("one", jax.local_devices()[:1]), ("all", None)):
    points = Tracker(network, PoseConfig(), used).find(crops)
    found |= {f"positions_on_{name}": points.positions, f"confidence_on_{name}": points.confidence}

held = PerDevice(np.arange(3.0))
used = map_over_devices(lambda i: (i, *(device.id for device in (held.get() * 2).devices())), range(40))
again = map_over_devices(lambda i: held.get(), range(40))
found |= {"items": used, "copies": len({id(each) for each in again})}
own(1.0)
np.savez(output / "found.npz", traces=len(traces), **found)
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    """Of three infants as files; two are of the same length."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"{name}.csv" for name in ("one", "two", "three")]
    for seed, (path, seconds) in enumerate(zip(paths, (10.0, 8.0, 10.0))):
        readers.write(simulate(seed, InfantConfig(duration=seconds), name=path.stem), path)
    return paths


@pytest.fixture(scope="module")
def on_eight(recordings, ensemble_folder, tmp_path_factory) -> Path:
    """The folder with what eight devices give."""
    folder = tmp_path_factory.mktemp("eight")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    command = [sys.executable, "-c", SCRIPT, ensemble_folder, folder, *recordings]
    subprocess.run(command, check=True, env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, timeout=300)
    return folder


@pytest.fixture(scope="module")
def found(on_eight):
    with np.load(on_eight / "found.npz") as content:
        return dict(content)


def test_an_assessment_uses_all_devices_and_gives_the_bytes_of_one(on_eight, found):
    one, several = ({path.name: path.read_bytes() for path in (on_eight / name).iterdir()} for name in ("one", "all"))
    assert len(one) == 2 * 3 + 2 + 1
    assert one == several
    assert (found["devices_for_one"], found["devices_for_all"]) == (1, 8)


def test_what_a_user_has_compiled_before_is_not_traced_again(found):
    assert found["traces"] == 1


def test_networks_that_devices_do_not_divide_are_each_computed(found):
    risk = found["risk"]
    assert (risk.shape, found["contributions"].shape) == ((7, 12), (7, 12, 19))
    np.testing.assert_array_equal(risk, risk[np.arange(7) % 2])
    assert np.abs(risk[0] - risk[1]).max() > 1e-4


@pytest.mark.parametrize("what", ["positions", "confidence"])
def test_frames_are_divided_among_devices(found, what):
    assert len(found[f"{what}_on_all"]) == 5
    np.testing.assert_array_equal(found[f"{what}_on_all"], found[f"{what}_on_one"])


def test_items_are_divided_among_devices_that_hold_arrays_once(found):
    items, used = found["items"].T
    np.testing.assert_array_equal(items, np.arange(40))
    assert 1 < len(set(used)) <= 8
    assert found["copies"] <= 8


@pytest.mark.parametrize(
    ("networks", "count", "shape"), [(1, 8, (1, 8)), (7, 8, (4, 2)), (70, 8, (8, 1)), (7, 1, (1, 1))]
)
def test_a_mesh_takes_networks_first_and_divides_the_devices_evenly(networks, count, shape):
    assert devices.local_mesh(networks, jax.local_devices()[:1] * count).devices.shape == shape


def test_a_function_is_traced_for_its_platform():
    def network(x):
        return pointwise(x, np.ones((3, 10), np.float32))

    x = np.ones((300, 3), np.float32)
    # Ten output channels are made sixteen for a CPU alone.
    for platform, padded in ((None, True), ("tpu", False), ("cpu", True)):
        program = jax.jit(network if platform is None else devices.for_platform(network, platform))
        assert ("pad" in str(program.trace(x).jaxpr)) == padded
    assert devices.current_platform() == "cpu"
