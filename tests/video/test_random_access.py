"""Frames by number; that they equal those of the stream is tested for every row of the corpus."""

import sys

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.video import open_frames, read_frames


def test_frames_come_in_the_order_of_their_numbers_and_their_decoder_is_named(clip):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    found = read_frames(clip, [29, 3, 3, 0])
    assert [frame.index for frame in found.frames] == [29, 3, 3, 0]
    assert (found.decoder.split()[0], found.fallback) == ("decord", "")


@pytest.mark.parametrize("missing", [True, False])
def test_without_decord_and_where_it_fails_pyav_reads_the_same_frames(missing, clip, monkeypatch):
    decord = pytest.importorskip("decord", reason="decord has no wheel for this platform")
    by_decord = read_frames(clip, [5, 20])
    if missing:
        monkeypatch.setitem(sys.modules, "decord", None)
    else:

        def fail(*_: object, **__: object) -> None:
            raise decord.DECORDError("[01:02:03] video_reader.cc:151: Check failed")

        monkeypatch.setattr(decord, "VideoReader", fail)
    found = read_frames(clip, [5, 20])
    assert found.decoder.startswith("PyAV")
    assert found.fallback == ("decord is not installed" if missing else "decord cannot decode it")
    for one, other in zip(found.frames, by_decord.frames, strict=True):
        np.testing.assert_array_equal(one.pixels(), other.pixels())


def test_images_are_read_by_number_too(tmp_path):
    from PIL import Image

    for number in range(3):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(tmp_path / f"{number}.png")
    assert [int(f.pixels()[0, 0, 0]) for f in read_frames(tmp_path, [2, 0]).frames] == [2, 0]


@pytest.mark.parametrize("container", ["mp4", "ts"])
def test_a_number_that_the_video_does_not_have_is_one_line(container, clip, videos, tmp_path):
    path = clip if container == "mp4" else videos.write(tmp_path / "a.ts")
    with pytest.raises(InputError, match="has no frame 30: it has 30; count frames from 0"):
        read_frames(path, [0, 30])


def test_no_numbers_are_no_frames_and_negative_ones_a_wrong_call(clip):
    assert read_frames(clip, []).frames == ()
    with pytest.raises(ValueError, match="must be at least 0, got -1"):
        read_frames(clip, [0, -1])


def test_a_frame_can_be_cropped_and_resized_like_one_of_the_stream(clip):
    (frame,), stream = read_frames(clip, [7]).frames, list(open_frames(clip))[7]
    np.testing.assert_array_equal(frame.cropped(8, 16, 40, 50).pixels(), stream.cropped(8, 16, 40, 50).pixels())
    near = np.abs(frame.pixels(60, 80).astype(int) - stream.pixels(60, 80)).mean()
    assert near < 2
