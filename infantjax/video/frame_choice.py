"""Which frames of a video to annotate: those that differ most, by k-means over small gray images.

Source: the practice of DeepLabCut, with which Baby Moves chose 5 frames of each of 100 videos. Published: k-means over
images of 30 pixels width less their mean, one frame of each cluster. Our choice: the frame nearest to the center of its
cluster, where DeepLabCut draws one, and one frame every tenth of a second.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.video.frames import Frames

WIDTH = 30
"""Of the small images, pixels."""
INTERVAL = 0.1
"""Seconds between the frames that are compared."""


def choose_frames(
    frames: Frames,
    count: int,
    interval: float = INTERVAL,
    seed: int = 0,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[int, ...]:
    """Numbers of frames that look different, in their order; the same for the same seed.

    Args:
        frames: of the video, decoded once.
        count: at most so many frames are chosen: one a cluster, fewer where fewer look different.
        interval: seconds between the frames that are compared.
        seed: of k-means.
        report: called with the number of decoded frames.

    Raises:
        InputError: the video cannot be decoded, or has fewer frames to compare.
        ValueError: no frame is wanted, or an interval that is not above 0.
    """
    if count < 1 or not interval > 0:
        raise ValueError(f"at least one frame is wanted at an interval above 0, got {count} and {interval}")
    numbers: list[int] = []
    images: list[np.ndarray] = []
    due = 0.0
    for frame in frames:
        report(frame.index + 1)
        if frame.time < due - 1e-6:
            continue
        due = max(due + interval, frame.time)
        height = max(round(WIDTH * frame.height / frame.width), 1) if not images else images[0].shape[0]
        numbers.append(frame.index)
        images.append(frame.pixels(height, WIDTH).mean(axis=-1, dtype=np.float32))
    if len(numbers) < count:
        what = f"has {len(numbers)} frames to choose from, {count} are wanted"
        raise InputError(frames.path, what, "choose fewer frames, or give a shorter interval")
    rows = _nearest_to_centers(np.stack(images).reshape(len(images), -1), count, seed)
    return tuple(numbers[row] for row in rows)


def _nearest_to_centers(points: Float[np.ndarray, "image pixel"], count: int, seed: int) -> list[int]:
    """Rows of the points that lie nearest to the center of each cluster, sorted."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    points = points - points.mean(axis=0)
    count = min(count, len(np.unique(points, axis=0)))
    # One thread adds in one order: the same seed gives the same frames.
    with threadpool_limits(1):
        found = MiniBatchKMeans(count, random_state=seed, n_init=3).fit(points)
    distance = np.linalg.norm(points - found.cluster_centers_[found.labels_], axis=1)
    order = np.lexsort((np.arange(len(points)), distance, found.labels_))
    _, first = np.unique(found.labels_[order], return_index=True)
    return sorted(order[first].tolist())
