"""Pictures of an evaluation, by Matplotlib: ROC, reliability, decision curve, correct keypoints, errors of scores.

Each function draws one figure; `save` writes it. The same figures give the same bytes.
"""

import io
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.errors import MissingExtraError
from infantjax.evaluation import calibration, decision, discrimination, regression
from infantjax.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "png"]

Risks = Mapping[str, ArrayLike]
"""Risks of the same infants, `[infant]` each, by name of the method."""


def risk_figures(risks: Risks, labels: ArrayLike) -> "dict[str, Figure]":
    """Every picture that these risks give, by name: `roc` (of two classes only), `reliability`, `decision_curve`.

    Args:
        risks: by method.
        labels: `[infant]`, 0 or 1.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: as the functions below.
    """
    drawn = {"reliability": reliability(risks, labels), "decision_curve": decision_curve(risks, labels)}
    return {"roc": roc(risks, labels), **drawn} if len(np.unique(np.asarray(labels))) == 2 else drawn


def roc(risks: Risks, labels: ArrayLike) -> "Figure":
    """ROC curves.

    Args:
        risks: by method.
        labels: `[infant]`, 0 or 1.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: one class only, or risks as `discrimination.roc_curve` refuses them.
    """
    figure, axes = blank("1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in risks.items():
        curve = discrimination.roc_curve(values, labels)
        axes.plot(
            1 - curve.specificity, curve.sensitivity, label=f"{name}, AUC {discrimination.auc(values, labels):.3f}"
        )
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return figure


def reliability(risks: Risks, labels: ArrayLike, bins: int = 10) -> "Figure":
    """Observed shares over mean risks of bins of equal width, with Clopper-Pearson intervals, and the risks below.

    Args:
        risks: by method.
        labels: `[infant]`, 0 or 1.
        bins: number of bins.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: risks as `calibration.reliability` refuses them.
    """
    figure = _figure()
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in risks.items():
        found = calibration.reliability(values, labels, bins)
        reach = np.abs(np.stack([found.low, found.high]) - found.observed)
        upper.errorbar(found.risk, found.observed, reach, marker="o", capsize=2, label=name)
    lower.hist([np.asarray(values) for values in risks.values()], np.linspace(0, 1, bins + 1))
    upper.set(ylabel="observed share", ylim=(-0.02, 1.02), xlim=(0, 1))
    lower.set(xlabel="risk", ylabel="infants")
    upper.legend()
    return figure


def decision_curve(risks: Risks, labels: ArrayLike) -> "Figure":
    """Net benefit over the risk from which one would act; nobody acted on has 0.

    Args:
        risks: by method, calibrated.
        labels: `[infant]`, 0 or 1.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: risks as `decision.decision_curve` refuses them.
    """
    figure, axes = blank("risk from which one acts", "net benefit per infant")
    prevalence = float(np.mean(np.asarray(labels)))
    for number, (name, values) in enumerate(risks.items()):
        curve = decision.decision_curve(values, labels)
        if not number:
            axes.plot(curve.thresholds, curve.everybody, color="0.5", linewidth=1, label="everybody")
        axes.plot(curve.thresholds, curve.method, label=name)
    axes.axhline(0, color="0.7", linewidth=1, label="nobody")
    # Acting on everybody falls without end: what lies far below nobody is of no use.
    top = max(prevalence, 0.05)
    axes.set(xlim=(0, 1), ylim=(-0.3 * top, 1.1 * top))
    axes.legend()
    return figure


def correct_keypoints(
    errors: Float[np.ndarray, "picture keypoint"], joints: Sequence[str], unit: str, largest: float = 1.0
) -> "Figure":
    """The share of correct keypoints over the threshold, a line a keypoint and one for their mean.

    Args:
        errors: `pose.metrics.errors`; NaN where not annotated, infinite where not found.
        joints: names of the keypoints; those annotated nowhere are left out.
        unit: what a distance of 1 is, for the axis.
        largest: threshold.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: no keypoint is annotated.
    """
    annotated = ~np.isnan(errors)
    shown = np.flatnonzero(annotated.any(axis=0))
    if not len(shown):
        raise ValueError("no keypoint is annotated")
    thresholds = np.linspace(0, largest, 201)
    correct = (errors[None] <= thresholds[:, None, None]).sum(axis=1)[:, shown] / annotated.sum(axis=0)[shown]
    figure, axes = blank(f"distance, {unit}", "share of correct keypoints")
    for number, (row, joint) in enumerate(zip(correct.T, np.asarray(joints)[shown])):
        axes.plot(thresholds, row, linewidth=1, linestyle=("-", "--", ":")[number // 10 % 3], label=joint)
    axes.plot(thresholds, correct.mean(axis=1), color="black", linewidth=2, label="mean")
    figure.legend(loc="outside right upper", fontsize="small")
    return figure


def window_errors(predicted: ArrayLike, measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
    """How far the score of each window lies from the measured one, subject by subject.

    Args:
        predicted: `[window]`, by the run that held its subject out.
        measured: `[window]`, of its recording.
        subjects: `[window]`.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: as `regression.subject_errors`.

    Source: the workshop paper of the SMA CNN, figure 3; its look is chosen.
    """
    means = regression.subject_errors(predicted, measured, subjects).subjects
    figure, axes = blank("infant", "error of a window, points")
    place = np.empty(len(subjects))
    for number, subject in enumerate(means):
        rows = [row for row, other in enumerate(subjects) if other == subject]
        # In an infant's column windows follow one another.
        place[rows] = number + np.linspace(-0.35, 0.35, len(rows))
    errors = np.abs(np.asarray(predicted) - np.asarray(measured))
    axes.plot(place, errors, ".", markersize=3, color="0.5", label="window")
    axes.plot(np.arange(len(means)), list(means.values()), "_", markersize=14, color="C3", label="mean of an infant")
    axes.set_xticks(np.arange(len(means)), [str(subject) for subject in means])
    axes.legend()
    return figure


def subject_errors(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
    """The mean error of each subject's recordings, for every way to one score.

    Args:
        predicted: `[recording]` by each way.
        measured: `[recording]`.
        subjects: `[recording]`.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: as `regression.subject_errors`.

    Source: the workshop paper of the SMA CNN, figure 4.
    """
    figure, axes = blank("infant", "mean error of recordings, points")
    width = 0.8 / max(len(predicted), 1)
    for number, (name, values) in enumerate(predicted.items()):
        errors = regression.subject_errors(values, measured, subjects).subjects
        axes.bar(np.arange(len(errors)) + (number + 0.5) * width - 0.4, list(errors.values()), width, label=name)
        axes.set_xticks(np.arange(len(errors)), [str(subject) for subject in errors])
    axes.legend()
    return figure


def scores(predicted: Mapping[str, ArrayLike], measured: ArrayLike, subjects: Sequence[Hashable]) -> "Figure":
    """The score of each recording by every way to one, beside the measured one; recordings of a subject side by side.

    Args:
        predicted: `[recording]` by each way.
        measured: `[recording]`.
        subjects: `[recording]`.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: as `regression.subject_errors`.

    Source: the workshop paper of the SMA CNN, figure 5.
    """
    figure, axes = blank("recording, by infant", "score, points")
    names = list(dict.fromkeys(subjects))
    order = sorted(range(len(subjects)), key=lambda row: names.index(subjects[row]))
    for name, values in predicted.items():
        regression.subject_errors(values, measured, subjects)
        axes.plot(np.arange(len(order)), np.asarray(values)[order], ".", label=name)
    axes.plot(np.arange(len(order)), np.asarray(measured)[order], "k_", markersize=8, label="measured")
    for at in np.flatnonzero([subjects[a] != subjects[b] for a, b in pairwise(order)]):
        axes.axvline(at + 0.5, color="0.85", linewidth=1)
    axes.legend()
    return figure


def save(figures: "Mapping[str, Figure]", folder: str | Path, format: Format = "svg") -> list[Path]:
    """Write figures to a folder, each whole or not at all; it is made if missing, files of the same names are replaced.

    Args:
        figures: by name.
        folder: where to.
        format: of the files, and their ending.

    Returns:
        The files.

    Raises:
        OSError: the folder cannot be made or written.
    """
    from matplotlib import rc_context

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        stream = io.BytesIO()
        # Matplotlib would write the hour and random names into the file.
        with rc_context({"svg.hashsalt": "infantjax"}):
            figure.savefig(stream, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
        paths.append(folder / f"{name}.{format}")
        write_atomically(paths[-1], stream.getvalue())
    return paths


def _figure() -> "Figure":
    try:
        # The class and not pyplot: nothing global, no window, no backend to choose.
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "analysis") from None
    return Figure(figsize=(6, 5), layout="constrained")


def blank(xlabel: str, ylabel: str) -> "tuple[Figure, Axes]":
    """An empty figure with one pair of axes.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure = _figure()
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes
