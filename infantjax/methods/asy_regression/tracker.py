"""Keypoints of depth clips: three frames at a time, as the networks read them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
from einops import rearrange

from infantjax.errors import InputError
from infantjax.files import canonical_json, sha256
from infantjax.methods.asy_regression.images import to_image
from infantjax.methods.asy_regression.model import FRAMES
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.pose.annotations.babypose import prepare_depth
from infantjax.pose.codec import linking
from infantjax.pose.estimation import track
from infantjax.pose.estimation.track import Track, TrackStore
from infantjax.recording.recording import Recording
from infantjax.version import __version__
from infantjax.video.depth import DepthImages


class DepthTracker:
    """Finds the limbs in depth images.

    Args:
        network: the trained pair of networks.
        min_confidence: a joint whose map is smaller is missing.
        batch_size: clips of three frames in a call; None lets the backend decide.

    Raises:
        ValueError: a confidence that is not above 0 and at most 1, or a batch below 1.
    """

    def __init__(
        self, network: DepthNetwork, min_confidence: float = linking.THRESHOLD, batch_size: int | None = None
    ) -> None:
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence must be from 0 to 1, got {min_confidence}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.network, self.min_confidence = network, min_confidence
        self.batch_size = batch_size or (1 if jax.default_backend() == "cpu" else 16)

    def track(
        self, frames: Any, folder: Path | None = None, report: Callable[[int], None] = lambda done: None
    ) -> Track:
        """Keypoints of every frame.

        Args:
            frames: the depth images.
            folder: where finished chunks are kept, see `Tracker.track`.
            report: called with the number of finished frames.

        Raises:
            InputError: frames of another camera, images that cannot be read, or a folder that cannot be written.
        """
        if not isinstance(frames, DepthImages):
            raise InputError(frames.path, "holds no depth images", "give a folder of images of a depth camera")
        store = TrackStore(folder, self._identity(frames)) if folder else None
        return track.collect(lambda finished: self._parts(frames, finished), store, report)

    def _identity(self, frames: DepthImages) -> str:
        digests = [[path.name, sha256(path)] for path in frames.files]
        return canonical_json([digests, repr(frames.fps), self.network.digest, self.min_confidence, __version__])

    def _parts(self, frames: DepthImages, finished: Sequence[Track]) -> Iterator[Track]:
        """Clips that do not overlap, as in the published test; the last is filled up with its last frame."""
        done = sum(len(part.times) for part in finished)
        depths, size = frames.depths(done), FRAMES * self.batch_size
        shape = (self.network.height, self.network.width)
        while block := list(islice(depths, size)):
            sizes = np.array([depth.shape for depth in block])
            prepared = np.stack([prepare_depth(depth, *shape) for depth in block])
            padded = np.concatenate([prepared, np.repeat(prepared[-1:], size - len(block), axis=0)])
            clips = rearrange(padded, "(clip time) row column -> clip time row column", time=FRAMES)
            found = self.network.find(clips, self.min_confidence)
            positions, confidence = (rearrange(v, "clip time ... -> (clip time) ...")[: len(block)] for v in found)
            placed = [to_image(points, tuple(image), shape) for points, image in zip(positions, sizes.tolist())]
            yield Track.of((done + np.arange(len(block))) / frames.fps, sizes, placed, confidence)
            done += len(block)

    def recording(self, frames: Any, found: Track, name: str | None = None) -> Recording:
        """A recording of the points of a track; joints that were not found are NaN."""
        network = self.network
        notes = [*frames.notes, f"keypoints of {network.kind}: {network.statement}"]
        if empty := np.isnan(found.positions).any(-1).all(1).mean():
            notes.append(f"no keypoints in {100 * empty:.1f} % of its frames")
        how = f"joints of confidence below {self.min_confidence:g} left out"
        weights = f"{network.kind} (weights SHA-256 {network.digest[:16]})"
        return Recording(
            found.positions,
            frames.fps,
            network.skeleton,
            name or frames.path.stem,
            found.confidence,
            history=(f"keypoints of depth images by {weights}, {how}; frames by {frames.provenance}",),
            notes=tuple(notes),
        )
