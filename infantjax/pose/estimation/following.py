"""Follow an infant over time: the crop of a block of frames comes from the points of the blocks before.

Frame by frame a network sees all that the camera sees: the infant small, and perhaps another person. A crop around
where the infant was shows it larger and leaves others out. Where too few points are sure, the infant is lost, and the
frame is searched, as a whole and in parts, until it is found again. All numbers are our choice.
"""

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infantjax.pose.crop import Box
from infantjax.pose.estimation.track import Track, join
from infantjax.recording.quality.body import Body
from infantjax.recording.quality.sides import exchange_back, exchanged
from infantjax.recording.recording import Recording

BLOCK = 16
"""Frames that share a crop."""
MEMORY = 8
"""Blocks whose points the crop encloses: a limb that moves out of the crop of one block is in that of another."""
FOUND = 0.5
"""Share of the keypoints that are sure in most frames of a block, below which the infant is lost."""
SIDES_SECONDS = 0.5
"""Time that gives the usual place of a point (`steady_sides`)."""
PIECE_SECONDS = 60.0
"""Time over which `consistent_sides` decides at once: of a growing recording, whole minutes stay as they are."""
THROUGHOUT = 0.9
"""Share of exchanged frames of shoulders and hips above which a video is mirrored, or an infant shows its back."""
MARGIN = 0.35
"""Share of the box of the points that is added on each side of it."""
WHOLE = 0.9
"""Share of the longer side of an image from which on a crop is the whole image."""
FAR = 3.0
"""A point further from the middle of the others than this times their median distance is left out of a crop."""
CLEARER = 1.25
"""Another crop than the first choice is taken where its points are so much surer."""
SURE = 0.25
"""Least mean confidence of the points of a crop; below it the whole frame is taken."""
SIZES = (0.7, 1.4)
"""Sides of the crops that are tried beside that around the last points, times its side."""
SEARCH_SIZES = (1.0, 1.4, 2.0)
"""Sides of the crops that are tried around the points of a search."""
CANDIDATES = 3
"""Places that a search looks at closely."""


def crop_around(points: np.ndarray, height: int, width: int, size: float = 1.0) -> Box | None:
    """A square around points, of which the larger side of their box fills the same share wherever it lies.

    Near the border the square moves, and what does not fit into the image is cut off: a crop then shows more around the
    infant, never less, so that it appears no larger than elsewhere.

    Args:
        points: `[keypoint, 2]`, pixels; NaN is missing.
        height: of the image.
        width: of the image.
        size: of the side, times the usual one.

    Returns:
        None for fewer than two points, or when all are in one place.
    """
    seen = points[np.isfinite(points).all(-1)]
    if len(seen) > 2:
        distance = np.linalg.norm(seen - np.median(seen, axis=0), axis=-1)
        seen = seen[distance <= FAR * np.median(distance)]
    if len(seen) < 2 or not (side := size * (1 + 2 * MARGIN) * np.ptp(seen, axis=0).max()) >= 1:
        return None
    if side >= WHOLE * max(height, width):
        return Box(0, 0, height, width)
    sides = np.minimum(np.ceil(side), (width, height)).astype(int)
    middle = (seen.min(0) + seen.max(0)) / 2
    left, top = np.clip(np.round(middle - sides / 2).astype(int), 0, (width, height) - sides)
    return Box(int(top), int(left), int(sides[1]), int(sides[0]))


def search_boxes(height: int, width: int) -> list[Box]:
    """Where an infant that is lost is searched: the whole image, and its parts of half the sides, half overlapping.

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
    """
    rows, columns = max(height // 2, 1), max(width // 2, 1)
    tops, lefts = ([0, (whole - part) // 2, whole - part] for whole, part in ((height, rows), (width, columns)))
    return [Box(0, 0, height, width), *(Box(top, left, rows, columns) for top in tops for left in lefts)]


def steady_sides(
    positions: np.ndarray, confidence: np.ndarray, mirror: Sequence[int], frames: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Give left and right their names back where they are exchanged for a moment.

    A pair of points is exchanged where each is nearer to the usual place of the other, in the frames around, by more
    than half of the distance between the two places. What lasts longer than half of these frames stays as it is.

    Args:
        positions: `[frame, keypoint, 2]`; NaN is missing.
        confidence: `[frame, keypoint]`.
        mirror: for each keypoint that of the other side.
        frames: so many, an odd number, give the usual place, a median.

    Returns:
        Positions, confidences, and the number of exchanges undone.
    """
    from scipy.ndimage import median_filter

    positions, confidence, undone = positions.copy(), confidence.copy(), 0
    for a, b in ((a, b) for a, b in enumerate(mirror) if a < b):
        here = positions[:, [a, b]]
        known = np.isfinite(here).all((1, 2))
        if known.sum() < 3:
            continue
        usual = median_filter(here[known], (frames, 1, 1), mode="nearest")
        own, across = (np.linalg.norm(here[known] - place, axis=-1).sum(-1) for place in (usual, usual[:, ::-1]))
        apart = np.linalg.norm(usual[:, 0] - usual[:, 1], axis=-1)
        rows = np.flatnonzero(known)[across + apart / 2 < own]
        for values in (positions, confidence):
            values[np.ix_(rows, [a, b])] = values[np.ix_(rows, [b, a])]
        undone += len(rows)
    return positions, confidence, undone


def consistent_sides(recording: Recording) -> Recording:
    """Keep left and right consistent over time, for an infant that faces the camera.

    Exchanges for a moment are undone first (`steady_sides`), then all that the whole body makes sure
    (`recording.quality.sides`), from the trunk outwards. A mirrored video stays as it is, for the check of quality.

    Args:
        recording: its points as they were found.

    Returns:
        A recording with a note of how much was exchanged, or the recording itself.
    """
    confidence = np.ones(recording.missing.shape) if recording.confidence is None else recording.confidence
    points, sure, undone = recording.keypoints.copy(), np.array(confidence), 0
    window, step = 2 * round(SIDES_SECONDS * recording.fps / 2) + 1, max(1, round(PIECE_SECONDS * recording.fps))
    for start in range(0, recording.frames, step):
        piece = slice(start, start + step)
        here, here_sure, count = steady_sides(points[piece], sure[piece], recording.skeleton.mirror, window)
        body = Body(replace(recording, keypoints=here, confidence=None))
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            states = exchanged(body).sure
        roots = [states[part].mean() for part in ("shoulder", "hip") if part in states]
        if roots and min(roots) <= THROUGHOUT:
            here, here_sure = exchange_back(here, states, body), exchange_back(here_sure, states, body)
            count += sum(int(state.sum()) for state in states.values())
        points[piece], sure[piece], undone = here, here_sure, undone + count
    if not undone:
        return recording
    note = f"left and right exchanged back at {undone} pairs of points"
    given = None if recording.confidence is None else sure
    return replace(recording, keypoints=points, confidence=given, notes=(*recording.notes, note))


class Followed:
    """Memory of the infant: the last blocks of its track.

    Args:
        finished: blocks of an earlier, interrupted call.
        min_confidence: of a sure point.
    """

    def __init__(self, finished: Sequence[Track], min_confidence: float) -> None:
        self._min_confidence = min_confidence
        track = join(finished) if finished else Track(*(np.empty(0) for _ in Track._fields))
        starts = range(0, len(track.times), BLOCK)
        blocks = (Track(*(leaf[start : start + BLOCK] for leaf in track)) for start in starts)
        self._known = deque(map(self._points, blocks), maxlen=MEMORY + 1)

    @property
    def none_yet(self) -> bool:
        """Whether no block is finished."""
        return not self._known

    def add(self, block: Track) -> None:
        """A block that is finished."""
        self._known.append(self._points(block))

    def points(self, size: tuple[int, int], *, one_running: bool) -> np.ndarray | None:
        """Where the next block shows the infant, from all blocks but the last one before it, which may still run.

        Args:
            size: height and width of its frames, pixels.
            one_running: whether the last block is still computed; otherwise it is known, and left out all the same, so
                that the result does not depend on when blocks end.

        Returns:
            `[point, 2]`; None at the beginning, and where the infant is lost.
        """
        known = list(self._known if one_running else list(self._known)[:-1])[-MEMORY:]
        points = []
        for block in reversed(known):
            if block is None or block[0] != size:
                break
            points.append(block[1])
        return np.concatenate(points) if points else None

    def _points(self, block: Track) -> tuple[tuple[int, int], np.ndarray] | None:
        """Size of the frames and median position of each sure point; None where the infant is lost."""
        sure = (block.confidence >= self._min_confidence) & np.isfinite(block.positions).all(-1)
        often = sure.mean(0) > 0.5
        sizes = {(int(height), int(width)) for height, width in block.sizes}
        if often.mean() < FOUND or len(sizes) > 1:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # points that are never sure
            middle = np.nanmedian(np.where(sure[..., None], block.positions, np.nan), axis=0)
        return sizes.pop(), np.where(often[:, None], middle, np.nan)
