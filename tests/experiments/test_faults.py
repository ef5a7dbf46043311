"""Simulated tracking faults: seeded, pure, and each changes the recording."""

import numpy as np
import pytest

from experiments.faults import FAULTS, spoil
from infantjax.recording.conversion import convert
from infantjax.simulation import InfantConfig, simulate

CLEAN = simulate(1, InfantConfig(duration=6))


def test_every_fault_changes_the_recording_alike_for_one_seed():
    before = CLEAN.keypoints.copy()
    for fault in FAULTS:
        first, second = (spoil(CLEAN, fault, 0.5, seed=3) for _ in range(2))
        assert np.array_equal(CLEAN.keypoints, before, equal_nan=True)
        assert np.array_equal(first.keypoints, second.keypoints, equal_nan=True)
        assert first.fps == second.fps
        assert first.fps != CLEAN.fps or not np.array_equal(first.keypoints, before, equal_nan=True), fault
        assert fault in first.history[-1]
        assert first.metadata["fault"] == fault


@pytest.mark.parametrize("name", ["mini-rgbd-14", "coco-17", "baby-moves-18"])
def test_faults_work_on_other_keypoint_sets(name):
    converted = convert(CLEAN, name)
    for fault in FAULTS:
        assert spoil(converted, fault, 1.0).skeleton == converted.skeleton


def test_another_seed_places_a_fault_elsewhere():
    first, second = (spoil(CLEAN, "jumps", 0.3, seed=seed) for seed in (1, 2))
    assert not np.array_equal(first.keypoints, second.keypoints, equal_nan=True)


@pytest.mark.parametrize(("fault", "severity"), [("nonsense", 0.3), ("jumps", 0.0), ("jumps", 1.5)])
def test_unknown_faults_and_severities_are_refused(fault, severity):
    with pytest.raises(ValueError, match=r"fault|severity"):
        spoil(CLEAN, fault, severity)
