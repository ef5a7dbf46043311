"""Frames per second of a whole video, decoding included, against LiteRT.

    python -m pip install -e ".[litert]"
    python -m benchmarks.pose_video clip.mp4 EfficientPoseRT.h5 --seconds 180

Ours is what `infantjax pose` does. The peer is a plain loop: the same frames from the same video decoder, scaled by it
to the same squares, one call of LiteRT a frame (XNNPACK, as many threads as cores), the maximum of every map. It writes
nothing down, upscales and smooths no maps. The clip is repeated to the wanted length. The maps of both are shown to be
equal on the first frame. "network" leaves the video out.
"""

import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from tyro.conf import Positional

from benchmarks import common
from benchmarks.pose_peers import litert_call, normalized
from infantjax import cache as runtime
from infantjax.pose import PoseConfig, Tracker, load_pose_network
from infantjax.pose.crop import crop_image
from infantjax.video import open_frames

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Options:
    """What is measured."""

    clip: Positional[Path]
    """A video."""
    weights: Positional[Path]
    """A public file of EfficientPose."""
    seconds: float = 180.0
    """Length of the video that the clip is repeated to."""
    frames: int = 64
    """Calls of a round of the network alone."""
    runtime: Literal["jax", "onnx", "litert"] = "onnx"
    """Of ours, for the video; "network" is by JAX."""
    rounds: int = 3
    """Timed rounds."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    network = load_pose_network(options.weights)
    call = litert_call(network, 1)
    with tempfile.TemporaryDirectory() as folder:
        video = repeated(options.clip, options.seconds, Path(folder) / "video.mp4")
        frames = open_frames(video)
        square = crop_image(next(iter(frames)), network.side, "fast")
        given = normalized(square[None], network)
        x = jnp.asarray(given)
        maps = jax.jit(lambda v, x: network.module.apply(v, x)[0])
        held = jax.device_put(network.variables)
        error = common.require_equal(np.asarray(maps(held, x)), call(square[None]), TOLERANCE, "maps")

        def peer_video() -> list[np.ndarray]:
            return [
                np.argmax(call(crop_image(frame, network.side, "fast")[None]).reshape(-1, 16), 0)
                for frame in open_frames(video)
            ]

        tracker = Tracker(network, PoseConfig(runtime=options.runtime))

        def ours_video() -> np.ndarray:
            return tracker.track(open_frames(video)).times

        rows = []
        # The first video of each is warm-up enough.
        for what, ours, peer, number, warm_up in (
            (
                "network",
                lambda: _at_once(lambda: np.asarray(maps(held, x)), options.frames),
                lambda: _calls(lambda: call(square[None]), options.frames),
                options.frames,
                1,
            ),
            ("video", ours_video, peer_video, int(30 * options.seconds), 0),
        ):
            compared = common.compare(
                common.Contender("infantjax", ours), common.Contender("LiteRT", peer), options.rounds, warm_up
            ).summary(0)
            rates = {"ours_fps": number / compared["ours_median_s"], "peer_fps": number / compared["peer_median_s"]}
            rows.append(
                {
                    "weights": options.weights.stem,
                    "what": what,
                    "frames": number,
                    "difference": error,
                    **rates,
                    **compared,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    if options.write:
        print(common.write("pose_video", rows, {"seconds": options.seconds}, where))
    else:
        print(common.table(rows))


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


def _calls(call: Callable[[], np.ndarray], count: int) -> int:
    for _ in range(count):
        call()
    return count


def _at_once(call: Callable[[], np.ndarray], count: int) -> int:
    """From as many threads as the tracker has."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        return len(list(pool.map(lambda _: call(), range(count))))


if __name__ == "__main__":
    main(tyro.cli(Options))
