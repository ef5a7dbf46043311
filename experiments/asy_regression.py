"""Asy-regression (Migliorelli et al. 2021): table II and figure 4 with both 3D networks, published beside ours.

    python experiments/asy_regression.py -o runs/depth --annotations babypose --training.split time
    python experiments/asy_regression.py -o runs/depth --simulate 8 --training.height 48 --training.narrow 8

trains the detection network, then the standard regression and Asy-regression on what it finds, as `infantjax train
depth` does, and prints the root mean square distance (RMSD) of each limb over test clips, in pixels of 128 x 96. An
interrupted run continues. The data are depth images in the format of babyPose; the paper's are of 22 infants, of which
16 are public. With `--simulate` they are of rendered infants: the result says nothing about real ones.

Published: earlier clips of an infant train and later ones test, so the error is within infants; with `--training.split
infant` others test. Our choice: joints that were not found are left out, and the share that was found is printed.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Float
from support import csv_text, exit_status, keyed, markdown

from infantjax.errors import InputError
from infantjax.evaluation import plots
from infantjax.files import write_atomically
from infantjax.methods.asy_regression.images import DepthFrames, read_frames
from infantjax.methods.asy_regression.method import UNIT, AsyRegression
from infantjax.methods.asy_regression.model import FRAMES, HEIGHT
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.pose.annotations import Annotations, read_annotations
from infantjax.pose.metrics import limb_errors
from infantjax.simulation import InfantConfig, RenderConfig, write_cohort
from infantjax.skeletons import BABYPOSE_12
from infantjax.training.loop import TrainOptions

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
        output: folder of the trainings, the table and the figure.
        annotations: depth images with their joints, as `babypose` in docs/train/pose.md.
        simulate: render so many infants instead.
        frames: annotated images of each rendered infant, 6 a second as in the paper.
        training: of both networks; `model` is left out.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    annotations: Path | None = None
    simulate: int = 0
    frames: int = 60
    training: AsyRegression = field(default_factory=lambda: AsyRegression(split="time"))


def main(options: Options) -> None:
    """Train the networks and print the table."""
    annotations = read_annotations(source(options), BABYPOSE_12).with_images()
    print(f"{len(annotations)} depth images{', rendered, not of infants' if options.simulate else ''}\n")
    config, errors = options.training, {}
    read = read_frames(annotations, config.height, config.height * 4 // 3)
    clips = config.splits(read)[0].test
    rows: list[Sequence[str]] = []
    for model, printed in TABLE_2.items():
        network, limbs = trained(model, annotations, options)
        found = np.mean([limbs[f"found of {limb}"] for limb in WORDS])
        rows.append((f"{model}, published", *printed))
        rows.append(
            (
                f"{model}, ours",
                *(median_and_range(limbs, limb) for limb in WORDS),
                f"{100 * found:.1f} %",
                seconds(network),
            )
        )
        errors[model] = of_clips(network, read, clips)
    title = f"Table II: median RMSD (interquartile range), pixels of 128 x 96, split by {config.split}"
    text = markdown(title, ("network", *LIMBS, "joints found", "s/clip"), rows)
    print(text)
    write_atomically(options.output / "table_2.md", text)
    long = ((model, *row) for model, of in errors.items() for row in of.tolist())
    write_atomically(options.output / "figure_4.csv", csv_text(("network", *LIMBS), long))
    plots.save({"figure_4": figure_4(errors)}, options.output, "png")


def source(options: Options) -> Path:
    """The annotated folder, or one of rendered infants, made once.

    Raises:
        InputError: images and `--simulate` together or neither.
    """
    if bool(options.simulate) == (options.annotations is not None):
        raise InputError("--annotations", "or --simulate is needed, not both", "give one of them")
    if options.annotations is not None:
        return options.annotations
    cohort = keyed(options.output / "rendered", options.simulate, options.frames)
    if not cohort.exists():
        film = RenderConfig(width=320, height=240, out_of_view=0.0)
        # A lying infant shows more postures in few frames where it moves much.
        lively = InfantConfig(restlessness=2.5, activity=3.0, camera_rotation=90.0)
        write_cohort(cohort, options.simulate, 1, options.frames / 6, fps=6.0, depth=film, base=lively)
    return cohort / "depth"


def trained(model: str, annotations: Annotations, options: Options) -> tuple[DepthNetwork, Mapping[str, float | None]]:
    """A network, and its metrics; both read the maps of one detection network, which is trained once."""
    directory, shared = options.output / model, options.output / next(iter(TABLE_2)) / "detection"
    if shared.is_dir() and not directory.exists():
        shutil.copytree(shared, directory / "detection")
    method = replace(options.training, model=model)  # type: ignore[arg-type]  # the names of the table
    how = TrainOptions(quiet=False, loggers=())
    ensemble = method.train(annotations, directory, how)
    return DepthNetwork.of(ensemble), ensemble.info.training["metrics"]


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
