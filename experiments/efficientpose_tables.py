"""Tables 3 and 5 to 9 of the EfficientPose paper: parameters, operations and PCKh, published beside ours.

    python experiments/efficientpose_tables.py
    python experiments/efficientpose_tables.py --dataset annotations --weights efficientpose-rt efficientpose-rt

prints the tables as Markdown. Parameters and operations are counted in our networks. PCKh is that of the networks whose
weights are given, on the annotated images that are given: the papers' are on 2501 images of MPII's validation split,
which is not public, after 200 epochs (table 3) or 100 (tables 6 to 9). `infantjax train pose --model
efficientpose-i-1-pass` trains a network of table 8. Maps are averaged over three scales and the mirror image, as in the
paper; it does not print its scales.

Where the text leaves open how a network was counted, each reading has a row: without the skeleton pass the first pass
may read the features once or twice, and without upscaling the maps of the first passes may be counted or not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro
from support import markdown, run

from infantjax import models
from infantjax.errors import InputError
from infantjax.models.summary import kept_counts
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network, metrics
from infantjax.pose.annotations import Annotations, read_annotations
from infantjax.pose.dataset import read_crops
from infantjax.pose.multi_scale import SCALES


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
        dataset: annotated images, see docs/train/pose.md; without them no PCKh is measured.
        weights: pairs of a network of the tables and its weights: a name of `infantjax weights list`, a file, or the
            folder of a training.
        image_dir: folder of the images, where they are not beside the annotations.
        unit: body length: `mpii_head` comes closest to MPII's own, which needs boxes of heads (`evaluate pose --unit
            head_box`).
    """

    dataset: Path | None = None
    weights: tuple[tuple[str, str], ...] = ()
    image_dir: Path | None = None
    unit: Literal["mpii_head", "head"] = "mpii_head"


def main(options: Options) -> None:
    """Print the tables."""
    measured = measure(options)
    if measured:
        print(f"Our PCKh: given weights on {options.dataset}, not the images of the paper; unit {options.unit}.\n")
    print(table("Table 3, and the Lite networks", TABLE_3, measured))
    print(markdown("Table 5: PCKh@50, published", ("network", "100 epochs", "200", "400"), TABLE_5))
    for title, changes in ABLATIONS.items():
        print(table(title, ablation(changes), measured))


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


def measure(options: Options) -> dict[str, tuple[str, str]]:
    """PCKh@50 and PCKh@10 in percent, by network.

    Raises:
        InputError: weights without images or images without weights, or a file that cannot be used.
    """
    if (options.dataset is None) != (not options.weights):
        raise InputError("--dataset", "and --weights belong together", "give both or neither")
    if options.dataset is None:
        return {}
    measured = {}
    for name, path in options.weights:
        network = load_pose_network(path)
        require_same(name, network)
        annotations = read_annotations(options.dataset, network.skeleton, image_dir=options.image_dir)
        measured[name] = pckh(network, annotations, options.unit)
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


def pckh(network: PoseEstimator, annotations: Annotations, unit: Literal["mpii_head", "head"]) -> tuple[str, str]:
    """PCKh@50 and PCKh@10 on crops around the keypoints, in percent."""
    crops, points = read_crops(annotations, network.side)
    config = PoseConfig(scales=SCALES, flip=True, min_confidence=0.0)
    found = Tracker(network, config).find(crops).positions
    distances = metrics.errors(found, points, metrics.body_length(points, network.skeleton, unit))
    at_50, at_10 = (100 * metrics.pck(distances, at).mean for at in (0.5, 0.1))
    return f"{at_50:.2f}", f"{at_10:.2f}"


if __name__ == "__main__":
    raise SystemExit(run(lambda: main(tyro.cli(Options, description=__doc__))))
