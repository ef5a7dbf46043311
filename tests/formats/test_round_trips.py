"""What is written is read again, in every format that can be written."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infantjax import formats as readers
from infantjax.recording.recording import Recording
from infantjax.skeletons import SKELETONS, Skeleton

WRITABLE = [f.name for f in readers.FORMATS.values() if f.write is not None]
KEEPS_RATE = {"wide-csv", "long-csv", "coco", "npz"}
KEEPS_CONFIDENCE = set(WRITABLE) - {"orgcoords-csv", "coco", "openpose"}
THREE_DIMENSIONS = {"wide-csv", "long-csv", "npz"}
OF_SET = {"orgcoords-csv": ["in-motion-19"], "openpose": ["openpose-25", "openpose-18"]}
SETTINGS = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def place(folder, format):
    suffix = readers.FORMATS[format].suffixes[0]
    stem = "orgcoords_infant" if format == "orgcoords-csv" else "infant"
    return folder / (stem + ("" if suffix == "/" else suffix))


@st.composite
def recordings(draw, format):
    skeleton = SKELETONS[draw(st.sampled_from(OF_SET.get(format, sorted(SKELETONS))))]
    axes = draw(st.sampled_from([2, 3])) if format in THREE_DIMENSIONS else 2
    shape = draw(st.integers(2, 5)), len(skeleton.joints), axes
    # Zero is left out: in all formats but npz a point at exactly the origin means a missing one.
    coordinate = st.floats(-1e6, 1e6, allow_subnormal=False).filter(bool)
    keypoints = draw(hnp.arrays(np.float64, shape, elements=coordinate))
    missing = draw(hnp.arrays(np.bool_, shape[:2]))
    missing[0, 0] = missing[-1, 0] = False  # the first and last frame are what frame numbers count from
    keypoints[missing] = np.nan
    confidence = draw(st.none() | hnp.arrays(np.float64, shape[:2], elements=st.floats(0, 1)))
    fps = draw(st.sampled_from([12.5, 25.0, 30000 / 1001, 30.0, 59.94, 240.0]) | st.floats(1, 1000))
    return Recording(keypoints, fps, skeleton, "infant", confidence)


@pytest.mark.parametrize("format", WRITABLE)
def test_reading_what_was_written_gives_the_same_points(format, tmp_path_factory):
    @SETTINGS
    @given(recordings(format))
    def check(recording):
        path = place(tmp_path_factory.mktemp("written"), format)
        readers.write(recording, path, format)
        again = readers.read(path, fps=None if format in KEEPS_RATE else recording.fps)
        assert again.skeleton == recording.skeleton
        np.testing.assert_array_equal(again.keypoints, recording.keypoints)
        # Tables hold time stamps, whose differences carry the rounding of a float64.
        assert again.fps == pytest.approx(recording.fps, rel=1e-9)
        if recording.confidence is not None and format in KEEPS_CONFIDENCE:
            np.testing.assert_array_equal(again.confidence, recording.confidence)
        assert again.name == "infant"

    check()


@pytest.mark.parametrize("format", WRITABLE)
def test_a_written_file_is_recognized_and_a_second_one_has_the_same_bytes(format, make_recording, tmp_path):
    recording = make_recording(SKELETONS[OF_SET.get(format, ["in-motion-19"])[0]])
    path = place(tmp_path, format)
    by_ending = format in ("npz", "wide-csv", "orgcoords-csv")
    readers.write(recording, path, None if by_ending else format)
    assert readers.format_of(path) == format
    if path.is_dir():
        with pytest.raises(FileExistsError, match="name a new folder"):
            readers.write(recording, path, format)
        return
    first = path.read_bytes()
    readers.write(recording, path, format)
    assert path.read_bytes() == first


@SETTINGS
@given(
    name=st.text(max_size=20),
    notes=st.lists(st.text(max_size=20), max_size=3),
    metadata=st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5)),
    zero=st.booleans(),
)
def test_npz_keeps_everything(name, notes, metadata, zero, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    skeleton = Skeleton("chain-3", ("neck", "b_1", "b1"), ("neck", "neck", "b_1"), trunk=("neck", "b1"), source="here")
    keypoints = np.arange(12.0).reshape(2, 3, 2) * (1 - 2 * zero)
    recording = Recording(
        keypoints,
        23.976,
        skeleton,
        name=name or "x",
        confidence=np.full((2, 3), 0.25),
        metadata=metadata,
        approximated={"b1": "0.5 neck + 0.5 b_1"},
        history=("read from somewhere", "smoothed"),
        notes=tuple(notes),
    )
    readers.write(recording, path)
    again = readers.read(path)
    for field in ("fps", "skeleton", "name", "metadata", "approximated", "history", "notes"):
        assert getattr(again, field) == getattr(recording, field), field
    np.testing.assert_array_equal(again.keypoints, recording.keypoints)
    np.testing.assert_array_equal(again.confidence, recording.confidence)


def test_npz_of_three_plain_arrays_is_read(tmp_path):
    joints = SKELETONS["coco-17"].joints[::-1]
    keypoints = np.random.default_rng(0).normal(100, 9, (4, 17, 2))
    np.savez_compressed(tmp_path / "plain.npz", keypoints=keypoints, joints=np.array(joints), fps=25)
    recording = readers.read(tmp_path / "plain.npz")
    assert (recording.skeleton.name, recording.fps) == ("coco-17", 25)
    np.testing.assert_array_equal(recording.keypoints, keypoints[:, ::-1])


@pytest.mark.parametrize(("name", "format"), [("a.json", None), ("a.h5", "deeplabcut-h5"), ("a.csv", "parquet")])
def test_what_cannot_be_written_lists_what_can(name, format, make_recording, tmp_path):
    with pytest.raises(ValueError, match="name a format of: orgcoords-csv, wide-csv, long-csv, deeplabcut-csv"):
        readers.write(make_recording(), tmp_path / name, format)


@pytest.mark.parametrize("format", sorted(set(WRITABLE) - THREE_DIMENSIONS))
def test_formats_refuse_what_they_do_not_hold(format, make_recording, tmp_path):
    skeleton = SKELETONS[OF_SET.get(format, ["in-motion-19"])[0]]
    with pytest.raises(ValueError, match="two dimensions"):
        readers.write(make_recording(skeleton, axes=3), place(tmp_path, format), format)
    if format in OF_SET:
        with pytest.raises(ValueError, match="convert the recording first"):
            readers.write(make_recording(SKELETONS["coco-17"]), place(tmp_path, format), format)
    assert list(tmp_path.iterdir()) == []
