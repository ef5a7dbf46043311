"""Largest resident memory of `infantjax pose` over videos of several lengths: it must not grow with the length.

    python -m benchmarks.pose_memory clip.mp4 EfficientPoseRT.h5
    python -m benchmarks.pose_memory clip.mp4 EfficientPoseRT.h5 --seconds 1800

The clip is repeated to each length, as 640 pixels wide at 30 frames per second. Each run is a process of its own, from
start to end: decoding, the network, what is kept on the disk, and the file of keypoints. Half an hour takes as long as
54,000 frames do.
"""

import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import tyro
from tyro.conf import Positional

from benchmarks import common
from infantjax.video import open_frames


@dataclass(frozen=True)
class Options:
    """What is measured."""

    clip: Positional[Path]
    """A video."""
    weights: Positional[Path]
    """A file that `infantjax pose` takes."""
    seconds: tuple[float, ...] = (60.0, 300.0)
    """Lengths."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    where = common.environment()
    rows: list[dict[str, Any]] = []
    for seconds in options.seconds:
        with tempfile.TemporaryDirectory() as folder:
            video = repeated(options.clip, seconds, Path(folder) / "video.mp4")
            output = ["-o", str(Path(folder) / "keypoints.csv")]
            run = common.measured(["pose", str(video), "--weights", str(options.weights), *output], Path(folder))
        rows.append(
            {
                "weights": options.weights.stem,
                "video_s": seconds,
                "peak_mb": run.peak_mb,
                "seconds": run.wall_s,
                "fps": 30 * seconds / run.wall_s,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    print(common.write("pose_memory", rows, {}, where) if options.write else common.table(rows))


def repeated(clip: Path, seconds: float, output: Path) -> Path:
    """A video that shows a clip again and again for so long, 640 pixels wide, 30 frames per second, H.264.

    The clip is encoded once; its packets are written as often as needed, each time later.
    """
    import av

    first = next(iter(open_frames(clip)))
    height, wanted = 640 * first.height // first.width // 2 * 2, int(30 * seconds)
    with av.open(str(output), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        # Without frames that read later ones, a cut anywhere leaves a whole video.
        stream.pix_fmt, stream.width, stream.height, stream.codec_context.max_b_frames = "yuv420p", 640, height, 0
        packets: list[bytes] = []
        for frame in islice(open_frames(clip), wanted):
            image = av.VideoFrame.from_ndarray(frame.pixels(height, 640), "rgb24")
            packets += map(bytes, stream.encode(image))
        packets += map(bytes, stream.encode())
        for number in range(wanted):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 30), number % len(packets) == 0
            packet.pts = packet.dts = number
            container.mux(packet)
    return output


if __name__ == "__main__":
    main(tyro.cli(Options))
