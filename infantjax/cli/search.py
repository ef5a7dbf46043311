"""Searching for a network: `search`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from infantjax.cli import common
from infantjax.errors import InputError


@dataclass(frozen=True)
class Search:
    """Search the published space for the network that suits a cohort best, or look at a search.

    In place of a cohort, `status` tells how a search stands and `best` its best candidates; `export` writes its trials
    into the output folder, and `analyze` what they show. Run again with the same options, an interrupted search
    continues; others join it by name.

    Example:
        infantjax search cohort -o search --study first --workers 2
    """

    cohort: Positional[str]
    """Folder of keypoint files with their outcomes.csv; or one of the words status, best, export, analyze."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """Folder for what the workers leave, and for exports; of this machine, or shared by all."""
    study: Annotated[str, arg(metavar="NAME")] = "search"
    """Name of the search in its storage."""
    storage: Annotated[str | None, arg(metavar="URL")] = None
    """Where the trials are kept: sqlite:///FILE for one machine, postgresql://USER@HOST/DATABASE for several; search.db
    in the output folder if not given."""
    workers: int = 1
    """Processes of this machine; on accelerators one for each device, on a CPU each with its part of the cores."""
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
    preprocessing: Literal["reference", "paper"] = "reference"
    """How recordings are standardized."""
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
    """For analyze: another search of the storage, as a repeat or to compare; may be repeated."""
    importance: Literal["impurity", "fanova", "ped-anova"] = "impurity"
    """For analyze: how the importance of the choices is estimated."""
    json: bool = False
    """Print JSON."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Search, or look at a search."""
        from infantjax.search import study

        looking = self.cohort if self.cohort in ("status", "best", "export", "analyze") else None
        if looking is None:
            self._search()
        if looking == "analyze":
            from infantjax.search import analysis

            names = dict.fromkeys((self.study, *self.also))
            founds = [study.find(name, self._storage()) for name in names]
            common.say("estimating the importance of the choices", self.quiet)
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
        with common.written(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "trials.csv", table)
            write_atomically(folder / "best.json", canonical_json(best))
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
        from infantjax.recording.cohort import read_cohort
        from infantjax.recording.preprocessing import PRESETS
        from infantjax.search import KBest, RandomSearch, evaluation, space, worker
        from infantjax.search.study import Heartbeat
        from infantjax.training.state import TrainingConfig

        common.require_fps(self.fps)
        common.require_known(self.format)
        folder = self._folder()
        with common.written(folder), common.checked():
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
            common.say(f"{searched.size:,} candidates", self.quiet)
            cohort = read_cohort(self.cohort, self.outcomes, fps=self.fps, format=self.format)
            common.note(cohort.problems, self.quiet)
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
