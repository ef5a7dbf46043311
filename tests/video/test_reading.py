"""Videos and pictures in: upright, in time, up to the damage, one line for what is no video."""

import errno
import math
import os
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from infantjax.errors import InputError
from infantjax.video import is_frames, is_video, open_frames
from infantjax.video.frames import MIN_SIDE


def first_frame(path):
    return next(iter(open_frames(path)))


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


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx264", {}),
        ("a.avi", "mpeg4", {}),
        ("a.mov", "mpeg4", {}),
        ("a.webm", "libvpx-vp9", {}),
        ("a.avi", "mjpeg", {"pix_fmt": "yuvj420p"}),
        ("a.mkv", "ffv1", {}),
        ("a.mpg", "mpeg2video", {}),
        ("a.ts", "libx264", {}),
        ("a.mp4", "libx265", {}),
    ],
)
def test_the_kinds_that_cameras_write_are_read(name, codec, options, tmp_path, videos):
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} in this build of PyAV")
    path = videos.write(tmp_path / name, codec=codec, **options)
    found, frames = read(path)
    assert len(found) == 30
    np.testing.assert_allclose([f.time for f in found], np.arange(30) / 30, atol=2e-3)
    assert near(found[3].pixels(), videos.picture(3), 12)
    assert frames.notes == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotated_videos_come_upright(turns, tmp_path, clip, videos):
    path = tmp_path / "turned.mp4"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = out
                target.mux(packet)
    rotate_mp4(path, turns)
    found, _ = read(path)
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


def test_times_are_kept_where_the_rate_varies(tmp_path, videos):
    times = [*range(0, 500, 33), *range(500, 1000, 100)]
    path = videos.write(tmp_path / "vfr.mkv", frames=len(times), times=times)
    found, _ = read(path)
    np.testing.assert_allclose([f.time for f in found], np.array(times) / 1000, atol=2e-3)


def test_a_gap_in_time_is_told(tmp_path, videos):
    times = [*range(0, 500, 33), *range(5500, 6000, 33)]
    found, frames = read(videos.write(tmp_path / "gap.mkv", frames=len(times), times=times))
    assert len(found) == len(times)
    assert any("has no frame between 0.5 and 5.5 s" in note for note in frames.notes)


def test_a_file_that_was_cut_is_used_up_to_the_cut(tmp_path, videos):
    whole = videos.write(tmp_path / "whole.mkv", frames=120)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found, frames = read(cut)
    assert 20 < len(found) < 100
    assert any("ends at" in note or "damaged" in note for note in frames.notes)


def test_a_fragmented_file_that_was_cut_is_used_too(tmp_path, videos):
    whole = videos.write(
        tmp_path / "whole.mp4", frames=120, container_options={"movflags": "frag_keyframe+empty_moov", "g": "10"}
    )
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[:-500])
    found, _ = read(cut)
    assert found


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


def test_transparency_is_dropped(tmp_path, videos):
    path = videos.write(
        tmp_path / "a.png", frames=1, codec="png", pix_fmt="rgba", format="image2", options={"update": "1"}
    )
    assert first_frame(path).pixels().shape == (120, 160, 3)


def test_a_folder_of_pictures_is_read_in_the_order_of_its_numbers(tmp_path, videos):
    for index in (0, 2, 10):
        videos.write(
            tmp_path / f"frame{index}.png", frames=1, codec="png", pix_fmt="rgb24", format="image2",
            options={"update": "1"},
        )  # fmt: skip
    (tmp_path / "notes.txt").write_text("no picture")
    found, frames = read(tmp_path, fps=10)
    assert [f.name for f in found] == ["frame0.png", "frame2.png", "frame10.png"]
    assert [f.time for f in found] == [0, 0.1, 0.2]
    assert frames.expected == 3


def test_a_folder_needs_a_frame_rate(tmp_path, videos):
    videos.write(tmp_path / "a.png", frames=1, codec="png", pix_fmt="rgb24", format="image2", options={"update": "1"})
    with pytest.raises(InputError, match="give --fps"):
        open_frames(tmp_path)


def test_a_stated_frame_rate_overrules_the_file(clip):
    found, frames = read(clip, fps=10)
    assert frames.fps == 10
    np.testing.assert_allclose([f.time for f in found], np.arange(30) / 10)


# --- what is no video ------------------------------------------------------------------------------------------------


def made(tmp_path, kind, videos):
    path = tmp_path / "a.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is no video\n" * 100)
    elif kind == "zeros":
        path.write_bytes(bytes(10_000))
    elif kind == "random":
        path.write_bytes(np.random.default_rng(0).bytes(10_000))
    elif kind == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "cut":
        whole = videos.write(tmp_path / "whole.mp4")
        path.write_bytes(whole.read_bytes()[:-200])
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            for _ in range(20):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.sample_rate = 44100
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    elif kind == "small":
        videos.write(path, height=MIN_SIDE - 2, width=64)
    elif kind == "pixel":
        path = path.with_suffix(".png")
        PIL.Image.new("RGB", (1, 1)).save(path)
    elif kind == "codec":
        # A sample entry that no decoder has.
        path.write_bytes(videos.write(tmp_path / "whole.mp4").read_bytes().replace(b"avc1", b"xyz1"))
    return path


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("missing", "does not exist"),
        ("empty", "is empty"),
        ("text", "no video or image that can be read"),
        ("zeros", "no video or image that can be read"),
        ("random", "no video or image that can be read"),
        ("link", "is a link to nothing"),
        ("pipe", "is no regular file"),
        ("folder", "holds no images"),
        ("cut", "is incomplete: its index is missing"),
        ("sound", "has no video stream"),
        ("small", "too small"),
        ("pixel", "1x1 pixels, too small"),
        ("codec", "of a kind that cannot be decoded here"),
    ],
)
def test_what_is_no_video_gives_one_line(kind, what, tmp_path, videos):
    path = made(tmp_path, kind, videos)
    with pytest.raises(InputError, match=what) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


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
        assert not is_frames(tmp_path / name)
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert not is_frames(tmp_path / "a.npz")
    assert not is_frames(tmp_path / "absent.mp4")
    assert not is_frames(tmp_path)


def test_text_in_utf_16_is_no_video(tmp_path):
    (tmp_path / "a.csv").write_text("frame,nose_x", "utf-16")
    assert not is_frames(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["-dash.mp4", "ümläut 名.mp4", "q'<b>&.mp4", "http:x.mp4"])
def test_odd_names_are_files(name, clip, tmp_path, monkeypatch):
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(odd)
    assert len(read(Path(name))[0]) == 30
