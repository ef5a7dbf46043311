"""`assess`: recordings and videos with a trained ensemble."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.cli.methods import MethodName
from infantjax.errors import InputError, one_line
from infantjax.progress import LOGGER

if TYPE_CHECKING:
    from infantjax.assessment.assessor import Assessor
    from infantjax.report.table import Row


@dataclass(frozen=True)
class ReadOptions(common.FileOptions):
    """How keypoint files are read."""

    skeleton: Annotated[str | None, arg(metavar="NAME")] = None
    """Keypoint set of the files; found from the joint names if not given."""
    individual: Annotated[str | None, arg(metavar="NAME")] = None
    """Which individual, in files that hold several."""

    def check(self) -> None:
        """As for all files; and the keypoint set must be known.

        Raises:
            InputError: a frame rate out of range, an unknown format or keypoint set.
        """
        super().check()
        if self.skeleton is not None:
            from infantjax.skeletons import SKELETONS

            common.require_known("--skeleton", self.skeleton, SKELETONS)


@dataclass(frozen=True)
class Assess(common.Command):
    """Assess keypoint recordings or videos: one JSON and one HTML page each, one summary over all.

    What an assessment holds depends on the method of the ensemble: a risk with its certainty (ensemble-gcn), fidgety
    movements over time (mam), a calibrated risk (baby-moves), or a motor score (sma-cnn).

    Example:
        infantjax assess clinic/*.csv --fps 30 -o results
        infantjax assess clinic/*.csv --ensemble scores -o results
    """

    inputs: Positional[tuple[str, ...]]
    """Keypoint files or videos, folders of them, or glob patterns."""
    output: common.Output
    """Folder for the results."""
    ensemble: Path | None = None
    """Ensemble folder (from crossval or train); the bundled demonstration ensemble if not given."""
    method: MethodName | None = None
    """Method that the ensemble must belong to; that of the ensemble if not given."""
    metadata: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of id and what a network reads beside keypoints (age, cohort, ...), or what a report should show."""
    threshold: float | None = None
    """Decision threshold of a risk, 0..1; the ensemble's own if not given."""
    threshold_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """Text file that holds the threshold and nothing else."""
    certainty: Literal["fraction", "quartile"] = "fraction"
    """For ensemble-gcn: certainty rule of the paper, or of the reference implementation."""
    strict: bool = False
    """Refuse recordings whose points had to be approximated from others."""
    exact_contributions: bool = False
    """For ensemble-gcn: contributions through the spatial pooling layer, which the reference implementation ignores."""
    contributions_of: Literal["all", "first_model"] = "all"
    """For ensemble-gcn: networks that explain: all, as in the paper, or those of the first architecture, as in the
    reference implementation."""
    pose_weights: Path | None = None
    """Weights of EfficientPose or EfficientHourglass, for videos: a published file or a folder."""
    overwrite: bool = False
    """Replace results of other inputs or settings."""
    files: Annotated[ReadOptions, common.FLAT] = ReadOptions()

    def run(self) -> int:
        """Assess every recording."""
        from infantjax.assessment import batch
        from infantjax.formats.outcomes import read_metadata
        from infantjax.progress import Progress

        self.files.check()
        table = read_metadata(self.metadata) if self.metadata else {}
        common.prepare_process()
        assessor = self._assessor()
        tracker = None
        if self.pose_weights is not None:
            from infantjax.pose import Tracker, load_pose_network

            tracker = Tracker(load_pose_network(self.pose_weights))
        paths = batch.find_recordings(self.inputs, videos=tracker is not None)
        files = self.files
        options = batch.ReadOptions(files.fps, files.format, files.skeleton, files.individual, tracker, table)
        with Progress(len(paths), "assessing", quiet=self.quiet or len(paths) == 1) as progress:

            def report(done: int, row: "Row") -> None:
                progress.update(done, row.file)

            rows = batch.assess_files(paths, self.output, assessor, options, overwrite=self.overwrite, report=report)
        failed = [row for row in rows if row.status == "error"]
        if len(failed) == len(rows) == 1:
            raise InputError(*rows[0].message.partition(": ")[::2])
        for row in rows:
            print(f"{one_line(row.file)}  {row}")
        if statement := assessor.ensemble.info.get("statement"):
            common.note([statement], always=True)
        if failed:
            LOGGER.warning("%d of %d recordings failed; see %s", len(failed), len(rows), self.output / "summary.csv")
        return 1 if failed else 0

    def _assessor(self) -> "Assessor":
        from infantjax.methods import registry as systems
        from infantjax.weights import bundled
        from infantjax.weights.ensemble import load_ensemble

        threshold = self.threshold
        if self.threshold_file is not None:
            if threshold is not None:
                raise InputError("--threshold", "is given twice, also by --threshold-file", "give one of them")
            threshold = _threshold_from(self.threshold_file)
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError("--threshold", f"is {threshold}, must be within 0..1")
        if self.ensemble is None and self.method not in (None, systems.DEFAULT):
            what = f"is {self.method}, of which no weights come with infantjax"
            raise InputError("--method", what, "train an ensemble by crossval and name it by --ensemble")
        ensemble = load_ensemble(self.ensemble) if self.ensemble else bundled.ensemble()
        options = {"rule": self.certainty, "exact": self.exact_contributions, "contributions_of": self.contributions_of}
        if systems.name_of(ensemble) != systems.DEFAULT:
            given = {"rule": "--certainty", "exact": "--exact-contributions", "contributions_of": "--contributions-of"}
            defaults = {"rule": "fraction", "exact": False, "contributions_of": "all"}
            if foreign := [given[name] for name, value in options.items() if value != defaults[name]]:
                raise InputError(
                    foreign[0],
                    f"is for ensemble-gcn, the ensemble belongs to {systems.name_of(ensemble)}",
                    "leave it out",
                )
            options = {}
        with common.checked():
            return systems.assessor(ensemble, self.method, threshold=threshold, strict=self.strict, **options)


def _threshold_from(path: Path) -> float:
    try:
        return float(path.read_text("utf-8").strip())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except ValueError:
        raise InputError(path, "does not hold one number", "write the threshold, for example 0.35") from None
