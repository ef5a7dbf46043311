"""Training on pieces: a stack of runs of STAM, and a difference that it learns."""

import numpy as np
import pytest
from baseline_methods import pieces
from baseline_methods.pieces import PieceConfig, Pieces, PieceTask
from stam.model import Stam

from infantjax.training.splits import Split
from infantjax.training.state import Status

MODULE = Stam(widths=(4, 4, 4), dropout=0.0)
CONFIG = PieceConfig(epochs=4, batch_size=4, learning_rate=0.02, evaluation_batch=3)
SPLITS = (Split((2, 3, 4, 5, 6, 7), (0, 1)), Split((0, 1, 3, 4, 6), (7, 2, 5)))
LABELS = [0, 1, 0, 1, 0, 1, 0, 1]


@pytest.fixture(scope="module")
def data():
    """Recordings of 40 to 75 frames in pieces of 30; those of class 1 move three times as much."""
    rng = np.random.default_rng(0)
    lengths = (40, 75, 60, 40, 75, 60, 40, 75)
    given = [(1 + 2 * label) * rng.normal(size=(n, 18, 7)) for n, label in zip(lengths, LABELS)]
    return Pieces.create(given, LABELS, 30)


def task(data, config=CONFIG):
    return PieceTask(MODULE, config, (1, *data.x.shape[1:]))


@pytest.fixture(scope="module")
def result(data):
    return pieces.train(task(data), data, SPLITS)


def test_the_last_piece_ends_with_the_recording():
    given = np.zeros((75, 18, 7))
    given[:, 0, 0] = np.arange(75)
    found = Pieces.create([given, given[:30]], [0, 1], 30)
    assert found.x[:, 0, 0, 0].tolist() == [0, 30, 45, 0]
    assert found.recording.tolist() == [0, 0, 0, 1]


@pytest.mark.slow
def test_it_learns_who_moves_more_and_gives_a_risk_for_every_held_out_recording(result):
    assert result.status == (Status.FINISHED,) * 2
    assert result.best_score.tolist() == [1, 1]
    risks = result.validation_outputs(SPLITS)
    assert [len(of_run) for of_run in risks] == [2, 3]
    assert result.history["training_loss"][:, -1].max() < result.history["training_loss"][:, 0].min()
    # In the order of the split: 7 and 5 are of class 1.
    assert risks[1][1] < min(risks[1][[0, 2]])
    last = pieces.at_last_epoch(result, SPLITS, 8)
    np.testing.assert_array_equal(np.isfinite(last), np.isin(np.arange(8), [0, 1, 2, 5, 7]))
    np.testing.assert_array_equal(last[[7, 2, 5]], result.history["risks"][1, -1, :3])
