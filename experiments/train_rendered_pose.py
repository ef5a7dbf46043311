"""EfficientPose RT Lite trained on rendered simulated infants only: the pose network of `infantjax demo --video`.

    python experiments/train_rendered_pose.py -o runs/small --side 96 --start None --training.epochs 7
    python experiments/train_rendered_pose.py -o runs/rendered_pose --start runs/small/pose

trains with the pose training of the package, measures PCKh@50 on held-out rendered infants of another seed, and writes
`pose/` (half precision), `demo_clip.mp4`, both as they are in `infantjax/weights/bundled_data`, and `pck.csv`. An
interrupted run continues. Image size, number of images and epochs are our choice, so that two CPU cores need about an
hour: small images first, then larger ones, from the weights of the small ones. The result says nothing about infants.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image
from support import keyed

from infantjax import models
from infantjax.files import write_atomically
from infantjax.pose import Tracker, metrics
from infantjax.pose.annotations import Annotations
from infantjax.pose.estimation.estimator import PoseEstimator, load_pose_network, save_pose_network
from infantjax.pose.training.augmentation import ImageAugmentation
from infantjax.pose.training.training import ImageData, PoseTrainingConfig, train, transferable
from infantjax.progress import Progress
from infantjax.simulation import Clip, InfantConfig, RenderConfig, draw_infant, render
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.video import write_video

STATEMENT = (
    "Trained on rendered infants only, never on a picture of an infant: for the demonstration and tests; never a "
    "default for real videos. PCKh@50 on held-out rendered infants: {pck:.1f} %."
)

DEMO_SEED = 8
DEMO = RenderConfig(out_of_view=0.0, clutter=3.0, blur=0.8, noise=2.0)
"""How the bundled clip is filmed: little noise, so that it stays small."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        output: folder for the training and its result.
        model: registry name of the network.
        infants: simulated infants to train on.
        validation: infants that select the epoch.
        held_out: infants for the final PCKh, of another seed.
        frames: images of each infant, 4 s apart.
        side: height and width of the images and of the network's input, pixels.
        start: folder of a pose network to start from; None starts from the initializer.
        seed: of the training infants; the held-out ones have the next.
        render: how infants are filmed; its size is replaced by `side`.
        training: differs from the published training in epochs, batch, optimizer and augmentation.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    model: str = "efficientpose-rt-lite"
    infants: int = 2250
    validation: int = 40
    held_out: int = 100
    frames: int = 4
    side: int = 192
    start: Path | None = None
    seed: int = 1
    render: RenderConfig = field(default_factory=lambda: RenderConfig(fill=0.9))
    training: PoseTrainingConfig = field(
        default_factory=lambda: PoseTrainingConfig(
            epochs=4,
            batch_size=8,
            optimizer="adam",
            learning_rate=2e-3,
            sigma_schedule="cropped",
            exact_peaks=True,
            augmentation=ImageAugmentation(rotation_degrees=20, scale=0.15, color=0.1),
        )
    )


def main(options: Options) -> None:
    """Render, train, evaluate on held-out infants, save."""
    entry = models.get(options.model)
    module = entry.build(skeleton=IN_MOTION_19, upscale=False)
    start = {}
    if options.start is not None:
        start = transferable(module, options.side, load_pose_network(options.start), same_skeleton=True)
    count = options.infants + options.validation
    images, points = pictures(options, options.seed, count)
    data = ImageData(
        images,  # type: ignore[arg-type]
        (points / options.side).astype(np.float32),  # type: ignore[arg-type]
        start,
        IN_MOTION_19,
        entry.normalization or "imagenet",
    )
    border = options.infants * options.frames
    split = Split(tuple(range(border)), tuple(range(border, len(images))))
    result = train(
        module,
        data,
        [split],
        options.training,
        directory=options.output / "training",
        options=TrainOptions(quiet=False),
    )
    variables = {name: _first(tree) for name, tree in result.variables.items()}
    network = PoseEstimator(
        module,
        variables,
        IN_MOTION_19,
        options.side,
        data.normalization,
        entry.name,
        "",
        decoder=options.training.decoder,
    )
    bundle(network, options)


def bundle(network: PoseEstimator, options: Options) -> None:
    """Save the network in half precision, and what it gives on held-out infants as it was saved."""
    folder = options.output / "pose"
    save_pose_network(network, folder, precision="float16")
    share = evaluate(load_pose_network(folder), options)
    settings = {"config": asdict(options.training), "infants": options.infants, "frames": options.frames}
    info = {
        "validated": False,
        "statement": STATEMENT.format(pck=100 * share.mean),
        "training": {**settings, "render": asdict(options.render), "side": options.side, "seed": options.seed},
        "pckh50": share.mean,
    }
    save_pose_network(network, folder, info, precision="float16")
    text = io.StringIO()
    rows = [*zip(IN_MOTION_19.joints, share.keypoints.round(4).tolist()), ("mean", round(share.mean, 4))]
    csv.writer(text, lineterminator="\n").writerows([("keypoint", "pckh50"), *rows])
    write_atomically(options.output / "pck.csv", text.getvalue())
    clip = render((DEMO_SEED, 0), InfantConfig(duration=20.0), DEMO)
    write_video(clip.frames(), clip.fps, options.output / "demo_clip.mp4")
    print(info["statement"])


def evaluate(network: PoseEstimator, options: Options) -> metrics.Share:
    """PCKh@50 on infants that training never saw."""
    images, points = pictures(options, options.seed + 1, options.held_out)
    found = Tracker(network).find(images).positions * options.side
    length = metrics.body_length(points, IN_MOTION_19, "head")
    return metrics.pck(metrics.errors(np.asarray(found), points, length), 0.5)


def pictures(options: Options, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames of simulated infants `[image, side, side, 3]` and their keypoints in pixels, NaN outside of the image."""
    size = (count * options.frames, options.side, options.side)
    images, points = np.zeros((*size, 3), np.uint8), np.full((size[0], 19, 2), np.nan)
    with Progress(count, "rendering infants", quiet=False) as progress:
        for number, clip in enumerate(clips(options, seed, count)):
            for k in range(options.frames):
                row, frame = number * options.frames + k, k * len(clip) // options.frames
                images[row] = clip.frame(frame)
                points[row] = np.where(clip.visible[frame][:, None], clip.keypoints[frame], np.nan)
            progress.update(number + 1)
    return images, points


def write_images(folder: Path, options: Options) -> Path:
    """Images of simulated infants as a folder of annotated images in the format of the infant framework, made once.

    Returns:
        The folder, whose name also depends on the settings.
    """
    settings = (options.seed, options.infants, options.frames, options.side, options.render)
    folder = keyed(folder, *settings)
    table = folder / "raw" / "annotations" / "annotations.csv"
    if table.exists():
        return folder
    images, points = pictures(options, options.seed, options.infants)
    numbers = [divmod(row, options.frames) for row in range(len(images))]
    names = tuple(f"infant{infant:05d}_{frame:03d}" for infant, frame in numbers)
    paths = tuple(folder / "raw" / "images" / f"{name}.png" for name in names)
    for each in (table, paths[0]):
        each.parent.mkdir(parents=True, exist_ok=True)
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    sizes = np.full((len(names), 2), float(options.side))
    write_in_motion(Annotations(names, points, IN_MOTION_19, paths, sizes=sizes), table)
    return folder


def clips(options: Options, seed: int, count: int) -> Iterator[Clip]:
    """Clips of lively infants: large movements show a network more postures."""
    base = InfantConfig(duration=4.0 * options.frames, fps=2.0, restlessness=2.5, activity=3.0)
    film = replace(options.render, width=options.side, height=options.side)
    for index in range(count):
        yield render((seed, index), draw_infant(seed, index, 0, base), film)


def _first(tree: dict) -> dict:
    """The only run of a stack."""
    return {name: _first(leaf) if isinstance(leaf, dict) else np.asarray(leaf)[0] for name, leaf in tree.items()}


def write_in_motion(annotations: Annotations, path: str | Path) -> None:
    """Write the raw table of the infant framework, whole or not at all; images are not copied.

    Args:
        annotations: with the sizes of their images; a missing point becomes (0, 0).
        path: `annotations.csv`; replaced if it exists.

    Raises:
        ValueError: the sizes or the images are unknown.
        OSError: the file cannot be written.
    """
    if annotations.sizes is None or annotations.paths is None or np.isnan(annotations.sizes).any():
        raise ValueError("the table holds fractions of the images: their paths and sizes must be known")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["number", "image", *annotations.skeleton.joints])
    fractions = np.nan_to_num(annotations.points / annotations.sizes[:, None, ::-1])
    for number, (image, points) in enumerate(zip(annotations.paths, fractions)):
        split = annotations.splits[number] if annotations.splits else ""
        name = f"{split}/{image.name}" if split else image.name
        writer.writerow([number, name, *(f"({x:.6f}, {y:.6f})" for x, y in points)])
    write_atomically(path, stream.getvalue())


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
