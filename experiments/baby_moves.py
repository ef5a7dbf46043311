"""Baby Moves: 25 random splits of a cohort as one stack of runs, and the published table.

    python experiments/baby_moves.py --simulate 40
    python experiments/baby_moves.py --cohort FOLDER --width 640 --height 480 [--metadata]

reproduces table and protocol of Passmore et al. with the released settings: preparation, network, training, stopping,
calibration of each run on its validation videos, figures of its test videos, mean and standard deviation over the runs.
A cohort is a folder of DeepLabCut tables of the 18 points with `outcomes.csv`: id, outcome (1: abnormal or absent),
group (the infant), and, for `--metadata`, age (weeks) and cohort (preterm or term). It is what `infantjax crossval
--method baby-moves` does, with the published figures beside.

The published figures come from 484 videos of 327 infants, which are not public. Simulated infants tell whether the
program runs to its end and whether it can learn anything; their figures say nothing of infants. With `--simulate` runs
have fewer epochs, larger steps and a smaller penalty; two CPU cores need some minutes, and less than 2 GB. On a cohort
of that size and with the released 10 000 epochs an accelerator is wanted.
"""

import math
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from infantjax.errors import InputError
from infantjax.formats.cohort import read_cohort
from infantjax.methods import registry as systems
from infantjax.methods.baby_moves import preprocessing as baby_moves
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
"""A training that ends in minutes; all else is as released."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        output: folder for the ensemble, checkpoints and logs; an interrupted run continues there.
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
    """Cross-validate and print."""
    cohort = simulated(options) if options.simulate else read(options)
    settings: dict[str, Any] = {
        **(SIMULATED if options.simulate else {}),
        **({} if options.epochs is None else {"epochs": options.epochs}),
        "image": (options.width, options.height),
        "metadata": options.metadata,
        "variant": options.variant,
        "repeats": options.repeats,
        "seed": options.seed,
    }
    system = systems.get("baby-moves").configured(settings)
    folder = nullcontext(options.output) if options.output else tempfile.TemporaryDirectory()
    with folder as directory:
        ensemble = system.crossval(cohort, directory, skip_invalid=True, quiet=False)
    training = ensemble.info["training"]
    for problem in ensemble.info["notes"]:
        print(problem, file=sys.stderr)
    used = training["cohort"]["recordings"]
    if used < len(cohort):
        print(f"{len(cohort) - used} videos were left out, see crossval.json", file=sys.stderr)
    print(table([run["figures"] for run in training["runs"]], options, used))


def table(runs: Sequence[dict[str, float | None]], options: Options, videos: int) -> str:
    """Mean and standard deviation over the runs beside the published ones."""
    of = "simulated infants" if options.simulate else "videos"
    lines = [
        f"{len(runs)} random splits of {videos} {of}; runs share most infants, so the standard deviation is no error",
        f"of the mean. Published: 484 videos, {'with age and cohort' if options.metadata else 'movement only'}.",
        f"{'figure':<22}{'mean':>8}{'SD':>8}{'published':>18}",
    ]
    for name, published in PUBLISHED.items():
        values = [value for run in runs if (value := run.get(name)) is not None]
        if not any(name in run for run in runs):
            continue
        mean, spread = (np.mean(values), np.std(values, ddof=1)) if len(values) > 1 else (math.nan, math.nan)
        known, shown = published[0 if options.metadata else 1], "-"
        if known is not None:
            shown = f"{known[0]:.3f}" + ("" if math.isnan(known[1]) else f" +- {known[1]:.3f}")
        lines.append(f"{name:<22}{mean:>8.3f}{spread:>8.3f}{shown:>18}")
    return "\n".join(lines)


def read(options: Options) -> Cohort:
    """A user's cohort."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 40")
    return read_cohort(options.cohort, fps=options.fps, skeleton=BABY_MOVES_18)


def simulated(options: Options) -> Cohort:
    """Three minutes of simulated infants before a phone in the hand; the abnormal class lacks fidgety movements."""
    base = InfantConfig(dropout_rate=0, confidence=False)
    pairs = BabyMoves.simulate(options.simulate, options.seed, 180, prevalence=0.3, base=base)
    recordings, outcomes = zip(*pairs)
    return Cohort(recordings, outcomes)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
