"""Lifting trained on simulated infants: better than the mean pose, and weights that `lift` reads."""

import lifting as experiment
import lifting_metrics as metrics
import numpy as np
import pytest

from infantjax.pose.lifting import Lifter
from infantjax.simulation import InfantConfig, draw_infant, simulate
from infantjax.simulation.infant import project
from infantjax.simulation.movement import move
from infantjax.skeletons import HUMAN36M_17


def test_positions_project_onto_the_keypoints(tmp_path):
    options = experiment.Options(tmp_path, seconds=1.0)
    (seen,), (space,) = experiment.draw(options, [3])
    assert (seen.shape, space.shape) == ((30, 17, 2), (30, 17, 3))
    assert (space[:, 0] == 0).all()
    # From above an infant is as wide as it is long: scaled, x and y of both agree but for perspective and noise.
    flat = seen - seen[:, :1]
    scale = (flat * space[..., :2]).sum() / (space[..., :2] ** 2).sum()
    assert np.abs(flat - scale * space[..., :2]).max() < 0.1 * np.ptp(flat)
    config = draw_infant(0, 3, 1, InfantConfig(duration=1.0))
    assert project(move((0, 3), config).positions, config).shape == (30, 19, 2)
    # The nose of an infant on its back is nearer to the camera than its pelvis.
    assert space[:, HUMAN36M_17.index("neck_nose"), 2].max() < 0


@pytest.mark.slow
def test_a_short_training_beats_the_mean_pose(tmp_path, capsys):
    options = experiment.Options(
        tmp_path, infants=16, seconds=4.0, steps=500, batch=64, channels=32, widths=(3, 3), rate=0.01
    )
    experiment.main(options)
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    found = {row[1].strip(): float(row[2]) for row in rows[4:]}
    ours, mean = found.values()
    assert ours < mean
    lifted = Lifter.load(tmp_path / "lifting.npz")(simulate(1, InfantConfig(duration=1.0)))
    assert lifted.keypoints.shape == (30, 17, 3)


@pytest.mark.parametrize(
    ("measure", "key"),
    [
        (metrics.mpjpe, "mpjpe"),
        (metrics.p_mpjpe, "p_mpjpe"),
        (metrics.n_mpjpe, "n_mpjpe"),
        (metrics.velocity_error, "velocity"),
    ],
)
def test_distances_are_those_of_the_reference(measure, key, shared):
    with np.load(shared / "golden" / "videopose3d" / "pose_metrics.npz") as z:
        found, measured = z["predicted"].astype(float), z["target"].astype(float)
        assert measure(found, measured) == pytest.approx(float(z[f"value.{key}"]), rel=1e-6)
        weighted = metrics.mpjpe(found, measured, z["weights"])
        assert weighted == pytest.approx(float(z["value.weighted_mpjpe"]), rel=1e-6)


def test_an_aligned_distance_does_not_see_shift_turn_and_scale_but_a_mirror():
    rng = np.random.default_rng(0)
    measured = rng.standard_normal((5, 17, 3))
    turn, _ = np.linalg.qr(rng.standard_normal((5, 3, 3)))
    turn *= np.linalg.det(turn)[:, None, None]
    found = 2.5 * measured @ turn + rng.standard_normal((5, 1, 3))
    assert metrics.p_mpjpe(found, measured) == pytest.approx(0, abs=1e-12)
    assert metrics.p_mpjpe(found * [-1, 1, 1], measured) > 0.1
    assert metrics.n_mpjpe(3 * measured, measured) == pytest.approx(0, abs=1e-12)
    assert metrics.velocity_error(measured + 7, measured) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("measure", [metrics.p_mpjpe, metrics.n_mpjpe])
def test_positions_without_extent_are_refused(measure):
    with pytest.raises(ValueError, match="joints of a frame lie"):
        measure(np.zeros((2, 4, 3)), np.ones((2, 4, 3)))
