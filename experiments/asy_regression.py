"""Asy-regression (Migliorelli et al. 2021): table II and figure 4 with both 3D networks, published beside ours.

    infantjax train depth babypose -o standard --split time --model babypose-regression
    infantjax train depth babypose -o asymmetric --split time
    python experiments/asy_regression.py babypose standard asymmetric -o results

prints the root mean square distance (RMSD) of each limb over test clips, in pixels of 128 x 96. The data are depth
images in the format of babyPose; the paper's are of 22 infants, of which 16 are public.

Published: earlier clips of an infant train and later ones test, so the error is within infants; with `--split infant`
others test. Our choice: joints that were not found are left out, and the share that was found is printed.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Float
from support import csv_text, exit_status, markdown

from infantjax.evaluation import plots
from infantjax.files import write_atomically
from infantjax.methods.asy_regression.images import DepthFrames, read_frames
from infantjax.methods.asy_regression.method import UNIT, AsyRegression
from infantjax.methods.asy_regression.model import FRAMES, HEIGHT
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.pose.annotations import read_annotations
from infantjax.pose.metrics import limb_errors
from infantjax.skeletons import BABYPOSE_12
from infantjax.weights.ensemble import load_ensemble

LIMBS = ("right_arm", "left_arm", "right_leg", "left_leg")
WORDS = tuple(limb.replace("_", " ") for limb in LIMBS)
TABLE_2 = {
    "babypose-regression": ("16.59 (3.49)", "16.59 (3.45)", "16.10 (3.49)", "11.95 (5.76)", "-", "0.05"),
    "asy-regression": ("16.90 (2.71)", "16.59 (2.43)", "16.27 (2.97)", "13.99 (4.60)", "-", "0.03"),
}
"""Median RMSD (interquartile range) of `LIMBS`, joints found (not printed), seconds for a clip on a GPU."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        annotations: depth images with their joints, as `babypose` in docs/train/pose.md.
        networks: folders that `infantjax train depth` wrote from them.
        output: folder of the table and the figure.
    """

    annotations: tyro.conf.Positional[Path]
    networks: tyro.conf.Positional[tuple[Path, ...]]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]


def main(options: Options) -> None:
    """Print the table."""
    annotations, errors = read_annotations(options.annotations, BABYPOSE_12).with_images(), dict[str, Any]()
    print(f"{len(annotations)} depth images\n")
    rows: list[Sequence[str]] = []
    for folder in options.networks:
        ensemble = load_ensemble(folder)
        method, network, limbs = (
            AsyRegression.from_ensemble(ensemble),
            DepthNetwork.of(ensemble),
            ensemble.info.training["metrics"],
        )
        read = read_frames(annotations, network.height, network.width)
        found = f"{100 * np.mean([limbs[f'found of {limb}'] for limb in WORDS]):.1f} %"
        rows.append((f"{method.model}, published", *TABLE_2[method.model]))
        medians = (median_and_range(limbs, limb) for limb in WORDS)
        rows.append((f"{method.model}, ours", *medians, found, seconds(network)))
        errors[method.model] = of_clips(network, read, method.splits(read)[0].test)
    title = "Table II: median RMSD (interquartile range), pixels of 128 x 96"
    text = markdown(title, ("network", *LIMBS, "joints found", "s/clip"), rows)
    print(text)
    write_atomically(options.output / "table_2.md", text)
    long = ((model, *row) for model, of in errors.items() for row in of.tolist())
    write_atomically(options.output / "figure_4.csv", csv_text(("network", *LIMBS), long))
    plots.save({"figure_4": figure_4(errors)}, options.output, "png")


def median_and_range(metrics: Mapping[str, float | None], limb: str) -> str:
    """As printed in the paper; `-` where no joint was found."""
    median, spread = (metrics[f"{name} of {limb}, {UNIT}"] for name in ("RMSD", "IQR"))
    return "-" if median is None else f"{median:.2f} ({spread:.2f})"


def of_clips(network: DepthNetwork, read: DepthFrames, clips: Sequence[int]) -> Float[np.ndarray, "clip limb"]:
    """RMSD of each clip and limb in pixels of 128 x 96, NaN where nothing was found."""
    errors = np.full((len(clips), len(LIMBS)), np.nan)
    for row, first in enumerate(clips):
        at = slice(first, first + FRAMES)
        found = limb_errors(network.find(read.frames[None, at]).positions, read.points[None, at], network.skeleton)
        errors[row] = [found[limb].median if limb in found else np.nan for limb in LIMBS]
    return errors * HEIGHT / network.height


def seconds(network: DepthNetwork, runs: int = 10) -> str:
    """Median time of a clip, decoding included."""
    frames, times = np.zeros((1, FRAMES, network.height, network.width)), []
    network.find(frames)
    for _ in range(runs):
        start = time.perf_counter()
        network.find(frames)
        times.append(time.perf_counter() - start)
    return f"{np.median(times):.3f}"


def figure_4(errors: Mapping[str, Float[np.ndarray, "clip limb"]]) -> Any:
    """Box plots of the RMSD of each limb, both networks side by side."""
    figure, axes = plots.new_figure("", "RMSD, pixels of 128 x 96")
    for number, (name, of) in enumerate(errors.items()):
        known = [values[np.isfinite(values)] for values in of.T]
        places = np.arange(len(LIMBS)) + 0.4 * number - 0.2
        boxes = axes.boxplot(known, positions=places, widths=0.3, showfliers=False, patch_artist=True)
        for box in boxes["boxes"]:
            box.set_facecolor(f"C{number}")
        boxes["boxes"][0].set_label(name)
    axes.set_xticks(range(len(LIMBS)), [limb.replace("_", " ") for limb in LIMBS])
    axes.legend()
    return figure


if __name__ == "__main__":
    raise SystemExit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
