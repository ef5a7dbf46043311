"""`evaluate pose`: estimated keypoints against annotated ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from infantjax import formats
from infantjax.cli.evaluation.evaluate import PlotOptions
from infantjax.cli.options import common
from infantjax.errors import InputError, printable
from infantjax.evaluation.agreement import icc
from infantjax.pose import metrics
from infantjax.pose.annotations import Annotations, read_annotations, read_annotators
from infantjax.pose.metrics import Share
from infantjax.skeletons import Skeleton

if TYPE_CHECKING:
    import pandas as pd


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
        import numpy as np
        import pandas as pd

        found = formats.read(self.keypoints, fps=1.0)
        annotations = read_annotations(self.annotations, found.skeleton, row_per_image=True)
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
        correlations, limbs = pd.DataFrame(), pd.DataFrame()
        if self.annotators:
            shares, correlations = self._with_spread(shares, distances, annotations, found.skeleton)
        if self.unit == "pixel":
            errors = metrics.limb_errors(found.keypoints[:, None, :, :2], annotations.points[:, None], found.skeleton)
            # Other than those of `train depth`, which are of smaller frames.
            limbs = pd.DataFrame(errors.values(), [f"RMSD of {name}, image pixels" for name in errors])
        table = pd.DataFrame(
            {name: [*share.keypoints, share.mean] for name, share in shares.items()}, [*joints, "mean"]
        )
        if self.json:
            rows = pd.concat([table.T, correlations, limbs]).iterrows()
            known = {name: row.dropna().to_dict() for name, row in rows}
            print(json.dumps({"images": len(names), "unit": self.unit, **known}, indent=2))
            return 0
        print(f"{len(names)} images, unit: {metrics.UNITS[self.unit]}")
        percent = [name for name in table if name.startswith("PCK")]
        table[percent] = (100 * table[percent]).map("{:.1f}".format, na_action="ignore")
        for rows in (table, limbs, correlations):
            if len(rows):
                print(rows.dropna(how="all").rename(_words).to_string(float_format="{:.3f}".format))
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
    ) -> "tuple[dict[str, Share], pd.DataFrame]":
        """The shares with the spread among annotators, and how far the mean errors agree with it over keypoints.

        Raises:
            InputError: annotations of other images.
        """
        import numpy as np
        import pandas as pd

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
        return {**shares, "PCK@human": human, **added}, icc(both) if len(both) > 1 else pd.DataFrame()


def _words(name: str) -> str:
    """The name of a keypoint or limb for the terminal."""
    return printable(name.replace("_", " "))
