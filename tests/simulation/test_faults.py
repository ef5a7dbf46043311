"""Simulated tracking faults: seeded, pure, and each changes the recording."""

import numpy as np
import pytest

from infantjax import formats
from infantjax.recording.conversion import convert
from infantjax.simulation import FAULTS, InfantConfig, simulate, spoil, write_cohort

CLEAN = simulate(1, InfantConfig(duration=6))


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_changes_the_recording_alike_for_one_seed(fault):
    before = CLEAN.keypoints.copy()
    first, second = (spoil(CLEAN, fault, 0.5, seed=3) for _ in range(2))
    assert np.array_equal(CLEAN.keypoints, before, equal_nan=True)
    assert np.array_equal(first.keypoints, second.keypoints, equal_nan=True)
    assert first.fps == second.fps
    assert first.fps != CLEAN.fps or not np.array_equal(first.keypoints, before, equal_nan=True)
    assert fault in first.history[-1]
    assert first.metadata["fault"] == fault


def test_there_are_many_kinds():
    assert len(FAULTS) >= 14


def test_another_seed_places_a_fault_elsewhere():
    first, second = (spoil(CLEAN, "jumps", 0.3, seed=seed) for seed in (1, 2))
    assert not np.array_equal(first.keypoints, second.keypoints, equal_nan=True)


@pytest.mark.parametrize("name", ["mini-rgbd-14", "coco-17", "baby-moves-18"])
def test_faults_work_on_other_keypoint_sets(name):
    converted = convert(CLEAN, name)
    for fault in FAULTS:
        assert spoil(converted, fault, 1.0).skeleton == converted.skeleton


@pytest.mark.parametrize(("fault", "severity"), [("nonsense", 0.3), ("jumps", 0.0), ("jumps", 1.5)])
def test_unknown_faults_and_severities_are_refused(fault, severity):
    with pytest.raises(ValueError, match=r"unknown fault|severity"):
        spoil(CLEAN, fault, severity)


def test_a_cohort_can_be_spoiled(tmp_path):
    clean = write_cohort(tmp_path / "clean", 2, 1, duration=3)
    spoiled = write_cohort(tmp_path / "spoiled", 2, 1, duration=3, fault="mirrored")
    name = "orgcoords_sim0000.csv"
    first, second = (formats.read(folder / name).keypoints for folder in (clean, spoiled))
    np.testing.assert_allclose(first[..., 0], -second[..., 0])
    with pytest.raises(ValueError, match="unknown fault"):
        write_cohort(tmp_path / "other", 2, 1, duration=3, fault="nonsense")
