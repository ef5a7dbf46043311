"""STAM, training: pieces, folds as a stack of runs, and that it learns who moves."""

from dataclasses import replace

import numpy as np
import pytest
import stam_training as stam
from stam_model import Stam
from stam_training import Pieces, StamConfig

from infantjax.training.splits import Split
from infantjax.training.state import Status

MODULE = Stam(widths=(4, 4, 4), dropout=0.0)
CONFIG = StamConfig(epochs=4, batch_size=4, learning_rate=0.02, evaluation_batch=3)
FOLDS = (Split((2, 3, 4, 5, 6, 7), (0, 1)), Split((0, 1, 3, 4, 6), (7, 2, 5)))
LABELS = [0, 1, 0, 1, 0, 1, 0, 1]


@pytest.fixture(scope="module")
def data():
    """Recordings of 40 to 75 frames in pieces of 30; those of class 1 move three times as much."""
    rng = np.random.default_rng(0)
    lengths = (40, 75, 60, 40, 75, 60, 40, 75)
    given = [(1 + 2 * label) * rng.normal(size=(n, 18, 7)) for n, label in zip(lengths, LABELS)]
    return Pieces.of(given, LABELS, 30)


@pytest.fixture(scope="module")
def result(data):
    return stam.train(MODULE, data, FOLDS, CONFIG)


def test_the_last_piece_ends_with_the_recording():
    given = np.zeros((75, 18, 7))
    given[:, 0, 0] = np.arange(75)
    pieces = Pieces.of([given, given[:30]], [0, 1], 30)
    assert pieces.x[:, 0, 0, 0].tolist() == [0, 30, 45, 0]
    assert pieces.recording.tolist() == [0, 0, 0, 1]


@pytest.mark.slow
def test_it_learns_who_moves_and_gives_a_risk_for_every_recording_held_out(result):
    assert result.status == (Status.FINISHED,) * 2
    assert [len(risks) for risks in result.risks] == [2, 3]
    assert result.best_auc.tolist() == [1, 1]
    assert result.history["training_loss"][:, -1].max() < result.history["training_loss"][:, 0].min()
    # In the order of the fold: 7 and 5 are of class 1.
    assert result.risks[1][1] < min(result.risks[1][[0, 2]])


@pytest.mark.slow
def test_a_fold_alone_comes_to_what_it_comes_to_in_the_stack(data, result):
    alone = stam.train(MODULE, data, FOLDS[:1], CONFIG)
    np.testing.assert_allclose(alone.risks[0], result.risks[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("recordings", "labels", "frames", "message"),
    [
        ([], [], 30, "0 recordings"),
        ([np.zeros((40, 18, 7))], [2], 30, "0 or 1"),
        ([np.zeros((40, 18, 7))], [1], 29, "a clip of 30"),
        ([np.zeros((40, 18, 6))], [1], 30, r"shape \(40, 18, 6\)"),
        ([np.zeros((29, 18, 7))], [1], 30, "fewer than 30 frames"),
        ([np.full((40, 18, 7), np.nan)], [1], 30, "missing values"),
    ],
)
def test_recordings_that_cannot_be_cut_are_told(recordings, labels, frames, message):
    with pytest.raises(ValueError, match=message):
        Pieces.of(recordings, labels, frames)


@pytest.mark.parametrize(
    ("folds", "config", "message"),
    [
        ((), CONFIG, "no folds"),
        ((Split((0, 1), (8,)),), CONFIG, r"0\.\.7"),
        ((Split((0,), (1,)),), CONFIG, "do not fill a batch of 4"),
    ],
)
def test_folds_that_cannot_be_trained_are_told(data, folds, config, message):
    with pytest.raises(ValueError, match=message):
        stam.train(MODULE, data, folds, config)


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("batch_size", 0), ("learning_rate", 0.0), ("decay", -1.0), ("seed", -1)]
)
def test_settings_out_of_range_are_told(name, value):
    with pytest.raises(ValueError, match=name):
        replace(CONFIG, **{name: value})
