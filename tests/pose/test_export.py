"""Exported networks give what the network gives; damaged ones are refused."""

import contextlib
import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import cli, models
from infantjax.errors import InputError
from infantjax.nn.initializers import initialize
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network
from infantjax.pose.export import difference, load_stablehlo, write_onnx, write_stablehlo
from infantjax.skeletons import MPII_16


@pytest.fixture(scope="module")
def network(pose_weights):
    return load_pose_network(pose_weights, side=64)


@pytest.fixture(scope="module")
def exported(pose_weights, tmp_path_factory):
    """A program that the command wrote, and what it said."""
    path, said = tmp_path_factory.mktemp("export") / "a.stablehlo", io.StringIO()
    with contextlib.redirect_stdout(said):
        arguments = ["export", str(pose_weights), "-o", str(path), "--image-size", "64", "--platforms", "cpu", "cuda"]
        assert cli.run(arguments) == 0
    return path, said.getvalue()


@pytest.fixture
def program(exported):
    return exported[0]


@pytest.mark.slow  # the command's test compares the program with the network too
def test_the_program_finds_what_the_tracker_finds_for_any_number_of_images(network, program):
    run, tracker = load_stablehlo(program), Tracker(network, PoseConfig(batch_size=1))
    for number in (1, 3):
        pixels = np.random.default_rng(number).integers(0, 256, (number, 64, 64, 3)).astype(np.uint8)
        found, expected = run(pixels), tracker.find(pixels)
        np.testing.assert_allclose(found.positions, expected.positions, atol=1e-6)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-6)
    assert difference(network, program) < 1e-6


def test_a_flipped_bit_is_noticed_before_anything_is_read(program, tmp_path):
    for at in (0, 30, 100, 5000, -1):
        content = bytearray(program.read_bytes())
        content[at] ^= 1
        (tmp_path / "a.stablehlo").write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged|is not a program"):
            load_stablehlo(tmp_path / "a.stablehlo")


def test_what_is_no_program_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_stablehlo(tmp_path / "absent")
    (tmp_path / "a").write_text("text")
    with pytest.raises(InputError, match="is not a program"):
        load_stablehlo(tmp_path / "a")


def test_an_unknown_decoder_is_refused(network, tmp_path):
    with pytest.raises(ValueError, match="decoder must be one of"):
        write_stablehlo(network, tmp_path / "a", "color")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientpose-i", "efficienthourglass-l0", "cima-pose", "openpose"])
def test_every_kind_of_network_runs_in_onnx_runtime(name, tmp_path):
    pytest.importorskip("onnxruntime")
    entry = models.get(name)
    module = entry.build(upscale=False)
    x = jnp.zeros((1, 64, 64, 3))
    variables = initialize(module, jax.random.key(0), x)
    network = PoseEstimator(module, variables, MPII_16, 64, entry.normalization, name, "")
    write_onnx(network, tmp_path / "a.onnx")
    assert difference(network, tmp_path / "a.onnx") < 1e-4


def test_the_command_exports_and_says_how_exactly(exported, pose_weights, tmp_path, capsys):
    target, said = exported
    assert said.splitlines()[0].startswith(str(target))
    (difference,) = re.findall(r"largest relative difference (\S+) on", said)
    assert float(difference) < 1e-6
    for path, message in ((target, "exists"), (tmp_path / "a.txt", ".onnx or .stablehlo")):
        assert cli.run(["export", str(pose_weights), "-o", str(path), "--image-size", "64"]) == 2
        assert message in capsys.readouterr().err
