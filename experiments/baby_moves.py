"""Baby Moves: 25 random splits of a cohort as one stack of runs, and the published table.

    python experiments/baby_moves.py --simulate 40
    python experiments/baby_moves.py --cohort FOLDER --width 640 --height 480 [--metadata]

reproduces table and protocol of Passmore et al. with the released settings: preparation, network, training, stopping,
calibration of each run on its validation videos, figures of its test videos, mean and standard deviation over the runs.
A cohort is a folder of DeepLabCut tables of the 18 points with `outcomes.csv`: id, outcome (1: abnormal or absent),
group (the infant), and, for `--metadata`, age (weeks) and cohort (preterm or term).

The published figures come from 484 videos of 327 infants, which are not public. Simulated infants tell whether the
program runs to its end and whether it can learn anything; their figures say nothing of infants. With `--simulate` runs
have fewer epochs, larger steps and a smaller penalty; two CPU cores need some minutes, and less than 2 GB. On a cohort
of that size and with the released 10 000 epochs an accelerator is wanted.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from scipy.special import expit

from infantjax import models
from infantjax.errors import InputError
from infantjax.evaluation.calibration import platt_released
from infantjax.evaluation.discrimination import auc, counts
from infantjax.models.baby_moves import BabyMoves
from infantjax.motion import baby_moves
from infantjax.motion.cohort import read_cohort
from infantjax.motion.recording import Recording
from infantjax.simulation import InfantConfig, simulate_cohort
from infantjax.skeletons import BABY_MOVES_18
from infantjax.training.baby_moves import BabyMovesConfig, Repeats, Videos, train, video_logit
from infantjax.training.folds import Partition, random_partitions

PUBLISHED = {
    "auc": (0.795, 0.749),
    "balanced_accuracy": (0.703, math.nan),
    "sensitivity": (0.755, math.nan),
    "specificity": (0.651, math.nan),
    "ppv": (0.277, math.nan),
    "npv": (0.941, math.nan),
}
"""Means over the repeats with age and cohort, and without; the cohort alone has an AUC of 0.69."""

SIMULATED = BabyMovesConfig(epochs=40, warm_up=10, patience=20, learning_rate=0.02, decay=5e-4)
"""A training that ends in minutes; all else is as released."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        output: folder for checkpoints and logs; an interrupted run continues there.
        width: of the videos, pixels.
        height: of the videos, pixels.
        fps: of files that do not say theirs, hertz.
        metadata: read age and cohort.
        variant: of the preparation, `released` or `paper`.
        repeats: number of splits.
        epochs: the most there can be; None for 10 000, or 40 if simulated.
        seed: of splits, weights and clips.
    """

    cohort: Path | None = None
    simulate: int = 0
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    width: float = 640
    height: float = 480
    fps: float | None = None
    metadata: bool = False
    variant: baby_moves.Variant = "released"
    repeats: int = 25
    epochs: int | None = None
    seed: int = 1


def main(options: Options) -> None:
    """Prepare, train, calibrate, judge, print."""
    simulated = bool(options.simulate)
    recordings, outcomes, groups, metadata = simulated_videos(options) if simulated else read_videos(options)
    settings = baby_moves.PAPER if options.variant == "paper" else baby_moves.RELEASED
    series, kept = [], []
    for row, recording in enumerate(recordings):
        try:
            prepared = baby_moves.prepare(recording, (options.width, options.height), settings)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        series.append(baby_moves.features(prepared.keypoints, settings.smooth))
        kept.append(row)
    outcomes, groups, metadata = [outcomes[i] for i in kept], [groups[i] for i in kept], [metadata[i] for i in kept]

    config = dataclasses.replace(SIMULATED if simulated else BabyMovesConfig(), seed=options.seed)
    if options.epochs is not None:
        config = dataclasses.replace(config, epochs=options.epochs)
    data = Videos.of(series, outcomes, metadata if options.metadata else None, config)
    partitions = random_partitions(outcomes, options.repeats, groups=groups, seed=options.seed)
    module = models.get("baby-moves").build(metadata=options.metadata)
    description = {"name": "baby-moves", "metadata": options.metadata}
    result = train(module, data, partitions, config, directory=options.output, description=description, quiet=False)
    figures = judge(module, result, data, partitions)
    print(table(figures, options, len(series), sum(outcomes)))


def judge(module: BabyMoves, result: Repeats, data: Videos, partitions: tuple[Partition, ...]) -> dict[str, np.ndarray]:
    """The figures of each run on its test videos, calibrated on its validation videos, decided at one half."""
    logit = jax.jit(lambda variables, series, metadata: video_logit(module, variables, series, metadata))
    labels, rows = np.asarray(data.labels), []
    for run, partition in enumerate(partitions):
        variables = jax.tree.map(lambda leaf, run=run: leaf[run], result.variables)
        known = [None if data.metadata is None else data.metadata[video] for video in partition.test]
        logits = np.array([logit(variables, data.series[v], m) for v, m in zip(partition.test, known)])
        row = {"auc": auc(logits, labels[list(partition.test)])}
        try:
            calibrated = platt_released(expit(result.validation_logits[run]), labels[list(partition.validation)])
        except ValueError as error:
            print(f"run {run} was not calibrated: {error}", file=sys.stderr)
            rows.append(row)
            continue
        row |= counts(calibrated(expit(logits)), labels[list(partition.test)], 0.5).metrics()
        if data.metadata is not None:
            preterm = np.asarray(data.metadata)[list(partition.test), 1]
            row["auc_of_cohort_alone"] = auc(preterm, labels[list(partition.test)])
        rows.append(row)
    return {name: np.array([row.get(name, math.nan) for row in rows]) for name in {k: 0 for row in rows for k in row}}


def table(figures: dict[str, np.ndarray], options: Options, videos: int, abnormal: int) -> str:
    """Mean and standard deviation over the runs beside the published means."""
    of = "simulated infants" if options.simulate else "videos"
    lines = [
        f"{options.repeats} random splits of {videos} {of}, {abnormal} abnormal or absent; runs share most infants,",
        "so the standard deviation is no error of the mean.",
        f"{'figure':<22}{'mean':>8}{'SD':>8}{'published':>12}",
    ]
    for name in (*PUBLISHED, "auc_of_cohort_alone"):
        if name not in figures:
            continue
        values = figures[name][~np.isnan(figures[name])]
        published = 0.69 if name == "auc_of_cohort_alone" else PUBLISHED[name][0 if options.metadata else 1]
        shown = "-" if math.isnan(published) else f"{published:.3f}"
        mean, spread = (values.mean(), values.std(ddof=1)) if len(values) > 1 else (math.nan, math.nan)
        lines.append(f"{name:<22}{mean:>8.3f}{spread:>8.3f}{shown:>12}")
    return "\n".join(lines)


def read_videos(options: Options) -> tuple[list[Recording], list[int], list[str], list[tuple[float, float]]]:
    """Recordings, outcomes, infants, and (age, preterm) of a user's cohort; zeros without `--metadata`."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 40")
    cohort = read_cohort(options.cohort, fps=options.fps, skeleton=BABY_MOVES_18)
    known = [metadata_of(recording) if options.metadata else (0.0, 0.0) for recording in cohort.recordings]
    return list(cohort.recordings), list(cohort.outcomes), list(cohort.groups or cohort.names), known


def metadata_of(recording: Recording) -> tuple[float, float]:
    """Age in weeks, and 1 for preterm or 0 for term."""
    age, cohort = recording.metadata.get("age"), str(recording.metadata.get("cohort", "")).strip().lower()
    try:
        weeks = float(str(age))
    except ValueError:
        weeks = math.nan
    if not (math.isfinite(weeks) and cohort in ("preterm", "term")):
        raise InputError(
            recording.name,
            f'has age "{age}" and cohort "{cohort}"',
            "give weeks, and preterm or term, or no --metadata",
        )
    return weeks, float(cohort == "preterm")


def simulated_videos(options: Options) -> tuple[list[Recording], list[int], list[str], list[tuple[float, float]]]:
    """Three minutes of simulated infants, lying along x; those of the abnormal class lack fidgety movements."""
    base = InfantConfig(
        image_size=(int(options.width), int(options.height)),
        camera_rotation=90,
        focal_length=700,
        camera_jitter=3,
        dropout_rate=0,
        confidence=False,
    )
    pairs = simulate_cohort(options.simulate, options.seed, duration=180, prevalence=0.3, base=base)
    rng = np.random.default_rng(options.seed)
    metadata = [(float(rng.uniform(12, 18)), float(rng.random() < 0.3 + 0.4 * outcome)) for _, outcome in pairs]
    return [points_of_baby_moves(r) for r, _ in pairs], [o for _, o in pairs], [r.name for r, _ in pairs], metadata


def points_of_baby_moves(recording: Recording) -> Recording:
    """The 18 points from the simulated 19: good enough to run, not the points that a tracker would find."""
    sums = {"crown": {"head_top": 1.0}, "chin": {"nose": 0.3, "upper_neck": 0.7}}
    for side in ("left", "right"):
        sums[f"{side}_eye"] = {"nose": 0.6, f"{side}_ear": 0.4}
        sums |= {f"{side}_{joint}": {f"{side}_{joint}": 1.0} for joint in ("shoulder", "elbow", "hip", "knee")}
        sums |= {f"{side}_hand": {f"{side}_wrist": 1.0}, f"{side}_heel": {f"{side}_ankle": 1.0}}
        sums[f"{side}_toe"] = {f"{side}_ankle": 1.2, f"{side}_knee": -0.2}
    points = [
        sum(weight * recording.keypoints[:, recording.skeleton.index(name)] for name, weight in sums[joint].items())
        for joint in BABY_MOVES_18.joints
    ]
    return dataclasses.replace(recording, keypoints=np.stack(points, 1), skeleton=BABY_MOVES_18, confidence=None)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except InputError as problem:
        sys.exit(f"error: {problem}")
