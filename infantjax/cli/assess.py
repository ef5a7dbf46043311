"""Assessing recordings and videos: `demo` and `assess`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.errors import InputError, one_line

if TYPE_CHECKING:
    from infantjax.methods.base import Finder
    from infantjax.report.table import Row


@dataclass(frozen=True)
class Demo:
    """Assess a bundled recording with the bundled ensemble, and say where the report is.

    Both are simulated: the risk means nothing for an infant.

    Example:
        infantjax demo -o demo
    """

    output: common.Output = Path("infantjax-demo")
    """Folder for the report."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Assess the bundled recording."""
        from infantjax.weights import bundled

        recording = bundled.recording_path()
        common.say(f"assessing the bundled simulated recording {recording.name}", self.quiet)
        status = Assess((str(recording),), self.output, overwrite=True, quiet=self.quiet).run()
        print(f"report: {(self.output / recording.stem).with_suffix('.html').resolve()}")
        return status


@dataclass(frozen=True)
class Assess:
    """What a system finds in keypoint recordings or videos: one JSON and one page each, one summary over all.

    The graph networks (groos) find a risk with its certainty; a reading of MAM where fidgety movements are and how
    frequent; Baby Moves a calibrated risk and the clips it attends to; the SMA CNN a motor score.

    Example:
        infantjax assess clinic/*.csv --fps 30 -o results
        infantjax assess clinic/*.csv --system sma --ensemble scores -o results
    """

    inputs: Positional[tuple[str, ...]]
    """Keypoint files or videos, folders of them, or glob patterns."""
    output: common.Output
    """Folder for the results."""
    ensemble: Path | None = None
    """Ensemble folder (from crossval or train); the bundled demonstration ensemble if not given."""
    system: common.SystemName | None = None
    """Published system that the ensemble must belong to; that of the ensemble if not given."""
    metadata: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of id and what a network reads beside keypoints (age, cohort, ...), or what a report should show."""
    fps: float | None = None
    """Frames per second of the recordings, where the files do not say."""
    format: str | None = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    skeleton: str | None = None
    """Keypoint set of the files; found from the joint names if not given."""
    individual: str | None = None
    """Which individual, in files that hold several."""
    threshold: float | None = None
    """Decision threshold of a risk, 0..1; the ensemble's own if not given."""
    threshold_file: Path | None = None
    """Text file that holds the threshold and nothing else."""
    certainty: Literal["fraction", "quartile"] = "fraction"
    """For groos: certainty rule of the paper, or of the released program."""
    strict: bool = False
    """Refuse recordings whose points had to be approximated from others."""
    exact_contributions: bool = False
    """For groos: contributions through the spatial pooling layer, which the released program ignores."""
    contributions_of: Literal["all", "first_model"] = "all"
    """For groos: instances that explain: all, as in the paper, or those of the first network, as released."""
    pose_weights: Path | None = None
    """Weights of a pose network, for videos: a released file of EfficientPose or EfficientHourglass."""
    overwrite: bool = False
    """Replace results of other inputs or settings."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Assess every recording."""
        from infantjax.progress import Progress
        from infantjax.recording.cohort import read_metadata
        from infantjax.report import batch

        common.require_known(self.format, self.skeleton)
        table = read_metadata(self.metadata) if self.metadata else {}
        common.prepare_process()
        assessor = self._assessor()
        tracker = None
        if self.pose_weights is not None:
            from infantjax.pose import Tracker, load_pose_network

            tracker = Tracker(load_pose_network(self.pose_weights))
        paths = batch.find_recordings(self.inputs, videos=tracker is not None)
        reading = batch.Reading(self.fps, self.format, self.skeleton, self.individual, tracker, table)
        # One recording is one step: there is nothing to tell between its beginning and its result.
        with Progress(len(paths), "assessing", quiet=self.quiet or len(paths) == 1) as progress:

            def report(done: int, row: "Row") -> None:
                progress.update(done, row.file)

            rows = batch.assess_files(paths, self.output, assessor, reading, overwrite=self.overwrite, report=report)
        failed = [row for row in rows if row.assessment is None]
        if len(failed) == len(rows) == 1:
            raise InputError(*rows[0].message.partition(": ")[::2])
        for row in rows:
            print(_line(row))
        if statement := assessor.ensemble.info.get("statement"):
            common.say(f"note: {statement}")
        if failed:
            common.say(f"{len(failed)} of {len(rows)} recordings failed; see {self.output / 'summary.csv'}")
        return 1 if failed else 0

    def _assessor(self) -> "Finder":
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
        common.require_fps(self.fps)
        if self.ensemble is None and self.system not in (None, systems.DEFAULT):
            what = f"is {self.system}, of which no weights come with infantjax"
            raise InputError("--system", what, "train an ensemble by crossval and name it by --ensemble")
        ensemble = load_ensemble(self.ensemble) if self.ensemble else bundled.ensemble()
        options = {"rule": self.certainty, "exact": self.exact_contributions, "contributions_of": self.contributions_of}
        if systems.name_of(ensemble) != systems.DEFAULT:
            given = {"rule": "--certainty", "exact": "--exact-contributions", "contributions_of": "--contributions-of"}
            defaults = {"rule": "fraction", "exact": False, "contributions_of": "all"}
            if foreign := [given[name] for name, value in options.items() if value != defaults[name]]:
                raise InputError(
                    foreign[0], f"is for groos, the ensemble is of {systems.name_of(ensemble)}", "leave it out"
                )
            options = {}
        with common.checked():
            return systems.assessor(ensemble, self.system, threshold=threshold, strict=self.strict, **options)


def _line(row: "Row") -> str:
    """A row of the summary for the terminal."""
    from infantjax.report.table import in_words

    if row.assessment is None:
        return f"{one_line(row.file)}  error: {row.message}"
    line = f"{one_line(row.file)}  {in_words(row.assessment)}"
    return f"{line}  ({row.message})" if row.message else line


def _threshold_from(path: Path) -> float:
    try:
        return float(path.read_text("utf-8").strip())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except ValueError:
        raise InputError(path, "does not hold one number", "write the threshold, for example 0.35") from None
