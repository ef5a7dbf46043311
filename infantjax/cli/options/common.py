"""Options that several commands share, their checks, and output for the user."""

import contextlib
import io
import json
import logging
import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from tyro.conf import UseAppendAction, arg

from infantjax import cache, files, places
from infantjax.assessment.screening import quality_csv, screen
from infantjax.engine import CrashError, Ray, results
from infantjax.errors import InputError, printable
from infantjax.files import write_atomically
from infantjax.formats import FORMATS
from infantjax.formats.cohort import read_cohort
from infantjax.lazy import did_you_mean
from infantjax.progress import LOGGER
from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.quality import Quality

FLAT = arg(name="")
"""Marks a nested dataclass whose fields are options without a prefix."""

Output = Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
OutputFile = Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
Fps = Annotated[float | None, arg(metavar="HZ")]
Distributed = Annotated[str | None, arg(metavar="auto|ADDRESS:PORT,COUNT,NUMBER")]
Cluster = Annotated[str | None, arg(metavar="auto|ADDRESS")]
Offline = Annotated[bool, arg(help="Do not use the network; so does INFANTJAX_OFFLINE=1.")]
Columns = Annotated[tuple[str, ...], UseAppendAction, arg(metavar="COLUMN")]
Screening = Literal["warn", "exclude", "off"]
QUALITY = "quality.csv"
"""Name of the table of the quality of a cohort's recordings, beside its results."""
WRITTEN = ("output", "overlay", "plots", "profile", "errors")
"""Options that name what a command writes; all other paths are read."""
Decoder = Literal["smoothed", "real_time", "weighted", "weighted_video", "quarter", "dark", "soft_argmax"]


@dataclass(frozen=True)
class Common:
    """Options of every command."""

    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""
    config: Annotated[Path | None, arg(metavar="FILE")] = None
    """TOML file with options by name, which those of the command line replace; each command writes such a file beside
    its results."""


@dataclass(frozen=True)
class Command(ABC):
    """A command of the program: its fields are its options, its docstring with an example is its help."""

    common: Annotated[Common, FLAT] = field(default=Common(), kw_only=True)
    unwritten: ClassVar[tuple[str, ...]] = ()
    """Options that a file of its options does not hold."""

    @property
    def results(self) -> Path | None:
        """Folder or file that the options are written beside; None if the command only prints."""
        return getattr(self, "output", None)

    @abstractmethod
    def run(self) -> int:
        """Do the work, print the results, and return the exit status."""

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """The class with the options for these arguments, where they depend on one of them."""
        return cls

    @classmethod
    def with_defaults(cls, **defaults: Any) -> type[Self]:
        """The class with other types and defaults of some fields.

        Args:
            defaults: field -> frozen dataclass of settings. Its own fields become options without a prefix, those of
                dataclasses in it have theirs: `--folds`, `--training.epochs`.
        """
        added = [(n, Annotated[type(value), FLAT], field(default=value)) for n, value in defaults.items()]
        return make_dataclass(cls.__name__, added, bases=(cls,), frozen=True, namespace={"__doc__": cls.__doc__})

    @property
    def quiet(self) -> bool:
        """Whether to print results only."""
        return self.common.quiet

    def check_paths(self) -> None:
        """Refuse places that cannot be used, and outputs that are inputs; addresses once they have local copies.

        Raises:
            InputError: for the first such option.
        """
        paths = [(name, path) for name, path in _paths_of(self) if places.parse(path) is None]
        for _, path in paths:
            files.require_local(path)
        outputs = [path for name, path in paths if name in WRITTEN]
        files.refuse_inputs(outputs, (path for name, path in paths if name not in WRITTEN))


def _paths_of(options: Any) -> Iterator[tuple[str, Path]]:
    """Names and values of all options that are paths."""
    for entry in fields(options):
        value = getattr(options, entry.name)
        if is_dataclass(value):
            yield from _paths_of(value)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Path):
                yield entry.name, item


@dataclass(frozen=True)
class FileOptions:
    """How keypoint files are read."""

    fps: Fps = None
    """Frames per second, where the files do not say."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """File format; found from the content if not given. See docs/formats.md."""

    def check(self) -> None:
        """Refuse values that cannot be, before any file is opened.

        Raises:
            InputError: a frame rate out of range, or an unknown format.
        """
        require_fps(self.fps)
        if self.format is not None:
            require_known("--format", self.format, FORMATS)


@dataclass(frozen=True)
class CohortOptions(FileOptions):
    """How the cohort is read."""

    outcomes: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table of the outcomes (id;outcome and perhaps group); the cohort's outcomes.csv if not given."""

    def read(self, folder: Path, score_range: "ScoreRange | None" = None) -> "Cohort":
        """Read the cohort and log a note on each problem.

        Args:
            folder: of keypoint files.
            score_range: of the outcomes, if they are scores.

        Raises:
            InputError: the cohort cannot be used.
        """
        self.check()
        cohort = read_cohort(folder, self.outcomes, fps=self.fps, format=self.format, score_range=score_range)
        note(cohort.problems)
        return cohort


@dataclass(frozen=True)
class ScreenedOptions(CohortOptions):
    """How the cohort is read, and what happens to recordings of bad quality."""

    quality: Screening = "warn"
    """Recordings that are not assessable: warn of them, exclude them, or off."""
    tracker_errors: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Errors of a tracker (of `evaluate pose --errors`): each recording is also used with one of them added."""

    def read_screened(
        self, folder: Path, score_range: "ScoreRange | None" = None
    ) -> "tuple[Cohort, dict[str, Quality]]":
        """Read the cohort, warn of recordings that are not assessable, and leave them out if asked.

        Returns:
            The cohort, and the quality of each recording for `write_quality`.

        Raises:
            InputError: as `read`, or no recording is left.
        """
        cohort = self.read(folder, score_range)
        with checked(folder, "track them again, or use --quality warn"):
            screened, found = screen(cohort, self.quality)
        note(screened.problems[len(cohort.problems) :], always=True)
        if self.tracker_errors:
            from infantjax import formats
            from infantjax.recording.tracker_error import with_tracker_error

            screened = with_tracker_error(screened, [formats.read(path) for path in self.tracker_errors])
        return screened, found


def write_quality(folder: Path, qualities: Mapping[str, "Quality"]) -> None:
    """Write the quality of a cohort's recordings beside its results; nothing if it was not measured."""
    if qualities:
        with written(folder):
            write_atomically(folder / QUALITY, quality_csv(qualities))


def say(text: str) -> None:
    """Log a message for the user: on standard error, unless `--quiet` is given."""
    LOGGER.info(text)


def note(lines: Iterable[str], *, always: bool = False) -> None:
    """Log notes for the user, one a line; also with `--quiet` if `always`."""
    for line in lines:
        LOGGER.log(logging.WARNING if always else logging.INFO, "note: %s", line)


def note_noise(noises: Iterable[float | None]) -> None:
    """Log the median error of the keypoints of recordings from frame to frame, in trunk lengths, where it is known."""
    known = [noise for noise in noises if noise is not None and noise > 0]
    if known:
        what = f"the error from frame to frame is {statistics.median(known):.3f} trunk lengths or more"
        note([f"{what}{f' (median of {len(known)})' if len(known) > 1 else ''}; see docs/use/video.md"])


@contextmanager
def checked(where: str | Path = "options", remedy: str = "") -> Iterator[None]:
    """Report a wrong call of the library as a wrong option.

    Raises:
        InputError: for a `ValueError`.
    """
    try:
        yield
    except ValueError as error:
        raise InputError(where, str(error), remedy) from error


@contextmanager
def written(path: Path, remedy: str = "give another place") -> Iterator[None]:
    """Report a file or folder that the system refuses to write.

    Raises:
        InputError: for an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror or error})", remedy) from error


def prepare_process(distributed: str | None = None) -> None:
    """Set up memory and the compilation cache, and join the other processes of a distributed training.

    A command does this before it computes. Importing infantjax changes no setting of the process.
    """
    cache.keep_freed_memory()
    cache.use_two_threads()
    cache.use_compilation_cache()
    if distributed is not None:
        from infantjax.training.execution import distributed as processes

        processes.join(distributed)
    from infantjax.devices import require_backend

    require_backend()


def join_cluster(address: str, *folders: Path) -> "Ray":
    """The engine of `--cluster`.

    Args:
        address: see `engine.Ray`.
        folders: which tasks read and write; all machines must share them.

    Raises:
        InputError: a folder lies in a cloud, or the cluster cannot be joined.
    """
    for folder in folders:
        if places.is_copy(folder):
            raise InputError(folder, "is the copy of one machine, a cluster shares a folder", "give a local path")
    return Ray(address)


def run_on_cluster(address: str, folder: Path, commands: Sequence[Any]) -> int:
    """Run commands in processes of a cluster, print what they print as they end, and return the exit status.

    Args:
        address: see `engine.Ray`.
        folder: see `join_cluster`.
        commands: each with `cluster` and an `output` of its own; one whose output exists has been run before.

    Raises:
        InputError: see `join_cluster`.
    """
    engine, failed = join_cluster(address, folder), 0
    tasks = [(replace(each, cluster=None, common=replace(each.common, quiet=True)),) for each in commands]
    for _, future in results(engine, _run_alone, tasks):
        try:
            print(future.result(), end="")
        except (InputError, CrashError) as error:
            LOGGER.error("%s", error)
            failed += 1
    return status_of(failed, len(tasks))


def run_together(address: str, command: Any) -> int:
    """Run a command in a process of each machine of a cluster, joined by `jax.distributed`; print what it prints.

    Args:
        address: see `engine.Ray`.
        command: with `cluster`, `distributed` and an `output`.

    Raises:
        InputError: see `join_cluster`; or the command refuses its input.
    """
    engine = join_cluster(address, command.output)
    try:
        print(engine.run_together(_run_alone, replace(command, cluster=None))[0], end="")
    except CrashError as error:
        raise InputError(f"cluster {address}", str(error), "run the same command again: it continues") from None
    return 0


def status_of(failed: int, inputs: int) -> int:
    """The exit status where so many of the inputs failed, which is logged."""
    if failed:
        LOGGER.warning("%d of %d inputs failed", failed, inputs)
    return 0 if not failed else 2 if failed == inputs else 1


def _run_alone(command: Any, *, device: int = 0, **changes: Any) -> str:
    """Run a command with options changed; what it prints."""
    command = replace(command, **changes)
    command.output.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            command.run()
        except InputError as error:
            if error.what != "exists":
                raise
    return printed.getvalue()


def require_fps(fps: float | None) -> None:
    """Refuse a frame rate that no recording has.

    Raises:
        InputError: it is not above 0 and at most 1000.
    """
    if fps is not None and not 0 < fps <= 1000:
        raise InputError("--fps", f"is {fps}, must be above 0 and at most 1000", "give frames per second")


def require_known(option: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that does not exist.

    Raises:
        InputError: names the nearest ones.
    """
    if name not in (names := list(known)):
        raise InputError(option, f'is "{name}"', suggest(name, names))


def suggest(word: str, known: Sequence[str]) -> str:
    """A remedy for a wrong name: the nearest known ones, or all."""
    return did_you_mean(word, known) or f"known are {', '.join(known)}"


def require_new(*paths: Path, remedy: str = "give a new name") -> None:
    """Refuse to write over files or folders.

    Raises:
        InputError: one exists.
    """
    for path in paths:
        if path.exists():
            raise InputError(path, "exists", remedy)


def print_rows(rows: Iterable[Mapping[str, Any]], as_json: bool = False, *, several: bool = False) -> None:
    """Rows as JSON (a list if several), or as lines of names and values."""
    rows = list(rows)
    if as_json:
        print(json.dumps(rows if several else rows[0], indent=2))
        return
    for row in rows:
        flat = {name: value for name, value in row.items() if name != "choices"} | dict(row.get("choices", {}))
        for name, value in flat.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            whole = isinstance(shown, int) and not isinstance(shown, bool)
            print(printable(f"{name:<24}{f'{shown:,}' if whole else shown}"))
