"""Figures 3 to 5 of the workshop paper of the SMA CNN: errors of windows and of infants, and scores of recordings."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import plots
from infantjax.methods.sma_cnn import evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def window_errors(predicted: ArrayLike, measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
    """Absolute error of each window, one column per subject (figure 3; its style is our choice).

    Args:
        predicted: `[window]`, by the run that held its subject out.
        measured: `[window]`, of its recording.
        subjects: `[window]`.
    """
    means = evaluation.subject_errors(predicted, measured, subjects)[0]
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


def subject_errors(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
    """Mean error of the recordings of each subject, for every aggregation of windows (figure 4).

    Args:
        predicted: `[recording]` by aggregation.
        measured: `[recording]`.
        subjects: `[recording]`.
    """
    figure, axes = plots.new_figure("infant", "mean error of recordings, points")
    width = 0.8 / max(len(predicted), 1)
    for number, (name, values) in enumerate(predicted.items()):
        errors = evaluation.subject_errors(values, measured, subjects)[0]
        axes.bar(np.arange(len(errors)) + (number + 0.5) * width - 0.4, errors.to_numpy(), width, label=name)
        axes.set_xticks(np.arange(len(errors)), [str(subject) for subject in errors.index])
    axes.legend()
    return figure


def scores(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
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
