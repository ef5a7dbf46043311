"""SMA CNN: a motor score from the tracks of hands and feet; tables 2 and 3 and figures 3 to 5 of the workshop paper.

    infantjax crossval FOLDER --method sma-cnn -o ensemble
    python experiments/sma_cnn.py FOLDER ensemble --plots FOLDER

Errors of the windows and recordings of each infant by the run of `infantjax crossval` that left it out, averaged over
infants and over all samples; as baselines linear regression and LASSO on the correlations between limbs, and the mean
of the training scores. A cohort is a folder of keypoint files with `outcomes.csv`: id (the file's name without suffix),
score (0..72) and group (the infant).

The published errors are of 70 recordings of 15 infants, which are not public. The published network has 36 million
parameters and trains 1000 steps of 400 windows per infant, on an accelerator.
"""

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import tyro
from method_runs import MethodRuns, exit_status, read_record, train_runs
from numpy.typing import ArrayLike

from infantjax.evaluation import plots
from infantjax.formats.cohort import read_cohort
from infantjax.methods.sma_cnn.evaluation import Aggregation, aggregate, subject_errors
from infantjax.methods.sma_cnn.method import SmaCnn
from infantjax.training.splits import Split

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
        cohort: folder of keypoint files with `outcomes.csv`.
        ensemble: folder that `infantjax crossval --method sma-cnn` wrote from it.
        fps: of files without a frame rate, hertz.
        plots: folder for figures 3 to 5.
    """

    cohort: tyro.conf.Positional[Path]
    ensemble: tyro.conf.Positional[Path]
    fps: float | None = None
    plots: Path | None = None


def main(options: Options) -> None:
    """Evaluate and print."""
    method = SmaCnn.from_settings(read_record(options.ensemble, SmaCnn.name)["settings"])
    cohort = read_cohort(options.cohort, fps=options.fps, score_range=method.score_range)
    runs = train_runs(method, cohort, options.ensemble)
    cohort, prepared, splits, _ = runs.inputs
    recording = np.repeat(np.arange(len(cohort)), [len(windows) for windows in prepared])
    measured, infants = np.array(cohort.outcomes), list(cohort.groups or cohort.names)
    scores, subjects = measured[recording], [infants[row] for row in recording]
    predictions = window_predictions(runs, recording)
    windows = np.concatenate(prepared)

    lines = [f"{len(windows)} windows of {len(cohort)} recordings of {len(set(infants))} infants; mean absolute errors"]
    lines.append(f"{'':<12}{'method':<20}{'per infant':>11}{'overall':>9}{'published':>18}")
    for name, values in {"sma-cnn": predictions, **baselines(windows, scores, recording, splits)}.items():
        lines.append(row("windows", name, values, scores, subjects))
    aggregated = {
        how: np.array([aggregate(predictions[recording == i], how) for i in range(len(cohort))])
        for how in get_args(Aggregation)
    }
    lines += [row("recordings", how, values, measured, infants) for how, values in aggregated.items()]
    print("\n".join(lines))
    if options.plots is not None:
        figures = {
            "window_errors": window_errors(predictions, scores, subjects),
            "subject_errors": bars(aggregated, measured, infants),
            "scores": dots(aggregated, measured, infants),
        }
        plots.save(figures, options.plots)


def window_predictions(runs: MethodRuns, recording: np.ndarray) -> np.ndarray:
    """Score of each window by the run that held its infant out."""
    predictions = np.full(len(recording), np.nan)
    for split, found in zip(runs.inputs.splits, runs.result.outputs):
        rows = np.isin(recording, split.validation)
        predictions[rows] = found[: rows.sum()]
    return predictions


def row(of: str, name: str, predictions: np.ndarray, scores: np.ndarray, subjects: list[str]) -> str:
    """Both mean errors and the published ones."""
    of_infants, overall = subject_errors(predictions, scores, subjects)
    published = "{:.2f} {:.2f}".format(*PUBLISHED[of, name]) if (of, name) in PUBLISHED else "-"
    return f"{of:<12}{name:<20}{of_infants.mean():>11.2f}{overall:>9.2f}{published:>18}"


def baselines(
    windows: np.ndarray, scores: np.ndarray, recording: np.ndarray, splits: tuple[Split, ...]
) -> dict[str, np.ndarray]:
    """Predictions of each window by methods that were fitted without its infant.

    The penalty of LASSO is the second of its path, the largest with a model that is not empty: the rule is published,
    the path is that of scikit-learn.
    """
    from sklearn.linear_model import Lasso, LinearRegression, lasso_path

    features = correlation_features(windows)
    found = {name: np.zeros(len(windows)) for name in ("linear regression", "LASSO", "mean of training")}
    for split in splits:
        train, held = np.isin(recording, split.train), np.isin(recording, split.validation)
        x, y = features[train], scores[train]
        alphas, _, _ = lasso_path(x - x.mean(axis=0), y - y.mean(), eps=1e-4)
        for name, model in (("linear regression", LinearRegression()), ("LASSO", Lasso(alpha=alphas[1]))):
            found[name][held] = model.fit(x, y).predict(features[held])
        found["mean of training"][held] = y.mean()
    return found


def correlation_features(windows: np.ndarray) -> np.ndarray:
    """Mean correlation of the pairs of limbs along each axis `[window, 3]`, which the paper compares with.

    A limb that stands correlates with none: 0.
    """
    tracks = np.asarray(windows, np.float64).reshape(len(windows), -1, 3, windows.shape[2])
    centered = tracks - tracks.mean(axis=-1, keepdims=True)
    size = np.linalg.norm(centered, axis=-1, keepdims=True)
    unit = np.divide(centered, size, out=np.zeros_like(centered), where=size > 1e-9)
    first, second = np.triu_indices(tracks.shape[1], 1)
    return np.einsum("wpat,wpat->wap", unit[:, first], unit[:, second]).mean(axis=-1)


def window_errors(predicted: ArrayLike, measured: ArrayLike, subjects: Sequence[Hashable]) -> Any:
    """Absolute error of each window, one column per subject (figure 3; its style is our choice).

    Args:
        predicted: `[window]`, by the run that held its subject out.
        measured: `[window]`, of its recording.
        subjects: `[window]`.
    """
    means = subject_errors(predicted, measured, subjects)[0]
    figure, axes = plots.new_figure("infant", "error of a window, points")
    position = np.empty(len(subjects))
    for number, subject in enumerate(means.index):
        rows = [row for row, other in enumerate(subjects) if other == subject]
        position[rows] = number + np.linspace(-0.35, 0.35, len(rows))
    errors = np.abs(np.asarray(predicted) - np.asarray(measured))
    axes.plot(position, errors, ".", markersize=3, color="0.5", label="window")
    axes.plot(np.arange(len(means)), means.to_numpy(), "_", markersize=14, color="C3", label="mean of an infant")
    axes.set_xticks(np.arange(len(means)), [str(subject) for subject in means.index])
    axes.legend()
    return figure


def bars(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> Any:
    """Mean error of the recordings of each subject, for every aggregation of windows (figure 4).

    Args:
        predicted: `[recording]` by aggregation.
        measured: `[recording]`.
        subjects: `[recording]`.
    """
    figure, axes = plots.new_figure("infant", "mean error of recordings, points")
    width = 0.8 / max(len(predicted), 1)
    for number, (name, values) in enumerate(predicted.items()):
        errors = subject_errors(values, measured, subjects)[0]
        axes.bar(np.arange(len(errors)) + (number + 0.5) * width - 0.4, errors.to_numpy(), width, label=name)
        axes.set_xticks(np.arange(len(errors)), [str(subject) for subject in errors.index])
    axes.legend()
    return figure


def dots(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> Any:
    """Score of each recording for every aggregation of windows, and the measured one; sorted by subject (figure 5).

    Args:
        predicted: `[recording]` by aggregation.
        measured: `[recording]`.
        subjects: `[recording]`.
    """
    figure, axes = plots.new_figure("recording, by infant", "score, points")
    names = list(dict.fromkeys(subjects))
    order = sorted(range(len(subjects)), key=lambda row: names.index(subjects[row]))
    for name, values in predicted.items():
        axes.plot(np.arange(len(order)), np.asarray(values)[order], ".", label=name)
    axes.plot(np.arange(len(order)), np.asarray(measured)[order], "k_", markersize=8, label="measured")
    for border in np.flatnonzero([subjects[a] != subjects[b] for a, b in pairwise(order)]):
        axes.axvline(border + 0.5, color="0.85", linewidth=1)
    axes.legend()
    return figure


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
