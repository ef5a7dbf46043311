"""The commands: each a frozen dataclass whose fields are its options and whose `run` is a few lines over the library.

Exit status: 0 done; 1 some recordings of a batch failed, the rest were done; 2 bad input or options, one line on
standard error; 130 interrupted. Results go to standard output, everything else to standard error.
"""

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, Positional, UseAppendAction, arg, subcommand

from infantjax import __version__
from infantjax.errors import InputError, MissingExtraError, one_line

if TYPE_CHECKING:
    from infantjax.motion.cohort import Cohort
    from infantjax.report.table import Row
    from infantjax.scores import Scores
    from infantjax.systems import Finder, System
    from infantjax.weights import Ensemble

SystemName = Literal["groos", "mam", "baby-moves", "sma"]
Output = Annotated[Path, arg(aliases=["-o"], metavar="DIR")]


def _say(text: str, quiet: bool = False) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def _prepare_process(distributed: str | None = None) -> None:
    """What a command that computes sets for its process; a library must not, so importing infantjax does not."""
    from infantjax import runtime

    runtime.keep_freed_memory()
    runtime.use_compilation_cache()
    if distributed is not None:
        from infantjax.training import processes

        processes.join(distributed)


@dataclass(frozen=True)
class Demo:
    """Assess a bundled recording with the bundled ensemble, and say where the report is.

    Both are simulated: the risk means nothing for an infant.

    Example:
        infantjax demo -o demo
    """

    output: Output = Path("infantjax-demo")
    """Folder for the report."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Assess the bundled recording."""
        from infantjax.weights import bundled

        recording = bundled.recording_path()
        _say(f"assessing the bundled simulated recording {recording.name}", self.quiet)
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
    output: Output
    """Folder for the results."""
    ensemble: Path | None = None
    """Ensemble folder (from crossval or train); the bundled demonstration ensemble if not given."""
    system: SystemName | None = None
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
        from infantjax import batch
        from infantjax.motion.cohort import read_metadata
        from infantjax.progress import Progress

        _require_known(self.format, self.skeleton)
        table = read_metadata(self.metadata) if self.metadata else {}
        _prepare_process()
        assessor = self._assessor()
        tracker = None
        if self.pose_weights is not None:
            from infantjax.pose import Tracker, load_network

            tracker = Tracker(load_network(self.pose_weights))
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
            _say(f"note: {statement}")
        if failed:
            _say(f"{len(failed)} of {len(rows)} recordings failed; see {self.output / 'summary.csv'}")
        return 1 if failed else 0

    def _assessor(self) -> "Finder":
        from infantjax import systems
        from infantjax.weights import bundled, load_ensemble

        threshold = self.threshold
        if self.threshold_file is not None:
            if threshold is not None:
                raise InputError("--threshold", "is given twice, also by --threshold-file", "give one of them")
            threshold = _threshold_from(self.threshold_file)
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError("--threshold", f"is {threshold}, must be within 0..1")
        _require_fps(self.fps)
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
        try:
            return systems.assessor(ensemble, self.system, threshold=threshold, strict=self.strict, **options)
        except ValueError as error:
            raise InputError("options", str(error)) from None


def _require_fps(fps: float | None) -> None:
    if fps is not None and not 0 < fps <= 1000:
        raise InputError("--fps", f"is {fps}, must be above 0 and at most 1000", "give frames per second")


def _require_known(format: str | None, skeleton: str | None = None) -> None:
    """The names of a format and of a keypoint set, before any file is opened."""
    from infantjax import skeletons
    from infantjax.motion import readers

    if format is not None and format not in readers.FORMATS:
        raise InputError("--format", f'is "{format}", known are {", ".join(readers.FORMATS)}')
    if skeleton is not None and skeleton not in skeletons.SKELETONS:
        raise InputError("--skeleton", f'is "{skeleton}", known are {", ".join(skeletons.SKELETONS)}')


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


@dataclass(frozen=True)
class Pose:
    """Keypoints of a video, of a picture, or of a folder of pictures. Run again, an interrupted one continues.

    No weights come with the package, and none trained on infants are public: give a released file.

    Example:
        infantjax pose clip.mp4 --weights EfficientPoseI.h5 -o clip.csv --overlay clip_overlay.mp4
    """

    input: Positional[Path]
    """Video, picture, or folder of pictures."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """Keypoint file to write: .csv or .npz."""
    weights: Path
    """Weights: a released file of EfficientPose or EfficientHourglass."""
    overlay: Path | None = None
    """Video to write with the keypoints drawn into it."""
    fps: float | None = None
    """Frames per second, where the input does not say."""
    decoder: Literal["smoothed", "real_time", "weighted", "weighted_video", "quarter", "dark", "soft_argmax"] = (
        "smoothed"
    )
    """From maps to points: smoothed and real_time as released, weighted as in the infant framework."""
    resizing: Literal["released", "fast"] | None = None
    """How frames are resized: exactly as released, or by the video decoder; if not given, fast for videos."""
    flip: bool = False
    """Mean over the picture and its mirror image."""
    scales: tuple[float, ...] = (1.0,)
    """Mean over the picture at these scales, for example 0.75 1 1.25."""
    person: Literal["central", "largest"] | None = None
    """Which of several persons, told apart by affinity fields; if not given, the surest point of each kind."""
    smoothing: Literal["median5", "butterworth"] | None = None
    """Filter over time; gaps stay gaps."""
    two_stage: bool = False
    """Look again, closer, at where the points were found: for infants that do not fill the frame."""
    min_confidence: float = 0.1
    """Points below are left out."""
    side: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    batch_size: int | None = None
    """Frames of a call; the backend's choice if not given."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations; bfloat16 is for accelerators."""
    overwrite: bool = False
    """Replace the output."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Find the keypoints and write them."""
        from infantjax.pose import PoseConfig, Tracker, load_network
        from infantjax.pose.writing import SUFFIXES, write_keypoints
        from infantjax.video import open_frames
        from infantjax.video.reading import is_video

        _require_fps(self.fps)
        for path in (self.output, self.overlay):
            if path is not None and path.exists() and not self.overwrite:
                raise InputError(path, "exists", "use --overwrite or another name")
        if self.output.suffix.lower() not in SUFFIXES:
            raise InputError(self.output, "has an ending that names no format to write", "use .csv or .npz")
        frames = open_frames(self.input, self.fps)
        try:
            config = PoseConfig(
                self.decoder,
                self.resizing or ("fast" if is_video(frames) else "released"),
                self.flip,
                self.min_confidence,
                self.batch_size,
                self.dtype,
                self.scales,
                self.person,
                self.smoothing,
                self.two_stage,
            )
        except ValueError as error:
            raise InputError("options", str(error)) from None
        _prepare_process()
        network = load_network(self.weights, self.side, early_heads=self.person is not None)
        if self.person is not None and network.fields is None:
            raise InputError(self.weights, "has no affinity fields", "leave out --person, or give other weights")
        tracker = Tracker(network, config)
        recording = write_keypoints(frames, tracker, self.output, self.overlay, quiet=self.quiet)
        for line in (*recording.history, *recording.notes):
            _say(f"note: {line}", self.quiet)
        print(self.output)
        if self.overlay is not None:
            print(self.overlay)
        return 0


@dataclass(frozen=True)
class Simulate:
    """Write a cohort of simulated infants: recordings, outcomes, and the truth of every second.

    Example:
        infantjax simulate -n 60 -o cohort
    """

    output: Output
    """Folder for the cohort."""
    n: Annotated[int, arg(aliases=["-n"])] = 60
    """Number of infants; for sma each has three recordings."""
    system: SystemName = "groos"
    """Published system that reads the cohort: its keypoints, metadata, camera, and for sma scores for outcomes."""
    first: int = 0
    """Number of the first infant; cohorts of one seed that share no numbers share no infants."""
    seed: int = 0
    """Seed; infant i of a seed is the same in every cohort."""
    duration: float = 60.0
    """Seconds of each recording."""
    prevalence: float = 0.15
    """Share of infants with absent fidgety movements (outcome 1)."""
    fps: Annotated[float, arg(metavar="HZ")] = 30.0
    """Frames per second."""
    overwrite: bool = False
    """Replace an earlier simulated cohort."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Simulate the cohort."""
        from infantjax.progress import Progress
        from infantjax.simulation import write_cohort

        try:
            with Progress(self.n, "simulating", quiet=self.quiet) as progress:
                write_cohort(
                    self.output,
                    self.n,
                    self.seed,
                    self.duration,
                    self.prevalence,
                    self.fps,
                    overwrite=self.overwrite,
                    system=self.system,
                    first=self.first,
                    progress=lambda done, n: progress.update(done),
                )
        except ValueError as error:
            raise InputError("simulate", str(error)) from error
        except OSError as error:
            raise InputError(self.output, f"cannot be written ({error.strerror or error})", "make room") from error
        print(self.output)
        return 0


@dataclass(frozen=True)
class _Training:
    """Options of every command that trains on a cohort."""

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: Output
    """Folder for the ensemble, the logs and the checkpoints. Run again on it, an interrupted training continues."""
    system: SystemName = "groos"
    """Published system: graph networks, a reading of MAM, Baby Moves, or the SMA CNN (outcomes are scores, 0..72)."""
    model: str | None = None
    """For groos: network; kbest-gcn-2 if not given, for pose that of the weights. `infantjax models` lists them."""
    outcomes: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of the outcomes (id;outcome and perhaps group); the cohort's outcomes.csv if not given."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames per second of the recordings, where the files do not say."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    preprocessing: Literal["released", "paper"] = "released"
    """How recordings are standardised; stored with the ensemble."""
    epochs: int | None = None
    """Passes over the training samples; 200 as published if not given, 100 for pose, 10 000 at most for baby-moves."""
    batch_size: int | None = None
    """Windows or pictures of a step; as published if not given: 32, for pose 16, for baby-moves 8, for sma 400."""
    learning_rate: float | None = None
    """5e-4 as published if not given, 1e-3 for pose; for pose by cyclical SGD what a range test finds."""
    samples_per_negative: int = 12
    """Windows that an infant with outcome 0 gives in an epoch; 12 as published."""
    positive_ratio: int = 5
    """An infant with outcome 1 gives this many times as many; 5 as published."""
    seed: int = 1
    """Root of every random number."""
    threshold: float = 0.5
    """Decision threshold to store with the ensemble, 0..1."""
    save_every: int = 1
    """Epochs between checkpoints."""
    distributed: Annotated[str | None, arg(metavar="auto|ADDRESS:PORT,COUNT,NUMBER")] = None
    """Be one of several processes that train together; auto on Slurm and TPU pods. See docs/guides/accelerators.md."""
    strict: bool = False
    """Refuse recordings whose points have to be approximated from others."""
    leave_out: bool = False
    """Leave out recordings that cannot be used, in place of refusing the cohort."""
    with_metadata: bool = False
    """For baby-moves and mam: the network reads age and cohort, or sex, gestational age, birth weight and age too."""
    image: Annotated[tuple[float, float] | None, arg(metavar="WIDTH HEIGHT")] = None
    """For baby-moves: sides of the videos in pixels; 640 480 if not given."""
    annotated: Annotated[Path | None, arg(metavar="DIR")] = None
    """For mam: folder of other infants with truth.csv (id;second;fidgety), which it needs."""
    set: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="NAME=VALUE")] = ()
    """Any other setting of the system, its network or its training by name; may be repeated."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def _train(self, train: Callable[["System", "Cohort", dict[str, Any]], "Ensemble"], **flags: Any) -> int:
        """Read the cohort, train, tell."""
        from infantjax import systems
        from infantjax.motion.cohort import read_annotated, read_cohort

        _require_fps(self.fps)
        _require_known(self.format)
        _prepare_process(self.distributed)
        try:
            system = systems.get(self.system).configured(self._settings(flags))
            cohort = read_cohort(self.cohort, self.outcomes, fps=self.fps, format=self.format, scale=system.scale)
            for problem in cohort.problems:
                _say(f"note: {problem}", self.quiet)
            how: dict[str, Any] = {
                "strict": self.strict,
                "leave_out": self.leave_out,
                "save_every": self.save_every,
                "quiet": self.quiet,
            }
            if self.annotated is not None:
                how["annotated"] = read_annotated(self.annotated, fps=self.fps, format=self.format)
            ensemble = train(system, cohort, how)
        except ValueError as error:
            raise InputError("options", str(error)) from error
        for line in system.told(ensemble):
            print(line)
        print(f"ensemble: {self.output}")
        if system.reading:
            _say(f"note: {system.reading}")
        if left := len(cohort) - ensemble.info["training"]["cohort"]["recordings"]:
            _say(f"note: {left} of {len(cohort)} recordings were left out; the record beside the ensemble names them")
        for note in (*ensemble.info.get("notes", ()), ensemble.info["statement"]):
            _say(f"note: {note}")
        return 0

    def _settings(self, flags: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the system that were given: by options of their own, and by --set."""
        named = ["model", "preprocessing", "epochs", "batch_size", "learning_rate", "samples_per_negative"]
        named += ["positive_ratio", "seed", "threshold", "image"]
        given = {name: getattr(self, name) for name in named} | dict(flags)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        found = {name: value for name, value in given.items() if value is not None and value != defaults[name]}
        if self.with_metadata:
            found["metadata"] = True
        for setting in self.set:
            name, equals, value = setting.partition("=")
            if not equals:
                raise InputError("--set", f'is "{setting}"', "give NAME=VALUE, for example dropout=0.2")
            found[name.strip().replace("-", "_")] = _value_of(value.strip())
        return found


def _value_of(text: str) -> Any:
    """A setting as JSON; what is none is a text, or with commas a list of texts."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text.split(",") if "," in text else text


Value = TypeVar("Value")


def _given(value: Value | None, default: Value) -> Value:
    return default if value is None else value


@dataclass(frozen=True)
class Crossval(_Training):
    """Train one instance of a network for each part of a cohort, all at once, and write them as an ensemble.

    Parts are folds; for baby-moves random splits, for sma each infant left out.

    Example:
        infantjax crossval cohort -o ensemble --model kbest-gcn-2
        infantjax crossval cohort -o ensemble --system mam --annotated others
    """

    folds: Annotated[int | str | None, arg(metavar="N|COLUMN")] = None
    """For groos and mam: number of folds, 7 as published if not given, for mam 5 (chosen); for groos also the column of
    the outcomes table that names the fold of each recording."""
    repeats: int | None = None
    """For baby-moves: random splits; 25 as published if not given."""
    stratify: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")] = ()
    """Column of the outcomes table to balance over the folds beside the outcome; may be repeated."""

    def run(self) -> int:
        """Cross-validate."""
        return self._train(
            lambda system, cohort, how: system.crossval(cohort, self.output, stratify=self.stratify, **how),
            folds=self.folds,
            repeats=self.repeats,
        )


@dataclass(frozen=True)
class Train(_Training):
    """Train one instance of a network: for risk on a single split of a cohort, for pose on annotated pictures.

    Example:
        infantjax train cohort -o instance --model kbest-gcn-2 --validation 0.25
        infantjax train annotations -o network --task pose --weights EfficientPoseRT.h5
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv; for pose annotated pictures, see docs/guides/annotations.md."""
    task: Literal["risk", "pose"] = "risk"
    """What the network is for."""
    validation: Annotated[str | None, arg(metavar="SHARE|FILE")] = None
    """What chooses the best epoch: a share up to 0.5, for risk also a text file with an id a line; 0.25 for risk and
    0.1 for pose if not given."""
    weights: Path | None = None
    """For pose: weights to start from, a released file or the folder of a training."""
    imagenet: bool = False
    """For pose: start the backbones from weights trained on ImageNet (extra `imagenet`, Lite networks)."""
    skeleton: str | None = None
    """For pose: keypoints to train; those of the annotations if not given."""
    pictures: Annotated[Path | None, arg(metavar="DIR")] = None
    """For pose: folder of the pictures, where they are not beside the annotations."""
    side: int | None = None
    """For pose: height and width of the network's input in pixels; the network's own if not given."""
    whole: bool = False
    """For pose: train on whole pictures and not on the surroundings of the keypoints."""
    optimiser: Literal["amsgrad", "cyclical"] = "amsgrad"
    """For pose: as published for infants, or SGD under a cyclical rate as published on MPII."""
    sigmas: Literal["efficientpose", "hourglass", "hourglass_fine_tuning", "cropped"] = "efficientpose"
    """For pose: how the peaks of the maps narrow over the epochs."""
    rotation: float = 45.0
    """For pose: training pictures are turned by up to so many degrees."""
    scale: float = 0.25
    """For pose: training pictures are scaled by up to this share."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """For pose: of the activations; bfloat16 is for accelerators."""
    stream: int | None = None
    """For pose: where the pictures do not fit on the device, bring those of so many steps there at a time."""

    def run(self) -> int:
        """Train."""
        return self._pose() if self.task == "pose" else self._risk()

    def _risk(self) -> int:
        validation = _validation_from(self.validation or "0.25")
        return self._train(lambda system, cohort, how: system.train(cohort, self.output, validation, **how))

    def _pose(self) -> int:
        from infantjax.pose import load_network
        from infantjax.pose.annotations import read_annotations
        from infantjax.pose.augmentation import PictureAugmentation
        from infantjax.training import PoseTrainingConfig, Squares, train_pose

        _prepare_process(self.distributed)
        try:
            annotations = read_annotations(self.cohort, self.skeleton, self.format, pictures=self.pictures)
            for problem in annotations.problems:
                _say(f"note: {problem}", self.quiet)
            published = PoseTrainingConfig()
            config = PoseTrainingConfig(
                epochs=_given(self.epochs, published.epochs),
                batch_size=_given(self.batch_size, published.batch_size),
                optimiser=self.optimiser,
                learning_rate=self.learning_rate,
                sigmas=self.sigmas,
                augmentation=PictureAugmentation(self.rotation, self.scale),
                dtype=self.dtype,
                seed=self.seed,
            )
            start = load_network(self.weights, early_heads=True) if self.weights else None
            trained = train_pose(
                annotations,
                model=self.model,
                directory=self.output,
                config=config,
                start=start,
                backbones={} if self.imagenet else None,
                squares=Squares(self.side, not self.whole),
                validation=float(self.validation or 0.1),
                stream=self.stream,
                save_every=self.save_every,
                quiet=self.quiet,
            )
        except ValueError as error:
            raise InputError("options", str(error)) from error
        result = trained.result
        ended = f"{result.status[0].name.lower()} after {result.ended[0]} of {config.epochs} epochs"
        off = 100 * result.mean_error[0]
        print(f"mean error {off:.2f} % of the square's side in epoch {result.best_epoch[0]}  ({ended})")
        print(f"network: {self.output}")
        for note in trained.notes:
            _say(f"note: {note}", self.quiet)
        return 0


def _validation_from(text: str) -> float | tuple[str, ...]:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return tuple(line.strip() for line in Path(text).read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise InputError(text, f"cannot be read ({reason})", "give a share such as 0.25, or a file of ids") from None


@dataclass(frozen=True)
class Folds:
    """Deal a cohort to folds, and hold infants out until the end, with equal shares of outcomes, centres, subtypes.

    Writes two tables of outcomes with the fold of each recording, development.csv and test.csv, for `--outcomes` of
    other commands, and tells what each part holds.

    Example:
        infantjax folds cohort -o split --stratify centre --stratify subtype
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: Output
    """Folder for the tables."""
    folds: int = 7
    """Number of folds; 7 as published."""
    held_out: int = 4
    """One of so many parts is held out, of four a quarter as published; 0 holds nobody out."""
    stratify: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")] = ()
    """Column of the outcomes table to balance beside the outcome; may be repeated. In the paper centre and subtype."""
    rule: Literal["paper", "released"] = "paper"
    """Balanced as in the paper, or the split of the released program, which balances the outcome alone."""
    seed: int | None = None
    """Of the shuffles; 1 if not given, for the released split 1433."""
    outcomes: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of the outcomes; the cohort's outcomes.csv if not given."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames per second of the recordings, where the files do not say."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Deal, write, tell."""
        from infantjax.files import write_atomically
        from infantjax.motion.cohort import read_cohort
        from infantjax.training import folds, protocols

        _require_fps(self.fps)
        _require_known(self.format)
        cohort = read_cohort(self.cohort, self.outcomes, fps=self.fps, format=self.format)
        for problem in cohort.problems:
            _say(f"note: {problem}", self.quiet)
        try:
            if self.rule == "paper":
                seed = 1 if self.seed is None else self.seed
                fold_of = protocols.deal(cohort, self.folds, self.held_out, self.stratify, seed)
            elif self.stratify or cohort.groups is not None:
                raise ValueError("the released split knows neither columns nor groups; take --rule paper")
            else:
                seed = folds.RELEASED_SEED if self.seed is None else self.seed
                share = 1 / self.held_out if self.held_out else 0.0
                dealt = folds.released_split(
                    dict(zip(cohort.names, map(int, cohort.outcomes))), self.folds, share, seed
                )
                number = {name: k for k, part in enumerate(dealt.folds, start=1) for name in part}
                fold_of = tuple(number.get(name, 0) for name in cohort.names)
        except ValueError as error:
            raise InputError("options", str(error)) from error
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            for name, held_out in (("development", False), ("test", True)):
                rows = [row for row, k in enumerate(fold_of) if (k == 0) == held_out]
                text = protocols.folds_table(cohort, fold_of, rows, self.stratify)
                write_atomically(self.output / f"{name}.csv", text)
        except OSError as error:
            raise InputError(self.output, f"cannot be written ({error.strerror})", "give another place") from None
        for line in protocols.folds_summary(cohort, fold_of, self.stratify):
            print(line)
        return 0


@dataclass(frozen=True)
class Search:
    """Search the published space for the network that suits a cohort best, or look at a search.

    In place of a cohort, `status` tells how a search stands and `best` its best candidates; `export` writes its trials
    into the output folder, and `analyse` what they show. Run again with the same options, an interrupted search
    continues; others join it by name.

    Example:
        infantjax search cohort -o search --study first --workers 2
    """

    cohort: Positional[str]
    """Folder of keypoint files with their outcomes.csv; or one of the words status, best, export, analyse."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for what the workers leave, and for exports; of this machine, or shared by all."""
    study: Annotated[str, arg(metavar="NAME")] = "search"
    """Name of the search in its storage."""
    storage: Annotated[str | None, arg(metavar="URL")] = None
    """Where the trials are kept: sqlite:///FILE for one machine, postgresql://USER@HOST/DATABASE for several; search.db
    in the output folder if not given."""
    workers: int = 1
    """Processes of this machine; on accelerators one for each device."""
    trials: int | None = None
    """Candidates to evaluate at most; the rule decides if not given."""
    rule: Literal["released", "paper", "random"] = "released"
    """Which candidates come next: K-Best as released or as in the paper, or random ones."""
    population: int = 5
    """K of K-Best; 5 as published."""
    threshold: float = 0.9
    """AUC from which on a candidate enters the first population; 0.9 as published."""
    seed: int = 1
    """Of the search; independent searches take different ones."""
    space: Annotated[Path | None, arg(metavar="FILE")] = None
    """JSON file with the alternatives of some choices, to search no others; all published ones if not given."""
    folds: Annotated[int | str, arg(metavar="N|COLUMN")] = 7
    """Parts of the cohort, 7 as published; or the column of the outcomes table that names the part of each."""
    held_out: tuple[int, ...] = (2, 7)
    """Parts, from 1, whose infants together give the AUC: 2 and 7 as published, 1 as released."""
    stratify: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")] = ()
    """Column of the outcomes table to balance over the parts beside the outcome; may be repeated."""
    repeats: int = 1
    """Trainings of each candidate, whose mean AUC counts; 1 as published."""
    share: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="CHOICE")] = ()
    """Choice in which candidates of one compiled program may differ, any but the block types; may be repeated. Each
    candidate has a program of its own if not given."""
    epochs: int = 100
    """Of a training; 100 as published."""
    no_checkpoints: bool = False
    """Train every candidate to the end, whatever its AUC at epochs 10, 20 ... 90."""
    outcomes: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of the outcomes (id;outcome and perhaps group); the cohort's outcomes.csv if not given."""
    fps: Annotated[float | None, arg(metavar="HZ")] = None
    """Frames per second of the recordings, where the files do not say."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    preprocessing: Literal["released", "paper"] = "released"
    """How recordings are standardised."""
    batch_size: int = 32
    """Windows of a step; 32 as published."""
    learning_rate: float = 5e-4
    """Of SGD with Nesterov momentum; 5e-4 as published."""
    samples_per_negative: int = 12
    """Windows that an infant with outcome 0 gives in an epoch; 12 as published."""
    positive_ratio: int = 5
    """An infant with outcome 1 gives this many times as many; 5 as published."""
    training_seed: int = 1
    """Of the parts of the cohort and of every training; the same in all searches, as published."""
    strict: bool = False
    """Refuse recordings whose points have to be approximated from others."""
    grace: int = 180
    """Seconds without a sign of life after which the trial of another machine is run again."""
    top: int = 1
    """For best and export: how many of the best candidates."""
    also: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="NAME")] = ()
    """For analyse: another search of the storage, as a repeat or to compare; may be repeated."""
    importance: Literal["impurity", "fanova", "ped-anova"] = "impurity"
    """For analyse: how the importance of the choices is estimated."""
    json: bool = False
    """Print JSON."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Search, or look at a search."""
        from infantjax.search import study

        looking = self.cohort if self.cohort in ("status", "best", "export", "analyse") else None
        if looking is None:
            self._search()
        if looking == "analyse":
            from infantjax.search import analysis

            names = dict.fromkeys((self.study, *self.also))
            founds = [study.find(name, self._storage()) for name in names]
            _say("estimating the importance of the choices", self.quiet)
            for path in analysis.write(founds, self._folder() / "analysis", self.importance):
                print(path)
            return 0
        found = study.find(self.study, self._storage())
        if looking == "export":
            return self._export(study.table(found), study.best(found, self.top))
        told = study.best(found, self.top) if looking == "best" else [study.status(found)]
        if self.json:
            import json

            print(json.dumps(told if looking == "best" else told[0], indent=2))
            return 0
        for row in told:
            flat = {**row, **row.pop("choices", {})}
            for key, value in flat.items():
                shown = ", ".join(map(str, value)) if isinstance(value, list) else value
                print(f"{key:<24}{f'{shown:,}' if key == 'candidates' else shown}")
        return 0

    def _export(self, table: str, best: list[dict[str, Any]]) -> int:
        from infantjax.files import canonical_json, write_atomically

        folder = self._folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "trials.csv", table)
            write_atomically(folder / "best.json", canonical_json(best))
        except OSError as error:
            raise InputError(folder, f"cannot be written ({error.strerror})", "give another place") from None
        print(folder / "trials.csv")
        print(folder / "best.json")
        return 0

    def _folder(self) -> Path:
        if self.output is None:
            raise InputError("search", "needs a folder", "give one by -o DIR")
        return self.output

    def _storage(self) -> str:
        return self.storage or f"sqlite:///{self._folder() / 'search.db'}"

    def _search(self) -> None:
        """Read the cohort, and let workers run the study to its end."""
        from infantjax.motion.cohort import read_cohort
        from infantjax.motion.normalisation import PRESETS
        from infantjax.search import KBest, RandomSearch, evaluation, space, worker
        from infantjax.search.study import Heartbeat
        from infantjax.training import TrainingConfig

        _require_fps(self.fps)
        _require_known(self.format)
        folder = self._folder()
        try:
            rule = (
                RandomSearch()
                if self.rule == "random"
                else KBest(self.population, self.threshold, temperature_lag=self.rule == "released")
            )
            if self.rule == "random" and self.trials is None:
                raise ValueError("random search has no end; give a number by --trials")
            config = TrainingConfig(
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                samples_per_negative=self.samples_per_negative,
                positive_ratio=self.positive_ratio,
                required_auc=() if self.no_checkpoints else evaluation.CHECKPOINTS,
                seed=self.training_seed,
            )
            searched = space.PUBLISHED if self.space is None else space.read_space(self.space, space.PUBLISHED)
            _say(f"{searched.size:,} candidates", self.quiet)
            cohort = read_cohort(self.cohort, self.outcomes, fps=self.fps, format=self.format)
            for problem in cohort.problems:
                _say(f"note: {problem}", self.quiet)
            trained = evaluation.on_cohort(
                cohort,
                space.build_published,
                config,
                folds=self.folds,
                held_out=self.held_out,
                stratify=self.stratify,
                repeats=self.repeats,
                preprocessing=PRESETS[self.preprocessing],
                strict=self.strict,
            )
            if self.share:
                trained = evaluation.SharedTraining.of(trained, searched, self.share)
            task = worker.Search(
                self.study,
                self._storage(),
                folder,
                searched,
                trained,
                rule,
                self.seed,
                self.trials,
                Heartbeat(max(1, self.grace // 3), self.grace),
                self.quiet,
            )
            folder.mkdir(parents=True, exist_ok=True)
            worker.search(task, self.workers)
        except ValueError as error:
            raise InputError("options", str(error)) from error
        except OSError as error:
            raise InputError(folder, f"cannot be written ({error.strerror})", "give another place") from None


@dataclass(frozen=True)
class Evaluate:
    """How well risks tell outcomes apart, each figure with its 95 % interval; or how far found keypoints are off.

    Example:
        infantjax evaluate results/summary.csv cohort/outcomes.csv
    """

    risks: Positional[Path]
    """The summary.csv of assess, the out_of_fold.csv of crossval, or a table with columns id and risk; for pose a
    keypoint file with one row a picture."""
    outcomes: Positional[Path | None] = None
    """Table of the outcomes (id;outcome), the column `outcome` of the risks if not given; for pose the annotations: a
    file or folder of annotated pictures, or a keypoint file."""
    task: Literal["risk", "pose"] = "risk"
    """What is evaluated."""
    threshold: float = 0.5
    """From this risk on an infant is called positive."""
    at_sensitivity: float | None = None
    """In place of the threshold: of each method the highest one with at least this sensitivity; to compare only."""
    versus: Annotated[tuple[Path, ...], UseAppendAction, arg(metavar="FILE")] = ()
    """Risks of another method for the same infants, to compare with; may be repeated, P values are then corrected."""
    test: Literal["mcnemar", "published"] = "mcnemar"
    """Of the comparison: McNemar's exact test, or the rule of the Groos papers, which overstates significance."""
    subgroups: str | None = None
    """Column of the table of outcomes: the figures of each of its groups too."""
    per_infant: bool = False
    """Judge the mean risk of each infant's recordings, told by the column `group` of the table of outcomes."""
    plots: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for pictures: ROC, reliability and decision curve; for pose the share of correct keypoints."""
    plot_format: Literal["svg", "png"] = "svg"
    """Format of the pictures."""
    unit: Literal["head", "mpii_head", "head_box", "nose_to_neck", "trunk"] = "head"
    """For pose: the length that distances are divided by."""
    at: tuple[float, ...] = (0.5, 0.2, 0.1)
    """For pose: distances up to which a keypoint counts as correct."""
    json: bool = False
    """Print JSON."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Evaluate."""
        return self._pose() if self.task == "pose" else self._risk()

    def _pose(self) -> int:
        import json
        import math

        import numpy as np

        from infantjax.motion import readers
        from infantjax.pose import metrics
        from infantjax.pose.annotations import read_annotations

        if self.outcomes is None:
            raise InputError("evaluate", "needs the annotations too", "give a file or folder of annotated pictures")
        found = readers.read(self.risks, fps=1.0)
        annotations = read_annotations(self.outcomes, found.skeleton, keep_empty=True)
        names, annotated = annotations.names, annotations.points
        if len(names) != found.frames:
            raise InputError(
                self.risks, f"has {found.frames} pictures, {self.outcomes} has {len(names)}", "give those of the same"
            )
        try:
            length = metrics.body_length(annotated, found.skeleton, self.unit, annotations.heads)
        except ValueError as error:
            raise InputError("--unit", str(error), "choose another") from None
        distances = metrics.errors(found.keypoints[..., :2], annotated, length)
        if np.isnan(distances).all():
            raise InputError("--unit", f"is {self.unit}, whose points are annotated nowhere", "choose another")
        for problem in annotations.problems:
            _say(f"note: {problem}", self.quiet)
        self._plot(lambda plots: {"pck": plots.correct_keypoints(distances, found.skeleton.joints, self.unit)})
        shares = {f"PCK@{at:g}": metrics.pck(distances, at) for at in self.at} | {"ME": metrics.mean_error(distances)}
        if self.json:
            rows = {
                name: {"mean": share.mean}
                | {j: v for j, v in zip(found.skeleton.joints, share.keypoints.tolist()) if math.isfinite(v)}
                for name, share in shares.items()
            }
            print(json.dumps({"pictures": len(names), "unit": self.unit, **rows}, indent=2))
            return 0
        print(f"{len(names)} pictures, unit: {metrics.UNITS[self.unit]}")
        print(f"{'':<18}" + "".join(f"{name:>10}" for name in shares))
        for row, joint in enumerate(found.skeleton.joints):
            if not np.isnan(distances[:, row]).all():
                print(f"{joint:<18}" + "".join(_share(name, s.keypoints[row]) for name, s in shares.items()))
        print(f"{'mean':<18}" + "".join(_share(name, s.mean) for name, s in shares.items()))
        return 0

    def _risk(self) -> int:
        import json

        from infantjax import scores as tables
        from infantjax.evaluation import summary

        if self.per_infant and self.subgroups is not None:
            raise InputError("--per-infant", "gives no subgroups, which are of recordings", "leave one of them out")

        def read(path: Path) -> tables.Scores:
            found = tables.read_scores(path, self.outcomes)
            return tables.per_infant(found, self.outcomes) if self.per_infant else found

        scores, others = read(self.risks), {path: read(path) for path in self.versus}
        pairs = {path: tables.pair(scores, other, path) for path, other in others.items()}
        for problem in (*scores.problems, *(p for paired in pairs.values() for p in paired.problems)):
            _say(f"note: {problem}", self.quiet)
        infants = None if self.per_infant else tables.read_infants(self.outcomes, scores)
        if infants is not None:
            what = "intervals are bootstraps over infants; those of slope and P values take recordings as independent"
            _say(f"note: some infants have several recordings: {what}", self.quiet)
        threshold = self._threshold(scores)
        found = summary.summarise(scores.risks, scores.outcomes, threshold, groups=infants)
        if pairs:
            thresholds = {path: self._threshold(other) for path, other in others.items()}
            compared = {
                str(path): summary.compare(*paired[:3], (threshold, thresholds[path]), self.test)
                for path, paired in pairs.items()
            }
            found = dataclasses.replace(found, comparisons=summary.corrected(compared))
            shown = " and ".join(f"{t:g}" for t in (threshold, *thresholds.values()))
            _say(f"note: thresholds {shown}; P by {summary.TESTS[self.test]}", self.quiet)
        if self.subgroups is not None:
            groups = tables.read_groups(self.outcomes or self.risks, self.subgroups, scores.names)
            parts = summary.subgroups(scores.risks, scores.outcomes, groups, threshold)
            found = dataclasses.replace(found, subgroups=parts)
        if self.plots is not None:
            curves = {self.risks.stem: scores.risks}
            outcomes = scores.outcomes
            if others:
                curves, outcomes = tables.common({str(p): s for p, s in {self.risks: scores, **others}.items()})
            self._plot(lambda plots: plots.risk_figures(curves, outcomes))
        print(json.dumps(found.to_dict(), indent=2) if self.json else "\n".join(found.lines()))
        return 0

    def _threshold(self, scores: "Scores") -> float:
        from infantjax.evaluation.discrimination import threshold_at_sensitivity

        if self.at_sensitivity is None:
            return self.threshold
        if not 0 < self.at_sensitivity <= 1:
            raise InputError("--at-sensitivity", f"is {self.at_sensitivity}, must be above 0 and at most 1")
        try:
            return threshold_at_sensitivity(scores.risks, scores.outcomes, self.at_sensitivity)
        except ValueError as error:
            raise InputError("--at-sensitivity", str(error), "leave it out") from None

    def _plot(self, draw: Callable[[Any], Mapping[str, Any]]) -> None:
        """Draw with `evaluation.plots`, if pictures are wanted."""
        if self.plots is None:
            return
        from infantjax.evaluation import plots

        try:
            for path in plots.save(draw(plots), self.plots, self.plot_format):
                _say(f"picture: {path}", self.quiet)
        except OSError as error:
            raise InputError(self.plots, f"cannot be written ({error.strerror})", "give another folder") from None


def _share(name: str, value: float) -> str:
    """A share as a percentage, a mean error as a number."""
    return f"{value:>10.3f}" if name == "ME" else f"{100 * value:>10.1f}"


@dataclass(frozen=True)
class Models:
    """List the networks: parameters and operations, as counted and as published, and whether they agree.

    Example:
        infantjax models --json
    """

    names: Positional[tuple[str, ...]] = ()
    """Only these networks."""
    json: bool = False
    """Print JSON."""
    rule: Literal["published", "torchprofile-0.0.4", "torchprofile-0.1"] = "published"
    """How operations of keypoint networks are counted."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Count and compare."""
        import json

        from infantjax import models
        from infantjax.models.summary import summarise

        try:
            entries = [models.get(name) for name in self.names or models.names()]
        except ValueError as error:
            raise InputError("models", str(error)) from None
        # One after the other: counting all takes a minute.
        rows = (summarise(entry, self.rule, name) for entry in entries for name in entry.skeletons)
        if self.json:
            print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
            return 0
        print(
            f"{'name':<24}{'skeleton':<14}{'parameters':>12}{'published':>12}  {'GFLOPs':>8}{'published':>10}"
            f"{'executed':>10}  agree"
        )
        for row in rows:
            published = "-" if row.published_parameters is None else f"{row.published_parameters:,}"
            flops = "-" if row.published_flops is None else f"{float(row.published_flops) * row.flops_unit / 1e9:.2f}"
            agree = "a reading" if row.reading else {True: "yes", False: "no", None: "-"}[row.agree]
            counted = f"{row.flops / 1e9:>8.2f}{flops:>10}{row.executed_flops / 1e9:>10.2f}"
            print(
                f"{row.name:<24}{row.skeleton:<14}{row.parameters:>12,}{published:>12}  {counted}  {agree}", flush=True
            )
        return 0


@dataclass(frozen=True)
class Convert:
    """Convert a keypoint file to another format or keypoint set, or released pose weights to the project's own folder.

    Example:
        infantjax convert dlc.h5 out.csv --fps 30 --to-skeleton in-motion-19
    """

    input: Positional[Path]
    """Keypoint file, or weights of a pose network."""
    output: Positional[Path]
    """File to write, for weights a folder; must not exist."""
    fps: float | None = None
    """Frames per second, where the file does not say."""
    format: str | None = None
    """Format of the input; found from its content if not given."""
    to_format: str | None = None
    """Format of the output; found from its ending if not given."""
    skeleton: str | None = None
    """Keypoint set of the input; found from the joint names if not given."""
    to_skeleton: str | None = None
    """Keypoint set of the output."""
    individual: str | None = None
    """Which individual, in files that hold several."""
    strict: bool = False
    """Refuse to approximate points."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    """For weights: how they are stored; int8 for the kernels alone, a factor a channel."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Read, convert, write."""
        from infantjax import skeletons
        from infantjax.motion import readers
        from infantjax.motion.conversion import convert

        _require_fps(self.fps)
        _require_known(self.format, self.skeleton)
        if self.output.exists():
            raise InputError(self.output, "exists", "give a new name")
        if self._is_weights():
            return self._weights()
        recording = readers.read(
            self.input, fps=self.fps, format=self.format, skeleton=self.skeleton, individual=self.individual
        )
        if self.to_skeleton:
            try:
                target = skeletons.get(self.to_skeleton)
            except ValueError as error:
                raise InputError("--to-skeleton", str(error)) from None
            recording = convert(recording, target, strict=self.strict)
        try:
            readers.write(recording, self.output, self.to_format)
        except ValueError as error:
            raise InputError(self.output, str(error)) from None
        except OSError as error:
            raise InputError(
                self.output, f"cannot be written ({error.strerror or error})", "give another place"
            ) from None
        for note in recording.notes:
            _say(f"note: {note}", self.quiet)
        print(self.output)
        return 0

    def _is_weights(self) -> bool:
        if self.input.suffix.lower() not in (".h5", ".hdf5", ".npz"):
            return False  # without loading what knows networks
        from infantjax.weights import is_pose_weights

        return is_pose_weights(self.input)

    def _weights(self) -> int:
        from infantjax.pose import load_network
        from infantjax.pose.network import save_network

        network = load_network(self.input, skeleton=self.skeleton, early_heads=True)
        try:
            save_network(
                network,
                self.output,
                {"training": f"imported from {self.input.name}, {network.digest}"},
                precision=self.precision,
            )
        except OSError as error:
            raise InputError(self.output, f"cannot be written ({error.strerror})", "give another place") from None
        print(self.output)
        return 0


@dataclass(frozen=True)
class Export:
    """Write a pose network for use elsewhere, and check it against the network: StableHLO for JAX, ONNX without it.

    Example:
        infantjax export EfficientPoseRT.h5 -o rt.onnx
    """

    weights: Positional[Path]
    """Weights: a released file of EfficientPose or EfficientHourglass."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """File to write; must not exist. `.onnx` gives confidence maps, `.stablehlo` keypoints."""
    side: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    decoder: Literal["smoothed", "real_time", "weighted", "weighted_video", "quarter", "dark", "soft_argmax"] = (
        "smoothed"
    )
    """For StableHLO: from maps to points."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """For StableHLO: where it can run."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Export and compare."""
        from infantjax.pose import export, load_network

        if self.output.exists():
            raise InputError(self.output, "exists", "give a new name")
        if self.output.suffix not in (".onnx", ".stablehlo"):
            raise InputError(self.output, "has an ending that names no format", "use .onnx or .stablehlo")
        _prepare_process()
        network = load_network(self.weights, self.side)
        try:
            if self.output.suffix == ".onnx":
                export.write_onnx(network, self.output)
            else:
                export.write_stablehlo(network, self.output, self.decoder, self.platforms)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(self.output, f"cannot be written ({reason})", "give another place") from None
        difference = export.difference(network, self.output, self.decoder)
        print(f"{self.output}  largest relative difference {difference:.1e} on random pictures")
        return 0


def _help(command: type) -> str:
    """The whole docstring, with its example, which the parser would leave out."""
    return inspect.cleandoc(command.__doc__ or "")


Command = (
    Annotated[Demo, subcommand("demo", description=_help(Demo))]
    | Annotated[Assess, subcommand("assess", description=_help(Assess))]
    | Annotated[Pose, subcommand("pose", description=_help(Pose))]
    | Annotated[Crossval, subcommand("crossval", description=_help(Crossval))]
    | Annotated[Train, subcommand("train", description=_help(Train))]
    | Annotated[Folds, subcommand("folds", description=_help(Folds))]
    | Annotated[Search, subcommand("search", description=_help(Search))]
    | Annotated[Evaluate, subcommand("evaluate", description=_help(Evaluate))]
    | Annotated[Simulate, subcommand("simulate", description=_help(Simulate))]
    | Annotated[Models, subcommand("models", description=_help(Models))]
    | Annotated[Convert, subcommand("convert", description=_help(Convert))]
    | Annotated[Export, subcommand("export", description=_help(Export))]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status."""
    if list(arguments) == ["--version"]:
        print(f"infantjax {__version__}")
        return 0
    try:
        command = tyro.cli(
            OmitArgPrefixes[FlagCreatePairsOff[Command]],  # type: ignore[arg-type,misc]
            prog="infantjax",
            description="Video-based infant movement analysis. Try: infantjax demo",
            args=list(arguments),
        )
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    try:
        return command.run()  # type: ignore[attr-defined]
    except (InputError, MissingExtraError) as error:
        if command.debug:  # type: ignore[attr-defined]
            raise
        _say(f"infantjax: {error}")
        return 2
    except KeyboardInterrupt:
        _say("infantjax: interrupted; what was finished is kept")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that ends the output, it is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
