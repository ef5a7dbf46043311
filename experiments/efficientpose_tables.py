"""Tables 3 to 9 and figure 5 of the EfficientPose paper: parameters, operations and PCKh, published beside ours.

    python experiments/efficientpose_tables.py
    python experiments/efficientpose_tables.py --dataset annotations --weights efficientpose-rt efficientpose-rt
    python experiments/efficientpose_tables.py --simulate 40 -o runs --weights efficientpose-rt efficientpose-rt

prints the tables as Markdown. Parameters and operations are counted in our networks. PCKh is that of the networks whose
weights are given, on the annotated images that are given, or on rendered infants: the papers' are on 2501 images of
MPII's validation split, which is not public (table 4: on its test images), after 200 epochs (table 3) or 100 (tables 6
to 9). `infantjax train pose --model efficientpose-i-1-pass` trains a network of table 8; folders of trainings also give
figure 5. Maps are averaged over three scales and the mirror image, as in the paper, which does not print its scales;
`--scales 1 --no-flip` looks at each image once.

Where the text leaves open how a network was counted, each reading has a row: without the skeleton pass the first pass
may read the features once or twice, and without upscaling the maps of the first passes may be counted or not.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import tyro
from support import csv_text, markdown, run
from train_rendered_pose import Options as RenderedOptions
from train_rendered_pose import write_images

from infantjax import models
from infantjax.errors import InputError
from infantjax.evaluation import plots
from infantjax.files import write_atomically
from infantjax.models.summary import kept_counts
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network, metrics
from infantjax.pose.annotations import Annotations, read_annotations
from infantjax.pose.estimation.multi_scale import SCALES
from infantjax.pose.training.dataset import read_crops
from infantjax.skeletons import Skeleton


class Row(NamedTuple):
    """A network of a table.

    Attributes:
        label: in the table.
        published: parameters in millions, operations in billions, PCKh@50 and PCKh@10, as printed.
        model: registry name.
        overrides: another reading of the text, which is counted anew; None takes the network as it is registered.
    """

    label: str
    published: tuple[str, ...]
    model: str
    overrides: dict[str, Any] | None = None


UNCHANGED = {"I": ("0.72", "1.67", "83.56", "26.35"), "II": ("1.73", "7.70", "87.05", "29.87")}
"""The networks that tables 6 to 9 change, after as many epochs."""

TABLE_3 = (
    Row("OpenPose", ("25.94", "160.36", "87.60", "22.76"), "openpose"),
    Row("RT", ("0.46", "0.87", "82.88", "23.56"), "efficientpose-rt"),
    Row("I", ("0.72", "1.67", "85.18", "26.49"), "efficientpose-i"),
    Row("II", ("1.73", "7.70", "88.18", "30.17"), "efficientpose-ii"),
    Row("III", ("3.23", "23.35", "89.51", "30.90"), "efficientpose-iii"),
    Row("IV", ("6.56", "72.89", "89.75", "35.63"), "efficientpose-iv"),
    Row("RT Lite", ("0.40", "0.86", "80.58", "23.08"), "efficientpose-rt-lite"),
    Row("I Lite", ("0.59", "1.54", "83.65", "27.71"), "efficientpose-i-lite"),
    Row("II Lite", ("1.46", "7.25", "87.13", "30.81"), "efficientpose-ii-lite"),
)
"""The Lite networks are those of table B.1 of the thesis."""
TABLE_4 = {
    "Pishchulin et al. 2013": "- 74.3 49.0 40.8 32.1 36.5 34.4 35.2 44.1",
    "Tompson et al. 2014": "- 95.8 90.3 80.5 74.3 77.6 69.7 62.8 79.6",
    "Lifshitz et al. 2016": "76 97.8 93.3 85.7 80.4 85.3 76.6 70.2 85.0",
    "Tang et al. 2018, BMVC": "10 97.4 96.2 91.8 87.3 90.0 87.0 83.3 90.8",
    "Newell et al. 2016": "26 98.2 96.3 91.2 87.1 90.1 87.4 83.6 90.9",
    "F. Zhang et al. 2019": "3 98.3 96.4 91.5 87.4 90.9 87.1 83.7 91.1",
    "Bulat et al. 2020": "9 98.5 96.4 91.5 87.2 90.7 86.9 83.6 91.1",
    "Yang et al. 2017": "27 98.5 96.7 92.5 88.7 91.1 88.6 86.0 92.0",
    "Tang et al. 2018, ECCV": "16 98.4 96.9 92.6 88.7 91.8 89.4 86.2 92.3",
    "Sun et al. 2019": "29 98.6 96.9 92.8 89.0 91.5 89.0 85.7 92.3",
    "H. Zhang et al. 2019": "24 98.6 97.0 92.8 88.8 91.7 89.8 86.6 92.5",
    "openpose": "25.94 97.7 94.7 89.5 84.7 88.4 83.6 79.3 88.8",
    "efficientpose-rt": "0.46 97.0 93.3 85.0 79.2 85.9 77.0 71.0 84.8",
    "efficientpose-iv": "6.56 98.2 96.0 91.7 87.9 90.3 87.5 83.9 91.2",
}
"""Parameters in millions, PCKh@50 of `PARTS` and their mean, on MPII's test images."""
PARTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TABLE_5 = (("OpenPose", "80.47", "85.00", "87.60"), ("EfficientPose II", "87.05", "88.18", "88.56"))
ABLATIONS = {
    "Table 6: cross-resolution features": ("single-resolution",),
    "Table 7: skeleton pass": ("no-skeleton",),
    "Table 8: detection passes": ("1-pass", "3-passes"),
    "Table 9: upscaling": ("no-upscaling",),
}
OTHER_READING = {
    "no-skeleton": ("features read once", {"repeat_features": False}),
    "no-upscaling": ("with the maps of all passes", {"early_heads": True}),
}


@dataclass(frozen=True)
class Options:
    """What is printed.

    Attributes:
        output: folder of figure 5, of rendered images, and of `pckh.csv`.
        dataset: annotated images, see docs/train/pose.md; without them no PCKh is measured.
        simulate: measure on images of so many rendered infants instead.
        weights: pairs of a network of the tables and its weights: a name of `infantjax weights list`, a file, or the
            folder of a training.
        image_dir: folder of the images, where they are not beside the annotations.
        unit: body length: `mpii_head` comes closest to MPII's own, which needs boxes of heads (`evaluate pose --unit
            head_box`).
        scales: at which an image is shown to a network.
        flip: also show its mirror image.
    """

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    dataset: Path | None = None
    simulate: int = 0
    weights: tuple[tuple[str, str], ...] = ()
    image_dir: Path | None = None
    unit: Literal["mpii_head", "head"] = "mpii_head"
    scales: tuple[float, ...] = SCALES
    flip: bool = True


def main(options: Options) -> None:
    """Print the tables."""
    found = measure(options)
    measured = {name: (f"{100 * of.at_50.mean:.2f}", f"{100 * of.at_10.mean:.2f}") for name, of in found.items()}
    if measured:
        images = options.dataset or f"{options.simulate} rendered infants"
        shown = f"scales {' '.join(f'{scale:g}' for scale in options.scales)}{', mirrored' if options.flip else ''}"
        print(f"Our PCKh: given weights on {images}, not the images of the paper; unit {options.unit}; {shown}.\n")
    print(table("Table 3, and the Lite networks", TABLE_3, measured))
    print(table_4(found))
    print(markdown("Table 5: PCKh@50, published", ("network", "100 epochs", "200", "400"), TABLE_5))
    for title, changes in ABLATIONS.items():
        print(table(title, ablation(changes), measured))
    if options.output is not None:
        rows = [(name, options.simulate or "-", len(options.scales), options.flip, *measured[name]) for name in found]
        options.output.mkdir(parents=True, exist_ok=True)
        head = ("network", "rendered infants", "scales", "mirrored", "PCKh@50", "PCKh@10")
        write_atomically(options.output / "pckh.csv", csv_text(head, rows))
    histories = {name: Path(path) / "history.csv" for name, path in options.weights}
    if options.output is not None and (trained := {n: path for n, path in histories.items() if path.is_file()}):
        plots.save({"figure_5": figure_5(trained)}, options.output, "png")


def ablation(changes: tuple[str, ...]) -> list[Row]:
    """Rows of a table for EfficientPose I and II: as they are, changed, and by another reading of the text."""
    rows = []
    for variant, unchanged in UNCHANGED.items():
        name = f"efficientpose-{variant.lower()}"
        rows.append(Row(variant, unchanged, name))
        for change in changes:
            model = f"{name}-{change}"
            published = models.get(model).published
            scores = (f"{score:.2f}" for score in published.scores.values())
            printed = (str(published.millions), str(published.flops), *scores)
            rows.append(Row(f"{variant}, {change}", printed, model))
            if change in OTHER_READING:
                reading, overrides = OTHER_READING[change]
                rows.append(Row(f"{variant}, {change}, {reading}", printed, model, overrides))
    return rows


def table(title: str, rows: list[Row] | tuple[Row, ...], measured: dict[str, tuple[str, str]]) -> str:
    """A table with its published and our columns."""
    head = ("network", "parameters, M", "ours", "GFLOPs", "ours", "PCKh@50", "ours", "PCKh@10", "ours", "sizes agree")
    lines = []
    for row in rows:
        parameters, flops, at_50, at_10 = row.published
        counted = count(row)
        found = ("-", "-") if row.overrides else measured.get(row.model, ("-", "-"))
        agree = "yes" if counted == (parameters, flops) else "no"
        ours = (parameters, counted[0], flops, counted[1], at_50, found[0], at_10, found[1])
        lines.append((row.label, *ours, agree))
    return markdown(title, head, lines)


def count(row: Row) -> tuple[str, str]:
    """Parameters in millions and operations in billions."""
    entry = models.get(row.model)
    if row.overrides is None:
        kept = kept_counts()[row.model][entry.skeleton]
        stored, flops = kept["parameters"], kept["flops"]
    else:
        found = models.count_image(entry.build(**{**entry.counted, **row.overrides}), entry.input_shape)
        stored, flops = found.stored, found.flops
    return f"{stored / 1e6:.2f}", f"{flops / 1e9:.2f}"


class Found(NamedTuple):
    """What a network finds in the images.

    Attributes:
        at_50: PCKh@50 of each keypoint and their mean.
        at_10: the same at 10.
        skeleton: the keypoints.
    """

    at_50: metrics.Share
    at_10: metrics.Share
    skeleton: Skeleton


def table_4(found: Mapping[str, Found]) -> str:
    """PCKh@50 of the parts of the body: published rows, and ours; our mean is over the parts' keypoints."""
    rows = []
    for name in dict.fromkeys((*TABLE_4, *found)):
        if name in TABLE_4:
            rows.append((f"{name}, published", *TABLE_4[name].split()))
        if name in found:
            keypoints, joints = found[name].at_50.keypoints, found[name].skeleton.joints
            of = {part: [v for v, joint in zip(keypoints, joints) if _belongs(joint, part)] for part in PARTS}
            means = (*map(np.nanmean, of.values()), np.nanmean([v for values in of.values() for v in values]))
            rows.append((f"{name}, ours", "-", *(f"{100 * mean:.1f}" for mean in means)))
    return markdown("Table 4: PCKh@50 of parts", ("network", "parameters, M", *PARTS, "mean"), rows)


def _belongs(joint: str, part: str) -> bool:
    return joint in ("head_top", "upper_neck") if part == "head" else joint.endswith(f"_{part}")


def figure_5(histories: Mapping[str, Path]) -> Any:
    """Mean error on the validation images over the epochs, one line a training.

    Args:
        histories: `history.csv` of trainings, by network.
    """
    figure, axes = plots.new_figure("epoch", "mean error, % of the crop's side")
    for name, path in histories.items():
        with path.open(encoding="utf-8", newline="") as file:
            points = [(int(row["epoch"]), 100 * float(row["mean_error"])) for row in csv.DictReader(file)]
        axes.plot(*zip(*points), label=name)
    axes.legend()
    return figure


def measure(options: Options) -> dict[str, Found]:
    """PCKh by network.

    Raises:
        InputError: weights without images or images without weights, or a file that cannot be used.
    """
    images, source = options.dataset is not None or options.simulate > 0, options.dataset
    if images != bool(options.weights):
        raise InputError("--dataset", "or --simulate, and --weights belong together", "give both or neither")
    if not images:
        return {}
    if source is None:
        if options.output is None:
            raise InputError("-o", "is missing; rendered images are kept there", "name a folder")
        rendered = RenderedOptions(options.output, infants=options.simulate, frames=1, side=256)
        source = write_images(options.output / "rendered", rendered)
    measured = {}
    for name, path in options.weights:
        network = load_pose_network(path)
        require_same(name, network)
        annotations = read_annotations(source, network.skeleton, image_dir=options.image_dir)
        measured[name] = pckh(network, annotations, options)
    return measured


def require_same(name: str, network: PoseEstimator) -> None:
    """Refuse weights of another network than the row's.

    Raises:
        InputError: they are, or the row has none that can be measured here.
    """
    known = {row.model for row in (*TABLE_3, *(row for of in ABLATIONS.values() for row in ablation(of)))}
    known = {model for model in known if not model.endswith("no-upscaling")}  # our decoders upscale all maps
    if name not in known:
        raise InputError("--weights", f"has no row {name}", f"give one of {', '.join(sorted(known))}")
    wanted = models.get(name).build(skeleton=network.skeleton)
    parts = ("variant", "passes", "skeleton_pass", "cross_resolution", "repeat_features")
    if any(getattr(wanted, part, None) != getattr(network.module, part, None) for part in parts):
        raise InputError("--weights", f"{network.name} is not {name}", "give the weights of that network")


def pckh(network: PoseEstimator, annotations: Annotations, options: Options) -> Found:
    """PCKh on crops around the keypoints."""
    crops, points = read_crops(annotations, network.side)
    config = PoseConfig(scales=options.scales, flip=options.flip, min_confidence=0.0)
    found = Tracker(network, config).find(crops).positions
    distances = metrics.errors(found, points, metrics.body_length(points, network.skeleton, options.unit))
    return Found(metrics.pck(distances, 0.5), metrics.pck(distances, 0.1), network.skeleton)


if __name__ == "__main__":
    raise SystemExit(run(lambda: main(tyro.cli(Options, description=__doc__))))
