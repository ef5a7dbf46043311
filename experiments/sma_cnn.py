"""SMA CNN: a motor score from the tracks of hands and feet, leaving one infant out, and the published tables.

    python experiments/sma_cnn.py --simulate 8
    python experiments/sma_cnn.py --recordings FOLDER --scores scores.csv --fps 30

reproduces the protocol of the workshop paper: windows of 30 s, one run for each infant left out, all as one stack; the
error of windows and of recordings, each averaged over infants and over all samples; beside it linear regression and
LASSO on the correlations between limbs, and the mean of the training scores. A user's data are keypoint files in any
format that `infantjax convert` reads and a table with columns id (the file's name without ending), score (0..72) and
subject.

The published errors belong to 70 recordings of 15 infants, which are not public. Simulated tracks, whose coordination
and pace follow the score, show that the program runs and can learn; they say nothing of infants. The published network
has 36 million parameters and is trained for 1000 steps of 400 windows, once an infant: an accelerator's work.
`--simulate` uses a network of a few thousand and fewer steps; two CPU cores need a minute or two.
"""

import csv
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from infantjax import models
from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation.regression import aggregate, subject_errors
from infantjax.motion import limbs, readers
from infantjax.training.sma_cnn import SmaConfig, leave_one_out, train

PUBLISHED = {
    ("windows", "sma-cnn"): (6.9645, 8.1287),
    ("windows", "linear regression"): (17.6026, 15.7261),
    ("windows", "LASSO"): (18.3830, 14.8281),
    ("recordings", "mean"): (7.9648, 5.9495),
    ("recordings", "median"): (8.0499, 6.1175),
    ("recordings", "fence"): (8.0066, 6.0291),
}
"""Mean absolute errors in points: mean over infants, mean over samples (tables 2 and 3)."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        recordings: folder of keypoint files.
        scores: table of id, score and subject.
        fps: of files that do not say theirs, hertz.
        simulate: number of simulated infants instead, three recordings each.
        output: folder for checkpoints and logs; an interrupted run continues there.
        iterations: steps of a run; None for 1000, or 200 if simulated.
        batch_size: windows of a step; None for 400, or 32 if simulated.
        seed: of weights and batches, and of the simulation.
    """

    recordings: Path | None = None
    scores: Path | None = None
    fps: float | None = None
    simulate: int = 0
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    iterations: int | None = None
    batch_size: int | None = None
    seed: int = 1


@dataclass(frozen=True)
class Scored:
    """The track of a recording with its score."""

    name: str
    subject: str
    score: float
    track: np.ndarray
    times: np.ndarray


def main(options: Options) -> None:
    """Window, train, judge, print."""
    recordings = simulated(options) if options.simulate else list(read(options))
    found = [limbs.windows(r.track, r.times) for r in recordings]
    for recording, cut in zip(recordings, found):
        if not len(cut):
            print(f"left out: {recording.name} has no {limbs.WINDOW} frames without a gap", file=sys.stderr)
    count = [len(cut) for cut in found]
    if len({r.subject for r, n in zip(recordings, count) if n}) < 2:
        raise InputError("recordings", "hold windows of fewer than two infants", "one is left out at a time")
    windows, place = np.concatenate(found), np.repeat(np.arange(len(recordings)), count)
    scores = np.array([r.score for r in recordings])[place]
    subjects = [recordings[i].subject for i in place]

    steps = options.iterations or (200 if options.simulate else 1000)
    batch = options.batch_size or (32 if options.simulate else 400)
    if (fewest := min(len(fold.train) for fold in leave_one_out(subjects))) < batch:
        raise InputError(
            "recordings", f"give {fewest} windows to train on, fewer than a batch of {batch}", "--batch-size"
        )
    config = SmaConfig(iterations=steps, report=math.gcd(steps, 50), batch_size=batch, seed=options.seed)
    network = models.get("sma-cnn").build()
    if options.simulate:
        network, config = network.clone(features=(8, 8, 8, 16)), replace(config, decay=0.1)
    result = train(network, windows, scores.tolist(), subjects, config, directory=options.output, quiet=False)

    methods = {"sma-cnn": result.predictions, **baselines(windows, scores, subjects)}
    lines = [
        f"{len(windows)} windows of {len(recordings)} recordings of {len(set(subjects))} infants; mean absolute errors"
    ]
    lines.append(f"{'':<12}{'method':<20}{'per infant':>11}{'overall':>9}{'published':>18}")
    for name, predictions in methods.items():
        lines.append(row("windows", name, predictions, scores, subjects))
    for how in ("mean", "median", "fence"):
        kept = sorted(set(place))
        whole = [aggregate(result.predictions[place == i], how) for i in kept]
        measured, names = [recordings[i].score for i in kept], [recordings[i].subject for i in kept]
        lines.append(row("recordings", how, np.array(whole), np.array(measured), names))
    print("\n".join(lines))


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


def read(options: Options) -> list[Scored]:
    """The recordings of a table, each with its score."""
    if options.recordings is None or options.scores is None:
        raise InputError("--recordings", "and --scores are needed", "or give --simulate 8")
    try:
        lines = options.scores.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(options.scores, f"cannot be read ({error})") from None
    table = list(csv.DictReader(lines, delimiter=";" if ";" in (lines or [""])[0] else ","))
    if not table or not {"id", "score", "subject"} <= set(table[0]):
        raise InputError(options.scores, "needs columns id, score and subject", "write one row a recording")
    found = []
    for number, line in enumerate(table, 2):
        try:
            score = float(line["score"])
        except (TypeError, ValueError):
            score = math.nan
        if not 0 <= score <= 72:
            raise InputError(options.scores, f'line {number} has score "{line["score"]}"', "scores are 0 to 72 points")
        files = sorted(options.recordings.glob(f"{line['id']}.*"))
        if len(files) != 1:
            raise InputError(options.recordings, f"holds {len(files)} files named {line['id']}", "one is needed")
        recording = readers.read(files[0], fps=options.fps)
        times = np.arange(recording.frames) / recording.fps
        found.append(Scored(line["id"], line["subject"], score, limbs.track(recording), times))
    return found


def simulated(options: Options) -> list[Scored]:
    """Tracks of 50 s: the higher the score, the faster limbs move and, by and large, the less they move alike."""
    rng = np.random.default_rng(options.seed)
    times = np.arange(1500) / 30
    found = []
    for infant in range(options.simulate):
        for visit in range(3):
            score = float(np.clip(72 * (infant + 0.5) / options.simulate + rng.normal(0, 8), 0, 72))
            alike, pace = 0.3 * (1 - score / 72) + rng.uniform(0, 0.5), 0.2 + score / 72
            common = wander(rng, pace, times, (1, 3))
            track = np.sqrt(alike) * common + np.sqrt(1 - alike) * wander(rng, pace, times, (4, 3))
            found.append(Scored(f"sim{infant}-{visit}", f"sim{infant}", score, track, times))
    return found


def wander(rng: np.random.Generator, pace: float, times: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Slow irregular movement, a sum of waves of up to about `pace` hertz."""
    rate, phase = rng.uniform(0.05, pace, (20, *shape)), rng.uniform(0, 2 * np.pi, (20, *shape))
    return np.sin(2 * np.pi * rate * times[:, None, None, None] + phase).mean(axis=1)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options, description=__doc__))
    except (InputError, MissingExtraError) as problem:
        sys.exit(f"error: {problem}")
