"""The keypoints of a whole source: tracks, finished chunks of them on disk, and their conversion to a constant rate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.progress import LOGGER
from infantjax.video.frames import GAP_SECONDS

UNSEEN_SECONDS = 10.0
"""Seconds after which keypoints that were never seen are reported."""
CHUNK = 256
"""Frames between two writes of finished keypoints."""


class Track(NamedTuple):
    """Keypoints frame by frame.

    Attributes:
        times: `[frame]`, seconds.
        sizes: `[frame, 2]` int32, height and width, pixels.
        positions: `[frame, keypoint, 2]` float32, pixels of the frame; every point, however uncertain.
        confidence: `[frame, keypoint]` float32.
    """

    times: np.ndarray
    sizes: np.ndarray
    positions: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, times: ArrayLike, sizes: ArrayLike, positions: ArrayLike, confidence: ArrayLike) -> "Track":
        """The track of some frames, in the types in which all of them are kept."""
        points, sure = np.asarray(positions, np.float32), np.asarray(confidence, np.float32)
        return cls(np.asarray(times, np.float64), np.asarray(sizes, np.int32), points, sure)


def join(parts: Iterable[Track]) -> Track:
    """Concatenate tracks that follow each other."""
    return Track(*(np.concatenate(leaves) for leaves in zip(*parts)))


class TrackStore:
    """Finished chunks of one source in a folder: `identity.json`, and `00000000.npz` and so on by their first frame.

    Args:
        folder: created if missing.
        identity: of the source, network and configuration; chunks of another identity are deleted.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._stored_identity() != identity:
                for chunk in folder.glob("*.npz"):
                    chunk.unlink()
            write_atomically(folder / "identity.json", identity)
        except OSError as error:
            raise InputError(folder, f"cannot be written ({error.strerror})", "give another place") from None

    def _stored_identity(self) -> str:
        try:
            return (self.folder / "identity.json").read_text("utf-8")
        except (OSError, ValueError):
            return ""

    def read(self) -> list[Track]:
        """The chunks from the first frame on; reading ends before a missing or damaged one."""
        found, done = [], 0
        while (path := self.folder / f"{done:08d}.npz").exists():
            try:
                with np.load(path, allow_pickle=False) as arrays:
                    part = Track(*(arrays[name] for name in Track._fields))
            except (OSError, ValueError, KeyError, EOFError):
                break
            found.append(part)
            done += len(part.times)
        return found

    def add(self, part: Track, first: int) -> None:
        """Write a chunk.

        Args:
            part: the chunk.
            first: number of its first frame.

        Raises:
            InputError: it cannot be written.
        """
        stream = BytesIO()
        np.savez(stream, **part._asdict())
        try:
            write_atomically(self.folder / f"{first:08d}.npz", stream.getvalue())
        except OSError as error:
            remedy = "make room and run it again: finished frames are kept"
            raise InputError(self.folder, f"cannot be written ({error.strerror})", remedy) from None


def tell_unseen(parts: Iterator[Track], name: str, joints: Sequence[str], min_confidence: float) -> Iterator[Track]:
    """Parts of a track from its first frame as they are; a warning names the keypoints that are not in its beginning.

    Args:
        parts: of the track.
        name: of the source.
        joints: names of the keypoints.
        min_confidence: of a point that is seen.
    """
    seen, last, reported = np.zeros(len(joints), bool), 0.0, False
    for part in parts:
        yield part
        if not reported:
            seen |= ((part.confidence >= min_confidence) & np.isfinite(part.positions).all(-1)).any(0)
            last = float(part.times[-1])
            if reported := last >= UNSEEN_SECONDS:
                _warn_unseen(name, joints, seen, last)
    if not reported and last > 0:
        _warn_unseen(name, joints, seen, last)


def _warn_unseen(name: str, joints: Sequence[str], seen: np.ndarray, seconds: float) -> None:
    if not seen.all():
        LOGGER.warning(
            "%s: not seen in the first %.0f s: %s; if the infant is small in the frame try --two-stage,"
            " else more light, an upright video, or other --weights; --overlay shows what is found",
            name,
            seconds,
            ", ".join(joint for joint, known in zip(joints, seen) if not known),
        )


def collect(
    parts: Callable[[Sequence[Track]], Iterator[Track]],
    store: TrackStore | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Track:
    """The track of a whole source, part by part.

    Args:
        parts: gives the parts that follow those that are finished.
        store: of finished chunks; those of an earlier, interrupted call are used. None keeps nothing.
        report: called with the number of finished frames.

    Raises:
        InputError: the source cannot be decoded, or the chunks cannot be written.
    """
    finished = store.read() if store else []
    done = sum(len(part.times) for part in finished)
    report(done)
    pending: list[Track] = []
    for part in parts(finished):
        pending.append(part)
        waiting = sum(len(p.times) for p in pending)
        if store and waiting >= CHUNK:
            store.add(join(pending), done)
            finished, pending, done, waiting = [*finished, join(pending)], [], done + waiting, 0
        report(done + waiting)
    if store and pending:
        store.add(join(pending), done)
    return join(finished + pending)


def plausible_rate(stated: float, times: np.ndarray) -> float:
    """The stated frame rate, or that of most frames where a container states its clock's rate or a mean over a gap."""
    usual = float(1 / np.median(np.diff(times)))
    return stated if usual / 3 <= stated <= 2 * usual else usual


def at_constant_rate(
    times: np.ndarray, positions: Float[np.ndarray, "frame keypoint 2"], confidence: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate positions and confidences linearly at equal distances in time; longer gaps become missing.

    Args:
        times: `[frame]`, seconds from 0.
        positions: NaN where missing.
        confidence: `[frame, keypoint]`.
        fps: of the result.
    """
    grid = np.arange(int(times[-1] * fps + 1e-6) + 1) / fps
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    before = after - 1
    span = times[after] - times[before]
    share = np.clip((grid - times[before]) / span, 0, 1)
    # Exactly at a frame the other one, which may be missing, has no influence.
    exact_before, exact_after = share < 1e-6, share > 1 - 1e-6

    def interpolate(values: np.ndarray) -> np.ndarray:
        s = share.reshape(-1, *[1] * (values.ndim - 1))
        mixed = (1 - s) * values[before] + s * values[after]
        mixed[exact_before], mixed[exact_after] = values[before][exact_before], values[after][exact_after]
        return mixed

    found, sure = interpolate(positions), interpolate(confidence)
    gap = (span > max(GAP_SECONDS, 1.5 / fps)) & ~exact_before & ~exact_after
    found[gap], sure[gap] = np.nan, 0
    return found, sure
