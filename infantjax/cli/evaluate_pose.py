"""`evaluate pose`: estimated keypoints against annotated ones."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from infantjax.cli import common
from infantjax.cli.evaluate import PlotOptions
from infantjax.errors import InputError, printable


@dataclass(frozen=True)
class EvaluatePose(common.Command):
    """Measure the error of estimated keypoints against annotated images.

    Example:
        infantjax evaluate pose found.csv annotations --unit head
    """

    keypoints: Positional[Path]
    """Keypoint file with one row an image."""
    annotations: Positional[Path]
    """Annotated images: a file, a folder, or a keypoint file."""
    unit: Literal["head", "mpii_head", "head_box", "nose_to_neck", "trunk"] = "head"
    """Body length that distances are divided by."""
    at: tuple[float, ...] = (0.5, 0.2, 0.1)
    """Distances, in units, up to which a keypoint counts as correct."""
    json: bool = False
    """Print JSON."""
    drawing: Annotated[PlotOptions, common.FLAT] = PlotOptions()

    def run(self) -> int:
        """Evaluate."""
        import json

        import numpy as np

        from infantjax import formats
        from infantjax.pose import metrics
        from infantjax.pose.annotations import read_annotations

        found = formats.read(self.keypoints, fps=1.0)
        annotations = read_annotations(self.annotations, found.skeleton, keep_empty=True)
        names, joints = annotations.names, found.skeleton.joints
        if len(names) != found.frames:
            what = f"has {found.frames} images, {self.annotations} has {len(names)}"
            raise InputError(self.keypoints, what, "give the keypoints of the annotated images")
        with common.checked("--unit", "choose another"):
            length = metrics.body_length(annotations.points, found.skeleton, self.unit, annotations.heads)
        distances = metrics.errors(found.keypoints[..., :2], annotations.points, length)
        if np.isnan(distances).all():
            raise InputError("--unit", f"is {self.unit}, whose points are annotated nowhere", "choose another")
        common.note(annotations.problems)
        self.drawing.draw(
            lambda plots: {"pck": plots.correct_keypoints(distances, joints, self.unit)},
            (self.keypoints, self.annotations),
        )
        shares = {f"PCK@{at:g}": metrics.pck(distances, at) for at in self.at} | {"ME": metrics.mean_error(distances)}
        if self.json:
            rows = {
                name: {"mean": share.mean}
                | {j: v for j, v in zip(joints, share.keypoints.tolist()) if math.isfinite(v)}
                for name, share in shares.items()
            }
            print(json.dumps({"images": len(names), "unit": self.unit, **rows}, indent=2))
            return 0
        print(f"{len(names)} images, unit: {metrics.UNITS[self.unit]}")
        print(f"{'':<18}" + "".join(f"{name:>10}" for name in shares))
        for row, joint in enumerate(joints):
            if not np.isnan(distances[:, row]).all():
                print(f"{printable(joint):<18}" + "".join(_cell(name, s.keypoints[row]) for name, s in shares.items()))
        print(f"{'mean':<18}" + "".join(_cell(name, s.mean) for name, s in shares.items()))
        return 0


def _finite(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Joint -> value, without joints that are annotated nowhere."""
    return {name: float(value) for name, value in zip(names, values) if math.isfinite(value)}


def _cell(name: str, value: float) -> str:
    """A share as a percentage, a mean error as a number."""
    return f"{value:>10.3f}" if name == "ME" else f"{100 * value:>10.1f}"
