"""Runs a search: one process that alone writes the study, and an engine that evaluates the candidates.

The driver asks the strategy for the next candidate when a device is free, adds it to the study as a running trial,
submits it, and stores its result. It may be killed at any moment: the same call continues the running trials first,
each under its number from its checkpoints, so candidates and values are those of a search that was never interrupted.
Meanwhile the candidates that probably come next are compiled, where the engine shares memory.
"""

import contextlib
import errno
import faulthandler
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from infantjax import places
from infantjax.engine import MAX_CRASHES, CrashError, Engine, Local, in_thread, results
from infantjax.errors import DivergedError, InputError
from infantjax.files import FolderInUseError, locked
from infantjax.progress import LOGGER
from infantjax.search.kbest import FAILED, KBest, RandomSearch, Strategy, propose
from infantjax.search.objective import FunctionObjective, Objective, Stage, TrialReport, TrialResult
from infantjax.search.progress import format_progress
from infantjax.search.space import Alternative, Candidate, Choices, SearchSpace
from infantjax.search.study import (
    EXHAUSTED,
    FILE,
    LIMIT,
    SearchResult,
    StudyWriter,
    open_storage,
    read_study,
    study_setup,
    trial_folder,
)

MAX_FAILURES = 20
"""Candidates that fail one after the other before a search stops: then the cause is not the candidates."""
CRASH_REPORT = "crash.txt"
"""File in the folder of a search: empty, unless the process of its driver crashed."""


def run(
    space: SearchSpace | Mapping[str, Sequence[Alternative]],
    objective: Objective | Callable[..., Any],
    strategy: Strategy,
    directory: str | Path,
    *,
    engine: Engine | None = None,
    seed: int = 0,
    trials: int | None = None,
    study: str = "search",
    constraint: Callable[[Choices], bool] | None = None,
) -> SearchResult:
    """Search a space for the candidate of the highest value; called again, continue or extend that search.

    Args:
        space: names of choices with their alternatives.
        objective: a function from choices to a value, see `FunctionObjective`, or an `Objective`.
        strategy: which candidates come next: `KBest()` or `RandomSearch()`.
        directory: for the study and the checkpoints of trials; shared by all machines of the engine. One process at a
            time can search in it.
        engine: evaluates candidates; None takes all local devices for an objective that has a method `on_device`, and
            one thread for any other.
        seed: of the search; independent ones take different seeds.
        trials: maximum number of candidates; None leaves the end to the strategy.
        study: name of the search; a folder may hold several.
        constraint: which combinations of a mapping are valid; None accepts all.

    Returns:
        The search at its end.

    Raises:
        InputError: the folder is in use, cannot be written or holds another search of this name; or `MAX_FAILURES`
            candidates failed one after the other.
        KeyboardInterrupt: interrupted; trials in progress end at the next report of their objective.
        ValueError: a strategy of another kind, or a constraint beside a `SearchSpace`, which has its own.
    """
    if not isinstance(strategy, KBest | RandomSearch):
        raise ValueError(f"strategy must be KBest(...) or RandomSearch(), got {strategy!r}")
    if not isinstance(space, SearchSpace):
        space = SearchSpace(tuple((name, tuple(values)) for name, values in space.items()), constraint)
    elif constraint is not None:
        raise ValueError("constraint is given twice, also by the space")
    evaluated: Any = objective if hasattr(objective, "description") else FunctionObjective(objective)
    if engine is None:
        engine = Local(None if hasattr(evaluated, "on_device") else 1)
    directory = Path(directory).absolute()
    setup = study_setup(space, strategy, seed, evaluated.description)
    with locked(directory), open_storage(directory / FILE, create=True) as storage:
        writer = StudyWriter(storage, study, space, setup)
        writer.note(LIMIT, trials)
        driver = _Driver(writer, evaluated, directory, engine, strategy, seed, trials)
        with driver.crashes_reported() if engine.shares_memory else contextlib.nullcontext():
            driver.run()
    return read_study(directory, study)


class _Shared(NamedTuple):
    """Values that a task shares with a driver of the same process.

    Attributes:
        interrupted: whether the driver has ended.
        devices: number of the probable device of each trial; the task enters the real one.
        compiled: the candidate, for an objective that compiles it beforehand.
    """

    interrupted: threading.Event
    devices: dict[int, int]
    compiled: "Future[Any] | None" = None


class _Driver:
    """A search that runs; arguments as of `run`."""

    def __init__(
        self,
        writer: StudyWriter,
        objective: Any,
        directory: Path,
        engine: Engine,
        strategy: Strategy,
        seed: int,
        limit: int | None,
    ) -> None:
        self.writer, self.objective, self.directory, self.engine = writer, objective, directory, engine
        self.strategy, self.seed, self.limit = strategy, seed, limit
        self.waiting = [number for number in writer.unfinished if writer.candidates[number] is not None]
        self.running: set[int] = set()
        self.shared = _Shared(threading.Event(), {}) if engine.shares_memory else None
        self.compiled: dict[Candidate, Future[Any]] = {}

    def run(self) -> None:
        """Evaluate trial after trial to the end of the search."""
        failures = 0
        try:
            for (number, *_), future in results(self.engine, _evaluate, self._next, tick=self._log_progress):
                self.running.discard(number)
                try:
                    result = future.result()
                except CrashError as error:
                    result = TrialResult("failed", None, str(error))
                self._record(number, result)
                failures = failures + 1 if result.value is None else 0
                if failures >= MAX_FAILURES:
                    what = f"{MAX_FAILURES} trials in a row failed, the last one: {result.reason}"
                    raise InputError(f"study {self.writer.name}", what)
        finally:
            if self.shared is not None:
                self.shared.interrupted.set()
        ended = self.strategy.replay(self.writer.space, self.writer.observations()).ended
        self.writer.note(EXHAUSTED, not ended and len(self.writer.candidates) != self.limit)

    def _record(self, number: int, result: TrialResult) -> None:
        """Store a result and remove the folder of its trial."""
        self.writer.record(number, result)
        shutil.rmtree(self._folder(number), ignore_errors=True)
        places.publish_progress(self.directory)
        value = "failed" if result.value is None else f"{result.value:.3f}"
        why = f" ({result.reason})" if result.reason else ""
        LOGGER.info("%s: trial %d: %s%s", self.writer.name, number, value, why)

    def _next(self) -> tuple[Any, ...] | None:
        """The arguments of `_evaluate` for the next trial; None if there is none before another one ends."""
        crashes = self.writer.crashes
        if self.running and any(crashes[number] for number in {*self.running, *self.waiting[:1]}):
            return None  # a trial of a process that crashed is repeated alone, to see whose fault it was
        if self.waiting:
            number = self.waiting.pop(0)
        elif (following := self._candidate(self.writer.values, self.writer.candidates)) is not None:
            number = self.writer.begin(following)
        else:
            return None
        candidate, shared = self.writer.candidates[number], self.shared
        assert candidate is not None
        if shared is not None:
            used = {shared.devices.get(other) for other in self.running}
            shared.devices[number] = next(device for device in range(self.engine.devices) if device not in used)
        self.running.add(number)
        if shared is not None and hasattr(self.objective, "precompile"):
            compiled = self.compiled.pop(candidate, None) or self._compile(candidate, shared.devices[number])
            shared = shared._replace(compiled=compiled)
            self._compile_following(shared.devices)
        return number, self.objective, self.writer.space.choices(candidate), self._folder(number), shared

    def _candidate(self, values: Mapping[int, float], candidates: Sequence[Candidate | None]) -> Candidate | None:
        """The candidate that follows these trials; None where the search ends."""
        observed = self.writer.observations(values)
        if len(candidates) == self.limit or self.strategy.replay(self.writer.space, observed).ended:
            return None
        return propose(self.strategy, self.writer.space, self.seed, observed, candidates)

    def _compile_following(self, devices: Mapping[int, int]) -> None:
        """Begin to compile the candidates that follow if the running ones are not among the best: most likely.

        The first one supposes that the oldest trial has ended, whose device is then free, and so on. A candidate that
        was not predicted is compiled when it comes.
        """
        values, candidates = dict(self.writer.values), list(self.writer.candidates)
        likely: dict[Candidate, int] = {}
        for number in [] if self.waiting else sorted(self.running):
            values[number] = FAILED
            if (candidate := self._candidate(values, candidates)) is None:
                break
            likely[candidate] = devices[number]
            candidates.append(candidate)
        self.compiled = {candidate: future for candidate, future in self.compiled.items() if candidate in likely}
        for candidate in [each for each in likely if each not in self.compiled]:
            self.compiled[candidate] = self._compile(candidate, likely[candidate])

    def _compile(self, candidate: Candidate, device: int) -> "Future[Any]":
        objective: Any = _on_device(self.objective, device)
        return in_thread(partial(objective.precompile, self.writer.space.choices(candidate)))

    def _folder(self, number: int) -> Path:
        return trial_folder(self.directory, self.writer.name, number)

    def _log_progress(self) -> None:
        LOGGER.info("%s: %s", self.writer.name, format_progress(read_study(self.directory, self.writer.name)))

    @contextlib.contextmanager
    def crashes_reported(self) -> Iterator[None]:
        """Count a crash of the last driver against the trials that it left, and have one of this process reported.

        Only the report of Python's fault handler is proof that code crashed the process (a segmentation fault, an abort
        of the compiler): a kill leaves none, so it never counts, nor does memory that runs out. Where the process has a
        fault handler already, crashes are reported there and look like kills.
        """
        path = self.directory / CRASH_REPORT
        if reason := path.read_text("utf-8", "replace").partition("\n")[0] if path.exists() else "":
            for number in list(self.waiting):
                if self.writer.crashes[number] + 1 < MAX_CRASHES:
                    self.writer.note_crash(number)
                else:
                    self.waiting.remove(number)
                    self._record(
                        number, TrialResult("failed", None, f"its process crashed {MAX_CRASHES} times: {reason}")
                    )
        if faulthandler.is_enabled():
            path.unlink(missing_ok=True)
            yield
            return
        with path.open("w") as report:
            faulthandler.enable(report, all_threads=False)
            try:
                yield
            finally:
                faulthandler.disable()
        path.unlink(missing_ok=True)


def _on_device(objective: Any, device: int) -> Any:
    return objective.on_device(device) if hasattr(objective, "on_device") else objective


def _evaluate(
    number: int, objective: Any, choices: Choices, folder: Path, shared: _Shared | None, *, device: int
) -> TrialResult:
    """The result of a candidate; an error that it causes is a result too.

    Raises:
        InputError: the fault is not that of the candidate, such as a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = TrialReport(folder / "report.json", shared and shared.interrupted)
    report.stage(Stage("compiling"))
    if shared is not None:
        shared.devices[number] = device
    objective = _on_device(objective, device)
    try:
        given = {}
        if hasattr(objective, "precompile"):
            compiled = shared and shared.compiled
            given["compiled"] = objective.precompile(choices) if compiled is None else compiled.result()
        result = _unlocked(partial(objective, choices, folder / "run", report, **given))
    except DivergedError as error:
        return TrialResult.failed(error)
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            what = f"cannot be written ({error.strerror})"
            raise InputError(folder, what, "make room and run the search again") from None
        return TrialResult.failed(error)
    finally:
        # Programs of one candidate are of no use to the next.
        if "jax" in sys.modules:
            sys.modules["jax"].clear_caches()
    return result if result.intermediate else replace(result, intermediate=tuple(sorted(report.intermediate.items())))


def _unlocked(evaluate: Callable[[], TrialResult], seconds: int = 60) -> TrialResult:
    """Call again while another process holds the folder: a task of a killed driver may outlive it for a moment."""
    for _ in range(seconds):
        with contextlib.suppress(FolderInUseError):
            return evaluate()
        time.sleep(1)
    return evaluate()
