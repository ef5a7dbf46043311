"""The commands: each a frozen dataclass whose fields are its options and whose `run` is a few lines over the library.

Exit status: 0 done; 1 some recordings of a batch failed, the rest were done; 2 bad input or options, one line on
standard error; 130 interrupted. Results go to standard output, everything else to standard error.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from infantjax import __version__
from infantjax.errors import InputError, MissingExtraError, one_line

if TYPE_CHECKING:
    from infantjax.assessment import Assessor
    from infantjax.report.table import Row

Output = Annotated[Path, arg(aliases=["-o"])]


def _say(text: str, quiet: bool = False) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def _use_compilation_cache() -> None:
    """Keep compiled programs between runs, in a folder that only this user can write (they are executable code)."""
    import jax

    folder = Path(os.environ.get("INFANTJAX_CACHE") or Path.home() / ".cache" / "infantjax") / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and (folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022):
            return
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


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
    """Risk with its uncertainty from keypoint recordings: one JSON and one page each, one summary over all.

    Example:
        infantjax assess clinic/*.csv --fps 30 -o results
    """

    inputs: Positional[tuple[str, ...]]
    """Keypoint files, folders of them, or glob patterns."""
    output: Output
    """Folder for the results."""
    ensemble: Path | None = None
    """Ensemble folder (from crossval or train); the bundled demonstration ensemble if not given."""
    fps: float | None = None
    """Frames per second of the recordings, where the files do not say."""
    format: str | None = None
    """Format of the files; found from their content if not given. See docs/formats.md."""
    skeleton: str | None = None
    """Keypoint set of the files; found from the joint names if not given."""
    individual: str | None = None
    """Which individual, in files that hold several."""
    threshold: float | None = None
    """Decision threshold, 0..1; the ensemble's own if not given."""
    threshold_file: Path | None = None
    """Text file that holds the threshold and nothing else."""
    certainty: Literal["fraction", "quartile"] = "fraction"
    """Certainty rule: of the paper, or of the released program."""
    strict: bool = False
    """Refuse recordings whose points had to be approximated from others."""
    exact_contributions: bool = False
    """Contributions through the spatial pooling layer, which the released program ignores."""
    overwrite: bool = False
    """Replace results of other inputs or settings."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Assess every recording."""
        from infantjax import batch
        from infantjax.progress import Progress

        assessor = self._assessor()
        paths = batch.find_recordings(self.inputs)
        reading = batch.Reading(self.fps, self.format, self.skeleton, self.individual)
        _use_compilation_cache()
        with Progress(len(paths), "assessing", quiet=self.quiet) as progress:

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

    def _assessor(self) -> "Assessor":
        from infantjax.assessment import Assessor
        from infantjax.weights import bundled, load_ensemble

        threshold = self.threshold
        if self.threshold_file is not None:
            if threshold is not None:
                raise InputError("--threshold", "is given twice, also by --threshold-file", "give one of them")
            threshold = _threshold_from(self.threshold_file)
        if threshold is not None and not 0 <= threshold <= 1:
            raise InputError("--threshold", f"is {threshold}, must be within 0..1")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise InputError("--fps", f"is {self.fps}, must be above 0 and at most 1000")
        ensemble = load_ensemble(self.ensemble) if self.ensemble else bundled.ensemble()
        return Assessor(ensemble, threshold, self.certainty, self.strict, self.exact_contributions)


def _line(row: "Row") -> str:
    """A row of the summary for the terminal."""
    result = row.assessment
    if result is None:
        return f"{one_line(row.file)}  error: {row.message}"
    decision = "CP" if result.positive else "no CP"
    line = f"{one_line(row.file)}  risk {result.risk:.3f}  {decision}  {result.colour}"
    return f"{line}  ({row.message})" if row.message else line


def _threshold_from(path: Path) -> float:
    try:
        return float(path.read_text("utf-8").strip())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    except ValueError:
        raise InputError(path, "does not hold one number", "write the threshold, for example 0.35") from None


@dataclass(frozen=True)
class Simulate:
    """Write a cohort of simulated infants: recordings, outcomes, and the truth of every second.

    Example:
        infantjax simulate -n 60 -o cohort
    """

    output: Output
    """Folder for the cohort."""
    n: Annotated[int, arg(aliases=["-n"])] = 60
    """Number of infants."""
    seed: int = 0
    """Seed; infant i of a seed is the same in every cohort."""
    duration: float = 60.0
    """Seconds of each recording."""
    prevalence: float = 0.15
    """Share of infants with absent fidgety movements (outcome 1)."""
    overwrite: bool = False
    """Replace an earlier simulated cohort."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Simulate the cohort."""
        from infantjax.simulation import write_cohort

        try:
            write_cohort(self.output, self.n, self.seed, self.duration, self.prevalence, overwrite=self.overwrite)
        except (ValueError, OSError) as error:
            raise InputError("simulate", str(error)) from error
        print(self.output)
        return 0


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
    """How operations are counted."""
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
        rows = [summarise(entry, self.rule) for entry in entries]
        if self.json:
            print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
            return 0
        print(f"{'name':<16}{'parameters':>12}{'published':>12}  {'GFLOPs':>8}{'published':>10}  agree")
        for row in rows:
            print(
                f"{row.name:<16}{row.parameters:>12,}{row.published_parameters:>12,}"
                f"  {row.flops / 1e9:>8.2f}{row.published_flops or '-':>10}  {'yes' if row.agree else 'no'}"
            )
        return 0


@dataclass(frozen=True)
class Convert:
    """Convert a keypoint file to another format or keypoint set.

    Example:
        infantjax convert dlc.h5 out.csv --fps 30 --to-skeleton in-motion-19
    """

    input: Positional[Path]
    """Keypoint file."""
    output: Positional[Path]
    """File to write; must not exist."""
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
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Read, convert, write."""
        from infantjax import skeletons
        from infantjax.motion import readers
        from infantjax.motion.conversion import convert

        if self.output.exists():
            raise InputError(self.output, "exists", "give a new name")
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
        except (OSError, ValueError) as error:
            raise InputError(self.output, f"cannot be written ({error})") from None
        for note in recording.notes:
            _say(f"note: {note}", self.quiet)
        print(self.output)
        return 0


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Assess, subcommand("assess")]
    | Annotated[Simulate, subcommand("simulate")]
    | Annotated[Models, subcommand("models")]
    | Annotated[Convert, subcommand("convert")]
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
            OmitArgPrefixes[Command],  # type: ignore[arg-type]
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
