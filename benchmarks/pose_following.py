"""Following an infant against frame-by-frame estimation, on rendered clips whose keypoints are exact.

    python -m benchmarks.pose_following --weights efficientpose-i-lite

Three scenes: the infant fills the frame; it is small in the frame; and it is small, and from the second second on
another, larger body lies at its side. PCK and jitter are in trunk lengths. Jitter is the median size of the second
difference of the position error. An exchange is a pair of limb ends each nearer to the other's true place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks import common
from infantjax import cache as runtime
from infantjax.pose import DEFAULT_WEIGHTS, PoseConfig, Tracker, load_pose_network
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, RenderConfig, render
from infantjax.skeletons import MPII_16
from infantjax.video.frames import Frame, Frames

HEIGHT, WIDTH, BESIDE = 480, 640, 220
SCENES = {"fills": (1.0, False), "small": (0.4, False), "other person": (0.4, True)}
MODES = {
    "frame by frame": PoseConfig(),
    "two stages": PoseConfig(two_stage=True),
    "followed": PoseConfig(follow=True),
}


@dataclass(frozen=True)
class Options:
    """What is measured."""

    weights: Path = Path(DEFAULT_WEIGHTS)
    """Weights of a pose network of mpii-16 or in-motion-19."""
    clips: int = 3
    """Clips of each scene."""
    first: int = 10
    """Number of the first clip; 0 to 9 were looked at while the crops and the rules for sides were chosen."""
    seconds: float = 4.0
    """Of each clip."""
    write: bool = True
    """Keep the result in benchmarks/results."""


class Rendered(Frames):
    """A rendered clip as the frames of a video."""

    def __init__(self, seed: int, seconds: float, fill: float, other: bool) -> None:
        infant = InfantConfig(duration=seconds, fps=15.0)
        film = RenderConfig(width=WIDTH, height=HEIGHT, fill=fill, out_of_view=0)
        self._clip = render((seed, 0), infant, film)
        beside = RenderConfig(width=BESIDE, height=HEIGHT, fill=1.6, out_of_view=0, clutter=0)
        self._other = render((seed, 1), infant, beside) if other else None
        self.path, self.fps, self.expected = Path(f"clip{seed}"), self._clip.fps, len(self._clip)
        self.notes, self.provenance = [], "rendered"

    def __iter__(self) -> Iterator[Frame]:
        for index, image in enumerate(self._clip.frames()):
            if self._other is not None and index >= 2 * self.fps:
                image = image.copy()
                image[:, WIDTH - BESIDE :] = self._other.frame(index)
            yield Frame.from_array(index, index / self.fps, "", image)

    def truth(self) -> np.ndarray:
        """Exact points of mpii-16 `[frame, joint, 2]`; NaN where the other body hides them."""
        points = self._clip.recording(MPII_16).keypoints
        hidden = points[..., :1] >= WIDTH - BESIDE if self._other is not None else np.zeros_like(points[..., :1], bool)
        return np.where(hidden, np.nan, points)


def measures(found: Recording, truth: np.ndarray) -> list[float]:
    """PCK@0.2, jitter, and share of frames with an exchange."""
    points, index = found.keypoints[..., :2], MPII_16.index
    middle = lambda name: (truth[:, index(f"right_{name}")] + truth[:, index(f"left_{name}")]) / 2  # noqa: E731
    trunk = np.nanmedian(np.linalg.norm(middle("shoulder") - middle("hip"), axis=-1))
    error = (points - truth) / trunk
    known = np.isfinite(truth).all(-1)
    near = np.nan_to_num(np.linalg.norm(error, axis=-1), nan=np.inf) <= 0.2
    jitter = np.nanmedian(np.linalg.norm(np.diff(error, 2, axis=0), axis=-1))
    swapped = np.zeros(len(points), bool)
    for name in ("wrist", "ankle"):
        right, left = index(f"right_{name}"), index(f"left_{name}")
        own = np.linalg.norm(points[:, [right, left]] - truth[:, [right, left]], axis=-1)
        across = np.linalg.norm(points[:, [right, left]] - truth[:, [left, right]], axis=-1)
        swapped |= (across + 0.2 * trunk < own).all(1)
    return [float(near[known].mean()), float(jitter), float(swapped.mean())]


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    network = load_pose_network(options.weights)
    rows, seeds = [], range(options.first, options.first + options.clips)
    for scene, (fill, other) in SCENES.items():
        clips = [Rendered(seed, options.seconds, fill, other) for seed in seeds]
        for mode, config in MODES.items():
            tracker = Tracker(network, config)
            found = [tracker.recording(clip, tracker.track(clip)) for clip in clips]
            found = [convert(recording, MPII_16) for recording in found]
            pck, jitter, exchanged = np.mean([measures(f, c.truth()) for f, c in zip(found, clips)], 0)
            row = {
                "scene": scene,
                "mode": mode,
                "PCK@0.2": float(pck),
                "jitter": float(jitter),
                "exchanges": float(exchanged),
            }
            rows.append({name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()})
            print(common.table(rows[-1:]), flush=True)
    if options.write:
        setting = {"clips": options.clips, "first": options.first, "seconds": options.seconds, "side": network.side}
        common.write("pose_following", rows, setting)


if __name__ == "__main__":
    main(tyro.cli(Options))
