"""Windows: the reference rule for the last one, coverage, cutting, the rotation of a window, training samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.recording import windows
from infantjax.skeletons import Skeleton

FIVE = Skeleton(
    "five",
    ("tip", "neck", "chest", "belly", "foot"),
    ("neck", "chest", "chest", "chest", "belly"),
    (),
    ("neck", "belly"),
)


def test_starts_of_the_released_windows_are_reproduced(shared):
    lengths = {"pz101": 1000, "pz102": 683, "pz104": 1000, "syn01": 640, "syn02": 900}
    with np.load(shared / "golden/preprocess/windows.npz", allow_pickle=False) as golden:
        for infant, length in lengths.items():
            np.testing.assert_array_equal(windows.window_starts(length), golden[f"{infant}/starts"])


@pytest.mark.parametrize(
    ("length", "ends_with", "count"),
    [(150, [0, 0], 2), (151, [0, 1], 2), (225, [75, 75], 3), (900, [675, 750, 750], 12), (9000, [8850, 8850], 120)],
)
def test_the_last_window_occurs_twice_when_the_stride_divides_the_rest(length, ends_with, count):
    starts = windows.window_starts(length)
    assert len(starts) == count
    assert starts[-len(ends_with) :].tolist() == ends_with


def literal_rule(length, window, stride):
    starts = []
    for start in range(0, length, stride):
        if start <= length - window:
            starts.append(start)
        else:
            break
    return [*starts, length - window]


@given(window=st.integers(1, 40), extra=st.integers(0, 300), stride=st.integers(1, 60))
def test_starts_equal_the_rule_written_as_a_loop(window, extra, stride):
    starts = windows.window_starts(window + extra, window, stride)
    assert starts.dtype == np.int32
    assert starts.tolist() == literal_rule(window + extra, window, stride)


BARE = Skeleton("bare", ("a", "b"), ("a", "a"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows.window_starts(149), "149 frames is shorter than one window of 150"),
        (lambda: windows.window_starts(100, 0, 1), "at least 1 frame"),
        (lambda: windows.window_starts(100, 10, -5), "at least 1 frame"),
        (lambda: windows.cut(np.zeros((20, 5, 2)), np.array([0])), "20 frames are shorter than one window of 150"),
        (lambda: windows.align_windows(np.zeros((6, 5, 2)), FIVE, "clip"), "rotation must be one of frame, window_fi"),
        (lambda: windows.align_windows(np.zeros((6, 2, 2)), BARE, "window_first"), "bare has no trunk"),
    ],
)
def test_what_makes_no_windows_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_cutting_takes_the_frames_from_each_start_with_and_without_jit():
    positions = np.random.default_rng(1).normal(size=(30, 5, 2)).astype(np.float32)
    starts = np.array([0, 7, 20], np.int32)
    expected = np.stack([positions[s : s + 10] for s in starts])
    for cut in (windows.cut, jax.jit(windows.cut, static_argnames="window")):
        np.testing.assert_array_equal(cut(positions, starts, window=10), expected)


align = jax.jit(windows.align_windows, static_argnames=("skeleton", "rotation"))


@pytest.mark.parametrize("rotation", ["frame", "none"])
def test_alignment_leaves_windows_alone_without_window_rotation(rotation):
    positions = np.random.default_rng(3).normal(size=(2, 6, 5, 2)).astype(np.float32)
    np.testing.assert_array_equal(windows.align_windows(positions, FIVE, rotation), positions)


def test_alignment_turns_the_trunk_of_the_first_frame_upwards():
    positions = np.random.default_rng(4).normal(size=(3, 6, 5, 2)).astype(np.float32)
    turned = align(jnp.asarray(positions), FIVE, "window_first")
    trunk = turned[:, 0, 1] - turned[:, 0, 3]
    length = np.linalg.norm(positions[:, 0, 1] - positions[:, 0, 3], axis=-1)
    np.testing.assert_allclose(trunk, np.stack([np.zeros(3), length], axis=-1), atol=2e-6)


@given(angle=st.floats(-np.pi, np.pi), seed=st.integers(0, 2**32 - 1))
def test_alignment_forgets_how_the_window_was_turned(angle, seed):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(-1, 1, (6, 5, 2)).astype(np.float32)
    positions[0, 1], positions[0, 3] = (0.3, 0.5), (-0.2, -0.4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    found = align(jnp.asarray(positions @ turn), FIVE, "window_first")
    np.testing.assert_allclose(found, align(jnp.asarray(positions), FIVE, "window_first"), atol=2e-6)


def test_alignment_leaves_a_window_whose_first_trunk_has_no_length():
    positions = np.random.default_rng(6).normal(size=(6, 5, 2)).astype(np.float32)
    positions[0, 1] = positions[0, 3]
    np.testing.assert_array_equal(align(jnp.asarray(positions), FIVE, "window_first"), positions)


def test_alignment_under_jit_and_vmap_equals_a_loop():
    positions = np.random.default_rng(7).normal(size=(3, 6, 5, 2)).astype(np.float32)
    mapped = jax.jit(jax.vmap(lambda p: windows.align_windows(p, FIVE, "window_first")))(positions)
    looped = np.stack([align(jnp.asarray(p), FIVE, "window_first") for p in positions])
    # Fused multiply and add rounds once less.
    np.testing.assert_allclose(mapped, looped, atol=1e-6)


def test_ranges_of_the_released_training_samples_are_reproduced(shared):
    with np.load(shared / "golden/preprocess/train_windows.npz", allow_pickle=False) as golden:
        rows = [dict(zip(golden["columns"].tolist(), row, strict=True)) for row in golden["rows"]]
        length = int(golden["sequence_length"])
    parts = np.array([[int(row["part"]) - 1, int(row["parts"])] for row in rows]).T
    low, high = jax.jit(windows.sample_range)(length, *parts)
    np.testing.assert_array_equal(low, [row["start_min"] for row in rows])
    np.testing.assert_array_equal(high, [row["start_max"] for row in rows])


@given(length=st.integers(150, 5000), parts=st.sampled_from([1, 12, 60]))
def test_training_starts_always_fit_and_the_ranges_follow_each_other(length, parts):
    low, high = (np.asarray(x) for x in windows.sample_range(length, np.arange(parts), parts))
    assert low[0] == 0
    assert (low <= high).all()
    assert high.max() <= length - 150
    np.testing.assert_array_equal(low[1:], high[:-1])
