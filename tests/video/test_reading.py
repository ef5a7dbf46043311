"""Videos and pictures in: what the rows of the corpus (`test_corpus.py`) do not show."""

import errno
import math
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from infantjax.errors import InputError
from infantjax.video import is_frames, is_video, open_frames, read_frames


def read(path, fps=None):
    frames = open_frames(path, fps)
    return list(frames), frames


def near(found, expected, distance):
    return np.abs(found.astype(int) - expected.astype(int)).mean() < distance


def test_a_video_gives_all_its_frames_in_time(clip):
    found, frames = read(clip)
    assert [f.index for f in found] == list(range(30))
    np.testing.assert_allclose([f.time for f in found], np.arange(30) / 30, atol=1e-3)
    assert (frames.fps, frames.expected, frames.notes) == (30, 30, [])
    assert is_video(frames)


def test_frames_are_the_pictures_that_were_written(clip, videos):
    found, _ = read(clip)
    for index in (0, 7, 29):
        assert found[index].pixels().shape == (120, 160, 3)
        assert near(found[index].pixels(), videos.picture(index), 6)


def test_a_source_can_be_read_twice(clip):
    frames = open_frames(clip)
    first, second = ([f.pixels().sum() for f in frames] for _ in range(2))
    assert first == second


def test_pixels_can_be_asked_for_in_another_size(clip, videos):
    found, _ = read(clip)
    small = found[0].pixels(60, 80)
    assert small.shape == (60, 80, 3)
    assert near(small, videos.picture(0)[::2, ::2], 12)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotated_videos_come_upright(turns, clip, videos):
    rotate_mp4(clip, turns)
    found, _ = read(clip)
    expected = np.rot90(videos.picture(0), turns)
    assert (found[0].height, found[0].width) == expected.shape[:2]
    assert near(found[0].pixels(), expected, 6)
    height, width = (side // 2 for side in expected.shape[:2])
    assert found[0].pixels(height, width).shape == (height, width, 3)


def rotate_mp4(path, turns):
    """Write a quarter turn counter-clockwise into the matrix of the track header."""
    a, b = [(1, 0), (0, -1), (-1, 0), (0, 1)][turns]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    fixed = lambda value: int(value * 65536).to_bytes(4, "big", signed=True)  # noqa: E731
    matrix = fixed(a) + fixed(b) + bytes(4) + fixed(-b) + fixed(a) + bytes(4)
    data[at : at + 24] = matrix
    path.write_bytes(data)


def test_a_picture_is_one_frame(clip, tmp_path, videos):
    frame = next(iter(open_frames(clip)))
    for name, codec, form in (("a.png", "png", "rgb24"), ("a.jpg", "mjpeg", "yuvj420p"), ("gray.png", "png", "gray")):
        path = tmp_path / name
        videos.write(path, frames=1, codec=codec, pix_fmt=form, format="image2", options={"update": "1"})
        found, frames = read(path)
        assert len(found) == 1, name
        assert math.isnan(frames.fps)
        assert not is_video(frames)
        assert found[0].pixels().shape == frame.pixels().shape


def test_a_folder_of_pictures_is_read_in_the_order_of_its_numbers(tmp_path):
    for index in (0, 2, 10):
        PIL.Image.new("RGB", (40, 40), (index, 0, 0)).save(tmp_path / f"frame{index}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    found, frames = read(tmp_path, fps=10)
    assert [f.name for f in found] == ["frame0.png", "frame2.png", "frame10.png"]
    assert [f.time for f in found] == [0, 0.1, 0.2]
    assert frames.expected == 3
    assert [int(f.pixels()[0, 0, 0]) for f in read_frames(tmp_path, [2, 0])] == [10, 0]
    with pytest.raises(InputError, match="give --fps"):
        open_frames(tmp_path)


def test_a_stated_frame_rate_overrules_the_file(clip):
    found, frames = read(clip, fps=10)
    assert frames.fps == 10
    np.testing.assert_allclose([f.time for f in found], np.arange(30) / 10)


def test_numbers_of_frames_may_come_in_any_order_or_be_wrong(clip):
    assert [frame.index for frame in read_frames(clip, [29, 3, 3, 0])] == [29, 3, 3, 0]
    assert read_frames(clip, []) == ()
    with pytest.raises(ValueError, match="must be at least 0, got -1"):
        read_frames(clip, [0, -1])
    with pytest.raises(InputError, match="has no frame 30: it has 30; count frames from 0"):
        read_frames(clip, [0, 30])


# --- what is no video ------------------------------------------------------------------------------------------------


def test_a_picture_that_is_too_small_and_an_unknown_codec_give_one_line(tmp_path, videos):
    PIL.Image.new("RGB", (1, 1)).save(tmp_path / "a.png")
    # A sample entry that no decoder has.
    content = videos.write(tmp_path / "whole.mp4").read_bytes().replace(b"avc1", b"xyz1")
    (tmp_path / "a.mp4").write_bytes(content)
    for name, what in (("a.png", "1x1 pixels, too small"), ("a.mp4", "of a kind that cannot be decoded here")):
        with pytest.raises(InputError, match=what) as caught:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_a_folder_that_cannot_be_read_gives_one_line(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); check the folder") as caught:
        list(open_frames(tmp_path, 30.0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("sides", [(41, 33), (32, 64)])
def test_pictures_of_all_kinds_and_odd_sides_are_frames_in_colors(mode, sides, tmp_path):
    PIL.Image.new(mode, sides, 0).save(tmp_path / "a.png")
    (frame,) = open_frames(tmp_path / "a.png", 1.0)
    assert frame.pixels().shape == (sides[1], sides[0], 3)
    assert frame.pixels().dtype == np.uint8


def test_videos_are_told_from_keypoint_files(clip, tmp_path):
    assert is_frames(clip)
    for name, content in (("a.csv", "frame,nose_x\n"), ("a.json", '{"a": 1}'), ("b.txt", "\ufeffframe"), ("c", "")):
        (tmp_path / name).write_text(content)
    (tmp_path / "d.csv").write_text("frame,nose_x", "utf-16")
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    for name in ("a.csv", "a.json", "b.txt", "c", "d.csv", "a.npz", "absent.mp4", "."):
        assert not is_frames(tmp_path / name), name


@pytest.mark.parametrize("name", ["-dash.mp4", "http:x.mp4"])
def test_odd_names_are_files(name, clip, tmp_path, monkeypatch):
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(odd)
    assert len(read(Path(name))[0]) == 30
