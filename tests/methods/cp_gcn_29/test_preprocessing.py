"""CP-GCN-29 from pixels to streams against the reference implementation."""

import jax
import numpy as np
import pytest
from einops import rearrange

from infantjax import formats
from infantjax.errors import InputError
from infantjax.methods.cp_gcn_29.method import CpGcn29
from infantjax.methods.cp_gcn_29.preprocessing import HANDS_AND_FEET, build_inputs
from infantjax.recording.recording import Recording
from infantjax.recording.windows import window_starts
from infantjax.simulation import simulate_infants
from infantjax.skeletons import SKELETONS


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "golden" / "cp_gcn29" / "preprocess29.npz")


@pytest.mark.parametrize("name", ["syn29a", "syn29b"])
def test_positions_and_windows_are_those_of_the_reference_implementation(name, shared, golden):
    recording = formats.read(shared / "golden" / "cp_gcn29" / f"keypoints29_{name}.csv", fps=30)
    assert recording.skeleton.name == "in-motion-29"
    positions = CpGcn29().prepare(recording)
    expected = rearrange(golden[f"coords/{name}"], "side time joint -> time joint side")
    np.testing.assert_allclose(positions, expected, rtol=0, atol=1e-7)
    for window in (225, 150):
        np.testing.assert_array_equal(window_starts(len(positions), window, 75), golden[f"w{window}/starts/{name}"])


def test_the_streams_are_those_of_the_reference_implementation(golden):
    positions = rearrange(golden["coords/syn29a"][:, :150], "side time joint -> time joint side").astype(np.float32)
    found = rearrange(build_inputs(positions), "time joint (stream channel) -> stream channel time joint", stream=4)
    expected = golden["w150/features_first/syn29a"][..., 0]
    for stream in range(4):
        largest = np.abs(expected[stream]).max()
        np.testing.assert_allclose(found[stream], expected[stream], rtol=0, atol=1e-6 * largest)
    assert not np.any(found[[1, 3], :, -2:])


def test_without_the_filter_the_acceleration_is_that_of_the_velocity():
    positions = np.random.default_rng(0).normal(size=(40, 29, 2)).astype(np.float32)
    streams = rearrange(
        np.asarray(jax.jit(build_inputs, static_argnums=1)(positions, False)), "t v (s c) -> s c t v", s=4
    )
    velocity, acceleration = streams[1], streams[3]
    np.testing.assert_allclose(acceleration[:2, :-2], velocity[:2, 1:-1] - velocity[:2, :-2], atol=1e-5)
    np.testing.assert_allclose(acceleration[2:, :-2], (velocity[2:, 2:] - velocity[2:, :-2]) / 2, atol=1e-5)


def test_points_without_counterpart_are_approximated_and_named_or_refused():
    (recording, _), _ = simulate_infants(2, 0, 9.0)
    converted = CpGcn29().convert(recording)
    assert list(converted.approximated) == list(converted.skeleton.joints[19:])
    assert converted.notes[-1].startswith("the network was never trained on approximated points of hands and feet")
    with pytest.raises(InputError, match="10 joints of in-motion-29 can only be approximated"):
        CpGcn29().prepare(recording, strict=True)


def test_a_finger_is_its_tip_or_its_knuckle():
    skeleton = SKELETONS["coco-wholebody-133"]
    keypoints = np.random.default_rng(0).normal(size=(240, 133, 2))
    recording = Recording(keypoints, 30.0, skeleton, "infant")
    for fingers, source in (("tip", "left_forefinger4"), ("knuckle", "left_forefinger1")):
        converted = CpGcn29(fingers=fingers).convert(recording)
        found = converted.keypoints[:, converted.skeleton.index("left_index_finger")]
        np.testing.assert_array_equal(found, keypoints[:, skeleton.index(source)])
        assert not set(converted.approximated) & set(HANDS_AND_FEET)
