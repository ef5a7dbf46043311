"""Batches of frames as crops, decoded in a thread ahead of the network that reads them."""

import queue
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from infantjax.errors import InputError
from infantjax.pose.crop import crop_image
from infantjax.pose.images import Resizing
from infantjax.video.frames import Frame, Frames

STALLED_SECONDS = 60.0
"""A decoder that gives no frame for so long is abandoned."""
_AHEAD = 2


class CropBatch(NamedTuple):
    """Some frames of a source.

    Attributes:
        times: seconds.
        sizes: height and width of each frame, pixels.
        crops: of the whole frames.
        frames: themselves, where a second stage crops them again; else empty.
    """

    times: list[float]
    sizes: list[tuple[int, int]]
    crops: list[UInt8[np.ndarray, "side side 3"]]
    frames: list[Frame]

    def split(self, size: int) -> "list[CropBatch]":
        """Parts of so many frames; the last one may be smaller."""
        cuts = [slice(start, start + size) for start in range(0, len(self.times), size)]
        return [CropBatch(self.times[c], self.sizes[c], self.crops[c], self.frames[c]) for c in cuts]


def crop_batches(
    frames: Frames, size: int, side: int, resizing: Resizing, *, skip: int = 0, keep_frames: bool = False
) -> Iterator[CropBatch]:
    """Batches of a source in order; the last one may be smaller. A thread decodes at most two batches ahead.

    Args:
        frames: the source.
        size: frames of a batch.
        side: of the crops, pixels.
        resizing: see `crop.crop_image`.
        skip: number of frames to leave out at the beginning.
        keep_frames: keep the frames themselves.

    Raises:
        InputError: the source cannot be decoded, or gives no frame for a minute.
    """
    batches: queue.Queue[CropBatch | BaseException | None] = queue.Queue(maxsize=_AHEAD)
    stop = threading.Event()

    def put(item: CropBatch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return batches.put(item, timeout=0.2)
            except queue.Full:
                continue

    def decode() -> None:
        try:
            batch = CropBatch([], [], [], [])
            for frame in frames:
                if stop.is_set():
                    return
                if frame.index < skip:
                    continue
                batch.times.append(frame.time)
                batch.sizes.append((frame.height, frame.width))
                batch.crops.append(crop_image(frame, side, resizing))
                if keep_frames:
                    batch.frames.append(frame)
                if len(batch.times) == size:
                    put(batch)
                    batch = CropBatch([], [], [], [])
            if batch.times:
                put(batch)
            put(None)
        except BaseException as error:
            put(error)

    threading.Thread(target=decode, name="decoding", daemon=True).start()
    try:
        while True:
            try:
                item = batches.get(timeout=STALLED_SECONDS)
            except queue.Empty:
                what = f"gave no frame for {STALLED_SECONDS:.0f} s"
                raise InputError(frames.path, what, "convert it to H.264") from None
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
