"""Keypoints of a whole video: frames are decoded while others are computed, and finished chunks are kept on disk."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P
from jaxtyping import UInt8

from infantjax.cache import cores
from infantjax.devices import BATCH, local_mesh, platform_of, shard, sharding_over
from infantjax.errors import InputError
from infantjax.files import canonical_json, sha256
from infantjax.pose.codec import linking
from infantjax.pose.codec.heatmap import HeatmapCodec, Points
from infantjax.pose.crop import AffineCrop, Box, crop_image, refine_crop, to_image_coords
from infantjax.pose.estimation import track
from infantjax.pose.estimation.batches import CropBatch, crop_batches
from infantjax.pose.estimation.config import DEFAULT, PoseConfig
from infantjax.pose.estimation.estimator import PoseEstimator
from infantjax.pose.estimation.following import (
    BLOCK,
    CANDIDATES,
    CLEARER,
    SEARCH_SIZES,
    SIZES,
    SURE,
    Followed,
    consistent_sides,
    crop_around,
    search_boxes,
)
from infantjax.pose.estimation.multi_scale import mean_maps
from infantjax.pose.estimation.track import Track, TrackStore
from infantjax.pose.export import exported_maps
from infantjax.pose.images import normalize
from infantjax.recording import cleaning
from infantjax.recording.recording import Recording
from infantjax.version import __version__
from infantjax.video.frames import Frame, Frames


class Tracker:
    """Finds keypoints with one network; its program is compiled once for all videos.

    Args:
        network: with its weights.
        config: how.
        devices: that divide the frames of a call; None is all of this process.

    Raises:
        ValueError: the configuration selects a person, and the network has no affinity fields.
        MissingExtraError: the runtime is not installed.
        NotImplementedError: the network has an operation that the runtime lacks.
    """

    def __init__(
        self, network: PoseEstimator, config: PoseConfig = DEFAULT, devices: Sequence[jax.Device] | None = None
    ) -> None:
        if config.person and network.affinity_fields is None:
            raise ValueError("a network without affinity fields cannot tell persons apart")
        self.network, self.config = network, replace(config, decoder=config.decoder or network.decoder)
        self._mesh = local_mesh(devices=devices)
        cpu = platform_of(self._mesh) == "cpu"
        # On a CPU an operation of a small network is too short to be spread over cores; calls are.
        self._workers = cores() + 1 if cpu else 2
        # The second stage needs the frames themselves, of which several batches are in memory at a time.
        each = config.batch_size or (1 if cpu else 16 if config.two_stage or config.follow else 64)
        self.batch_size = each * self._mesh.shape[BATCH]
        self._exported = exported_maps(network, self.batch_size) if config.runtime == "onnx" else None

    @property
    def min_confidence(self) -> float:
        """A point with less is missing."""
        return self.config.min_confidence

    @cached_property
    def _program(self) -> Callable[[Any, jax.Array], Any]:
        """Keypoints of crops, or, to select a person, confidence maps and affinity fields."""
        network, config = self.network, self.config
        mirror = np.array(network.skeleton.mirror)

        def outputs(variables: Any, images: jax.Array) -> tuple[jax.Array, Any]:
            x = normalize(images, network.normalization).astype(config.dtype)
            maps, aux = network.module.apply(variables, x)
            return jnp.asarray(maps, jnp.float32), aux

        def mean(variables: Any, crops: jax.Array) -> jax.Array:
            return mean_maps(lambda images: outputs(variables, images)[0], crops, config.scales)

        def run(variables: Any, crops: jax.Array) -> Any:
            maps = mean(variables, crops)
            if config.flip:
                maps = (maps + mean(variables, crops[:, :, ::-1])[:, :, ::-1, mirror]) / 2
            if config.person is None:
                return self._decode(maps)
            return maps, jnp.asarray(outputs(variables, crops)[1][network.affinity_fields], jnp.float32)

        return jax.jit(shard(run, self._mesh, (P(), P(BATCH)), P(BATCH)))

    @cached_property
    def _decode(self) -> Callable[[jax.Array], Points]:
        codec = HeatmapCodec(self.config.decoder or self.network.decoder)
        return jax.jit(lambda maps: codec.decode(maps, self.network.side))

    @cached_property
    def _variables(self) -> Any:
        # A CPU program computes in float32 what it was given in float32: weights follow the activations.
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, self.config.dtype), self.network.variables)
        return jax.device_put(variables, sharding_over(self._mesh))

    def find(self, crops: UInt8[np.ndarray, "frame side side 3"]) -> Points:
        """Keypoints of crops (`crop.crop_image`), as NumPy arrays; positions are fractions of the crop."""
        size = self.batch_size
        parts = []
        for first in range(0, len(crops), size):
            part = crops[first : first + size]
            padded = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0), (0, 0)))
            found = [np.asarray(leaf) for leaf in self._call(padded)]
            if self.config.person is not None:
                found = self._of_one_person(found[0], found[1], len(part), self.config.person)
            parts.append([leaf[: len(part)] for leaf in found])
        return Points(*(np.concatenate(leaves) for leaves in zip(*parts)))  # type: ignore[arg-type]

    def _call(self, crops: np.ndarray) -> Any:
        """Result of `_program` for a batch."""
        if self._exported is None:
            return self._program(self._variables, jax.device_put(crops, sharding_over(self._mesh, BATCH)))
        maps = self._exported(crops)
        if self.config.flip:
            mirrored = self._exported(crops[:, :, ::-1])[:, :, ::-1, np.array(self.network.skeleton.mirror)]
            maps = (maps + mirrored) / 2
        return self._decode(maps)  # type: ignore[arg-type]

    def _of_one_person(self, maps: np.ndarray, fields: np.ndarray, frames: int, by: linking.Choice) -> list[np.ndarray]:
        """Positions and confidences of the selected person of each frame; frames from `frames` on are padding."""
        height, width = maps.shape[1:3]
        masked = np.zeros_like(maps)
        for frame in range(frames):
            crowd = linking.find_people(maps[frame], fields[frame], self.network.skeleton)
            person = linking.select_person(crowd.persons, by, height, width)
            masked[frame] = linking.mask_to_person(maps[frame], person, crowd.candidates)
        points = self._decode(jnp.asarray(masked))
        present = np.asarray(masked.any((1, 2)))
        return [
            np.where(present[..., None], np.asarray(points.positions), np.nan),
            np.where(present, np.asarray(points.confidence), 0),
        ]

    def track(
        self, frames: Frames, folder: Path | None = None, report: Callable[[int], None] = lambda done: None
    ) -> Track:
        """Keypoints of every frame of a source.

        Args:
            frames: the source.
            folder: where finished chunks are kept; those of an earlier, interrupted call for the same source, network
                and configuration are used. None keeps nothing.
            report: called with the number of finished frames.

        Raises:
            InputError: the source cannot be decoded, or stops giving frames, or the folder cannot be written.
        """
        store = TrackStore(folder, self._identity(frames)) if folder else None
        return track.collect(lambda finished: self.parts(frames, finished), store, report)

    def _identity(self, frames: Frames) -> str:
        config = asdict(self.config) | {"batch_size": None, "smoothing": None}
        path = frames.path
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
        digests = [[p.name, sha256(p)] for p in files]
        # The source's rate as well: --fps changes the times.
        return canonical_json([digests, repr(frames.fps), self.network.digest, self.network.name, config, __version__])

    def parts(self, frames: Frames, finished: Sequence[Track] = ()) -> Iterator[Track]:
        """Keypoints of some frames after the others, as soon as they are computed; those never seen are reported.

        Args:
            frames: the source.
            finished: keypoints of its first frames, which are left out.

        Raises:
            InputError: the source cannot be decoded, or stops giving frames.
        """
        computed = self._follow(frames, finished) if self.config.follow else self._compute(frames, finished)
        if finished:  # the interrupted call reported it
            return computed
        return track.tell_unseen(computed, frames.path.name, self.network.skeleton.joints, self.config.min_confidence)

    def _compute(self, frames: Frames, finished: Sequence[Track]) -> Iterator[Track]:
        """Batches in order, several computed at the same time."""
        config, running = self.config, deque[Future[Track]]()
        skip = sum(len(part.times) for part in finished)
        batches = crop_batches(
            frames, self.batch_size, self.network.side, config.resizing, skip=skip, keep_frames=config.two_stage
        )
        with ThreadPoolExecutor(self._workers, "pose") as pool:
            for batch in batches:
                running.append(pool.submit(self._track_batch, batch))
                if len(running) > self._workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def _follow(self, frames: Frames, finished: Sequence[Track]) -> Iterator[Track]:
        """Blocks in order, two computed at the same time; the crop of each comes from those before."""
        config, running, box = self.config, deque[list[Future[Track]]](), None
        known, skip = Followed(finished, config.min_confidence), sum(len(part.times) for part in finished)
        blocks = crop_batches(frames, BLOCK, self.network.side, config.resizing, skip=skip, keep_frames=True)

        def oldest() -> Track:
            block = track.join(part.result() for part in running.popleft())
            known.add(block)
            return block

        with ThreadPoolExecutor(self._workers, "pose") as pool:
            for block in blocks:
                if len(running) == 2:
                    yield oldest()
                # The second block has the crop of the first, of which nothing is known yet.
                if not (box and known.none_yet):
                    points = known.points(block.sizes[0], one_running=bool(running))
                    box = self._next_crop(block.frames[0], points)
                parts = block.split(self.batch_size)
                running.append([pool.submit(self._track_part, part, block.sizes[0], box) for part in parts])
                while running and all(part.done() for part in running[0]):
                    yield oldest()
            while running:
                yield oldest()

    def _next_crop(self, frame: Frame, points: np.ndarray | None) -> Box | None:
        """The crop around the last points, or one that is larger or smaller; where they are not known, it is searched.

        None is the whole frame.
        """
        size = (frame.height, frame.width)
        usual = None if points is None else crop_around(points, *size)
        if points is None or usual is None:
            return self._search(frame)
        boxes = [usual, *(crop_around(points, *size, times) or usual for times in SIZES)]
        sure = [each[0] for each in self._look(frame, boxes)]
        best = int(np.argmax(sure))
        if sure[best] < SURE:
            return self._search(frame)
        return boxes[best] if sure[best] > CLEARER * sure[0] else usual

    def _search(self, frame: Frame) -> Box | None:
        """The crop with the surest points of those around the points of parts of a frame."""
        size = (frame.height, frame.width)
        whole, *parts = self._look(frame, search_boxes(*size))
        best = sorted([whole, *parts], key=lambda each: each[0], reverse=True)[:CANDIDATES]
        tried = (crop_around(points, *size, times) for _, points in best for times in SEARCH_SIZES)
        if not (boxes := list(dict.fromkeys(box for box in tried if box is not None))):
            return None
        sure = [each[0] for each in self._look(frame, boxes)]
        return boxes[int(np.argmax(sure))] if max(sure) > max(SURE, CLEARER * whole[0]) else None

    def _look(self, frame: Frame, boxes: Sequence[Box]) -> list[tuple[float, np.ndarray]]:
        """Mean confidence and the sure points in each crop of a frame."""
        positions, confidence = self._find_in([frame] * len(boxes), boxes)
        sure = np.where((confidence >= self.config.min_confidence)[..., None], positions, np.nan)
        return [(float(np.mean(values)), points) for values, points in zip(confidence, sure)]

    def _find_in(self, frames: Sequence[Frame], boxes: Sequence[Box | None]) -> tuple[np.ndarray, np.ndarray]:
        """Positions, in pixels of the frames, and confidences in a box of each frame."""
        side, resizing = self.network.side, self.config.resizing
        found = self.find(np.stack([crop_image(frame, side, resizing, box) for frame, box in zip(frames, boxes)]))
        crops = (AffineCrop.fit(frame.height, frame.width, side, box) for frame, box in zip(frames, boxes))
        positions = [crop.to_image(points) for crop, points in zip(crops, np.asarray(found.positions))]
        return np.stack(positions), np.asarray(found.confidence)

    def _track_part(self, batch: CropBatch, size: tuple[int, int], box: Box | None) -> Track:
        """Points of frames that are cropped to a box, where they have the size that it was made for."""
        if box in (None, Box(0, 0, *size)) or set(batch.sizes) != {size}:
            return self._track_batch(batch._replace(frames=[]))
        return Track.of(batch.times, batch.sizes, *self._find_in(batch.frames, [box] * len(batch.frames)))

    def _track_batch(self, batch: CropBatch) -> Track:
        points, side = self.find(np.stack(batch.crops)), self.network.side
        positions = np.array([to_image_coords(p, *size, side) for p, size in zip(points.positions, batch.sizes)])
        confidence = np.asarray(points.confidence, np.float64)
        if batch.frames:
            self._refine(batch, positions, confidence)
        return Track.of(batch.times, batch.sizes, positions, confidence)

    def _refine(self, batch: CropBatch, positions: np.ndarray, confidence: np.ndarray) -> None:
        """Replace points by those of the second stage, in frames where the first one found any."""
        confident = np.where((confidence >= self.config.min_confidence)[..., None], positions, np.nan)
        boxes = [refine_crop(points, *size) for points, size in zip(confident, batch.sizes)]
        if rows := [row for row, box in enumerate(boxes) if box is not None]:
            frames, around = [batch.frames[row] for row in rows], [boxes[row] for row in rows]
            positions[rows], confidence[rows] = self._find_in(frames, around)

    def recording(self, frames: Frames, found: Track, name: str | None = None) -> Recording:
        """A recording of the points of a track, its frames at equal distances in time.

        A point whose confidence is below the configured one is NaN. Where the source has no constant frame rate,
        positions are interpolated in time, over at most half a second.

        Args:
            frames: the source.
            found: its track.
            name: of the recording; None takes that of the file.

        Raises:
            InputError: too few frames for the configured filter.
        """
        config = self.config
        confident = (found.confidence >= config.min_confidence) & np.isfinite(found.positions).all(-1)
        # In float32: the recording has a copy of its own in float64.
        positions, confidence = np.where(confident[..., None], found.positions, np.float32(np.nan)), found.confidence
        fps = 1.0 if math.isnan(frames.fps) else frames.fps
        notes = list(frames.notes)
        if np.abs(found.times - np.arange(len(found.times)) / fps).max() > 0.5 / fps:
            fps = track.plausible_rate(fps, found.times)
            positions, confidence = track.at_constant_rate(found.times, positions.astype(np.float64), confidence, fps)
            notes.append(f"has no constant frame rate; its keypoints were interpolated at {fps:g} frames per second")
        if empty := np.mean(~confident.any(1)):
            notes.append(f"no keypoints in {100 * empty:.1f} % of its frames")
        if self.network.statement:
            notes.append(f"keypoints of {self.network.name}: {self.network.statement}")
        history = [f"keypoints by {self.describe()}; frames by {frames.provenance}"]
        recording = Recording(
            positions,
            fps,
            self.network.skeleton,
            name or frames.path.stem,
            np.clip(confidence, 0, 1),
            history=tuple(history),
            notes=tuple(notes),
        )
        del positions, confidence
        if config.follow:
            recording = consistent_sides(recording)
        if config.smoothing is None:
            return recording
        try:
            smooth = cleaning.smooth(recording.keypoints, config.smoothing)
        except ValueError as error:
            raise InputError(frames.path, str(error), "leave out --smoothing") from None
        return recording.with_step(f"smoothed over time: {config.smoothing}", keypoints=smooth)

    def describe(self) -> str:
        """Network and settings in words, for the history of a recording."""
        return f"{self.network.name} (weights SHA-256 {self.network.digest[:16]}), {self.config.describe()}"
