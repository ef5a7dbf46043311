"""Workers: processes that join a study, evaluate candidates, and may die at any moment.

A worker takes a trial, evaluates its candidate, writes the result into the outbox, tells the storage, and forgets it.
Meanwhile it compiles the candidate that probably comes next, see `_Worker._likely_next`.
What a candidate's training needs to continue lies under `candidates/`, so a trial that is run again goes on where it
was. A candidate that cannot be evaluated is a failed trial with its reason; a storage that does not answer and a full
disk are waited for.
"""

import contextlib
import copy
import errno
import multiprocessing
import multiprocessing.connection
import os
import platform
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import locked, sha256
from infantjax.search.evaluation import Evaluation, Outcome, Training
from infantjax.search.kbest import FAILED, KBest, Rule
from infantjax.search.outbox import Outbox, Result
from infantjax.search.recovery import Recovery, mark
from infantjax.search.sampler import (
    GAVE_WAY,
    REASON,
    NoCandidateError,
    RuleSampler,
    candidate_of,
    failure,
    origin,
    place,
)
from infantjax.search.space import Candidate, SearchSpace
from infantjax.search.study import (
    OUTAGE,
    Heartbeat,
    close,
    connect,
    hand_over,
    join,
    open_storage,
    patiently,
    reason,
    setup_of,
)

try:
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

MAX_FAILURES = 20
"""Candidates that fail one after the other before a search stops: then the fault is not theirs."""
POLL = 2.0
"""Seconds between two looks at trials of other workers that must end first."""


@dataclass(frozen=True)
class Search:
    """A search that workers join; goes to their processes.

    Attributes:
        study: its name in the storage.
        storage: address, see `study.open_storage`.
        directory: for what workers leave; of this machine, or shared by all.
        space: what is searched.
        evaluation: of a candidate.
        rule: which candidates come next.
        seed: of the search; independent ones take different seeds.
        trials: candidates to evaluate at most; None leaves the end to the rule.
        heartbeat: of running trials.
        quiet: nothing on stderr but faults.
    """

    study: str
    storage: str
    directory: Path
    space: SearchSpace
    evaluation: Evaluation
    rule: Rule = field(default_factory=KBest)
    seed: int = 1
    trials: int | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    quiet: bool = True

    @property
    def setup(self) -> dict[str, Any]:
        """What every worker of the study must have in common."""
        return setup_of(self.space, self.rule, self.seed, self.evaluation.description)


def work(search: Search) -> None:
    """Be a worker of a study until it has ended.

    Raises:
        InputError: the study is another search, its storage or the disk did not come back within an hour, or
            `MAX_FAILURES` candidates failed one after the other.
        KeyboardInterrupt: interrupted; the trial under way is queued again.
    """
    name = f"{platform.node()}-{os.getpid()}"
    folder = search.directory / "workers" / name
    with locked(folder):
        try:
            _Worker(search, name).run()
        except OUTAGE as error:
            raise InputError(
                f"study {search.study}", f"its storage did not come back ({reason(error)})", "run the search again"
            ) from None
    shutil.rmtree(folder, ignore_errors=True)


class _Worker:
    def __init__(self, search: Search, name: str) -> None:
        self.search, self.name = search, name
        self.outbox = Outbox(search.directory)
        self.storage = patiently(lambda: connect(search.storage, search.heartbeat), self.say)
        self.sampler = RuleSampler(search.rule, search.space, search.seed, mark(name, self.storage))
        self.study = patiently(lambda: join(search.study, self.storage, self.sampler, search.setup), self.say)
        self.recover = Recovery(self.storage, search.directory / "workers", search.heartbeat.grace)
        self.failures = 0
        self.result: Result | None = None
        self.fault: BaseException | None = None
        prepare = getattr(search.evaluation, "ahead", None)
        self.ahead = prepare and _Ahead(lambda candidate: prepare(search.space.choices(candidate)))

    def say(self, text: str) -> None:
        print(f"{self.search.study} ({self.name}): {text}", file=sys.stderr, flush=True)

    def run(self) -> None:
        """Trial after trial, as long as the rule wants one or somebody's trial may have to be run again."""
        while (step := patiently(self._next_step, self.say)) != "end":
            if step == "wait":
                time.sleep(POLL)
            else:
                self._trial()

    def _next_step(self) -> str:
        """`trial`, `wait` for the trials of others, or `end`."""
        if (launcher := multiprocessing.parent_process()) is not None and not launcher.is_alive():
            return "end"
        for result in self.outbox.results(self.search.study):
            self._send(result)
        doubtful = self.recover(self.study)
        trials = self.study.get_trials(deepcopy=False)
        states = {trial.state for trial in trials}
        if TrialState.WAITING in states or self._wants_another(trials):
            return "trial"
        return "wait" if TrialState.RUNNING in states or doubtful else "end"

    def _wants_another(self, trials: list[FrozenTrial]) -> bool:
        if self.search.trials is not None and place(self.search.space, trials, len(trials)) >= self.search.trials:
            return False
        return not self.sampler.state(trials).ended and self.sampler.propose(trials) is not None

    def _trial(self) -> None:
        """One trial through Optuna, which gives heartbeats meanwhile and tells the storage."""
        self.result = self.fault = None
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(_FailedError, NoCandidateError))
        except Exception as error:
            # The storage may have gone away before the trial began, or have given it up before the result came.
            expected = isinstance(error, (*OUTAGE, UpdateFinishedTrialError))
            if self.fault is None and self.result is None and not expected:
                raise
        if self.fault is not None:
            raise self.fault
        if (result := self.result) is not None:
            patiently(lambda: self._send(result), self.say)
        fruitless = result is None or result.outcome.performance is None
        self.failures = self.failures + 1 if fruitless else 0
        if self.failures == MAX_FAILURES:
            last = f", the last one: {result.outcome.reason}" if result is not None else ""
            raise InputError(f"study {self.search.study}", f"{MAX_FAILURES} trials in a row came to nothing{last}")

    def _objective(self, trial: optuna.Trial) -> float:
        try:
            return self._attempt(trial)
        except (KeyboardInterrupt, InputError, *OUTAGE) as fault:
            # No fault of the candidate: the worker ends, and somebody else goes on.
            self.fault = fault
            self.recover.release(self.study, trial._trial_id, hand_over)
            raise

    def _attempt(self, trial: optuna.Trial) -> float:
        """Evaluate a trial's candidate."""
        space = self.search.space
        try:
            candidate = patiently(
                lambda: tuple(trial.suggest_categorical(name, values) for name, values in space.alternatives), self.say
            )
            patiently(lambda: self._refuse_superfluous(trial.number), self.say)
        except NoCandidateError as error:
            why = str(error)
            patiently(lambda: self.storage.set_trial_user_attr(trial._trial_id, GAVE_WAY, why), self.say)
            raise
        label = space.label(candidate)

        def report(epoch: int, value: float) -> None:
            # All are told again with the result, and a trial that was given up takes no more.
            with contextlib.suppress(*OUTAGE, UpdateFinishedTrialError):
                self.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)

        outcome = self.outbox.late_outcome(self.search.study, label)
        outcome = outcome or self._evaluate(candidate, trial.number, report)
        self.result = Result(self.search.study, trial.number, label, outcome)
        with contextlib.suppress(OSError):  # without room for the file it is told from memory
            self.outbox.put(self.result)
        patiently(lambda: self._record(trial._trial_id, outcome), self.say)
        if not self.search.quiet:
            reached = "failed" if outcome.performance is None else f"{outcome.performance:.3f}"
            self.say(f"trial {trial.number}: {reached}" + (f" ({outcome.reason})" if outcome.reason else ""))
        if outcome.performance is None:
            raise _FailedError(outcome.reason)
        if outcome.status == "stopped":
            raise optuna.TrialPruned(outcome.reason)
        return outcome.performance

    def _refuse_superfluous(self, number: int) -> None:
        """End a trial beyond the limit, or whose candidate another one has: two workers may draw at one moment."""
        trials = self.study.get_trials(deepcopy=False)
        own = next(trial for trial in trials if trial.number == number)
        candidate = candidate_of(self.search.space, own)
        for other in trials:
            dead = other.state is TrialState.FAIL and not failure(other)
            earlier = (origin(other), other.number) < (origin(own), number)
            if earlier and not dead and candidate_of(self.search.space, other) == candidate:
                raise NoCandidateError(f"trial {other.number} has the same candidate")
        if self.search.trials is not None and place(self.search.space, trials, origin(own)) >= self.search.trials:
            raise NoCandidateError(f"{self.search.trials} candidates were begun")

    def _likely_next(self, number: int) -> Candidate | None:
        """The candidate of the next trial if the running one turns out not to be one of the best, as most do.

        None where the search would then end, and where other workers have trials: they decide what comes next here.
        """
        supposed = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number == number:
                trial = copy.copy(trial)
                trial.state, trial.value = TrialState.COMPLETE, FAILED
            elif not trial.state.is_finished():
                return None
            supposed.append(trial)
        return self.sampler.propose(supposed) if self._wants_another(supposed) else None

    def _evaluate(self, candidate: Candidate, number: int, report: Callable[[int, float], None]) -> Outcome:
        """What a candidate comes to: its own faults are an outcome, room on the disk is waited for."""
        space = self.search.space
        directory, choices = self._candidate_folder(space.label(candidate)), space.choices(candidate)
        ready = {}
        if self.ahead:
            following = None
            with contextlib.suppress(*OUTAGE):
                following = self._likely_next(number)
            ready = self.ahead.take(candidate, following)

        def evaluate() -> Outcome:
            nonlocal directory
            try:
                return self.search.evaluation(choices, directory, report, **ready)
            except InputError as error:
                if "another process" in error.what:
                    # A worker that was given up as dead still trains there.
                    directory = directory.with_name(f"{directory.name}-{number}")
                    return evaluate()
                if "cannot be written" in error.what:
                    raise _NoRoomError(str(error)) from error
                raise
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                    raise _NoRoomError(str(error)) from error
                return Outcome.failed(error)
            except Exception as error:
                return Outcome.failed(error)
            finally:
                # Programs of one candidate are of no use to the next.
                if "jax" in sys.modules:
                    sys.modules["jax"].clear_caches()

        try:
            return patiently(evaluate, self.say, (_NoRoomError,))
        except _NoRoomError as error:
            raise InputError(directory, f"cannot be written ({error})", "make room and run the search again") from None

    def _candidate_folder(self, label: str) -> Path:
        return self.search.directory / "candidates" / sha256(f"{self.search.study}\n{label}".encode())[:16]

    def _record(self, trial_id: int, outcome: Outcome) -> None:
        """All about a trial but its value."""
        for epoch, value in outcome.reached:
            self.storage.set_trial_intermediate_value(trial_id, epoch, value)
        why = {REASON if outcome.performance is None else "stopped": outcome.reason} if outcome.reason else {}
        for name, value in {"status": outcome.status, **outcome.details, **why}.items():
            self.storage.set_trial_user_attr(trial_id, name, value)

    def _send(self, result: Result) -> None:
        """See that the storage has a result, or keep it where the next attempt at its candidate finds it."""
        outcome = result.outcome
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(self.study._study_id, result.trial)
        with contextlib.suppress(UpdateFinishedTrialError):
            if self.storage.get_trial(trial_id).state is TrialState.RUNNING:
                self._record(trial_id, outcome)
                values = None if outcome.performance is None else [outcome.performance]
                self.storage.set_trial_state_values(trial_id, _STATES[outcome.status], values)
        told = self.storage.get_trial(trial_id)
        if told.state is TrialState.FAIL and not failure(told):
            self.say(f"trial {result.trial} was given up before its result came; the next attempt will take that")
            self.outbox.set_aside(result)
        else:
            self.outbox.remove(result)
            shutil.rmtree(self._candidate_folder(result.label), ignore_errors=True)


class _Ahead:
    """Prepares the next candidate in another thread while one is evaluated; the compiler leaves Python's lock alone.

    Nothing but time depends on it: a candidate that was not foreseen is prepared when it comes.
    """

    def __init__(self, prepare: Callable[[Candidate], Any]) -> None:
        self._prepare = prepare
        # Two, so that a candidate need not wait for one that was foreseen and did not come.
        self._threads = ThreadPoolExecutor(2, "ahead")
        self._begun: dict[Candidate, Future[Any]] = {}

    def take(self, candidate: Candidate, following: Candidate | None) -> dict[str, Any]:
        """What the evaluation of a candidate is given beside the rest; begins to prepare the following one."""
        begun = self._begun.pop(candidate, None) or self._threads.submit(self._prepare, candidate)
        wait([begun])
        self._begun = {} if following is None else {following: self._threads.submit(self._prepare, following)}
        # A fault of the candidate comes again when it is evaluated, and is dealt with there.
        return {} if begun.exception() else {"ready": begun.result()}


_STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}


class _FailedError(Exception):
    """A candidate could not be evaluated; its trial has the reason."""


class _NoRoomError(Exception):
    """The disk is full, or cannot be written for another reason that may pass."""


def search(task: Search, workers: int = 1) -> None:
    """Run a study to its end with worker processes of this machine; others may join from elsewhere.

    A worker that is killed is replaced. Called again, an interrupted study goes on.

    Args:
        task: the search.
        workers: processes; on accelerators each takes one device, and devices are shared where there are fewer.
            On a CPU each takes its part of the cores.

    Raises:
        InputError: the storage holds another search of this name, or cannot be used; or the workers gave up.
        KeyboardInterrupt: interrupted; the trials under way are queued again.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    try:
        task.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(task.directory, f"cannot be made ({error.strerror})", "give another place") from None
    # Tables and study are made once, here: simultaneous first starts would get in each other's way.
    storage = open_storage(task.storage, task.heartbeat)
    try:
        study = join(task.study, storage, RuleSampler(task.rule, task.space, task.seed), task.setup)
        with _stopped_by_sigterm():
            faults = _supervise(task, study, workers)
    finally:
        close(storage)
    if faults:
        raise InputError(f"study {task.study}", f"{faults} of {workers} workers gave up", "see the lines above")


def _supervise(task: Search, study: optuna.Study, workers: int) -> int:
    """Keep workers running until all have ended by themselves; the number of those that gave up."""
    crew = {number: _start(task, number, workers) for number in range(workers)}
    fruitless, before, faults = 0, 0, 0
    try:
        while crew:
            multiprocessing.connection.wait([process.sentinel for process in crew.values()])
            for number, process in list(crew.items()):
                if process.is_alive():
                    continue
                process.join()
                del crew[number]
                if process.exitcode == _INTERRUPTED:
                    raise KeyboardInterrupt
                if process.exitcode >= 0:
                    faults += process.exitcode != 0
                    continue
                print(f"{task.study}: a worker died (signal {-process.exitcode})", file=sys.stderr, flush=True)
                now = _results(study)
                fruitless, before = (0, now) if now > before else (fruitless + 1, before)
                if fruitless == MAX_FAILURES:
                    faults += 1
                    continue
                time.sleep(min(fruitless, 10))
                crew[number] = _start(task, number, workers)
    except KeyboardInterrupt:
        for process in crew.values():
            process.terminate()
        for process in crew.values():
            process.join()
        raise
    return faults


_INTERRUPTED = 130
"""Exit status of a worker that was told to stop, as that of a command."""


def _results(study: optuna.Study) -> int:
    """Trials with a value; 0 if the storage does not answer."""
    with contextlib.suppress(*OUTAGE):
        return sum(trial.value is not None for trial in study.get_trials(deepcopy=False))
    return 0


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM, by which machines are taken away, is an interrupt; only in the main thread can that be arranged."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(task: Search, number: int, workers: int) -> Any:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_worker_process, args=(task, number, workers), name=f"{task.study}-{number}")
    process.start()
    return process


def _worker_process(task: Search, number: int, workers: int) -> None:
    """A worker in a process of its own; its exit status is that of a command."""
    from infantjax import cache as runtime

    def stop(signum: int, frame: Any) -> None:
        # Once: the terminal and the launcher may both say it, and handing a trial over must not be interrupted.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    # Workers that share an accelerator must not each take all of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    runtime.take_part_of_the_cores(number, workers)
    runtime.shorten_compilation()
    runtime.keep_freed_memory()
    runtime.use_compilation_cache()
    if isinstance(task.evaluation, Training):
        task = replace(task, evaluation=replace(task.evaluation, device=number))
    status = 0
    try:
        work(task)
    except InputError as error:
        print(f"{task.study}: {error}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BaseException:
        traceback.print_exc()
        status = 1
    # At once: what is being compiled ahead is of no use any more, and the interpreter would wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
