"""Baby Moves: 25 random splits of a cohort as one stack of runs, and the metrics of Passmore et al. beside ours.

    python experiments/baby_moves.py --simulate 40
    python experiments/baby_moves.py --cohort FOLDER --image 640 480 [--metadata]

Preprocessing, network, training, early stopping and the calibration of each run on its validation videos are those of
the reference implementation; metrics of the test videos are given as mean and standard deviation over the runs. A
cohort is a folder of DeepLabCut tables of the 18 points with `outcomes.csv`: id, outcome (1: abnormal or absent), group
(the infant), and, for `--metadata`, age (weeks) and cohort (preterm or term). `infantjax crossval --method baby-moves`
trains the same.

The published metrics are of 484 videos of 327 infants, which are not public. Simulated infants show that the program
runs and can learn; their metrics say nothing about infants. With `--simulate` runs have fewer epochs, larger steps and
a
smaller penalty: some minutes on two CPU cores, less than 2 GB. The published 10 000 epochs need an accelerator.
"""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from method_runs import exit_status, train_runs

from infantjax.errors import InputError
from infantjax.formats.cohort import read_cohort
from infantjax.methods.baby_moves.method import BabyMoves
from infantjax.recording.cohort import Cohort
from infantjax.simulation import InfantConfig
from infantjax.skeletons import BABY_MOVES_18

PUBLISHED = {
    "AUC": ((0.795, 0.080), (0.749, 0.077)),
    "balanced_accuracy": ((0.703, 0.083), None),
    "sensitivity": ((0.755, 0.150), None),
    "specificity": ((0.651, 0.078), None),
    "ppv": ((0.277, 0.077), None),
    "npv": ((0.941, 0.035), None),
    "AUC of cohort alone": ((0.69, math.nan), None),
}
"""Mean and standard deviation over the repeats with age and cohort, and without; 0.70 without in the discussion."""

SIMULATED = {"epochs": 40, "warm_up": 10, "patience": 20, "learning_rate": 0.02, "decay": 5e-4}
"""A training of minutes; all other settings are those of the reference implementation."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        output: folder for checkpoints and logs; an interrupted training there is continued.
        image: width and height of the videos, pixels.
        fps: of files without a frame rate, hertz.
        metadata: read age and cohort.
        preset: of the preprocessing, `reference` or `paper`.
        repeats: number of splits.
        epochs: largest number; None for 10 000, or 40 if simulated.
        seed: of splits, weights and clips.
    """

    cohort: Path | None = None
    simulate: int = 0
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    image: tuple[float, float] = (640.0, 480.0)
    fps: float | None = None
    metadata: bool = False
    preset: Literal["reference", "paper"] = "reference"
    repeats: int = 25
    epochs: int | None = None
    seed: int = 1


def main(options: Options) -> None:
    """Cross-validate and print."""
    cohort = simulated(options) if options.simulate else read(options)
    runs = train_runs(settings(options), cohort, options.output)
    print(table(runs.outputs.run_metrics, options, len(runs.inputs.cohort)))


def settings(options: Options) -> BabyMoves:
    """The method with the settings of the options."""
    method = BabyMoves.presets()[options.preset]
    training: dict[str, Any] = {**(SIMULATED if options.simulate else {}), "seed": options.seed}
    if options.epochs is not None:
        training["epochs"] = options.epochs
    return dataclasses.replace(
        method,
        image=options.image,
        repeats=options.repeats,
        network=dataclasses.replace(method.network, metadata=options.metadata),
        training=dataclasses.replace(method.training, **training),
    )


def table(runs: Sequence[dict[str, float | None]], options: Options, videos: int) -> str:
    """Mean and standard deviation over the runs, and the published ones."""
    of = "simulated infants" if options.simulate else "videos"
    lines = [
        f"{len(runs)} random splits of {videos} {of}; runs share most infants, so the standard deviation is no error",
        f"of the mean. Published: 484 videos, {'with age and cohort' if options.metadata else 'movement only'}.",
        f"{'metric':<22}{'mean':>8}{'SD':>8}{'published':>18}",
    ]
    for name, known in PUBLISHED.items():
        if not any(name in run for run in runs):
            continue
        values = [value for run in runs if (value := run.get(name)) is not None]
        mean, deviation = (np.mean(values), np.std(values, ddof=1)) if len(values) > 1 else (math.nan, math.nan)
        lines.append(f"{name:<22}{mean:>8.3f}{deviation:>8.3f}{published(known[0 if options.metadata else 1]):>18}")
    return "\n".join(lines)


def published(known: tuple[float, float] | None) -> str:
    """Mean and standard deviation, as far as they are published."""
    if known is None:
        return "-"
    return f"{known[0]:.3f}" + ("" if math.isnan(known[1]) else f" +- {known[1]:.3f}")


def read(options: Options) -> Cohort:
    """A user's cohort."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 40")
    return read_cohort(options.cohort, fps=options.fps, skeleton=BABY_MOVES_18)


def simulated(options: Options) -> Cohort:
    """Three minutes of simulated infants under a phone; outcome 1 has no fidgety movements."""
    base = InfantConfig(dropout_rate=0, confidence=False)
    recordings, outcomes = zip(*BabyMoves.simulate(options.simulate, options.seed, 180, prevalence=0.3, base=base))
    return Cohort(recordings, outcomes)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
