"""`search` and its four views: `search status`, `search best`, `search export`, `search analyze`."""

from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

from tyro.conf import Fixed, Positional, Suppress, UseAppendAction, arg

from infantjax.cli.options import common
from infantjax.cli.options.methods import DEFAULT, TrainedName, value_of
from infantjax.errors import InputError, printable

if TYPE_CHECKING:
    from infantjax.engine import Engine
    from infantjax.search import KBest, RandomSearch, SearchResult


@dataclass(frozen=True)
class StudyOptions:
    """Where the trials are stored."""

    study: Annotated[str, arg(metavar="NAME")] = "search"
    """Name of the search; a folder may hold several."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for trials, checkpoints and exports."""

    @property
    def folder(self) -> Path:
        """The output folder.

        Raises:
            InputError: none is given.
        """
        if self.output is None:
            raise InputError("search", "needs a folder", "give one by -o DIR")
        return self.output

    def read(self) -> "SearchResult":
        """The search.

        Raises:
            InputError: it does not exist, or cannot be read.
        """
        from infantjax.search import read_study

        return read_study(self.folder, self.study)


@dataclass(frozen=True)
class CohortObjective:
    """The objective of a search on a cluster: each process reads the cohort itself, so that only paths are sent.

    Attributes:
        source: arguments of `_read`.
        description: of the objective.
    """

    source: tuple[Any, ...]
    description: dict[str, Any]

    def on_device(self, number: int) -> Any:
        """The objective on one device of a process of the cluster.

        Raises:
            InputError: the process finds other recordings.
        """
        made, _ = _read_once(*self.source)
        if made.description != self.description:
            raise InputError(self.source[3], "is another cohort on another machine", "share one folder")
        return made.on_device(number)


def _read(
    method: str,
    problem: Any,
    files: common.ScreenedOptions,
    cohort: Path,
    annotated: Path | None,
    stratify: tuple[str, ...],
    strict: bool,
) -> tuple[Any, dict[str, Any]]:
    """The objective of a method's problem on a cohort, and the quality of its recordings."""
    from infantjax.cache import shorten_compilation
    from infantjax.formats.cohort import read_annotated
    from infantjax.methods import registry

    shorten_compilation()
    if method in registry.names("depth images"):
        from infantjax.pose.annotations import read_annotations

        return problem.objective(read_annotations(cohort, problem.skeleton), stratify, strict), {}
    read, quality = files.read_screened(cohort, getattr(problem, "score_range", None))
    given = {} if annotated is None else {"annotated": read_annotated(annotated, fps=files.fps, format=files.format)}
    return problem.objective(read, stratify, strict, **given), quality


_read_once = cache(_read)


@dataclass(frozen=True)
class Search(common.Command):
    """Search the published space for the network that suits a cohort best, or the settings of a training.

    Of `ensemble-gcn` and `cp-gcn-29` the architecture is searched. Of other methods the rate, the decay, the batch and
    more are, around the given settings: a candidate is a cross-validation, its value the AUC of held-out infants, or
    minus the mean error of their scores or limbs (our choice).

    The same command continues after an interruption. Show results by `search status`, `search best`, `search export`
    and `search analyze`.

    Example:
        infantjax search cohort -o search --study first --devices 2
        infantjax search cohort -o search --method baby-moves --strategy random --trials 20
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv; for `asy-regression`, annotated depth images."""
    method: TrainedName = DEFAULT
    """Method to search for; the settings below depend on it."""
    problem: Any = None
    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    devices: int | None = None
    """Devices of this machine, each trains one candidate at a time; all if not given. On a CPU: candidates at the same
    time, each on as many cores as are free."""
    cluster: common.Cluster = None
    """Search on a Ray cluster that shares the folders, a candidate on each device: its address, or auto for the one of
    this machine or a private one."""
    trials: int | None = None
    """Candidates to evaluate at most; K-Best ends by itself if not given."""
    strategy: Literal["reference", "paper", "random"] = "reference"
    """How to choose candidates: K-Best of the reference implementation or of the paper, or at random."""
    population: int = 5
    """K of K-Best; 5 as published."""
    threshold: float = 0.9
    """Value that a candidate needs to enter the first population; an AUC of 0.9 as published."""
    seed: int = 1
    """Seed; independent searches need different ones."""
    space: Annotated[Path | None, arg(metavar="FILE")] = None
    """JSON file that restricts choices to some alternatives; the published space if not given."""
    annotated: Annotated[Path | None, arg(metavar="DIR")] = None
    """For `mam`: folder of other infants with truth.csv (id;second;fidgety)."""
    stratify: common.Columns = ()
    """Column of the outcomes table to balance over the folds, besides the outcome; may be repeated."""
    strict: bool = False
    """Refuse recordings with points that have to be approximated from others."""
    json: bool = False
    """Print JSON."""
    dry_run: bool = False
    """Print parameters, memory and number of programs of the first candidate, and search and write nothing."""
    files: Annotated[common.ScreenedOptions, common.FLAT] = common.ScreenedOptions()

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """With the settings of the search problem of the method as options."""
        from infantjax.methods import registry

        name = value_of("--method", arguments)
        kind = registry.get(name if name in registry.names() else DEFAULT)
        problem = kind.search_problem()
        if hasattr(problem, "threshold"):  # that of decisions, which no value of a search depends on
            kept: Any = get_type_hints(kind, include_extras=True)["threshold"]
            hidden: list[tuple[str, Any, Any]] = [("threshold", Annotated[kept, Suppress, Fixed], problem.threshold)]
            given: dict[str, Any] = {"frozen": True, "kw_only": True, "namespace": {"__doc__": kind.__doc__}}
            problem = make_dataclass(kind.__name__, hidden, bases=(kind,), **given)()
        return cls.with_defaults(problem=problem)

    @property
    def results(self) -> Path | None:
        """The folder of the search; nothing is written by `--dry-run`."""
        return None if self.dry_run else self.where.output

    def run(self) -> int:
        """Read the cohort, search to the end, and print the status."""
        from infantjax import search
        from infantjax.methods import registry
        from infantjax.search import estimate
        from infantjax.search.space import read_space

        if self.annotated is not None and not registry.get(self.method).needs_annotated:
            raise InputError("--annotated", f"is not used by {self.method}", "leave it out")
        folder = self.where.folder
        with common.written(folder), common.checked():
            strategy = self._strategy()
            space = self.problem.space if self.space is None else read_space(self.space, self.problem.space)
            common.say(f"{space.size:,} candidates")
            engine = self._engine()
            source = self.method, self.problem, self.files, self.cohort, self.annotated, self.stratify, self.strict
            objective, quality = _read(*source)
            if self.cluster is not None:
                objective = CohortObjective(source, objective.description)
            if self.dry_run:
                row = estimate.estimate_search(space, objective, strategy, self.seed, self.trials)
                common.print_rows([row], self.json)
                return 0
            folder.mkdir(parents=True, exist_ok=True)
            common.write_quality(folder, quality)
            found = search.run(
                space,
                objective,
                strategy,
                folder.resolve(),
                engine=engine,
                seed=self.seed,
                trials=self.trials,
                study=self.where.study,
            )
        _print_status(found, self.json)
        return 0

    def _engine(self) -> "Engine":
        """The devices of this process, or of a cluster.

        Raises:
            InputError: it has fewer than are asked for, or the cluster cannot be joined.
        """
        from infantjax import cache as process
        from infantjax.engine import Local

        if self.cluster is not None:
            if self.devices is not None:
                raise InputError("--devices", "is decided by the cluster", "leave it out")
            return common.join_cluster(self.cluster, self.where.folder, self.cohort)
        process.shorten_compilation()
        if self.devices is not None:
            process.divide_cpu(self.devices)
        common.prepare_process()
        import jax

        found = jax.local_device_count()
        if self.devices is not None and not 1 <= self.devices <= found:
            raise InputError("--devices", f"is {self.devices}, this machine has {found}", f"give 1 to {found}")
        return Local(self.devices or found)

    def _strategy(self) -> "KBest | RandomSearch":
        from infantjax.search import KBest, RandomSearch

        if self.strategy != "random":
            return KBest(self.population, self.threshold, temperature_lag=self.strategy == "reference")
        if self.trials is None:
            raise ValueError("random search has no end; give a number by --trials")
        return RandomSearch()


@dataclass(frozen=True)
class Status(common.Command):
    """Print the state of a search: its trials, what runs, its rate, its phase and its best candidate.

    Example:
        infantjax search status -o search --study first
    """

    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the status."""
        _print_status(self.where.read(), self.json)
        return 0


@dataclass(frozen=True)
class Best(common.Command):
    """Print the best candidates of a search with their choices.

    Example:
        infantjax search best -o search --study first --top 3
    """

    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    top: int = 1
    """Number of candidates."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the candidates."""
        common.print_rows(self.where.read().best(self.top), self.json, several=True)
        return 0


@dataclass(frozen=True)
class ExportTrials(common.Command):
    """Write the trials of a search as trials.csv and its best candidates as best.json.

    Example:
        infantjax search export -o search --study first --top 10
    """

    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    top: int = 1
    """Number of candidates in best.json."""

    def run(self) -> int:
        """Write both files."""
        from infantjax.files import canonical_json, write_atomically
        from infantjax.search import study

        found, folder = self.where.read(), self.where.folder
        contents = {"trials.csv": study.table(found), "best.json": canonical_json(found.best(self.top))}
        with common.written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                write_atomically(folder / name, content)
                print(folder / name)
        return 0


@dataclass(frozen=True)
class Analyze(common.Command):
    """Analyze a search: its course, the importance of each choice, other searches.

    Example:
        infantjax search analyze -o search --study first --also second
    """

    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    also: Annotated[tuple[str, ...], UseAppendAction, arg(metavar="NAME")] = ()
    """Another search of the folder, as a repeat or to compare; may be repeated."""
    importance: Literal["impurity", "fanova", "ped-anova"] = "impurity"
    """How the importance of the choices is estimated."""

    def run(self) -> int:
        """Write the analysis into the output folder."""
        from infantjax.search import report

        names = dict.fromkeys((self.where.study, *self.also))
        found = [replace(self.where, study=name).read() for name in names]
        common.say("estimating the importance of the choices")
        for path in report.write(found, self.where.folder / "analysis", self.importance):
            print(path)
        return 0


def _print_status(found: "SearchResult", as_json: bool) -> None:
    """The state of a search as JSON, or as lines, those of running trials last."""
    from infantjax.search import progress, study

    known = study.status(found) | progress.progress(found)
    if as_json:
        common.print_rows([known], as_json)
        return
    running = known.pop("now")
    known |= {name: "-" for name, value in known.items() if value is None}
    left = known.pop("seconds_left")
    common.print_rows([known | {"left, at least": "-" if left == "-" else progress.format_seconds(left)}], as_json)
    for row in running:
        seconds = "" if row["seconds"] is None else f", for {progress.format_seconds(row['seconds'])}"
        print(printable(f"  {progress.format_running(row)}{seconds}"))
