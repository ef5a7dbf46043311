"""The corpus of odd videos, made by this file: each is read, read with a note, or refused in one line.

The numbers are those of the list of odd inputs that the reader is held to. Rows that a network has to judge (nobody in
the picture, two persons, a camera that zooms) are at the end.
"""

import os
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.video import open_frames, read_frames

HEIGHT, WIDTH, FRAMES, FPS = 120, 160, 60, 30
X264 = {"preset": "ultrafast", "crf": "15"}


def picture(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Red grows to the right, green downwards; a blue square moves with the index."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 200 // width, y * 200 // height, np.zeros_like(x)], -1).astype(np.uint8)
    left = 2 * index % max(width - 16, 1)
    image[: height // 3, left : left + 16] = (0, 0, 255)
    return image


@dataclass(frozen=True)
class Video:
    """How a video is encoded; the defaults are a second or two of H.264."""

    name: str = "a.mp4"
    codec: str = "libx264"
    frames: int = FRAMES
    height: int = HEIGHT
    width: int = WIDTH
    pix_fmt: str = "yuv420p"
    fps: Fraction = Fraction(FPS)
    ticks: tuple[int, ...] | None = None
    """Time stamps in milliseconds, instead of a constant rate."""
    options: dict[str, str] = field(default_factory=lambda: dict(X264))
    container: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    shape: Fraction | None = None
    """Of a pixel: width by height."""
    streams: int = 1
    sound: float = 0.0
    """Seconds of an audio track."""
    draw: Callable[[int, int, int], np.ndarray] = picture

    def write(self, folder: Path) -> Path:
        """Encode it."""
        path = folder / self.name
        with av.open(str(path), "w", format=self.format, options=self.container) as container:
            streams = [self._stream(container) for _ in range(self.streams)]
            audio = container.add_stream("aac", rate=44100) if self.sound else None
            for index in range(self.frames):
                frame = av.VideoFrame.from_ndarray(self.draw(index, self.height, self.width), format="rgb24")
                if self.ticks is not None:
                    frame.pts, frame.time_base = self.ticks[index], Fraction(1, 1000)
                for stream in streams:
                    container.mux(stream.encode(frame))
            for stream in streams:
                container.mux(stream.encode())
            if audio is not None:
                for number in range(int(self.sound * 44100 / 1024)):
                    sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                    sound.sample_rate, sound.pts = 44100, number * 1024
                    container.mux(audio.encode(sound))
                container.mux(audio.encode())
        return path

    def _stream(self, container: Any) -> Any:
        stream = container.add_stream(self.codec, rate=1000 if self.ticks is not None else self.fps)
        stream.height, stream.width, stream.pix_fmt = self.height, self.width, self.pix_fmt
        stream.options = dict(self.options)
        if self.shape is not None:
            stream.codec_context.sample_aspect_ratio = self.shape
        if self.ticks is not None:
            stream.time_base = Fraction(1, 1000)
        return stream


def remuxed(source: Path, target: Path, shift: Callable[[int, Any], None], **given: Any) -> Path:
    """The same packets with other time stamps."""
    with av.open(str(source)) as one, av.open(str(target), "w", **given) as other:
        stream = one.streams.video[0]
        out = other.add_stream_from_template(stream)
        for index, packet in enumerate(p for p in one.demux(stream) if p.dts is not None):
            packet.stream = out
            shift(index, packet)
            other.mux(packet)
    return target


def whole(folder: Path, **given: Any) -> bytes:
    """Four seconds of H.264 whose index lies in front, or at the end."""
    return Video(frames=120, options={**X264, "bf": "0"}, **given).write(folder).read_bytes()


def in_front(folder: Path) -> bytes:
    """Four seconds of H.264 whose index lies in front."""
    return whole(folder, container={"movflags": "faststart"})


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def flipped(data: bytes, count: int, first: int, last: int) -> bytes:
    changed = bytearray(data)
    for position in np.random.default_rng(0).integers(first, last, count):
        changed[position] ^= 255
    return bytes(changed)


def zeroed(data: bytes, first: float, last: float) -> bytes:
    start, stop = (int(share * len(data)) for share in (first, last))
    return data[:start] + bytes(stop - start) + data[stop:]


def edit_list(data: bytes, seconds: float, media_time: float) -> bytes:
    """Let an MP4 begin later than its first frame."""
    clock = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    at = data.index(b"elst") + 12
    return data[:at] + struct.pack(">Ii", int(1000 * seconds), int(media_time * clock)) + data[at + 8 :]


def shifted(folder: Path, name: str, change: Callable[[int], float | None], **given: Any) -> Path:
    """Packets whose time is that of a rule, in seconds; None leaves it."""

    def shift(index: int, packet: Any) -> None:
        seconds = change(index)
        if seconds is not None:
            packet.pts = packet.dts = int(seconds / packet.time_base)

    source = Video("source.mp4", options={**X264, "bf": "0"}).write(folder)
    return remuxed(source, folder / name, shift, **given)


def turned(folder: Path, quarters: int) -> Path:
    """A quarter turn counter-clockwise in the matrix of the track header."""
    data = Video().write(folder).read_bytes()
    a, b = [(1, 0), (0, -1), (-1, 0), (0, 1)][quarters]
    numbers = (a, b, 0, -b, a, 0)
    at = data.index(b"tkhd") + 4 + 40
    return put(folder, "turned.mp4", data[:at] + struct.pack(">6i", *(v << 16 for v in numbers)) + data[at + 24 :])


def sound_only(folder: Path) -> Path:
    """A file without pictures."""
    path = folder / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for number in range(40):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate, sound.pts = 44100, 1024 * number
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def header_only(folder: Path) -> Path:
    """A stream that is announced, and no frame."""
    path = folder / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov+frag_keyframe"}) as container:
        Video()._stream(container)
        container.start_encoding()
    return path


def two_sizes(folder: Path) -> Path:
    first = Video("1.ts").write(folder).read_bytes()
    second = Video("2.ts", height=96, width=128, container={"output_ts_offset": "2"}).write(folder).read_bytes()
    return put(folder, "a.ts", first + second)


def image(folder: Path, codec: str, pix_fmt: str) -> Path:
    video = Video("source", codec, 1, pix_fmt=pix_fmt, options={}, format="image2", container={"update": "1"})
    return video.write(folder).rename(folder / "a.mp4")


def special(folder: Path, kind: str) -> Path:
    """What is no file, or none that can be opened."""
    path = folder / "a.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(folder / "nowhere.mp4")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "locked":
        Video().write(folder).chmod(0)
    return path


def named(folder: Path, name: str) -> Path:
    return Video().write(folder).rename(folder / name)


STEADY = tuple(i / FPS for i in range(FRAMES))
VARYING = (*range(0, 1000, 33), *range(1000, 3900, 100))[:FRAMES]
DROPPED = tuple(round(1000 * i / FPS) for i in range(70) if i % 7 != 6)[:FRAMES]
INTERLACED = {**X264, "flags": "+ildct+ilme", "x264-params": "interlaced=1"}
H265 = {"x265-params": "log-level=none", "preset": "ultrafast"}


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        make: writes the file into a folder.
        frames: how many are read, or the fewest and the most.
        note: what one note says; empty where there must be none.
        error: what is said of a file that is refused.
        fps: what a user states.
        upright: height and width of the frames.
        times: of the frames in seconds; None where the row is of something else.
    """

    make: Video | Callable[[Path], Path]
    frames: int | tuple[int, int] = FRAMES
    note: str = ""
    error: str = ""
    fps: float | None = None
    upright: tuple[int, int] = (HEIGHT, WIDTH)
    times: tuple[float, ...] | None = None


CASES: dict[str, Case] = {
    "V01 H.264": Case(Video(), times=STEADY),
    "V02 index in front": Case(Video(container={"movflags": "faststart"}), times=STEADY),
    "V03 B-frames, long GOP": Case(Video(options={"bf": "3", "g": "250", "preset": "fast"}), times=STEADY),
    "V04 HEVC": Case(Video(codec="libx265", options=H265), times=STEADY),
    "V05 HEVC of 10 bits": Case(Video("a.mov", "libx265", pix_fmt="yuv420p10le", options=H265), times=STEADY),
    "V06 VP9": Case(Video("a.webm", "libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8"})),
    "V07 MPEG-4": Case(Video("a.avi", "mpeg4", options={}), times=STEADY),
    "V08 MJPEG": Case(Video("a.avi", "mjpeg", pix_fmt="yuvj420p", options={}), times=STEADY),
    "V09 WMV2": Case(Video("a.wmv", "wmv2", options={})),
    "V10 FFV1": Case(Video("a.mkv", "ffv1", options={})),
    "V11 ProRes": Case(Video("a.mov", "prores_ks", pix_fmt="yuv422p10le", options={}), times=STEADY),
    # Of this size H.263 has pixels of 12:11, and the encoder says so.
    "V12 H.263": Case(
        Video("a.3gp", "h263", height=144, width=176, options={}), upright=(144, 176), note="12/11 as wide as high"
    ),
    "V13 AV1": Case(Video(codec="libsvtav1", options={"preset": "12"}), times=STEADY),
    "V14 GIF": Case(Video("a.gif", "gif", pix_fmt="rgb8", fps=Fraction(25), options={})),
    "V15 raw H.264": Case(Video("a.h264", format="h264"), error="give --fps"),
    "V15 raw H.264 with a rate": Case(Video("a.h264", format="h264"), fps=30.0, times=STEADY),
    "V16 MPEG-2": Case(Video("a.mpg", "mpeg2video", options={}), times=STEADY),
    "V17 late start": Case(Video("a.ts", container={"output_ts_offset": "1.4"}), times=STEADY),
    "V18 turned by 90": Case(lambda f: turned(f, 1), upright=(WIDTH, HEIGHT)),
    "V19 turned by 180": Case(lambda f: turned(f, 2)),
    "V20 turned by 270": Case(lambda f: turned(f, 3), upright=(WIDTH, HEIGHT)),
    "V21 30 frames a second, then 10": Case(Video(ticks=VARYING), times=tuple(t / 1000 for t in VARYING)),
    "V22 every seventh dropped": Case(Video(ticks=DROPPED), times=tuple(t / 1000 for t in DROPPED)),
    "V23 gap of 5 s": Case(
        Video(ticks=tuple(1000 * i // 30 + (5000 if i > 30 else 0) for i in range(FRAMES))),
        note="has no frame between 1.0 and 6.0 s",
    ),
    "V24 edit list": Case(
        lambda f: put(f, "edited.mp4", edit_list(whole(f), 2.5, 1.5)), 75, times=tuple(i / FPS for i in range(75))
    ),
    "V25 negative time stamps": Case(
        lambda f: shifted(f, "a.mp4", lambda i: (i - 20) / FPS, options={"avoid_negative_ts": "disabled"}), 40
    ),
    "V26 jump of 2 h": Case(
        lambda f: shifted(f, "a.mp4", lambda i: i / FPS + 7200 * (i >= 30)),
        note="has no frame between 1.0 and 7201.0 s",
    ),
    "V27 equal time stamps": Case(
        lambda f: shifted(f, "a.mkv", lambda i: 19 / FPS if 20 <= i < 30 else None), 50, note="with the same time"
    ),
    "V28 declares more than it holds": Case(
        lambda f: put(f, "a.mp4", in_front(f)[:-900]), (110, 118), note="ends at 3.9 of 4.0 s|is damaged after 3.8 s"
    ),
    "V29 fragments": Case(Video(container={"movflags": "frag_keyframe+empty_moov"}), times=STEADY),
    "V30 longer sound": Case(Video(sound=4.0), times=STEADY),
    "V31 shorter sound": Case(Video(sound=0.5), times=STEADY),
    "V32 sound only": Case(sound_only, error="has no video stream"),
    "V33 two video streams": Case(Video(streams=2), note="has 2 video streams; the first was read"),
    "V34 size that changes": Case(two_sizes, 2 * FRAMES, note="changes its frames from 160x120 to 128x96"),
    "V35 odd sides, 4:4:4": Case(Video(height=241, width=321, pix_fmt="yuv444p"), upright=(241, 321)),
    "V36 16 pixels": Case(Video(height=16, width=16), error="16x16 pixels, too small"),
    "V37 2 pixels": Case(Video("a.mkv", "ffv1", height=2, width=2, options={}), error="2x2 pixels, too small"),
    "V38 48 pixels": Case(Video(height=48, width=48), upright=(48, 48)),
    "V40 one frame": Case(Video(frames=1), 1),
    "V41 no frame": Case(header_only, error="holds no frame that can be decoded"),
    "V42 240 frames a second": Case(Video(fps=Fraction(240)), times=tuple(i / 240 for i in range(FRAMES))),
    "V44 29.97": Case(Video(fps=Fraction(30000, 1001)), times=tuple(i * 1001 / 30000 for i in range(FRAMES))),
    "V45 gray": Case(Video(pix_fmt="gray")),
    "V46 transparency": Case(Video("a.mov", "qtrle", pix_fmt="argb", options={})),
    "V47 pixels that are not square": Case(Video(shape=Fraction(4, 3)), note="pixels that are 4/3 as wide as high"),
    "V48 interlaced": Case(Video(options=INTERLACED), times=STEADY),
    "V49 empty": Case(lambda f: put(f, "a.mp4", b""), error="is empty"),
    "V50 text": Case(lambda f: put(f, "a.mp4", b"no video\n" * 99), error="no video or image that can be read"),
    "V51 zeros": Case(lambda f: put(f, "a.mp4", bytes(9999)), error="no video or image that can be read"),
    "V52 random": Case(
        lambda f: put(f, "a.mp4", np.random.default_rng(0).bytes(9999)), error="no video or image that can be read"
    ),
    "V53 folder": Case(lambda f: special(f, "folder"), error="is a folder of images|holds no images"),
    "V54 dangling link": Case(lambda f: special(f, "link"), error="is a link to nothing"),
    "V55 missing": Case(lambda f: special(f, "missing"), error="does not exist"),
    "V56 no permission": Case(lambda f: special(f, "locked"), error="cannot be read|no permission"),
    "V57 pipe": Case(lambda f: special(f, "pipe"), error="is no regular file"),
    "V58 index at the end, half": Case(
        lambda f: put(f, "a.mp4", (d := whole(f))[: len(d) // 2]), error="incomplete: its index is missing"
    ),
    "V59 index at the end, 200 bytes": Case(
        lambda f: put(f, "a.mp4", whole(f)[:-200]), error="incomplete: its index is missing"
    ),
    "V60 index in front, 5 %": Case(
        lambda f: put(f, "a.mp4", (d := in_front(f))[: len(d) // 20]), error="holds no frame|no video or picture|index"
    ),
    "V61 index in front, 50 %": Case(
        lambda f: put(f, "a.mp4", (d := in_front(f))[: len(d) // 2]), (40, 80), note="ends at|is damaged after"
    ),
    "V62 index in front, 98 %": Case(
        lambda f: put(f, "a.mp4", (d := in_front(f))[: int(0.98 * len(d))]), (110, 118), note="ends at|is damaged after"
    ),
    "V63 cut mkv": Case(
        lambda f: put(f, "a.mkv", (d := whole(f, name="w.mkv"))[: len(d) // 2]), (40, 80), note="ends at|is damaged"
    ),
    "V64 cut avi": Case(
        lambda f: put(f, "a.avi", (d := whole(f, name="w.avi"))[: len(d) // 2]), (40, 80), note="ends at|is damaged"
    ),
    "V65 10 flipped bytes": Case(
        lambda f: put(f, "a.mp4", flipped(d := in_front(f), 10, d.index(b"mdat") + 4000, len(d))), (1, 120), note="*"
    ),
    "V66 1,000 flipped bytes": Case(
        lambda f: put(f, "a.mp4", flipped(d := in_front(f), 1000, d.index(b"mdat") + 4000, len(d))),
        (1, 119),
        note="is damaged after",
    ),
    "V67 zeroed middle": Case(
        lambda f: put(f, "a.mp4", zeroed(in_front(f), 0.5, 0.7)), (40, 80), note="is damaged after"
    ),
    "V68 zeroed end": Case(lambda f: put(f, "a.mp4", zeroed(in_front(f), 0.75, 1)), (70, 110), note="is damaged after"),
    "V69 flipped bytes in the index": Case(
        lambda f: put(f, "a.mp4", flipped(d := in_front(f), 200, d.index(b"moov") + 8, d.index(b"mdat"))),
        error="has no video stream|no video or image that can be read|holds no frame",
    ),
    "V70 png": Case(lambda f: image(f, "png", "rgb24"), 1),
    "V71 jpg": Case(lambda f: image(f, "mjpeg", "yuvj420p"), 1),
    "V72 accents": Case(lambda f: named(f, "ümläut 名前.mp4")),
    "V73 quote and tag": Case(lambda f: named(f, "q'\"<b>&.mp4")),
    "V74 dash": Case(lambda f: named(f, "-i.mp4")),
    "V75 line break": Case(lambda f: named(f, "a\nb.mp4")),
    "V76 240 bytes": Case(lambda f: named(f, "n" * 236 + ".mp4")),
}
CONCEALED = ("V65 10 flipped bytes",)
"""Damage inside of frames, which decoders hide without a word, each in its way."""
SLOW = ("V39", "V43")
"""Rows whose tests are elsewhere in this file, and V77 to V84, which a network has to judge."""


@pytest.mark.parametrize("row", CASES)
def test_a_row_of_the_corpus(row, tmp_path):
    case = CASES[row]
    if isinstance(case.make, Video) and case.make.codec not in av.codecs_available:
        pytest.skip(f"no {case.make.codec} in this build of PyAV")
    if row.startswith("V56") and os.geteuid() == 0:
        pytest.skip("nothing is forbidden to the superuser")
    path = case.make.write(tmp_path) if isinstance(case.make, Video) else case.make(tmp_path)
    if case.error:
        with pytest.raises(InputError, match=case.error) as caught:
            list(open_frames(path, case.fps))
        assert "\n" not in str(caught.value)
        return
    frames = open_frames(path, case.fps)
    found = list(frames)
    low, high = case.frames if isinstance(case.frames, tuple) else (case.frames, case.frames)
    assert low <= len(found) <= high
    assert (found[0].height, found[0].width) == case.upright
    assert found[0].pixels().shape == (*case.upright, 3)
    if case.times is not None:
        np.testing.assert_allclose([frame.time for frame in found], case.times, atol=2e-3)
    if case.note != "*":
        pattern = [note for note in frames.notes if case.note and any(p in note for p in case.note.split("|"))]
        assert bool(pattern) == bool(case.note), frames.notes
        assert case.note or not frames.notes
    if case.fps is None and row not in CONCEALED:
        by_number = read_frames(path, indices := (len(found) - 1, 0, len(found) // 2))
        for frame, index in zip(by_number.frames, indices, strict=True):
            assert (frame.index, frame.time) == (index, pytest.approx(found[index].time, abs=2e-3))
            np.testing.assert_array_equal(frame.pixels(), found[index].pixels())


def test_every_row_of_a_file_is_there():
    numbers = {row.split()[0] for row in CASES} | set(SLOW)
    assert numbers == {f"V{n:02d}" for n in range(1, 77)}


@pytest.mark.slow
def test_v39_frames_of_8k_take_under_a_gigabyte(tmp_path, with_its_peak):
    path = Video(height=4320, width=7680, frames=5, draw=lambda i, h, w: np.full((h, w, 3), 40 * i, np.uint8)).write(
        tmp_path
    )
    code = (
        "import sys"
        "\nfrom infantjax.pose.crop import crop_image"
        "\nfrom infantjax.video import open_frames"
        "\nfor frame in open_frames(sys.argv[1]): square = crop_image(frame, 224, 'fast')"
        "\nprint(frame.index, square.shape, int(square[112, 112, 0]))"
    )
    printed, peak = with_its_peak(code, path)
    assert peak < 2**30
    index, *_, gray = printed.replace(",", "").split()
    assert index == "4"
    assert abs(int(gray) - 160) < 6


@pytest.mark.slow
def test_half_an_hour_of_video_with_a_slow_consumer_takes_under_two_gigabytes(tmp_path, with_its_peak):
    """54,000 frames of 640x480; a pause of 20 ms every 64 frames, so that the decoder could run ahead."""
    source = Video("source.mp4", height=480, width=640, frames=600, options={**X264, "bf": "0"}).write(tmp_path)
    with av.open(str(source)) as one, av.open(str(tmp_path / "a.mp4"), "w") as other:
        stream = one.streams.video[0]
        out = other.add_stream_from_template(stream)
        for repeat in range(90):
            one.seek(0)
            for packet in one.demux(stream):
                if packet.dts is not None:
                    packet.pts = packet.dts = packet.pts + int(20 * repeat / packet.time_base)
                    packet.stream = out
                    other.mux(packet)
    code = (
        "import sys, time"
        "\nfrom infantjax.pose.crop import crop_image"
        "\nfrom infantjax.video import open_frames"
        "\nfor frame in open_frames(sys.argv[1]):"
        "\n    if frame.index % 16 == 0: crop_image(frame, 224, 'fast')"
        "\n    if frame.index % 64 == 0: time.sleep(0.02)"
        "\nprint(frame.index, round(frame.time))"
    )
    printed, peak = with_its_peak(code, tmp_path / "a.mp4")
    assert peak < 2**31
    assert printed.split() == ["53999", "1800"]


# --- what a network has to judge -------------------------------------------------------------------------------------


def shown(photograph: np.ndarray, kinds: Iterable[str]) -> Callable[[int, int, int], np.ndarray]:
    """Frames of a photograph as it is, of a black or gray wall, zoomed, mirrored, upside down."""
    frames = list(kinds)

    def draw(index: int, height: int, width: int) -> np.ndarray:
        kind = frames[index]
        if kind in ("black", "wall"):
            return np.full((height, width, 3), 0 if kind == "black" else 120, np.uint8)
        if kind == "zoomed":
            return np.kron(
                photograph[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4], np.ones((2, 2, 1), np.uint8)
            )
        if kind == "two":
            return np.concatenate([photograph[:, 64:192], photograph[:, 64:192]], 1)
        return {"turned": photograph[::-1, ::-1], "mirrored": photograph[:, ::-1]}.get(kind, photograph)

    return draw


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "kinds", "nobody"),
    [
        ("V77 nobody", ["wall"] * 20, 100.0),
        ("V78 two persons", ["two"] * 20, None),
        ("V79 leaves for a while", ["there"] * 10 + ["wall"] * 10, 50.0),
        ("V80 black", ["black"] * 20, 100.0),
        ("V81 frozen", ["there"] * 20, None),
        ("V82 camera cut", ["there"] * 10 + ["mirrored"] * 10, None),
        ("V83 zoom", ["there"] * 10 + ["zoomed"] * 10, None),
        ("V84 upside down", ["turned"] * 20, None),
    ],
)
def test_frames_that_show_nobody_are_told(row, kinds, nobody, shared, tmp_path):
    from PIL import Image

    from infantjax.pose import Tracker, load_pose_network

    photograph = np.asarray(Image.open(shared / "data" / "pose" / "MPII.jpg").convert("RGB").resize((256, 256)))
    video = Video(height=256, width=256, frames=20, draw=shown(photograph, kinds))
    frames = open_frames(video.write(tmp_path))
    tracker = Tracker(load_pose_network(shared / "data" / "pose" / "EfficientPoseRT.h5"))
    recording = tracker.recording(frames, tracker.track(frames))
    told = [note for note in recording.notes if note.startswith("no keypoints in")]
    assert told == ([f"no keypoints in {nobody:.1f} % of its frames"] if nobody else [])
