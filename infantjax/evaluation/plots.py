"""Plots of an evaluation, by Matplotlib: ROC, reliability, decision curve, Bland-Altman, correct keypoints.

Each function draws one figure; `save` writes figures. The same values give the same bytes. Every function raises
`MissingExtraError` where Matplotlib is not installed, and `ValueError` as the computation that it draws.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.errors import MissingExtraError
from infantjax.evaluation import calibration, decision, discrimination
from infantjax.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "png"]

Risks = Mapping[str, ArrayLike]
"""Risks of the same infants, `[infant]` each, by name of the method."""


def risk_plots(risks: Risks, labels: ArrayLike) -> "dict[str, Figure]":
    """All plots of risks by name: `roc` (of two classes only), `reliability`, `decision_curve`.

    Args:
        risks: by method.
        labels: `[infant]`, 0 or 1.
    """
    drawn = {"reliability": reliability(risks, labels), "decision_curve": decision_curve(risks, labels)}
    return {"roc": roc(risks, labels), **drawn} if len(np.unique(np.asarray(labels))) == 2 else drawn


def roc(risks: Risks, labels: ArrayLike) -> "Figure":
    """ROC curves of one or more methods; arguments as `risk_plots`."""
    figure, axes = new_figure("1 - specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in risks.items():
        sensitivity, specificity, _ = discrimination.roc_curve(values, labels)
        area = discrimination.auc(values, labels)
        axes.plot(1 - specificity, sensitivity, label=f"{name}, AUC {area:.3f}")
    axes.set_aspect("equal")
    axes.legend(loc="lower right")
    return figure


def reliability(risks: Risks, labels: ArrayLike, bins: int = 10) -> "Figure":
    """Observed shares over mean risks of bins of equal width, with Clopper-Pearson intervals, and the risks below.

    Args:
        risks: by method.
        labels: `[infant]`, 0 or 1.
        bins: number of bins.
    """
    figure, axes = new_figure("", "")
    axes.remove()
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, values in risks.items():
        found = calibration.reliability(values, labels, bins)
        reach = np.abs(found[["low", "high"]].sub(found["observed"], axis=0)).T
        upper.errorbar(found["risk"], found["observed"], reach, marker="o", capsize=2, label=name)
    lower.hist([np.asarray(values) for values in risks.values()], np.linspace(0, 1, bins + 1))
    upper.set(ylabel="observed share", ylim=(-0.02, 1.02), xlim=(0, 1))
    lower.set(xlabel="risk", ylabel="infants")
    upper.legend()
    return figure


def decision_curve(risks: Risks, labels: ArrayLike) -> "Figure":
    """Net benefit of calibrated risks over the threshold, beside treating all and none; as `risk_plots`."""
    figure, axes = new_figure("risk from which one acts", "net benefit per infant")
    curves = {name: decision.decision_curve(values, labels) for name, values in risks.items()}
    first = next(iter(curves.values()))
    axes.plot(first["treat_all"], color="0.5", linewidth=1, label="treat all")
    for name, curve in curves.items():
        axes.plot(curve["method"], label=name)
    axes.axhline(0, color="0.7", linewidth=1, label="treat none")
    # The net benefit of treating all falls without limit; values far below 0 say nothing more.
    top = max(float(np.mean(np.asarray(labels))), 0.05)
    axes.set(xlim=(0, 1), ylim=(-0.3 * top, 1.1 * top))
    axes.legend()
    return figure


def bland_altman(predicted: ArrayLike, measured: ArrayLike, metrics: "pd.DataFrame") -> "Figure":
    """Predicted less measured scores over the mean of both, with bias and limits of agreement and their intervals.

    Args:
        predicted: `[recording]`.
        measured: `[recording]`.
        metrics: of both, by `score.evaluate`.
    """
    predicted, measured = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    figure, axes = new_figure("mean of predicted and measured score", "predicted - measured score")
    for name, style in (("bias", "-"), ("limit_low", "--"), ("limit_high", "--")):
        value, low, high = metrics.loc[name]
        axes.axhline(value, color="C0", linestyle=style, linewidth=1)
        axes.axhspan(low, high, color="C0", alpha=0.15, linewidth=0)
    axes.plot((predicted + measured) / 2, predicted - measured, "o", color="0.3", markersize=4)
    return figure


def correct_keypoints(
    errors: Float[np.ndarray, "image keypoint"], joints: Sequence[str], unit: str, largest: float = 1.0
) -> "Figure":
    """The share of correct keypoints over the threshold, one line per keypoint and one for their mean.

    Args:
        errors: `pose.metrics.errors`; NaN where not annotated, infinite where not found.
        joints: names of the keypoints; those without annotations are left out.
        unit: of the distances, for the axis.
        largest: threshold.

    Raises:
        ValueError: no keypoint is annotated.
    """
    annotated = ~np.isnan(errors)
    shown = np.flatnonzero(annotated.any(axis=0))
    if not len(shown):
        raise ValueError("no keypoint is annotated")
    thresholds = np.linspace(0, largest, 201)
    correct = (errors[None] <= thresholds[:, None, None]).sum(axis=1)[:, shown] / annotated.sum(axis=0)[shown]
    figure, axes = new_figure(f"distance, {unit}", "share of correct keypoints")
    for number, (row, joint) in enumerate(zip(correct.T, np.asarray(joints)[shown])):
        axes.plot(thresholds, row, linewidth=1, linestyle=("-", "--", ":")[number // 10 % 3], label=joint)
    axes.plot(thresholds, correct.mean(axis=1), color="black", linewidth=2, label="mean")
    figure.legend(loc="outside right upper", fontsize="small")
    return figure


def save(figures: "Mapping[str, Figure]", folder: str | Path, format: Format = "svg") -> list[Path]:
    """Write figures to a folder, each whole or not at all; the folder is made, files of the same names are replaced.

    Args:
        figures: by name.
        folder: of the files.
        format: of the files, and their suffix.

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
        # By default Matplotlib writes the time and random names into the file.
        with rc_context({"svg.hashsalt": "infantjax"}):
            figure.savefig(stream, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
        paths.append(folder / f"{name}.{format}")
        write_atomically(paths[-1], stream.getvalue())
    return paths


def new_figure(xlabel: str, ylabel: str) -> "tuple[Figure, Axes]":
    """An empty figure with one pair of axes."""
    try:
        # The class and not pyplot: no global state, no window, no backend.
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "analysis") from None
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes
