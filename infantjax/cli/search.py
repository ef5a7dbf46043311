"""`search` and its four views: `search status`, `search best`, `search export`, `search analyze`."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli import common
from infantjax.cli.methods import DEFAULT, MethodName, value_of
from infantjax.errors import InputError, printable

if TYPE_CHECKING:
    from infantjax.search import KBest, RandomSearch, Snapshot
    from infantjax.search.storage import Heartbeat
    from infantjax.training.distributed import Place


@dataclass(frozen=True)
class StudyOptions:
    """Where the trials are stored."""

    study: Annotated[str, arg(metavar="NAME")] = "search"
    """Name of the search in its storage."""
    storage: Annotated[str | None, arg(metavar="URL")] = None
    """sqlite:///FILE; for several machines postgresql://USER@HOST/DATABASE, or grpc://HOST:PORT of a search that serves
    its study; OUTPUT/search.db if not given."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for checkpoints, logs and exports, of one machine or shared."""

    @property
    def folder(self) -> Path:
        """The output folder.

        Raises:
            InputError: none is given.
        """
        if self.output is None:
            raise InputError("search", "needs a folder", "give one by -o DIR")
        return self.output

    @property
    def url(self) -> str:
        """The address of the storage."""
        return self.storage or f"sqlite:///{self.folder / 'search.db'}"

    def read(self) -> "Snapshot":
        """The study in its storage.

        Raises:
            InputError: it does not exist, or its storage cannot be read.
        """
        from infantjax.search import read_study

        return read_study(self.study, self.url)


@dataclass(frozen=True)
class Search(common.Command):
    """Search the published space for the network that suits a cohort best.

    The same command continues after an interruption; other machines join by the name of the search. Show results by
    `search status`, `search best`, `search export` and `search analyze`.

    Example:
        infantjax search cohort -o search --study first --workers 2
    """

    cohort: Positional[Path]
    """Folder of keypoint files with their outcomes.csv."""
    method: MethodName = DEFAULT
    """Method whose published space is searched, ensemble-gcn or cp-gcn-29; the settings below depend on it."""
    problem: Any = None
    where: Annotated[StudyOptions, common.FLAT] = StudyOptions()
    workers: int = 1
    """Processes of this machine. One process keeps all devices busy; several are for the cores of a CPU."""
    devices: int | None = None
    """Devices of this machine, each trains one candidate at a time; all if not given, one for each of several
    workers."""
    distributed: common.Distributed = None
    """Search on several hosts: auto under Slurm, on TPU pods and Kubernetes. The first one serves the study to the
    others."""
    trials: int | None = None
    """Candidates to evaluate at most; K-Best ends by itself if not given."""
    strategy: Literal["reference", "paper", "random"] = "reference"
    """How to choose candidates: K-Best of the reference implementation or of the paper, or at random."""
    population: int = 5
    """K of K-Best; 5 as published."""
    threshold: float = 0.9
    """AUC that a candidate needs to enter the first population; 0.9 as published."""
    seed: int = 1
    """Seed; independent searches need different ones."""
    space: Annotated[Path | None, arg(metavar="FILE")] = None
    """JSON file that restricts choices to some alternatives; the published space if not given."""
    stratify: common.Columns = ()
    """Column of the outcomes table to balance over the folds, besides the outcome; may be repeated."""
    strict: bool = False
    """Refuse recordings with points that have to be approximated from others."""
    grace: int = 180
    """Seconds without a sign of life after which the trial of another machine is run again."""
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
        try:
            problem = registry.get(name if name in registry.names() else DEFAULT).search_problem()
        except ValueError:  # a method without a search, which `run` refuses
            problem = registry.get(DEFAULT).search_problem()
        return cls.with_defaults(problem=problem)

    def run(self) -> int:
        """Read the cohort, let workers run the study to its end, and print its status."""
        from infantjax import places
        from infantjax.methods import registry
        from infantjax.search import SearchTask, estimate, launcher, progress
        from infantjax.search.space import read_space
        from infantjax.search.storage import Heartbeat

        with common.checked("--method", "ensemble-gcn and cp-gcn-29 have one"):
            registry.get(self.method).search_problem()
        folder = self.where.folder
        if self.distributed is not None and places.is_copy(folder):
            what = "is the place of one host, as a search on several hosts shares a folder"
            raise InputError(folder, what, "give a local path")
        with common.written(folder), common.checked():
            strategy = self._strategy()
            space = self.problem.space if self.space is None else read_space(self.space, self.problem.space)
            common.say(f"{space.size:,} candidates")
            cohort, quality = self.files.read_screened(self.cohort)
            objective = self.problem.objective(cohort, self.stratify, self.strict)
            place = self._place()
            served = place is not None and self.where.url.startswith("sqlite:")
            url = f"grpc://{place.address}" if place is not None and served else self.where.url
            task = SearchTask(
                self.where.study,
                url,
                folder,
                space,
                objective,
                strategy,
                self.seed,
                self.trials,
                Heartbeat(max(1, self.grace // 3), self.grace),
                self.quiet,
            )
            if self.dry_run:
                from infantjax.devices import require_backend

                require_backend()
                common.print_rows([estimate.estimate_search(task)], self.json)
                return 0
            folder.mkdir(parents=True, exist_ok=True)
            common.write_quality(folder, quality)
            with self._serving(task.heartbeat, place) if served else nullcontext():
                with progress.shown(task.study, url, self.quiet):
                    launcher.run_search(task, self.workers, self.devices)
                _print_status(replace(self.where, storage=url).read(), self.json)
        return 0

    def _place(self) -> "Place | None":
        """Where this process stands among several hosts."""
        if self.distributed is None:
            return None
        from infantjax.training.distributed import locate

        return locate(self.distributed)

    def _serving(self, heartbeat: "Heartbeat", place: "Place | None") -> AbstractContextManager[None]:
        """Serves the study to the other hosts, on the first one."""
        from infantjax.search.remote import serving

        if place is None or place.number != 0:
            return nullcontext()
        return serving(self.where.url, place.address, heartbeat)

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
        from infantjax.search import study

        common.print_rows(study.best(self.where.read(), self.top), self.json, several=True)
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
        contents = {"trials.csv": study.table(found), "best.json": canonical_json(study.best(found, self.top))}
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
    """Another search of the storage, as a repeat or to compare; may be repeated."""
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


def _print_status(found: "Snapshot", as_json: bool) -> None:
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
        print(printable(f"  {progress.format_running(row)}{seconds} ({row['worker'] or 'no worker'})"))
