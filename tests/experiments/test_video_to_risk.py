"""From a rendered video to a risk: the measures of the table, and the program from end to end."""

import numpy as np
import pandas as pd
import pytest
import video_to_risk as experiment

from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, render


@pytest.fixture(scope="module")
def exact():
    return render(3, InfantConfig(duration=4)).recording()


def test_only_the_band_of_fidgety_movements_counts_as_their_error(exact):
    times = np.arange(exact.frames) / exact.fps
    error = np.zeros_like(exact.keypoints)

    def found() -> float:
        return experiment.fidgety_error(Recording(error, exact.fps, exact.skeleton))

    error[..., 0] = 0.1 * np.sin(2 * np.pi * 2 * times)[:, None]
    assert found() == pytest.approx(0.1 / np.sqrt(2), rel=0.1)
    error[..., 0] = 0.1 * np.sin(2 * np.pi * 8 * times)[:, None]
    assert found() < 0.2 * 0.07  # a filter needs some time at both ends
    error[:] = 0.5
    assert found() < 0.01


def test_a_row_counts_answers_only_where_there_are_some():
    index = pd.Index(range(6), name="infant")
    exact = pd.DataFrame({"risk": [0.1, 0.9] * 3, "positive": [False, True] * 3}, index=index)
    table = pd.DataFrame(
        {
            "outcome": [0, 1] * 3,
            "risk": [0.2, 0.8, 0.6, 0.7, np.nan, 0.4],
            "positive": [False, True, True, True, False, False],
            "certain": [True, True, True, False, False, False],
            "error": 0.1,
            "fidgety_error": 0.01,
        },
        index=index,
    )
    row = experiment.summary("chain", table, exact)
    assert row["assessable"] == pytest.approx(5 / 6)
    assert row["auc"] == pytest.approx(5 / 6)
    assert row["difference"] == pytest.approx(0.2)
    assert row["same_class"] == pytest.approx(3 / 5)
    assert row["certain_and_wrong"] == pytest.approx(1 / 5)


@pytest.mark.slow
def test_the_tables_and_the_picture_are_written(tmp_path, capsys):
    experiment.main(experiment.Options(tmp_path, infants=4, seconds=8.0))
    table = pd.read_csv(tmp_path / "video_to_risk.csv", index_col="chain")
    assert table.loc["exact keypoints", "difference"] == 0
    assert len(table) == 1 + 4 * len(experiment.Options.trackers)
    curve = pd.read_csv(tmp_path / "video_to_risk_error.csv")
    assert curve.chain.tolist() == list(experiment.SCALES)
    assert (tmp_path / "video_to_risk.png").stat().st_size > 10_000
    assert "median5, repaired" in capsys.readouterr().out
