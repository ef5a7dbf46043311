"""Windows: the reference rule for the last one, coverage, cutting, the rotation of a window, training samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.recording import windows
from infantjax.skeletons import IN_MOTION_19, Skeleton

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


@given(window=st.integers(1, 40), extra=st.integers(0, 300), stride=st.integers(1, 40))
def test_every_frame_is_covered_and_no_window_leaves_the_recording(window, extra, stride):
    stride = min(stride, window)
    length = window + extra
    starts = windows.window_starts(length, window, stride)
    covered = np.zeros(length, bool)
    for start in starts:
        assert 0 <= start <= length - window
        covered[start : start + window] = True
    assert covered.all()


@given(window=st.integers(1, 40), extra=st.integers(0, 300), stride=st.integers(1, 60))
def test_starts_equal_the_rule_written_as_a_loop(window, extra, stride):
    starts = windows.window_starts(window + extra, window, stride)
    assert starts.dtype == np.int32
    assert starts.tolist() == literal_rule(window + extra, window, stride)


def test_a_recording_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match="149 frames is shorter than one window of 150"):
        windows.window_starts(149)


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (10, 0), (10, -5)])
def test_a_window_or_stride_without_frames_is_refused(window, stride):
    with pytest.raises(ValueError, match="at least 1 frame"):
        windows.window_starts(100, window, stride)


def test_cutting_takes_the_frames_from_each_start():
    positions = np.random.default_rng(0).normal(size=(30, 5, 2)).astype(np.float32)
    found = windows.cut(positions, np.array([0, 7, 20]), window=10)
    np.testing.assert_array_equal(found, np.stack([positions[s : s + 10] for s in (0, 7, 20)]))


def test_cutting_under_jit_equals_eager():
    positions = np.random.default_rng(1).normal(size=(30, 5, 2)).astype(np.float32)
    starts = np.array([3, 11], np.int32)
    compiled = jax.jit(windows.cut, static_argnames="window")(positions, starts, window=10)
    np.testing.assert_array_equal(compiled, windows.cut(positions, starts, window=10))


def test_cutting_under_vmap_equals_a_loop():
    positions = np.random.default_rng(2).normal(size=(3, 30, 5, 2)).astype(np.float32)
    starts = np.array([[0, 4], [1, 5], [20, 2]], np.int32)
    mapped = jax.vmap(lambda p, s: windows.cut(p, s, window=10))(positions, starts)
    np.testing.assert_array_equal(
        mapped, np.stack([windows.cut(p, s, window=10) for p, s in zip(positions, starts, strict=True)])
    )


def test_cutting_from_too_few_frames_is_refused():
    with pytest.raises(ValueError, match="20 frames are shorter than one window of 150"):
        windows.cut(np.zeros((20, 5, 2), np.float32), np.array([0]))


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


def test_alignment_is_one_rotation_for_the_whole_window():
    positions = np.random.default_rng(5).normal(size=(6, 5, 2)).astype(np.float32)
    turned = np.asarray(align(jnp.asarray(positions), FIVE, "window_first"))
    flat, turned_flat = positions.reshape(-1, 2), turned.reshape(-1, 2)
    np.testing.assert_allclose(turned_flat @ turned_flat.T, flat @ flat.T, atol=1e-5)


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


def test_alignment_refuses_an_unknown_rotation():
    with pytest.raises(ValueError, match="rotation must be one of frame, window_first, none, got 'clip'"):
        windows.align_windows(jnp.zeros((6, 19, 2)), IN_MOTION_19, "clip")


def test_alignment_needs_a_trunk():
    bare = Skeleton("bare", ("a", "b"), ("a", "a"))
    with pytest.raises(ValueError, match="bare has no trunk"):
        windows.align_windows(jnp.zeros((6, 2, 2)), bare, "window_first")


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
