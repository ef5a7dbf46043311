"""Makes the images of the documentation: `python docs/make_images.py [NAME...]`, all of them by default.

Plots are drawn from simulated infants and from `benchmarks/results/`. The image of a report needs a Chromium.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19, segments

FOLDER = Path(__file__).parent / "images"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLUE, RED, GRAY, GREEN = "#3f51b5", "#c62828", "#78909c", "#2e7d32"


def skeleton() -> None:
    """The 19 keypoints with their names."""
    points = simulate(3, InfantConfig(duration=4)).keypoints[30]
    figure, axes = plt.subplots(figsize=(5, 5))
    _body(axes, points, BLUE)
    for (x, y), joint in zip(points, IN_MOTION_19.joints):
        axes.annotate(joint, (x, y), (5, 3), textcoords="offset points", fontsize=7, color="#455a64")
    _save(figure, "skeleton")


def recording() -> None:
    """One coordinate of a wrist: as read with a gap, and standardized."""
    from infantjax.recording.preprocessing import REFERENCE, standardize

    infant = simulate(5, InfantConfig(duration=12))
    prepared = standardize(infant, REFERENCE)
    wrist = IN_MOTION_19.index("left_wrist")
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 3.6), sharex=True)
    for axes, shown, label in ((above, infant, "as read, pixels"), (below, prepared, "standardized")):
        time = np.arange(shown.frames) / shown.fps
        for axis, color, name in ((0, BLUE, "x"), (1, RED, "y")):
            values = shown.keypoints[:, wrist, axis]
            axes.plot(time, values - (np.nanmean(values) if axes is above else 0), color=color, lw=1, label=name)
        axes.set_ylabel(label)
    above.legend(loc="upper right", ncols=2, fontsize=8)
    below.set_xlabel("left wrist over time, seconds")
    _save(figure, "recording")


def quality() -> None:
    """A measure of the tracking over time, and the seconds that are not usable."""
    from infantjax.recording.quality import measure_quality

    infant = simulate(5, InfantConfig(duration=30, dropout_rate=0))
    points = infant.keypoints.copy()
    points[[150, 152, 480, 484, 488], IN_MOTION_19.index("left_wrist")] += 90
    points[600:660] = points[600]
    found = measure_quality(replace(infant, keypoints=points))
    jumps = next(measure for measure in found.measures if measure.name == "jumps")
    figure, axes = plt.subplots(figsize=(8, 2.2))
    axes.step(range(len(found.usable)), jumps.values, where="post", color=BLUE, label="largest jump, trunk lengths")
    axes.axhline(jumps.limit, color=GRAY, linestyle="--", label="limit")
    for second in np.flatnonzero(~found.usable):
        axes.axvspan(second, second + 1, color=RED, alpha=0.2, linewidth=0)
    axes.set(xlabel="seconds; red ones are not usable", xlim=(0, 30))
    axes.legend(fontsize=8, frameon=False)
    _save(figure, "quality")


def simulation() -> None:
    """Speed of a wrist of one infant with and without fidgety movements."""
    figure, axes = plt.subplots(figsize=(7, 2.8))
    wrist = IN_MOTION_19.index("right_wrist")
    for share, color, label in ((0.8, GREEN, "with fidgety movements"), (0.0, RED, "without")):
        infant = simulate(2, InfantConfig(duration=10, fidgety=share))
        speed = np.linalg.norm(np.diff(infant.keypoints[:, wrist], axis=0), axis=-1) * infant.fps
        axes.plot(np.arange(len(speed)) / infant.fps, speed, color=color, lw=1, label=label)
    axes.set(xlabel="seconds", ylabel="speed of a wrist, pixels/s")
    axes.legend(fontsize=8)
    _save(figure, "simulation")


def rendering() -> None:
    """Four rendered infants, the last with its exact keypoints."""
    from PIL import Image

    from infantjax.simulation import RenderConfig, draw_infant, render
    from infantjax.video import draw_skeleton

    film = RenderConfig(fill=1.0, noise=0, out_of_view=0)
    clips = [render((4, n), draw_infant(4, n, 0, InfantConfig(duration=2)), film) for n in (0, 1, 2, 3)]
    frames = [clip.frame(30) for clip in clips]
    frames[-1] = draw_skeleton(frames[-1], clips[-1].keypoints[30], IN_MOTION_19)
    Image.fromarray(np.concatenate(frames, axis=1)).quantize(128).save(FOLDER / "rendering.png", optimize=True)


def windows() -> None:
    """The risk of each window of the bundled recording, with the quartiles of the bundled ensemble."""
    record = _demo_record()
    series = record["time_series"]["windows"]
    start = np.array([w["start"] for w in series]) + 2.5
    low, middle, high = (np.array([w[name] for w in series]) for name in ("q1", "median", "q3"))
    figure, axes = plt.subplots(figsize=(7, 2.8))
    axes.fill_between(start, low, high, color=BLUE, alpha=0.2, label="middle half of the networks")
    axes.plot(start, middle, color=BLUE, label="median of the networks")
    axes.axhline(record["threshold"], color=GRAY, ls="--", lw=1, label="threshold")
    axes.set(xlabel="seconds", ylabel="risk", ylim=(0, 1))
    axes.legend(fontsize=8)
    _save(figure, "windows")


def evaluation() -> None:
    """ROC, reliability and decision curve of made-up risks."""
    rng = np.random.default_rng(1)
    outcomes = (rng.random(150) < 0.3).astype(int)
    logit = 1.8 * outcomes - 1.6 + rng.normal(size=150)
    risks = 1 / (1 + np.exp(-logit))
    thresholds = np.linspace(0, 1, 101)
    positive = risks[None] >= thresholds[:, None]
    true, false = positive[:, outcomes == 1].mean(1), positive[:, outcomes == 0].mean(1)
    figure, (roc, reliability, decision) = plt.subplots(1, 3, figsize=(9, 2.9))
    roc.plot(false, true, color=BLUE)
    roc.plot([0, 1], [0, 1], color=GRAY, ls="--", lw=1)
    roc.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")
    bins = np.clip((risks * 5).astype(int), 0, 4)
    points = [(risks[bins == k].mean(), outcomes[bins == k].mean()) for k in range(5) if (bins == k).any()]
    reliability.plot(*zip(*points), "o-", color=BLUE)
    reliability.plot([0, 1], [0, 1], color=GRAY, ls="--", lw=1)
    reliability.set(xlabel="risk", ylabel="observed fraction", title="Reliability")
    prevalence, t = outcomes.mean(), np.clip(thresholds, 0, 0.9)
    decision.plot(t, prevalence * true - (1 - prevalence) * false * t / (1 - t), color=BLUE, label="method")
    decision.plot(t, prevalence - (1 - prevalence) * t / (1 - t), color=GRAY, lw=1, label="treat all")
    decision.set(xlabel="threshold", ylabel="net benefit", ylim=(-0.05, 0.35), title="Decision curve")
    decision.legend(fontsize=8)
    _save(figure, "evaluation")


def explanation() -> None:
    """Contributions of the joints of the bundled recording, on a pose."""
    shares = _demo_record()["contributions"]
    points = simulate(3, InfantConfig(duration=4)).keypoints[30]
    values = np.array([shares.get(joint, 0.0) for joint in IN_MOTION_19.joints])
    figure, axes = plt.subplots(figsize=(4.6, 4.4))
    _body(axes, points, GRAY)
    dots = axes.scatter(*points.T, c=values, s=40 + 200 * values, cmap="RdYlGn_r", vmin=0, vmax=1, zorder=3)
    figure.colorbar(dots, label="contribution", shrink=0.7)
    _save(figure, "explanation")


def heatmap() -> None:
    """The target map of one keypoint, on an infant, at two stages of a training."""
    points = simulate(3, InfantConfig(duration=4)).keypoints[30]
    low, high = points.min(0) - 40, points.max(0) + 40
    y, x = np.mgrid[low[1] : high[1] : 200j, low[0] : high[0] : 200j]
    figure, panels = plt.subplots(1, 2, figsize=(7, 3.4))
    wrist = points[IN_MOTION_19.index("left_wrist")]
    for axes, sigma, title in zip(panels, (40, 12), ("first epochs", "last epochs")):
        target = np.exp(-((x - wrist[0]) ** 2 + (y - wrist[1]) ** 2) / (2 * sigma**2))
        axes.imshow(target, extent=(low[0], high[0], high[1], low[1]), cmap="magma")
        _body(axes, points, "white")
        axes.set_title(f"left wrist, {title}", fontsize=9)
    _save(figure, "heatmap")


def search() -> None:
    """The best AUC over the trials of K-Best and of random search on made-up AUCs."""
    from infantjax.search.kbest import KBest, RandomSearch, run
    from infantjax.search.space import SearchSpace

    space = SearchSpace({f"choice_{k}": (0, 1, 2, 3) for k in range(20)})
    worth = np.random.default_rng(3).normal(scale=0.02, size=(20, 4))

    def auc(candidate: tuple) -> float:
        return float(np.clip(0.86 + worth[np.arange(20), list(candidate)].sum() * 0.6, 0.5, 0.99))

    figure, axes = plt.subplots(figsize=(6, 2.9))
    for rule, color, label in ((KBest(), BLUE, "K-Best"), (RandomSearch(), GRAY, "random")):
        curves = np.full((20, 70), np.nan)
        for seed, curve in enumerate(curves):
            best = np.maximum.accumulate([trial.value for trial in run(rule, space, auc, seed, 70)])
            curve[:] = best[-1]
            curve[: len(best)] = best
        axes.plot(np.arange(1, 71), curves.mean(0), color=color, label=label)
        axes.fill_between(np.arange(1, 71), *np.quantile(curves, (0.25, 0.75), axis=0), color=color, alpha=0.2)
    axes.set(xlabel="trials", ylabel="best AUC so far (made-up)")
    axes.legend(fontsize=8)
    _save(figure, "search")


def crossval() -> None:
    """Seven folds: which part each run trains on."""
    figure, axes = plt.subplots(figsize=(6.5, 2.6))
    for run in range(7):
        for part in range(7):
            held_out = part == run
            axes.barh(6 - run, 0.94, left=part, color=RED if held_out else BLUE, alpha=0.9 if held_out else 0.35)
    axes.set(xticks=np.arange(7) + 0.47, xticklabels=[f"fold {k}" for k in range(1, 8)], yticks=range(7))
    axes.set_yticklabels([f"run {7 - k}" for k in range(7)])
    axes.set_title("blue: training, red: validation; all runs are one compiled program", fontsize=9)
    _bare(axes)
    _save(figure, "crossval")


def stack() -> None:
    """Runs of a training over the devices of a machine."""
    figure, axes = plt.subplots(figsize=(6.5, 2.2))
    for run in range(8):
        color = GRAY if run == 7 else BLUE
        axes.barh(run // 2, 0.9, left=run % 2, color=color, alpha=0.5)
        axes.text(
            run % 2 + 0.45, run // 2, "padding" if run == 7 else f"run {run + 1}", ha="center", va="center", fontsize=8
        )
    axes.set(yticks=range(4), yticklabels=[f"device {k}" for k in range(4)], xticks=[])
    axes.invert_yaxis()
    _bare(axes)
    _save(figure, "stack")


def flow() -> None:
    """The steps from a video to a report, with their commands."""
    steps = [("video", ""), ("keypoints", "pose"), ("recording", "convert"), ("method", "crossval\ntrain, search")]
    steps += [("assessment", "assess"), ("report", "assess")]
    figure, axes = plt.subplots(figsize=(9, 1.7))
    for place, (name, command) in enumerate(steps):
        axes.text(place, 0.35, name, ha="center", va="center", fontsize=11, bbox=_box("white", BLUE))
        axes.text(place, -0.35, command, ha="center", va="center", fontsize=9, color=RED, family="monospace")
        if place:
            axes.annotate(
                "", (place - 0.42, 0.35), (place - 0.58, 0.35), arrowprops={"arrowstyle": "->", "color": GRAY}
            )
    axes.set(xlim=(-0.5, len(steps) - 0.5), ylim=(-0.8, 0.8))
    axes.axis("off")
    _save(figure, "flow")


def methods() -> None:
    """What the methods read and what they give."""
    rows = [
        ("ensemble-gcn", "19 points, windows of 5 s", "graph networks", "risk"),
        ("cp-gcn-29", "29 points, windows of 7.5 s", "graph network", "risk"),
        ("baby-moves", "18 points, 547 clips", "convolutions, attention", "calibrated risk"),
        ("mam", "17 points, clips of 10 s", "Transformer", "fidgety movements, risk"),
        ("sma-cnn", "4 limbs, windows of 30 s", "convolutions", "motor score"),
    ]
    figure, axes = plt.subplots(figsize=(8.5, 2.6))
    for row, cells in enumerate(rows):
        for column, (left, cell) in enumerate(zip((0, 1.1, 2.9, 4.5), cells)):
            font = {"family": "monospace", "color": RED} if column == 0 else {}
            axes.text(left, -row, cell, va="center", fontsize=10, bbox=_box("#eef1fb", "none"), **font)
    axes.set(xlim=(-0.1, 6.2), ylim=(-4.6, 0.6))
    axes.axis("off")
    _save(figure, "methods")


def speed() -> None:
    """Speed of the ensembles against PyTorch, from the kept results of the benchmark."""
    result = json.loads((RESULTS / "ensemble_inference.json").read_text("utf-8"))
    kept = [row for row in result["rows"] if row.get("peer", "eager") == "eager"]
    rows = [row for row in kept if row["model"].startswith("kbest")]
    figure, axes = plt.subplots(figsize=(7, 2.8))
    names = [row["model"].removeprefix("kbest-gcn-") for row in rows]
    place = np.arange(len(rows))
    axes.bar(place - 0.2, [row["peer_median_s"] for row in rows], 0.4, color=GRAY, label="PyTorch, eager")
    axes.bar(place + 0.2, [row["ours_median_s"] for row in rows], 0.4, color=BLUE, label="infantjax")
    axes.set(xticks=place, xticklabels=names, xlabel="kbest-gcn-", ylabel="seconds")
    axes.set_title("7 networks of each architecture, a recording of 3 minutes, 2 CPU cores", fontsize=9)
    axes.legend(fontsize=8)
    _save(figure, "speed")


def report() -> None:
    """The upper part of the page of the bundled recording, beside a pose; taken by a Chromium."""
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None:
        sys.exit("report: needs a Chromium on the path")
    with tempfile.TemporaryDirectory() as folder:
        _demo(Path(folder))
        page, shot = Path(folder) / "demo_infant.html", Path(folder) / "shot.png"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,1600"]
        command = [browser, *options, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        from PIL import Image

        image = Image.open(shot).convert("RGB")
        image.thumbnail((800, 1280))
        image.quantize(128, method=Image.Quantize.MAXCOVERAGE).save(FOLDER / "report.png", optimize=True)


def _demo(folder: Path) -> None:
    from infantjax.cli import run

    assert run(["demo", "-o", str(folder), "--quiet"]) == 0


def _demo_record() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        _demo(Path(folder))
        return json.loads((Path(folder) / "demo_infant.json").read_text("utf-8"))


def _body(axes: Axes, points: np.ndarray, color: str) -> None:
    for first, second in segments(IN_MOTION_19):
        axes.plot(*points[[first, second]].T, color=color, lw=2)
    axes.scatter(*points.T, color=color, s=14, zorder=2)
    axes.set_aspect("equal")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.axis("off")


def _bare(axes: Axes) -> None:
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)


def _box(face: str, edge: str) -> dict:
    return {"boxstyle": "round,pad=0.4", "fc": face, "ec": edge}


def _save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


IMAGES: tuple[Callable[[], None], ...] = (
    *(skeleton, recording, quality, simulation, rendering, windows, evaluation, explanation, heatmap),
    *(search, crossval, stack, flow, methods, speed, report),
)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for image in IMAGES:
        if len(sys.argv) == 1 or image.__name__ in sys.argv[1:]:
            image()
            print(image.__name__)
