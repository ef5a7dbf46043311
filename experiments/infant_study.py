"""The infant study (Groos et al., Paper II): tables 1 to 3, 5 and 6 and figures 4 and 5, published beside ours.

    python experiments/infant_study.py -o runs/study --annotations annotated --weights efficientpose-rt efficientpose-rt
    python experiments/infant_study.py -o runs/study --simulate 60 --weights efficientpose-rt efficientpose-rt

fine-tunes pose networks on annotated images (docs/train/pose.md) and prints the tables as Markdown; an interrupted run
continues. The paper's are on In-Motion Poses, 14,483 training and 4024 test images of infants, which are not public.
With `--simulate` the images are rendered infants: the result says nothing about real ones. Table 5 needs
`--batch-sizes 16 4`, figure 5 `--sizes 0 100 ...`, table 6 `--transfer MINI-RGBD` (with `--simulate`: rendered infants
filmed in another way), the spread of your own annotators `--annotators FILE FILE ...`.

Published: Adam with AMSGrad, rate 0.001, 100 epochs, weights trained on MPII, latency as the median of 10 runs of 128
images on a GTX 1080 Ti. Our choice: smaller training sets are parts of the larger ones with the same infants.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import infant_study_tables as tables
import jax
import numpy as np
import tyro
from support import csv_text, exit_status, markdown
from train_rendered_pose import Options as RenderedOptions
from train_rendered_pose import write_images

from infantjax import models
from infantjax.errors import InputError
from infantjax.evaluation import plots
from infantjax.files import write_atomically
from infantjax.pose import PoseConfig, PoseEstimator, Tracker, load_pose_network, metrics
from infantjax.pose.annotations import Annotations, read_annotations, read_annotators, split_by_group
from infantjax.pose.training.dataset import CropConfig, read_crops
from infantjax.pose.training.training import PoseTrainingConfig, train_pose
from infantjax.simulation import RenderConfig
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.loop import TrainOptions

_LIMBS = ("shoulder", "elbow", "wrist", "knee", "ankle")
TRANSFER_JOINTS = ("nose", "upper_neck", *(f"{side}_{part}" for part in _LIMBS for side in ("right", "left")))
"""Keypoints of table 6."""
ELSEWHERE = RenderConfig(fill=0.7, clutter=15.0, blur=2.5, noise=20.0, out_of_view=0.0)
"""How rendered infants are filmed for table 6 with `--simulate`: smaller, among more things, with more noise."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        output: folder of the trainings, figures and tables.
        annotations: annotated images of infants.
        simulate: render so many infants instead.
        frames: images of each rendered infant.
        test: annotated test images; without them a fifth of the infants of the annotations is held out, as published.
        transfer: annotated images of another kind for table 6.
        annotators: annotations of the same images by several persons; without them the published spread counts.
        networks: registry names.
        weights: pairs of a network and the weights that it starts from; others start from the initializer.
        sizes: numbers of training images of figure 5; 0 is without fine-tuning.
        batch_sizes: the first is that of tables 1 to 3 and figure 5, each further one gives a table 5.
        latency_batch: images of a call whose time is measured; 0 measures none.
        side: height and width of the networks' input, pixels; None is the network's own.
        training: differs from the published one where an option is given.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    annotations: Path | None = None
    simulate: int = 0
    frames: int = 5
    test: Path | None = None
    transfer: Path | None = None
    annotators: tuple[Path, ...] = ()
    networks: tuple[str, ...] = ("efficientpose-rt",)
    weights: tuple[tuple[str, str], ...] = ()
    sizes: tuple[int, ...] = ()
    batch_sizes: tuple[int, ...] = (16,)
    latency_batch: int = 128
    side: int | None = None
    training: PoseTrainingConfig = field(default_factory=PoseTrainingConfig)


@dataclass(frozen=True)
class Data:
    """The images of a study.

    Attributes:
        train: rows that are trained on, in an order whose first ones keep the shares of infants.
        validation: that select the epoch.
        test: that are measured on.
        transfer: of another kind; None without.
    """

    train: Annotations
    validation: Annotations
    test: Annotations
    transfer: Annotations | None


def main(options: Options) -> None:
    """Train, measure, print the tables and write the figures."""
    for name in (*options.networks, *dict(options.weights)):
        if name not in models.names():
            raise InputError("--networks", f"has {name}, which is no network", "give names of `infantjax models`")
    data, spread = read_data(options), read_spread(options)
    print(f"{len(data.train)} training, {len(data.validation)} validation and {len(data.test)} test images", end="")
    print(", rendered, not of infants\n" if options.simulate else "\n")
    first, count = options.batch_sizes[0], len(data.train)
    found, elsewhere, latency = {}, {}, {}
    for name in options.networks:
        network = trained(options, data, name, first, count)
        found[name] = distances(network, data.test)
        if data.transfer is not None:
            elsewhere[name] = distances(network, data.transfer, TRANSFER_JOINTS, "nose_to_neck")
        if options.latency_batch:
            latency[name] = milliseconds(network, options.latency_batch)
    parts = [tables.table_1(found, latency), tables.table_2(found, spread), tables.table_3(found, spread)]
    rows = [(name, first, count, "test", *tables.scores(of)) for name, of in found.items()]
    rows += [(name, first, count, "transfer", *tables.scores(of)) for name, of in elsewhere.items()]
    for batch in options.batch_sizes[1:]:
        smaller = {n: distances(trained(options, data, n, batch, count), data.test) for n in options.networks}
        parts.append(tables.score_table(f"Table 5: batches of {batch}", tables.TABLE_5, smaller, found))
        rows += [(name, batch, count, "test", *tables.scores(of)) for name, of in smaller.items()]
    if data.transfer is not None:
        parts.append(tables.score_table("Table 6: other images", tables.TABLE_6, elsewhere, found))
    figures = tables.figure_4(found, spread)
    if options.sizes:
        curves = {name: efficiency(options, data, name) for name in options.networks}
        points = [(name, size, of) for name, curve in curves.items() for size, of in curve.items()]
        head = ("network", "images", *tables.MEASURES)
        parts.append(markdown("Figure 5: training images", head, [(n, str(size), *of) for n, size, of in points]))
        rows += [(name, first, size, "test", *of) for name, size, of in points if size < count]
        figures |= tables.figure_5(curves)
    print("\n".join(parts))
    write_atomically(options.output / "tables.md", "\n".join(parts))
    head = ("network", "batch", "training images", "images", *tables.MEASURES)
    write_atomically(options.output / "scores.csv", csv_text(head, rows))
    plots.save(figures, options.output, "png")


def read_data(options: Options) -> Data:
    """The images, split by infant.

    Raises:
        InputError: images and `--simulate` together or neither, or a folder that cannot be used.
    """
    if bool(options.simulate) == (options.annotations is not None):
        raise InputError("--annotations", "or --simulate is needed, not both", "give one of them")
    side = options.side or 256
    film = RenderedOptions(options.output, infants=options.simulate, frames=options.frames, side=side)
    source = options.annotations or write_images(options.output / "rendered", film)
    annotations = read_annotations(source, IN_MOTION_19).with_images()
    if options.test is None:
        split, notes = split_by_group(annotations, seed=options.training.seed)
        test = annotations.take(split.test)
    else:
        split, notes = split_by_group(annotations, {"train": 0.9, "validation": 0.1}, options.training.seed)
        test = read_annotations(options.test, IN_MOTION_19).with_images()
    for note in notes:
        print(f"note: {note}")
    transfer = options.transfer
    if transfer is None and options.simulate:
        film = replace(film, seed=film.seed + 1, render=ELSEWHERE)
        transfer = write_images(options.output / "rendered_elsewhere", film)
    return Data(
        train=annotations.take(in_shares(annotations, split.train, options.training.seed)),
        validation=annotations.take(split.validation),
        test=test,
        transfer=None if transfer is None else read_annotations(transfer, IN_MOTION_19).with_images(),
    )


def in_shares(annotations: Annotations, rows: Sequence[int], seed: int) -> list[int]:
    """Rows in an order whose first ones, however many, have all groups in about their shares."""
    groups = np.array(annotations.groups or annotations.names)[list(rows)]
    places, rng = np.zeros(len(rows)), np.random.default_rng(seed)
    for group in np.unique(groups):
        of_group = np.flatnonzero(groups == group)
        places[of_group] = (rng.permutation(len(of_group)) + rng.random(len(of_group))) / len(of_group)
    return [rows[place] for place in np.argsort(places)]


def read_spread(options: Options) -> tables.Spread:
    """The spread of the given annotators, or the published one."""
    if not options.annotators:
        return tables.published_spread()
    first = read_annotations(options.annotators[0], IN_MOTION_19, row_per_image=True)
    annotated = read_annotators(first, options.annotators[1:])
    length = metrics.body_length(metrics.mean_position(annotated), IN_MOTION_19, "head")
    found = metrics.annotator_spread(annotated, length)
    return tables.Spread(found.mean, found.p95, True)


def trained(options: Options, data: Data, name: str, batch: int, count: int) -> PoseEstimator:
    """A network, fine-tuned on the first images of the training set."""
    weights = dict(options.weights).get(name)
    folder = options.output / f"{name}-batch{batch}-images{count}"
    train_pose(
        joined(data.train.take(range(count)), data.validation),
        directory=folder,
        model=name,
        config=replace(options.training, batch_size=batch),
        start=load_pose_network(weights, early_heads=True) if weights else None,
        crop=CropConfig(side=options.side),
        options=TrainOptions(quiet=False, loggers=()),
    )
    return load_pose_network(folder)


def joined(train: Annotations, validation: Annotations) -> Annotations:
    """Images that say themselves what trains and what selects the epoch."""
    return Annotations(
        train.names + validation.names,
        np.concatenate([train.points, validation.points]),
        train.skeleton,
        (train.paths or ()) + (validation.paths or ()),
        splits=("train",) * len(train) + ("val",) * len(validation),
    )


def distances(
    network: PoseEstimator,
    annotations: Annotations,
    joints: Sequence[str] = IN_MOTION_19.joints,
    unit: metrics.Unit = "head",
) -> tables.Distances:
    """Distances of found keypoints from annotated ones in units of the body; NaN for joints that are left out."""
    crops, points = read_crops(annotations, network.side)
    found = np.full(points.shape, np.nan)
    shared = [joint for joint in network.skeleton.joints if joint in joints]
    rows = [IN_MOTION_19.index(joint) for joint in shared]
    own = [network.skeleton.index(joint) for joint in shared]
    found[:, rows] = Tracker(network, PoseConfig(decoder="weighted")).find(crops).positions[:, own]
    length = metrics.body_length(points, IN_MOTION_19, unit)
    left_out = ~np.isin(np.arange(len(IN_MOTION_19.joints)), rows)
    return metrics.errors(found, np.where(left_out[:, None], np.nan, points), length)


def milliseconds(network: PoseEstimator, batch: int, runs: int = 10) -> float:
    """Median time of an image, decoding included, over some calls of a batch after one that compiles."""
    tracker = Tracker(network, PoseConfig(batch_size=max(1, batch // jax.local_device_count())))
    crops = np.zeros((batch, network.side, network.side, 3), np.uint8)
    tracker.find(crops)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        tracker.find(crops)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds)) / batch


def efficiency(options: Options, data: Data, name: str) -> dict[int, tuple[str, ...]]:
    """Scores of a network by the number of images that it was fine-tuned on, up to all.

    Raises:
        InputError: a number below 0 or above that of the training images.
    """
    weights, curve = dict(options.weights).get(name), {}
    if wrong := [size for size in options.sizes if not 0 <= size <= len(data.train)]:
        raise InputError("--sizes", f"has {wrong[0]}", f"give numbers up to {len(data.train)}, the training images")
    for size in sorted({*options.sizes, len(data.train)}):
        if size:
            network = trained(options, data, name, options.batch_sizes[0], size)
        elif weights:
            network = load_pose_network(weights, options.side)
        else:
            continue
        curve[size] = tables.scores(distances(network, data.test))
    return curve


if __name__ == "__main__":
    raise SystemExit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
