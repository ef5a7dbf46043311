"""Published numbers of the infant study (Groos et al., Paper II), and its tables and figures beside ours."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float
from support import markdown

from infantjax import models
from infantjax.evaluation import plots
from infantjax.evaluation.agreement import icc
from infantjax.models.summary import kept_counts, summarize
from infantjax.pose import metrics
from infantjax.skeletons import IN_MOTION_19

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Distances = Float[np.ndarray, "image keypoint"]

HUMAN_SPREAD: dict[str, tuple[float, float]] = {
    "head_top": (0.0554, 0.1158),
    "nose": (0.0301, 0.0574),
    "right_ear": (0.0603, 0.1906),
    "left_ear": (0.0502, 0.1364),
    "upper_neck": (0.0527, 0.1212),
    "right_shoulder": (0.0531, 0.1106),
    "right_elbow": (0.0429, 0.0956),
    "right_wrist": (0.0386, 0.0851),
    "thorax": (0.0643, 0.1200),
    "left_shoulder": (0.0576, 0.1204),
    "left_elbow": (0.0418, 0.0959),
    "left_wrist": (0.0388, 0.0901),
    "pelvis": (0.0781, 0.1587),
    "right_hip": (0.0812, 0.1553),
    "right_knee": (0.0549, 0.1119),
    "right_ankle": (0.0417, 0.0902),
    "left_hip": (0.0828, 0.1603),
    "left_knee": (0.0489, 0.1049),
    "left_ankle": (0.0408, 0.0861),
}
"""Spread among ten annotators in head lengths: mean distance to their mean, 95th percentile (Paper II, table 2)."""

THRESHOLDS = metrics.THRESHOLDS["in-motion-19"]
MEASURES = (*(f"PCKh@{at}" for at in THRESHOLDS), "ME")
LABELS = {
    "openpose": "OpenPose",
    "cima-pose": "CIMA-Pose",
    "efficientpose-rt": "EfficientPose RT",
    "efficientpose-i": "EfficientPose I",
    "efficientpose-ii": "EfficientPose II",
    "efficientpose-iii": "EfficientPose III",
    "efficientpose-iv": "EfficientPose IV",
    "efficienthourglass-b4": "EfficientHourglass B4",
}
LIBRARY = "OpenPose library"
"""The official program, not fine-tuned: rows without a network of ours."""

TABLE_1 = {
    LIBRARY: ("96.99", "95.51", "90.90", "81.49", "49.66", "0.1432", "62.33"),
    "openpose": ("99.94", "99.61", "97.65", "90.40", "54.89", "0.1087", "35.21"),
    "cima-pose": ("99.98", "99.83", "98.74", "93.09", "59.69", "0.0988", "11.49"),
    "efficientpose-rt": ("99.96", "99.69", "98.15", "92.15", "58.71", "0.1022", "5.06"),
    "efficientpose-i": ("99.98", "99.83", "98.81", "93.68", "60.78", "0.0974", "7.05"),
    "efficientpose-ii": ("99.97", "99.84", "98.54", "92.41", "62.25", "0.0969", "19.38"),
    "efficientpose-iii": ("99.99", "99.94", "99.54", "97.57", "78.21", "0.0732", "41.92"),
    "efficientpose-iv": ("99.98", "99.93", "99.45", "96.77", "71.10", "0.0834", "96.48"),
    "efficienthourglass-b4": ("99.99", "99.95", "99.56", "97.67", "81.11", "0.0681", "47.01"),
}
"""PCKh in percent at `THRESHOLDS`, ME, milliseconds for an image; on 4024 test images of In-Motion Poses."""

TABLE_2 = {
    "openpose": "60.39 32.03 88.57 73.31 80.67 62.97 52.81 45.43 69.38 63.25 48.19 48.83 82.75 78.31 66.58 51.07 79.25 "
    "49.06 45.75",
    "cima-pose": "57.60 42.89 92.40 77.49 83.23 73.14 71.00 60.93 72.44 60.71 46.92 52.44 82.50 80.89 77.24 60.21 "
    "77.53 48.29 47.24",
    "efficientpose-iii": "81.59 74.48 94.41 88.54 88.77 85.71 81.71 80.14 77.31 88.07 82.50 79.08 86.43 87.30 86.63 "
    "75.47 88.07 88.22 75.70",
    "efficienthourglass-b4": "89.31 82.41 92.00 89.04 89.19 86.63 86.73 82.60 79.42 88.74 85.69 84.74 90.01 88.72 "
    "89.02 80.79 90.31 89.71 82.38",
}
"""PCKh@Human^0.95 of each keypoint, in the order of `HUMAN_SPREAD`."""
TABLE_2_MEANS = {
    "openpose": "62.03",
    "cima-pose": "66.58",
    "efficientpose-iii": "81.59 (its rows give 83.69)",
    "efficienthourglass-b4": "86.71",
}

TABLE_3 = {
    "openpose": ("0.00 [-0.03, 0.07]", "0.02 [-0.43, 0.46]"),
    "cima-pose": ("0.08 [-0.04, 0.32]", "0.45 [0.01, 0.75]"),
    "efficientpose-iii": ("0.47 [-0.03, 0.84]", "0.94 [0.85, 0.98]"),
    "efficienthourglass-b4": ("0.64 [-0.03, 0.91]", "0.96 [0.91, 0.99]"),
}
"""ICC(A,1) and ICC(C,1) of the mean error and the annotators' spread over keypoints."""

TABLE_5 = {
    "efficientpose-rt": ("99.80", "99.32", "92.93", "72.50", "27.88", "0.1717"),
    "efficientpose-i": ("99.94", "99.66", "97.22", "85.42", "38.38", "0.1311"),
    "efficientpose-ii": ("99.98", "99.78", "98.01", "89.85", "49.73", "0.1137"),
    "efficientpose-iii": ("99.99", "99.94", "99.47", "96.48", "67.01", "0.0884"),
}
"""As table 1, fine-tuned with batches of four."""

TABLE_6 = {
    LIBRARY: ("98.35", "97.02", "94.47", "90.75", "73.80", "0.1030"),
    "openpose": ("88.59", "79.59", "71.77", "62.27", "38.41", "0.3926"),
    "cima-pose": ("95.72", "88.99", "81.27", "71.83", "46.68", "0.2415"),
    "efficientpose-rt": ("94.98", "91.28", "86.91", "79.98", "53.83", "0.2135"),
    "efficientpose-i": ("93.13", "91.09", "88.16", "81.98", "56.19", "0.2772"),
    "efficientpose-ii": ("92.49", "90.41", "87.41", "80.57", "54.60", "0.3263"),
    "efficientpose-iii": ("83.79", "81.45", "79.60", "76.06", "58.56", "0.8559"),
    "efficientpose-iv": ("93.02", "91.15", "89.05", "86.14", "71.35", "0.2565"),
    "efficienthourglass-b4": ("99.81", "99.17", "97.52", "94.13", "75.86", "0.0845"),
}
"""On MINI-RGBD, twelve keypoints."""


class Spread(NamedTuple):
    """How far annotators differ, in head lengths, `[keypoint]` of in-motion-19.

    Attributes:
        mean: distance to the mean of all annotators.
        p95: 95th percentile of these distances.
        measured: of the annotators' files that were given, not the published numbers.
    """

    mean: np.ndarray
    p95: np.ndarray
    measured: bool


def published_spread() -> Spread:
    """The spread of ten annotators of 100 images, as published."""
    mean, p95 = np.array([HUMAN_SPREAD[joint] for joint in IN_MOTION_19.joints]).T
    return Spread(mean, p95, False)


def scores(distances: Distances) -> tuple[str, ...]:
    """`MEASURES` of the distances between found and annotated keypoints, printed as in the paper."""
    shares = (f"{100 * metrics.pck(distances, at).mean:.2f}" for at in THRESHOLDS)
    return (*shares, f"{metrics.mean_error(distances).mean:.4f}")


def table_1(found: Mapping[str, Distances], latency: Mapping[str, float]) -> str:
    """Accuracy, size and time of each network: a published row, and ours."""
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys((*TABLE_1, *found)):
        size, ours = ("-", "-"), ("-", "-")
        if name != LIBRARY:
            kept = kept_counts().get(name, {}).get("in-motion-19")
            count = summarize(models.get(name), skeleton="in-motion-19", counts=kept)
            ours = (f"{count.parameters}", f"{count.flops}")
            size = (str(count.published_parameters or "-"), count.published_flops or "-")
        if name in TABLE_1:
            *printed, time = TABLE_1[name]
            rows.append((f"{label(name)}, published", *printed, *size, time))
        if name in found:
            time = f"{latency[name]:.2f}" if name in latency else "-"
            rows.append((f"{label(name)}, ours", *scores(found[name]), *ours, time))
    return markdown("Table 1", ("network", *MEASURES, "parameters", "FLOPs", "ms/image"), rows)


def score_table(
    title: str, printed: Mapping[str, tuple[str, ...]], found: Mapping[str, Distances], others: Mapping[str, Distances]
) -> str:
    """Tables 5 and 6: published rows and ours, with the difference to the same network elsewhere.

    Args:
        title: of the table.
        printed: published rows.
        found: distances by network.
        others: distances that ours are compared with.
    """
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys((*printed, *found)):
        if name in printed:
            rows.append((f"{label(name)}, published", *printed[name]))
            rows.append(("difference to table 1", *_differences(printed[name], TABLE_1[name])))
        if name in found:
            ours = scores(found[name])
            rows.append((f"{label(name)}, ours", *ours))
            rows.append(("difference to ours in table 1", *_differences(ours, scores(others[name]))))
    return markdown(title, ("network", *MEASURES), rows)


def _differences(of: Sequence[str], others: Sequence[str]) -> list[str]:
    """Differences of `MEASURES`, with their decimals."""
    pairs = zip(of, others)
    return [f"{float(a) - float(b):+.{len(a.partition('.')[2])}f}" for a, b in pairs]


def table_2(found: Mapping[str, Distances], spread: Spread) -> str:
    """Share of each keypoint within the annotators' spread."""
    head = ["keypoint", "H", "H 95 %"] + (["H, given", "H 95 %, given"] if spread.measured else [])
    columns: list[Sequence[str]] = []
    for name in dict.fromkeys((*TABLE_2, *found)):
        if name in TABLE_2:
            head.append(f"{label(name)}, published")
            columns.append((*TABLE_2[name].split(), TABLE_2_MEANS[name]))
        if name in found:
            share = metrics.pck(np.where(np.isnan(spread.p95), np.nan, found[name]), spread.p95)
            head.append(f"{label(name)}, ours")
            columns.append([f"{100 * value:.2f}" for value in (*share.keypoints, share.mean)])
    spreads = [published_spread()] + ([spread] if spread.measured else [])
    of_people = [[f"{v:.4f}" for v in (*of, np.nanmean(of))] for each in spreads for of in (each.mean, each.p95)]
    rows = zip((*IN_MOTION_19.joints, "all"), *of_people, *columns)
    return markdown("Table 2: PCKh@Human^0.95", head, [tuple(row) for row in rows])


def table_3(found: Mapping[str, Distances], spread: Spread) -> str:
    """Agreement of the mean error with the annotators' spread over keypoints."""
    rows: list[Sequence[str]] = []
    for name in dict.fromkeys((*TABLE_3, *found)):
        if name in TABLE_3:
            rows.append((f"{label(name)}, published", *TABLE_3[name]))
        if name in found:
            both = np.stack([metrics.mean_error(found[name]).keypoints, spread.mean], axis=1)
            both = both[np.isfinite(both).all(axis=1)]
            given = (
                [f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in icc(both).itertuples()]
                if len(both) > 1
                else ["-", "-"]
            )
            rows.append((f"{label(name)}, ours", *given))
    return markdown("Table 3", ("network", "ICC(A,1)", "ICC(C,1)"), rows)


def figure_4(found: Mapping[str, Distances], spread: Spread) -> dict[str, "Figure"]:
    """Distances of each keypoint as box plots with the annotators' mean spread, one figure a network."""
    figures = {}
    for name, distances in found.items():
        figure, axes = plots.new_figure("distance, head lengths", "")
        values = [of_one[np.isfinite(of_one)] for of_one in distances.T]
        axes.boxplot(values, tick_labels=list(IN_MOTION_19.joints), showfliers=False, orientation="horizontal")
        axes.plot(spread.mean, np.arange(1, len(values) + 1), "kx", label="mean spread of annotators")
        axes.set_title(label(name))
        axes.invert_yaxis()
        axes.legend()
        figures[f"figure_4_{name}"] = figure
    return figures


def figure_5(curves: Mapping[str, Mapping[int, tuple[str, ...]]]) -> dict[str, "Figure"]:
    """ME, PCKh@0.5 and PCKh@0.1 over the number of training images, one line a network.

    Args:
        curves: `MEASURES` by number of images, by network; 0 images are the weights as they were.
    """
    figures = {}
    for place, name in ((5, "ME, head lengths"), (1, "PCKh@0.5, %"), (4, "PCKh@0.1, %")):
        figure, axes = plots.new_figure("training images (0: not fine-tuned)", name)
        for network, points in curves.items():
            axes.plot(list(points), [float(of[place]) for of in points.values()], "o-", label=label(network))
        axes.set_xscale("symlog", linthresh=50)
        axes.legend()
        figures[f"figure_5_{MEASURES[place].replace('@', '_')}"] = figure
    return figures


def label(name: str) -> str:
    """A network as the paper names it."""
    return LABELS.get(name, name)
