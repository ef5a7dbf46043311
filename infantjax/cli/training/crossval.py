"""`crossval`: an ensemble from a cohort. `TrainCommand` is what it has in common with `train`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli.options import common
from infantjax.cli.options.methods import DEFAULT, MethodName, value_of
from infantjax.errors import InputError
from infantjax.files import safe_stem
from infantjax.methods import registry
from infantjax.settings import Seed
from infantjax.training.records.loggers import LoggerName

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort
    from infantjax.training.cohorts.fine_tuning import Start
    from infantjax.training.loop import TrainOptions
    from infantjax.weights.ensemble import Ensemble


@dataclass(frozen=True)
class LogOptions:
    """Files that are written while a network trains."""

    save_every: int = 1
    """Epochs between checkpoints."""
    log: Annotated[tuple[LoggerName, ...], arg(metavar="NAME")] = ("tensorboard",)
    """Where the metrics of each epoch go: tensorboard, jsonl (log.jsonl), wandb, mlflow. The last two stay on this
    machine unless WANDB_MODE or MLFLOW_TRACKING_URI say otherwise."""
    profile: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for a profile of the first three epochs, for TensorBoard or Perfetto."""

    def train_options(self, quiet: bool) -> "TrainOptions":
        """As options of a training."""
        from infantjax.training.loop import TrainOptions

        return TrainOptions(save_every=self.save_every, quiet=quiet, loggers=self.log, profile=self.profile)


@dataclass(frozen=True)
class TrainCommand(common.Command):
    """Options of every command that trains a method on a cohort; the settings of the method are options too."""

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    output: common.Output
    """Folder for the ensemble, logs and checkpoints. The same command continues after an interruption."""
    method: MethodName = DEFAULT
    """Published method; the options below depend on it."""
    preset: Annotated[str, arg(metavar="NAME")] = "reference"
    """Defaults of the settings: of the reference implementation, or of the paper where they differ."""
    annotated: Annotated[Path | None, arg(metavar="DIR")] = None
    """For `mam`: folder of other infants with truth.csv (id;second;fidgety)."""
    init: Annotated[Path | None, arg(metavar="DIR")] = None
    """Ensemble of other infants whose weights to start from: its folder, or `bundled`."""
    trainable: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="GLOB")] = ()
    """With `--init`: train these parameters alone, such as `classifier`; may be repeated."""
    logs: Annotated[LogOptions, common.FLAT] = LogOptions()
    distributed: common.Distributed = None
    """Train in several processes; auto on Slurm and TPU pods."""
    strict: bool = False
    """Refuse recordings with points that have to be approximated from others."""
    skip_invalid: bool = False
    """Skip recordings that cannot be used, instead of refusing the cohort."""
    files: Annotated[common.ScreenedOptions, common.FLAT] = common.ScreenedOptions()
    settings: Any = None

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """With the settings of the method that is named, at the values of the preset that is named."""
        name = value_of("--method", arguments)
        presets = registry.get(name if name in registry.names("keypoints") else DEFAULT).presets()
        preset = value_of("--preset", arguments) or "reference"
        common.require_known("--preset", preset, presets)
        return cls.with_defaults(settings=presets[preset])

    def run(self) -> int:
        """Read the cohort, train, and print how each run ended."""
        from infantjax.files import refuse_inputs, write_atomically
        from infantjax.formats.cohort import read_annotated
        from infantjax.report.training import PAGE, training_html
        from infantjax.training.cohorts.crossval import RECORD, WRITTEN, format_summary
        from infantjax.training.execution.distributed import is_main_process

        refuse_inputs((self.output / name for name in (*WRITTEN, PAGE, common.QUALITY)), self.tables)
        common.prepare_process(self.distributed)
        with common.checked():
            cohort, quality = self.files.read_screened(self.cohort, self.settings.score_range)
            given: dict[str, Any] = {"strict": self.strict, "skip_invalid": self.skip_invalid}
            if self.annotated is not None:
                given["annotated"] = read_annotated(self.annotated, fps=self.files.fps, format=self.files.format)
            if (start := self.start()) is not None:
                given["start"] = start
            ensemble = self.train(cohort, self.logs.train_options(self.quiet), **given)
        if is_main_process():
            common.write_quality(self.output, quality)
            if (self.output / RECORD).is_file():
                page = training_html(self.output, self.settings.title, ensemble.info.statement)
                with common.written(self.output):
                    write_atomically(self.output / PAGE, page)
        for line in format_summary(ensemble):
            print(line)
        print(f"ensemble: {self.output}")
        notes = [self.settings.fidelity_note] if self.settings.fidelity_note else []
        if skipped := len(cohort) - ensemble.info.training["cohort"]["recordings"]:
            notes.append(
                f"{skipped} of {len(cohort)} recordings were skipped; the record beside the ensemble names them"
            )
        common.note((*notes, *ensemble.info.notes, ensemble.info.statement), always=True)
        return 0

    @property
    def tables(self) -> list[Path]:
        """Tables that are read beside the cohort."""
        return [self.files.outcomes] if self.files.outcomes else []

    def start(self) -> "Start | None":
        """The weights to start from, if any are named."""
        from infantjax.training.cohorts.fine_tuning import Start
        from infantjax.weights import bundled
        from infantjax.weights.ensemble import load_ensemble

        if self.init is None:
            if self.trainable:
                raise InputError("--trainable", "needs weights to start from", "name an ensemble by --init")
            return None
        return Start(bundled.ensemble() if str(self.init) == "bundled" else load_ensemble(self.init), self.trainable)

    def train(self, cohort: "Cohort", options: "TrainOptions", **given: Any) -> "Ensemble":
        """Train the method and write the ensemble."""
        raise NotImplementedError


@dataclass(frozen=True)
class Crossval(TrainCommand):
    """Train one network for each part of a cohort, all at once, and write them as an ensemble.

    Parts are folds, random splits, or each infant left out, as published. The settings of the method are options;
    `--method NAME --help` shows those of another one. `--epochs` is short for `--training.epochs`, and so on.

    Example:
        infantjax crossval cohort -o ensemble --model kbest-gcn-2 --epochs 50
        infantjax crossval cohort -o ensemble --method mam --annotated others
        infantjax crossval cohort -o ensembles --seeds 1 2 3 --cluster auto
        infantjax crossval cohort -o ensemble --cluster auto
        infantjax crossval clips -o ensemble --track-with EfficientPoseRT.h5
    """

    stratify: common.Columns = ()
    """Column of the outcomes table to balance over the folds, besides the outcome; may be repeated."""
    seeds: tuple[Seed, ...] = ()
    """Once with each of these seeds in place of that of the settings, in a folder of its own: DIR/seed-1 and so on."""
    cluster: common.Cluster = None
    """Work on a Ray cluster that shares the folders: with `--seeds` a seed on each device, else one training over the
    devices of all machines; its address, or auto."""
    track_with: Annotated[Path | None, arg(metavar="WEIGHTS")] = None
    """The cohort is a folder of videos: track them first, as `pose --weights` does, into a folder of the output."""

    def run(self) -> int:
        """Track the videos, if it is asked for, and cross-validate, with each seed."""
        if self.track_with is not None:
            if self.distributed is not None:
                raise InputError("--track-with", "is for one process", "write the keypoints by infantjax pose first")
            return self._tracked(self.track_with).run()
        if not self.seeds:
            return super().run() if self.cluster is None else common.run_together(self.cluster, self)
        each = [
            replace(self, seeds=(), output=self.output / f"seed-{seed}", settings=self.settings.with_seed(seed))
            for seed in self.seeds
        ]
        if self.cluster is not None:
            return common.run_on_cluster(self.cluster, self.output, each)
        return max(command.run() for command in each)

    def _tracked(self, weights: Path) -> "Crossval":
        """The command on the keypoints of its videos.

        Raises:
            InputError: a video cannot be tracked.
        """
        from infantjax.cli.options.video import VideoOptions
        from infantjax.cli.pose.pose import Pose
        from infantjax.formats.cohort import TABLE

        # Keypoints that are there are kept, so those of other weights lie elsewhere.
        folder = self.output / f"keypoints-{safe_stem(weights.name)}"
        pose = Pose((str(self.cohort),), folder, self.files.fps, video=VideoOptions(weights), common=self.common)
        if pose.run():
            raise InputError(self.cohort, "has videos that cannot be tracked", "repair them or leave them out")
        files = replace(self.files, outcomes=self.files.outcomes or self.cohort / TABLE)
        return replace(self, cohort=folder, track_with=None, files=files)

    def train(self, cohort: "Cohort", options: "TrainOptions", **given: Any) -> "Ensemble":
        """Cross-validate."""
        return self.settings.crossval(cohort, self.output, options, stratify=self.stratify, **given)
