"""A reading of MAM: fidgety movements in clips and the risk of videos, cross-validated, beside the published figures.

    python experiments/mam.py --simulate 24
    python experiments/mam.py --simulate 24 --without closeness --inputs velocities
    python experiments/mam.py --simulate 12 --folds 2 --pretraining 10 --epochs 2 --compare inputs
    python experiments/mam.py --simulate 12 --folds 2 --pretraining 10 --epochs 2 --compare ablations
    python experiments/mam.py --cohort FOLDER --annotated FOLDER --fps 30 [--metadata]

Trains one run for each fold, all as one stack: the reference branch on annotated clips of other infants, then all
branches. Videos that a run holds out are judged by its last weights. Prints the AUC of the risk and its figures at one
half, the FMs frequency of both groups and its AUC, and, where every second is annotated, the median kappa of clips.
`--compare inputs` does so for coordinates, velocities, accelerations and distances, of simulated infants in three
dimensions and in two; `--compare ablations` for all parts, without the closeness loss, without the reference branch and
without both. Each is a table with a line for every training.

Of MAM only the outline is published; what is chosen is told in `infantjax.methods.mam`, and
no option here was compared with the authors' program. A cohort is a folder of keypoint files with `outcomes.csv` (id,
outcome; 1: sporadic or absent), perhaps `truth.csv` (id, second, fidgety) for kappa, and for `--metadata` (the info
branch) columns sex, gestational_age, birth_weight and corrected_age; the annotated infants are another folder, with
`truth.csv`. `infantjax simulate --method mam` writes both. Training alone is `infantjax crossval --system mam`.

The published figures belong to 1127 infants who are not public. `--simulate` lifts nothing: infants are known in space.
It trains a smaller network for fewer epochs on two CPU cores for some minutes; its figures say nothing of infants.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jax
import numpy as np
import tyro
from scipy.special import expit

from infantjax.errors import InputError
from infantjax.evaluation.agreement import median_kappa
from infantjax.evaluation.discrimination import auc, confusion_counts
from infantjax.formats.cohort import TRUTH, read_annotated, read_cohort
from infantjax.formats.outcomes import read_seconds
from infantjax.methods.mam import preprocessing as mam
from infantjax.methods.mam.localization import frequency
from infantjax.methods.mam.method import info_of
from infantjax.methods.mam.model import build
from infantjax.methods.mam.preprocessing import Distance, Input
from infantjax.methods.mam.training import HeldOut, MamConfig, Squares, Standardize, Videos, localize, train
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, draw_infant, draw_metadata, draw_outcomes, move
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.splits import stratified_splits

Part = Literal["closeness", "reference"]

PUBLISHED = {
    "AUC": ("0.934 +- 0.014", "0.967 +- 0.005"),
    "accuracy": ("-", "0.934 +- 0.003"),
    "sensitivity": ("-", "0.925 +- 0.004"),
    "specificity": ("-", "0.936 +- 0.009"),
    "PPV": ("0.526 +- 0.031", "0.802 +- 0.022"),
    "NPV": ("0.900 +- 0.006", "0.978 +- 0.008"),
    "FMs frequency, normal": ("-", "0.553 (0.412, 0.706)"),
    "FMs frequency, risk": ("-", "0.135 (0.082, 0.215)"),
    "AUC of FMs frequency": ("-", "0.956 (0.924, 0.989)"),
    "median kappa of clips": ("-", "0.601 to 0.620"),
}
"""Internal cross-validation and external validation; which threshold was used, and whether with the info branch, is not
known. Frequencies are medians with quartiles.
"""

ABLATIONS: dict[str, tuple[Part, ...]] = {
    "all parts": (),
    "without closeness": ("closeness",),
    "without reference": ("reference",),
    "without both": ("closeness", "reference"),
}
PUBLISHED_KAPPA = dict(zip(ABLATIONS, ("0.601 to 0.620", "about 0.224", "about 0.224", "0.064")))
"""Medians over videos."""
RANKING = "published: distances did best, in three dimensions better than in two; without figures"

COLUMNS = ("AUC", "AUC of FMs frequency", "AUC of clips", "median kappa of clips")
"""Figures of a comparison."""

SIMULATED = MamConfig(pretraining=40, joint=15, clips=24, instances=6, half_cycle=100)
SMALL = {"width": 32, "blocks": 1, "hidden": 64, "token": 24}
"""A training and a network that end in minutes; all else is as chosen."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        annotated: folder of other infants with `truth.csv`.
        fps: of files that do not say theirs, hertz.
        simulate: number of simulated infants instead, and as many annotated ones.
        inputs: what the network reads.
        distance: how two joints are compared.
        standardize: how inputs are normalized.
        squares: of the closeness loss, their sum over the entries of an embedding or their mean.
        flat: two dimensions in place of three, of simulated infants.
        without: ablations: the closeness loss, the reference branch, or both.
        compare: all inputs, or all ablations, in place of one training.
        metadata: read sex, gestational age, birth weight and corrected age.
        folds: of the cohort.
        epochs: of the second stage; None for 300, or a few if simulated.
        pretraining: epochs of the first stage; None for 50, or a few if simulated.
        output: folder for checkpoints and logs; an interrupted run continues there.
        seed: of folds, weights and batches, and of the simulation.
    """

    cohort: Path | None = None
    annotated: Path | None = None
    fps: float | None = None
    simulate: int = 0
    inputs: tuple[Input, ...] = ("distances",)
    distance: Distance = "euclidean"
    standardize: Standardize = "token"
    squares: Squares = "sum"
    flat: bool = False
    without: tuple[Part, ...] = ()
    compare: Literal["inputs", "ablations"] | None = None
    metadata: bool = False
    folds: int = 5
    epochs: int | None = None
    pretraining: int | None = None
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    seed: int = 1


@dataclass(frozen=True)
class Video:
    """One infant.

    Attributes:
        name: its id.
        positions: `[time, 17, axis]`.
        outcome: 0 or 1.
        fidgety: 0 or 1 for every frame; None where not annotated.
        info: entries of the info branch; None where they are not read.
    """

    name: str
    positions: np.ndarray
    outcome: float
    fidgety: np.ndarray | None
    info: np.ndarray | None


def main(options: Options) -> None:
    """Print the figures of one training, or a line for each of a comparison."""
    if options.compare is None:
        print(table(figures_of(options)))
    else:
        print(comparison({name: figures_of(variant) for name, variant in variants(options).items()}))


def variants(options: Options) -> dict[str, Options]:
    """The trainings of a comparison by name."""
    if options.compare == "ablations":
        found = {name: dataclasses.replace(options, without=parts) for name, parts in ABLATIONS.items()}
    else:
        # What a camera saw cannot be told from files in three dimensions.
        flats = {"3-D": False, "2-D": True} if options.simulate else {"as given": options.flat}
        found = {
            f"{name}, {space}": dataclasses.replace(options, inputs=(name,), flat=flat)
            for space, flat in flats.items()
            for name in get_args(Input)
        }
    if options.output is None:
        return found
    return {name: dataclasses.replace(v, output=options.output / name) for name, v in found.items()}


def figures_of(options: Options) -> dict[str, float]:
    """Read or simulate, train, localize, judge."""
    cohort, annotated = simulated_videos(options) if options.simulate else read_videos(options)
    config = settings(options)
    cuts = [(v, mam.clip_starts(len(v.positions))) for v in annotated]
    clips = np.concatenate([mam.cut(v.positions, starts)[0] for v, starts in cuts])
    labels = np.concatenate([mam.clip_labels(v.fidgety, starts) for v, starts in cuts if v.fidgety is not None])
    if len(clips) < config.clips:
        raise InputError("--annotated", f"gives {len(clips)} clips", f"a step needs {config.clips}; annotate more")
    outcomes = [video.outcome for video in cohort]
    info = [video.info for video in cohort if video.info is not None] or None
    data = Videos.of([video.positions for video in cohort], outcomes, clips, labels, info)
    axes = clips.shape[-1]
    channels = mam.channels(config.inputs, axes, distance=config.distance)
    sizes: dict[str, Any] = ({"info": 16} if options.metadata else {}) | (SMALL if options.simulate else {})
    module = build(channels=channels, **sizes)
    folds = stratified_splits(outcomes, options.folds, seed=options.seed)
    description = {"name": "mam", "inputs": list(config.inputs), "axes": axes}
    print(
        f"a reading of MAM, {' + '.join(config.inputs)} in {axes} dimensions"
        + (f", without {' and '.join(options.without)}" if options.without else "")
        + f"; {len(cohort)} {'simulated infants' if options.simulate else 'videos'}, {sum(outcomes)} risk; "
        f"{len(clips)} annotated clips, {labels.sum()} fidgety"
    )
    found = train(module, data, folds, config, directory=options.output, description=description, quiet=False)
    clip_probabilities: dict[int, np.ndarray] = {}
    for run, fold in enumerate(folds):
        variables = jax.tree.map(lambda leaf, run=run: leaf[run], found.variables)
        for row in fold.validation:
            clip_probabilities[row] = localize(module, variables, cohort[row].positions, config)
    return judge(cohort, found, [clip_probabilities[row] for row in range(len(cohort))])


def settings(options: Options) -> MamConfig:
    """The configuration of a run."""
    config = dataclasses.replace(
        SIMULATED if options.simulate else MamConfig(),
        inputs=options.inputs,
        distance=options.distance,
        standardize=options.standardize,
        squares=options.squares,
        seed=options.seed,
    )
    if options.epochs is not None:
        config = dataclasses.replace(config, joint=options.epochs)
    if options.pretraining is not None:
        config = dataclasses.replace(config, pretraining=options.pretraining)
    for part in options.without:
        config = config.without(part)
    return config


def judge(cohort: list[Video], found: HeldOut, probabilities: list[np.ndarray]) -> dict[str, float]:
    """The figures of the held-out videos."""
    outcomes = np.array([video.outcome for video in cohort])
    whole = np.isfinite(found.logits)
    if not whole.all():
        print(f"{(~whole).sum()} videos belong to runs that diverged and are left out", file=sys.stderr)
    figures = {"AUC": area(found.logits[whole], outcomes[whole])}
    metrics = confusion_counts(expit(found.logits[whole]), outcomes[whole], 0.5).metrics()
    for name in ("accuracy", "sensitivity", "specificity", "ppv", "npv"):
        figures[name.upper() if len(name) == 3 else name] = metrics[name]
    starts = [mam.localization_starts(len(video.positions)) for video in cohort]
    shares = np.array([frequency(p, s, mam.CLIP).value for p, s in zip(probabilities, starts)])
    for name, label in (("normal", 0), ("risk", 1)):
        figures[f"FMs frequency, {name}"] = float(np.median(shares[whole & (outcomes == label)]))
    figures["AUC of FMs frequency"] = area(-shares[whole], outcomes[whole])
    marked = {row: video.fidgety for row, video in enumerate(cohort) if video.fidgety is not None and whole[row]}
    if marked:
        truth = [mam.clip_labels(fidgety, starts[row]) for row, fidgety in marked.items()]
        called = [(probabilities[row] > 0.5).astype(int) for row in marked]
        agreed = median_kappa(called, truth)
        figures["median kappa of clips"] = agreed.median
        figures["videos without kappa"] = agreed.undefined
        figures["AUC of clips"] = area(np.concatenate([probabilities[row] for row in marked]), np.concatenate(truth))
    return figures


def area(scores: np.ndarray, labels: np.ndarray) -> float:
    """The AUC; NaN for one class."""
    return auc(scores, labels) if len(np.unique(labels)) == 2 else math.nan


def table(figures: dict[str, float]) -> str:
    """Beside the published figures."""
    lines = [f"{'figure':<26}{'here':>8}{'published, internal':>24}{'published, external':>24}"]
    for name, value in figures.items():
        internal, external = PUBLISHED.get(name, ("-", "-"))
        lines.append(f"{name:<26}{value if isinstance(value, int) else shown(value):>8}{internal:>24}{external:>24}")
    return "\n".join(lines)


def comparison(found: dict[str, dict[str, float]]) -> str:
    """A line for each training; beside the ablations the published kappa, behind the inputs their published order."""
    width = max(map(len, COLUMNS)) + 2
    known = set(found) <= set(PUBLISHED_KAPPA)
    lines = [f"{'training':<24}" + "".join(f"{name:>{width}}" for name in COLUMNS)]
    for training, figures in found.items():
        lines.append(f"{training:<24}" + "".join(f"{shown(figures.get(name, math.nan)):>{width}}" for name in COLUMNS))
    if known:
        beside = ["published kappa", *(PUBLISHED_KAPPA[training] for training in found)]
        return "\n".join(f"{line}{cell:>18}" for line, cell in zip(lines, beside))
    return "\n".join([*lines, RANKING])


def shown(value: float) -> str:
    """Three decimals; a dash for what is not defined."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def read_videos(options: Options) -> tuple[list[Video], list[Video]]:
    """A user's cohort and annotated infants."""
    if options.cohort is None or options.annotated is None:
        missing = "--cohort" if options.cohort is None else "--annotated"
        raise InputError(missing, "is missing", "name a folder, or give --simulate 24")
    known = (options.cohort / TRUTH).is_file()
    seconds = read_seconds(options.cohort / TRUTH) if known else {}
    read = read_cohort(options.cohort, fps=options.fps)
    cohort = [
        video_of(recording, outcome, seconds.get(recording.name), options.metadata)
        for recording, outcome in zip(read.recordings, read.outcomes)
    ]
    annotated = [
        video_of(recording, 0, dict(enumerate(recording.metadata["fidgety"])), False)
        for recording in read_annotated(options.annotated, fps=options.fps)
    ]
    if both := {video.name for video in cohort} & {video.name for video in annotated}:
        raise InputError(options.annotated, f'has "{min(both)}", which the cohort has too', "annotate other infants")
    return cohort, annotated


def video_of(recording: Recording, outcome: float, seconds: Mapping[int, int] | None, metadata: bool) -> Video:
    """Prepared, with an annotation for every frame; a second that is not annotated counts as without."""
    positions = mam.prepare(recording)
    at = (np.arange(len(positions)) / mam.RATE).astype(int)
    fidgety = None if seconds is None else np.array([seconds.get(int(second), 0) for second in at])
    return Video(recording.name, positions, outcome, fidgety, info_of(recording) if metadata else None)


def simulated_videos(options: Options) -> tuple[list[Video], list[Video]]:
    """A minute of each infant, known in space; the annotated ones are others, and half of them risk."""
    return (
        simulated(options.simulate, options.seed, 0.3, options.flat, options.metadata),
        simulated(options.simulate, options.seed + 1000, 0.5, options.flat, False),
    )


def simulated(number: int, seed: int, prevalence: float, flat: bool, metadata: bool) -> list[Video]:
    """Infants of whom every second is known; those at risk have no fidgety movements."""
    videos = []
    base = InfantConfig(duration=60, fps=mam.RATE)
    for index, outcome in enumerate(draw_outcomes(number, seed, prevalence)):
        movement = move((seed, index), draw_infant(seed, index, outcome, base))
        # From above, a camera far away would see the first two axes.
        points = movement.positions[..., :2] if flat else movement.positions
        known = draw_metadata(seed, index, outcome)
        recording = Recording(points, mam.RATE, IN_MOTION_19, name=f"sim{index:04d}", metadata=known)
        videos.append(video_of(recording, outcome, dict(enumerate(movement.fidgety.tolist())), metadata))
    return videos


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
