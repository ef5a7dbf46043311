"""How far keypoints move when weights are stored, or activations computed, in fewer bits.

    python -m benchmarks.weight_precision IMAGES WEIGHTS...

For each file of weights: size of the saved network and distance between the keypoints of the stored and of the
original weights, in percent of the image's longer side, over the points whose confidence is at least 0.1. Decoding is
`weighted`, which has no grid that would hide small differences. `bfloat16` is what `--dtype bfloat16` computes; a CPU
rounds as an accelerator does, but may add up in another order.
"""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from tyro.conf import Positional

from benchmarks import common
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network
from infantjax.pose.estimation.estimator import save_pose_network
from infantjax.pose.estimation.tracker import Track
from infantjax.video import open_frames

CONFIG = PoseConfig(decoder="weighted", resizing="reference")


@dataclass(frozen=True)
class Options:
    """What is measured."""

    images: Positional[Path]
    """An image or a folder of images."""
    weights: Positional[tuple[Path, ...]]
    """Public files of weights."""


def main(options: Options) -> None:
    """Measure and print the table."""
    print(common.table([row for path in options.weights for row in _measure(path, options.images)]))


def _measure(path: Path, images: Path) -> list[dict[str, Any]]:
    network = load_pose_network(path)
    expected, rows = _track(network, images), []
    seen = expected.confidence >= CONFIG.min_confidence
    for precision, dtype in (
        ("float32", "float32"),
        ("float16", "float32"),
        ("int8", "float32"),
        ("float32", "bfloat16"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            save_pose_network(network, folder, precision=precision)  # type: ignore[arg-type]
            size = sum(file.stat().st_size for file in Path(folder).iterdir())
            found = _track(load_pose_network(folder), images, dtype)
        moved = np.linalg.norm(found.positions - expected.positions, axis=-1) / expected.sizes.max(1, keepdims=True)
        percent = 100 * moved[seen]
        figures = {"median_%": np.median(percent), "mean_%": percent.mean(), "largest_%": percent.max()}
        rows.append(
            {
                "weights": path.name,
                "stored": precision,
                "computed": dtype,
                "kB": size // 1000,
                "points": int(seen.sum()),
                **figures,
            }
        )
    return rows


def _track(network: PoseEstimator, images: Path, dtype: str = "float32") -> Track:
    return Tracker(network, replace(CONFIG, dtype=dtype)).track(open_frames(images, 1.0))


if __name__ == "__main__":
    main(tyro.cli(Options))
