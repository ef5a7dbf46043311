"""SMA CNN: a motor score from the tracks of hands and feet, leaving one infant out, and the published tables.

    python experiments/sma_cnn.py --simulate 8
    python experiments/sma_cnn.py --cohort FOLDER --fps 30

reproduces the protocol of the workshop paper: windows of 30 s, one run for each infant left out, all as one stack; the
error of windows and of recordings, each averaged over infants and over all samples; beside it linear regression and
LASSO on the correlations between limbs, and the mean of the training scores. With `--pictures FOLDER` it draws the
paper's figures 3 to 5: errors of windows and of infants, and the score of each recording. A cohort is a folder of
keypoint files with `outcomes.csv`: id (the file's name without ending), score (0..72) and group (the infant). It is
what `infantjax crossval --method sma` does, with the comparisons and the published figures beside.

The published errors belong to 70 recordings of 15 infants, which are not public. Simulated infants, whose movement
grows with the score and is the less alike, show that the program runs; they say nothing of infants. The published
network has 36 million parameters and is trained for 1000 steps of 400 windows, once an infant: an accelerator's work.
`--simulate` uses a network of a few thousand and fewer steps; two CPU cores need a minute or two.
"""

import math
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation import plots
from infantjax.evaluation.regression import aggregate, subject_errors
from infantjax.formats.cohort import read_cohort
from infantjax.methods.sma_cnn import preprocessing as limbs
from infantjax.methods.sma_cnn.method import Sma
from infantjax.methods.sma_cnn.training import leave_one_out, train
from infantjax.recording.cohort import Cohort
from infantjax.simulation import InfantConfig

PUBLISHED = {
    ("windows", "sma-cnn"): (6.9645, 8.1287),
    ("windows", "linear regression"): (17.6026, 15.7261),
    ("windows", "LASSO"): (18.3830, 14.8281),
    ("recordings", "mean"): (7.9648, 5.9495),
    ("recordings", "median"): (8.0499, 6.1175),
    ("recordings", "fence"): (8.0066, 6.0291),
}
"""Mean absolute errors in points: mean over infants, mean over samples (tables 2 and 3)."""

SIMULATED = {"iterations": 200, "batch_size": 32, "features": (8, 8, 8, 16), "decay": 0.1}
"""A network and a training that end in minutes."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        fps: of files that do not say theirs, hertz.
        simulate: number of simulated infants instead, three recordings of 50 s each.
        output: folder for checkpoints and logs; an interrupted run continues there.
        pictures: folder for the paper's figures 3 to 5, of this run.
        iterations: steps of a run; None for 1000, or 200 if simulated.
        batch_size: windows of a step; None for 400, or 32 if simulated.
        seed: of weights and batches, and of the simulation.
    """

    cohort: Path | None = None
    fps: float | None = None
    simulate: int = 0
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    pictures: Path | None = None
    iterations: int | None = None
    batch_size: int | None = None
    seed: int = 1


def main(options: Options) -> None:
    """Window, train, judge, print."""
    given: dict[str, Any] = {"iterations": options.iterations, "batch_size": options.batch_size, "seed": options.seed}
    settings: dict[str, Any] = dict(SIMULATED) if options.simulate else {}
    settings |= {name: value for name, value in given.items() if value is not None}
    settings["report"] = math.gcd(settings.get("iterations", 1000), 50)
    system = Sma.configured(settings)
    cohort, found = (simulated(options) if options.simulate else read(options)).map(system.prepared, skip_invalid=True)
    for problem in cohort.problems:
        print(problem, file=sys.stderr)
    infants = list(cohort.groups or cohort.names)
    if len(set(infants)) < 2:
        raise InputError("cohort", "holds windows of fewer than two infants", "one is left out at a time")
    windows, place = np.concatenate(found), np.repeat(np.arange(len(cohort)), [len(cut) for cut in found])
    scores, subjects = np.array(cohort.outcomes)[place], [infants[i] for i in place]
    batch = system.training.batch_size
    if (fewest := min(len(fold.train) for fold in leave_one_out(subjects))) < batch:
        raise InputError(
            "cohort", f"gives {fewest} windows to train on, fewer than a batch of {batch}", "give --batch-size"
        )
    with nullcontext(options.output) if options.output else tempfile.TemporaryDirectory() as directory:
        result = train(
            system.network, windows, scores.tolist(), subjects, system.training, directory=directory, quiet=False
        )

    methods = {"sma-cnn": result.predictions, **baselines(windows, scores, subjects)}
    lines = [f"{len(windows)} windows of {len(cohort)} recordings of {len(set(infants))} infants; mean absolute errors"]
    lines.append(f"{'':<12}{'method':<20}{'per infant':>11}{'overall':>9}{'published':>18}")
    for name, predictions in methods.items():
        lines.append(row("windows", name, predictions, scores, subjects))
    whole = {
        how: np.array([aggregate(result.predictions[place == i], how) for i in range(len(cohort))])
        for how in ("mean", "median", "fence")
    }
    measured = np.array(cohort.outcomes)
    lines += [row("recordings", how, values, measured, infants) for how, values in whole.items()]
    print("\n".join(lines))
    if options.pictures is not None:
        drawn = {
            "window_errors": plots.window_errors(result.predictions, scores, subjects),
            "subject_errors": plots.subject_errors(whole, measured, infants),
            "scores": plots.scores(whole, measured, infants),
        }
        plots.save(drawn, options.pictures)


def row(of: str, name: str, predictions: np.ndarray, scores: np.ndarray, subjects: list[str]) -> str:
    """Both errors beside the published ones."""
    errors = subject_errors(predictions, scores, subjects)
    published = "{:.2f} {:.2f}".format(*PUBLISHED[of, name]) if (of, name) in PUBLISHED else "-"
    return f"{of:<12}{name:<20}{errors.per_subject:>11.2f}{errors.overall:>9.2f}{published:>18}"


def baselines(windows: np.ndarray, scores: np.ndarray, subjects: list[str]) -> dict[str, np.ndarray]:
    """Predictions of each window by methods that were fitted without its infant.

    The penalty of LASSO is the second of its path, the largest with a model that is not empty: published is the rule,
    the path is scikit-learn's.
    """
    try:
        from sklearn.linear_model import Lasso, LinearRegression, lasso_path
    except ImportError:
        raise MissingExtraError("scikit-learn", "analysis") from None
    features = limbs.correlation_features(windows)
    found = {name: np.zeros(len(windows)) for name in ("linear regression", "LASSO", "mean of training")}
    for fold in leave_one_out(subjects):
        train_rows, held = list(fold.train), list(fold.validation)
        x, y = features[train_rows], scores[train_rows]
        alphas, _, _ = lasso_path(x - x.mean(axis=0), y - y.mean(), eps=1e-4)
        for name, model in (("linear regression", LinearRegression()), ("LASSO", Lasso(alpha=alphas[1]))):
            found[name][held] = model.fit(x, y).predict(features[held])
        found["mean of training"][held] = y.mean()
    return found


def read(options: Options) -> Cohort:
    """A user's cohort."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 8")
    return read_cohort(options.cohort, fps=options.fps, score_range=(0.0, 72.0))


def simulated(options: Options) -> Cohort:
    """Simulated infants: the higher the score, the more they move and the less alike."""
    pairs = SmaCnn.simulate(options.simulate, options.seed, 50, base=InfantConfig(dropout_rate=0))
    recordings, scores = zip(*pairs)
    return Cohort(recordings, scores, tuple(r.metadata["group"] for r in recordings), score_range=(0.0, 72.0))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except (InputError, MissingExtraError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
