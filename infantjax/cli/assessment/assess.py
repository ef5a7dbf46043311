"""`assess`: recordings and videos with a trained ensemble."""

import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from infantjax import places
from infantjax.assessment import batch
from infantjax.assessment.assessor import Assessor
from infantjax.assessment.gate import APPROXIMATED, QualityOptions
from infantjax.cli.assessment.live import LiveOptions, Report, stopped_by_signals
from infantjax.cli.options import common
from infantjax.cli.options.methods import MethodName
from infantjax.cli.options.video import RESULTS, VideoOptions
from infantjax.clinic.live.assessor import LiveAssessor
from infantjax.clinic.live.frames import LiveSource
from infantjax.clinic.visits import describe
from infantjax.errors import InputError, one_line, printable
from infantjax.evaluation.risk_calibration import RiskOptions
from infantjax.formats.outcomes import read_metadata
from infantjax.methods import registry
from infantjax.pose.estimation.writing import beside_report
from infantjax.progress import LOGGER, Progress
from infantjax.report.film import FilmOptions
from infantjax.report.table import Row
from infantjax.skeletons import SKELETONS
from infantjax.weights import bundled
from infantjax.weights.ensemble import load_ensemble

_OF_METHODS = {name: name for name in ("contributions_of", "explain", "scale", "score_name")}
_OF_METHODS |= {"certainty": "rule", "exact_contributions": "exact", "lift": "lifter"}
"""Options that only some methods have -> what their assessors call them."""


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
            common.require_known("--skeleton", self.skeleton, SKELETONS)


@dataclass(frozen=True)
class Assess(common.Command):
    """Assess keypoint files or videos: a page and a JSON file for each, a summary over all.

    The method of the ensemble decides what a result is: a risk of CP, fidgety movements over time, or a motor score.

    Example:
        infantjax assess clip.mp4
        infantjax assess clinic/*.csv --fps 30 -o results
        infantjax assess --live /dev/video0 --seconds 300
        infantjax assess clinic/*.csv --method sma-cnn --ensemble scores -o results
    """

    inputs: Positional[tuple[str, ...]] = ()
    """Keypoint files or videos, folders of them, or glob patterns."""
    output: common.Output = RESULTS
    """Folder for the results."""
    ensemble: Path | None = None
    """Folder that crossval or train wrote; the bundled demonstration ensemble if not given."""
    method: MethodName | None = None
    """Method that the ensemble must be of; not checked if not given."""
    metadata: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table with a column id: what a network reads beside keypoints (age, ...) and what reports should show."""
    threshold: float | None = None
    """Decision threshold of a risk, 0..1; the ensemble's own if not given."""
    certainty: Literal["fraction", "quartile"] = "fraction"
    """Graph networks: rule of the certainty, of the paper or of the reference implementation."""
    strict: bool = False
    """Refuse recordings with points that have to be approximated from others."""
    exact_contributions: bool = False
    """Graph networks: follow contributions through spatial pooling, which the reference implementation ignores."""
    explain: Literal["class-activation", "grad-cam++", "saliency"] = "class-activation"
    """Graph networks: method of the contributions of the joints; `baby-moves` has saliency."""
    contributions_of: Literal["all", "first_model"] = "all"
    """Graph networks: contributions of all (paper), or of the first architecture (reference implementation)."""
    scale: tuple[float, float] | None = None
    """`sma-cnn`: lowest and highest score that the ensemble must have; not checked if not given."""
    score_name: str | None = None
    """`sma-cnn`: what the score is of, in reports; the ensemble's own if not given."""
    lift: Annotated[Path | None, arg(metavar="FILE")] = None
    """`mam` in 3D: weights of VideoPose3D, which lift keypoints in 2D; see `infantjax lift`."""
    overwrite: bool = False
    """Replace results of other inputs or settings."""
    cluster: common.Cluster = None
    """Assess on a Ray cluster that shares the folders, a recording on each device: its address, or auto."""
    gate: Annotated[QualityOptions, common.FLAT] = QualityOptions()
    meaning: Annotated[RiskOptions, common.FLAT] = RiskOptions()
    files: Annotated[ReadOptions, common.FLAT] = ReadOptions()
    film: Annotated[FilmOptions, common.FLAT] = FilmOptions()
    video: Annotated[VideoOptions, common.FLAT] = VideoOptions()
    camera: Annotated[LiveOptions, common.FLAT] = LiveOptions()

    def run(self) -> int:
        """Assess every recording."""
        self.files.check()
        wanted = self.cluster if self.camera.live is None else None  # before JAX starts its threads
        engine = common.join_cluster(wanted, self.output) if wanted is not None else None
        common.prepare_process()
        excluded = {"INPUT": self.inputs != (), "--cluster": self.cluster is not None}
        source = self.camera.open(self.files.fps, self.video, excluded)
        paths = batch.find_recordings(self.inputs) if source is None else [source.path]
        assessor, options = self._prepared(paths, source)
        count, cluster = len(paths), None
        if engine is not None:
            videos = tuple(filter(batch.needs_tracker, paths))[:1]
            cluster = engine, partial(_prepared, replace(self, inputs=(), cluster=None), videos)
        with stopped_by_signals(source), Progress(count, "assessing", quiet=self.quiet or count == 1) as progress:

            def report(done: int, row: "Row") -> None:
                progress.update(done, row.file)
                places.publish_progress(self.output, pause=60)

            also_read = (self.metadata, self.ensemble, self.video.weights, self.lift)
            rows = batch.assess_files(
                paths,
                self.output,
                assessor,
                options,
                quality=self.gate,
                overwrite=self.overwrite,
                read_only=[path for path in also_read if path is not None],
                cluster=cluster,
                film=self.film,
                describe_visits=describe,
                report=report,
            )
        failed = [row for row in rows if row.status == "error"]
        if len(failed) == len(rows) == 1:
            raise InputError(*rows[0].message.partition(": ")[::2])
        approximated = Counter(part for row in rows for part in row.message.split("; ") if APPROXIMATED in part)
        repeated = {part: count for part, count in approximated.items() if count > 1}
        for row in rows:
            message = "; ".join(part for part in row.message.split("; ") if part not in repeated)
            print(one_line(row.file) + printable(f"  {replace(row, message=message)}"))
        common.note((f"{count} of {len(rows)} recordings: {part}" for part, count in repeated.items()), always=True)
        common.note_noise(row.noise for row in rows)
        meanings = Counter(row.calibration for row in rows if row.calibration)
        of = {meaning: f"{count} of {len(rows)} recordings: " for meaning, count in meanings.items()}
        common.note((meaning if len(of) == 1 else of[meaning] + meaning for meaning in of), always=True)
        if statement := bundled.statement_of(assessor.ensemble):
            common.note([statement], always=True)
        if failed:
            LOGGER.warning("%d of %d recordings failed; see %s", len(failed), len(rows), self.output / "summary.csv")
        if refused := [row for row in rows if row.status == "not assessable"]:
            LOGGER.warning(
                "%d of %d recordings are not assessable; --repair undoes exchanged sides and single jumps, "
                "--force computes a value all the same",
                len(refused),
                len(rows),
            )
        if len(failed) == len(rows):
            return 2
        return 1 if failed or refused else 0

    def _prepared(
        self, paths: Sequence[Path], source: "LiveSource | None" = None
    ) -> "tuple[Assessor, batch.ReadOptions]":
        """The assessor, and how the inputs become recordings."""
        table = read_metadata(self.metadata) if self.metadata else {}
        assessor = self._assessor().with_risk_options(self.meaning)
        tracker: Any = None
        if source is not None:
            from infantjax.clinic.live.keypoints import live_beside_report

            live, report, config = (
                LiveAssessor(assessor, self.gate),
                Report(source, quiet=self.quiet),
                self.video.config(),
            )
            # A batch is waited for: one frame a device.
            network = self.video.tracker(replace(config, batch_size=config.batch_size or 1), quiet=self.quiet)
            tracker = live_beside_report(network, live, report, self.video.keypoints, overwrite=self.overwrite)
        elif any(map(batch.needs_tracker, paths)):
            network, quiet = self.video.tracker(self.video.config(), quiet=self.quiet), self.quiet or len(paths) > 1
            shown = {"overlay": self.video.overlay, "hide_heads": self.film.hide_heads}
            tracker = beside_report(network, self.video.keypoints, **shown, quiet=quiet)
        return assessor, batch.ReadOptions(**vars(self.files), tracker=tracker, source=source, metadata=table)

    def _assessor(self) -> "Assessor":
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InputError("--threshold", f"is {self.threshold}, must be within 0..1")
        if self.ensemble is None and self.method not in (None, registry.DEFAULT):
            what = f"is {self.method}, of which no weights come with infantjax"
            raise InputError("--method", what, "train an ensemble by crossval and name it by --ensemble")
        ensemble = load_ensemble(self.ensemble) if self.ensemble else bundled.ensemble()
        options = self._options_for(registry.name_of(ensemble))
        if self.lift is not None:
            from infantjax.pose.lifting import Lifter

            options["lifter"] = Lifter.load(self.lift)
        with common.checked():
            return registry.assessor(ensemble, self.method, threshold=self.threshold, strict=self.strict, **options)

    def _options_for(self, method: str) -> dict[str, Any]:
        """The options that only some methods have, those that are not at their defaults.

        Raises:
            InputError: the method does not have one of them.
        """
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _OF_METHODS}
        given = {name: value for name, value in given.items() if value != getattr(type(self), name)}
        known = inspect.signature(registry.get(method).assessor).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
        for name in given:
            if _OF_METHODS[name] not in known and not takes_any:
                raise InputError(f"--{name.replace('_', '-')}", f"is no option of {method}", "leave it out")
        return {_OF_METHODS[name]: value for name, value in given.items()}


@cache
def _prepared(command: Assess, videos: tuple[Path, ...]) -> "tuple[Assessor, batch.ReadOptions]":
    """Assessor and options of a process of a cluster.

    Args:
        command: with its options.
        videos: one of the inputs that need a pose network, if any does.
    """
    return command._prepared(videos)
