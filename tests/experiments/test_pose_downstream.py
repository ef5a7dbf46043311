"""Risks with the keypoints of several pose weights: the table of their differences, and the error of the keypoints."""

from types import SimpleNamespace

import numpy as np
import pose_downstream as experiment
import pytest

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19, MPII_16


@pytest.fixture
def assessed(monkeypatch):
    """Makes assessments that have only what is compared."""
    monkeypatch.setattr(experiment, "Assessment", SimpleNamespace)

    def make(value, has_value=True):
        return SimpleNamespace(value=value, has_value=has_value, positive=value > 0.5, certainty="high")

    return make


def test_risks_are_compared_with_those_of_the_last_keypoints(assessed):
    found = {
        "small": [assessed(0.2), assessed(0.6), ValueError("not seen")],
        "large": [assessed(0.3), assessed(0.4), assessed(0.9)],
    }
    rows = experiment.table(found, {"small": 0.25}).splitlines()
    assert "large" in rows[0]
    assert rows[-2] == "| small | 0.250 | 2 | 0.150 | 0.200 | 1 | 2 |"
    assert rows[-1] == "| large | - | 3 | 0.000 | 0.000 | 3 | 3 |"


def test_a_clip_that_is_not_assessable_has_no_risk(assessed):
    assert experiment.value(assessed(0.4)) == 0.4
    assert np.isnan(experiment.value(assessed(0.4, has_value=False)))
    assert np.isnan(experiment.value(ValueError()))
    assert experiment.reason(assessed(0.4)) == ""
    assert experiment.reason(ValueError("too short")) == "too short"


def test_errors_are_over_the_keypoints_that_both_have():
    exact = simulate(1, InfantConfig(duration=2, noise=0, camera_jitter=0, dropout_rate=0))
    rows = [IN_MOTION_19.index(joint) for joint in MPII_16.joints]
    head = np.hypot(*(exact.keypoints[:, 0] - exact.keypoints[:, IN_MOTION_19.index("upper_neck")]).T)
    assert IN_MOTION_19.joints[0] == "head_top"
    shift = np.stack([head / 2, 0 * head], axis=-1)[:, None]
    found = Recording(exact.keypoints[:, rows] + shift, exact.fps, MPII_16, "found")
    assert experiment.mean_error([found], [exact]) == pytest.approx(0.5, abs=1e-6)


def test_rendered_clips_are_compared_with_their_exact_keypoints(assessed, monkeypatch, tmp_path, capsys):
    exact = simulate(1, InfantConfig(duration=2))
    risks = iter([0.4, 0.7])  # of the network's keypoints, of the exact ones
    assessor = SimpleNamespace(assess_many=lambda of, digests, gate: [assessed(next(risks)) for _ in of])
    monkeypatch.setattr(experiment.registry, "assessor", lambda ensemble: assessor)
    monkeypatch.setattr(experiment, "rendered", lambda options: [exact])
    monkeypatch.setattr(experiment, "keypoints", lambda weights, videos, options: [exact])
    experiment.main(experiment.Options(tmp_path / "new", ("small",), simulate=1))
    assert "| small | 0.000 | 1 | 0.300 | 0.300 | 0 | 1 |" in capsys.readouterr().out
    table = (tmp_path / "new" / "risks.csv").read_text("utf-8").splitlines()
    assert table == ["clip,small,exact keypoints", f"{exact.name},0.4,0.7"]


def test_clips_and_rendered_ones_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match="not both"):
        experiment.main(experiment.Options(tmp_path, ("efficientpose-rt",)))
