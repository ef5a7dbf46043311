"""`evaluate pose`: estimated keypoints against annotated ones."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli.evaluation.evaluate import PlotOptions
from infantjax.cli.options import common
from infantjax.errors import InputError, printable

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from infantjax.pose.annotations import Annotations
    from infantjax.pose.metrics import Share
    from infantjax.skeletons import Skeleton


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
    annotators: Annotated[tuple[Path, ...], arg(metavar="FILE ...")] = ()
    """Annotations of the same images by others: also measure how far annotators differ, and PCK within their spread."""
    unit: Literal["head", "mpii_head", "head_box", "nose_to_neck", "trunk", "pixel"] = "head"
    """Body length that distances are divided by."""
    at: tuple[float, ...] = (0.5, 0.2, 0.1)
    """Distances, in units, up to which a keypoint counts as correct."""
    errors: Annotated[Path | None, arg(metavar="FILE")] = None
    """File (.npz) for the error over time, for `--tracker-errors`; both files must be keypoints of one video."""
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
        if self.errors is not None:
            self._write_errors(self.errors)
        self.drawing.draw(
            lambda plots: {"pck": plots.correct_keypoints(distances, joints, self.unit)},
            (self.keypoints, self.annotations),
        )
        shares = {f"PCK@{at:g}": metrics.pck(distances, at) for at in self.at} | {"ME": metrics.mean_error(distances)}
        correlations: pd.DataFrame | None = None
        if self.annotators:
            shares, correlations = self._with_spread(shares, distances, annotations, found.skeleton)
        limbs = {}
        if self.unit == "pixel":
            limbs = metrics.limb_errors(found.keypoints[:, None, :, :2], annotations.points[:, None], found.skeleton)
        if self.json:
            rows = {
                name: {"mean": share.mean}
                | {j: v for j, v in zip(joints, share.keypoints.tolist()) if math.isfinite(v)}
                for name, share in shares.items()
            }
            if correlations is not None:
                rows |= {
                    str(name): _finite(correlations, row)
                    for name, row in zip(correlations.index, correlations.to_numpy())
                }
            rows |= {f"RMSD of {name}": _finite(error._fields, error) for name, error in limbs.items()}
            print(json.dumps({"images": len(names), "unit": self.unit, **rows}, indent=2))
            return 0
        print(f"{len(names)} images, unit: {metrics.UNITS[self.unit]}")
        print(f"{'':<18}" + "".join(f"{name:>10}" for name in shares))
        for row, joint in enumerate(joints):
            if not np.isnan(distances[:, row]).all():
                print(f"{printable(joint):<18}" + "".join(_cell(name, s.keypoints[row]) for name, s in shares.items()))
        print(f"{'mean':<18}" + "".join(_cell(name, s.mean) for name, s in shares.items()))
        for name, error in limbs.items():
            print(f"RMSD of {name.replace('_', ' ')}: median {error.median:.2f} (interquartile range {error.iqr:.2f})")
        if correlations is not None:
            for name, value, low, high in correlations.itertuples():
                print(f"{name} of ME and spread: {value:.2f} ({low:.2f} to {high:.2f})")
        return 0

    def _write_errors(self, path: Path) -> None:
        """Write the error over time; found and true keypoints are read again, with their frame rates."""
        from infantjax import formats
        from infantjax.files import refuse_inputs
        from infantjax.recording.tracker_error import measure_error

        refuse_inputs([path], (self.keypoints, self.annotations))
        if path.suffix != ".npz":
            raise InputError(path, "has an ending that names no format to write", "use .npz")
        with common.checked("--errors", "give keypoint files of one video"), common.written(path):
            formats.write(measure_error(formats.read(self.keypoints), formats.read(self.annotations)), path)
        common.say(f"errors: {path}")

    def _with_spread(
        self, shares: "dict[str, Share]", distances: "np.ndarray", first: "Annotations", skeleton: "Skeleton"
    ) -> "tuple[dict[str, Share], pd.DataFrame | None]":
        """The shares with the spread among annotators, and how far the mean errors agree with it over keypoints.

        Raises:
            InputError: annotations of other images.
        """
        import numpy as np

        from infantjax.evaluation.agreement import icc
        from infantjax.pose import metrics
        from infantjax.pose.annotations import read_annotators

        annotated = read_annotators(first, self.annotators)
        with common.checked("--unit", "choose another"):
            length = metrics.body_length(metrics.mean_position(annotated), skeleton, self.unit, first.heads)
        spread = metrics.annotator_spread(annotated, length)
        human = metrics.pck(np.where(np.isnan(spread.p95), np.nan, distances), spread.p95)
        of = {"spread": spread.mean, "spread95": spread.p95, "rmsd": spread.rmsd, "SD": spread.deviation}
        added = {
            name: metrics.Share(v, float(v[np.isfinite(v)].mean())) for name, v in of.items() if np.isfinite(v).any()
        }
        both = np.stack([shares["ME"].keypoints, spread.mean], axis=1)
        both = both[np.isfinite(both).all(axis=1)]
        return {**shares, "PCK@human": human, **added}, icc(both) if len(both) > 1 else None


def _finite(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    """Name -> value, without those that are not defined."""
    return {name: float(value) for name, value in zip(names, values) if math.isfinite(value)}


def _cell(name: str, value: float) -> str:
    """A share as a percentage, a distance as a number."""
    return f"{100 * value:>10.1f}" if name.startswith("PCK") else f"{value:>10.3f}"
