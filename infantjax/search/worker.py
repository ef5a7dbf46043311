"""Workers: processes that join a study, evaluate candidates, and may die at any moment.

A worker claims a trial, evaluates its candidate, writes the result to disk, stores it, and removes its folder, see
`claims`. Meanwhile it compiles the candidates that probably come next. With several devices it does so in one thread
for each: XLA releases the GIL while it compiles and while it computes. A candidate that cannot be evaluated is a failed
trial with its reason; a worker waits for a storage that does not answer and for room on a full disk.
"""

import contextlib
import copy
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infantjax import places
from infantjax.errors import InputError, MissingExtraError
from infantjax.files import FolderInUseError
from infantjax.progress import LOGGER
from infantjax.search.claims import CRASHES, Claims
from infantjax.search.kbest import FAILED, KBest, Strategy
from infantjax.search.objective import Objective, Stage, TrialResult
from infantjax.search.progress import TrialReport
from infantjax.search.sampler import StrategySampler, candidate_of, distributions
from infantjax.search.space import Candidate, SearchSpace
from infantjax.search.storage import OUTAGE, Heartbeat, NoRoomError, connect, reason, retry_with_backoff, writing
from infantjax.search.study import DUPLICATE, EXHAUSTED, join_study, study_setup

try:
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

MAX_FAILURES = 20
"""Candidates that fail one after the other before a search stops: then the cause is not the candidates."""
POLL = 2.0
"""Seconds between two looks at the trials of other workers."""


@dataclass(frozen=True)
class SearchTask:
    """A search that workers join; worker processes unpickle it.

    Attributes:
        study: its name in the storage.
        storage: address, see `storage.open_storage`.
        directory: for trials in progress; of this machine, or shared by all.
        space: the search space.
        objective: evaluates a candidate.
        strategy: which candidates come next.
        seed: of the search; independent ones take different seeds.
        trials: maximum number of candidates; None leaves the end to the strategy.
        heartbeat: of running trials.
        quiet: log warnings only, in the worker processes.
    """

    study: str
    storage: str
    directory: Path
    space: SearchSpace
    objective: Objective
    strategy: Strategy = field(default_factory=KBest)
    seed: int = 1
    trials: int | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    quiet: bool = True

    @property
    def setup(self) -> dict[str, Any]:
        """The settings in which all workers of the study must agree."""
        return study_setup(self.space, self.strategy, self.seed, self.objective.description)

    @property
    def sampler(self) -> StrategySampler:
        """The sampler of the study."""
        return StrategySampler(self.strategy, self.space, self.seed)


def run_worker(task: SearchTask, devices: Sequence[int] | None = None) -> None:
    """Be a worker of a study until it has ended.

    Args:
        task: the search.
        devices: numbers of the local devices, each for one candidate at a time, in a thread of its own where there are
            several; None evaluates the objective as it is.

    Raises:
        InputError: the study is another search, its storage or the disk did not come back within an hour, or
            `MAX_FAILURES` candidates failed one after the other.
        KeyboardInterrupt: interrupted; the trials in progress wait for another worker. Threads end at the next report
            of their objective, at the latest with their trial.
    """
    on_device: Any = getattr(task.objective, "on_device", None) or (lambda number: task.objective)
    objectives = [task.objective] if devices is None else [on_device(number) for number in devices]
    try:
        _Worker(task, objectives).run()
    except OUTAGE as error:
        what = f"its storage did not come back ({reason(error)})"
        raise InputError(f"study {task.study}", what, "run the search again") from None
    except NoRoomError as error:
        what = f"cannot be written ({error})"
        raise InputError(task.directory, what, "make room and run the search again") from None


class _Worker:
    """A worker with an objective for each of its devices; all of its threads share one study and one claim."""

    def __init__(self, task: SearchTask, objectives: Sequence[Objective]) -> None:
        self.task, self.sampler, self.objectives = task, task.sampler, objectives
        storage = retry_with_backoff(lambda: connect(task.storage, task.heartbeat))
        self.study = retry_with_backoff(lambda: join_study(task.study, storage, self.sampler, task.setup))
        self.claims = Claims(self.study, task.storage, task.directory)
        self.failures = 0
        self.precompiler = _Precompiler(task.space, len(objectives))
        self.evaluating: dict[int, tuple[FrozenTrial, Objective]] = {}
        self.lock = threading.Lock()
        self.stopping, self.interrupted = threading.Event(), threading.Event()

    def run(self) -> None:
        """Evaluate trial after trial, until the search has ended and no trial of other workers is left."""
        with self.claims.alive(), contextlib.closing(self.precompiler):
            if len(self.objectives) == 1:
                self._evaluate_trials(self.objectives[0])
            else:
                self._evaluate_in_threads()

    def _evaluate_in_threads(self) -> None:
        """One thread for each device. After an error in one of them the others end with their trials."""
        errors: list[BaseException] = []

        def evaluate(objective: Objective) -> None:
            try:
                self._evaluate_trials(objective)
            except BaseException as error:
                self.stopping.set()
                errors.append(error)
            finally:
                self.claims.storage.remove_session()

        # Daemons, so that an interrupted process need not wait for a program that runs for minutes.
        threads = [threading.Thread(target=evaluate, args=(each,), daemon=True) for each in self.objectives]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self.stopping.set()
            self.interrupted.set()
            with self.lock:
                for trial, _ in self.evaluating.values():
                    self._release(trial)
            raise
        if errors:
            raise errors[0]

    def _evaluate_trials(self, objective: Objective) -> None:
        """Evaluate trial after trial with one objective."""
        while (step := retry_with_backoff(lambda: self._next_step(objective))) != "end":
            if isinstance(step, FrozenTrial):
                try:
                    self._evaluate_trial(step, objective)
                finally:
                    with self.lock:
                        del self.evaluating[step.number]
            else:
                time.sleep(POLL)

    def _next_step(self, objective: Objective) -> FrozenTrial | Literal["wait", "end"]:
        """Claim a trial for an objective; without one, wait for those of other workers, or end."""
        with self.lock, self.claims.exclusive():
            if self.stopping.is_set():
                return "end"
            self.claims.recover()
            while True:
                trials = self.study.get_trials(deepcopy=False)
                waiting = next((trial for trial in trials if trial.state is TrialState.WAITING), None)
                if waiting is not None:
                    if why := self._superfluous(waiting, trials):
                        self._refuse(waiting, why)
                    elif self._must_be_alone(waiting):
                        return "wait"
                    elif self.claims.claim(waiting):
                        self.evaluating[waiting.number] = waiting, objective
                        return waiting
                elif (candidate := self._next_candidate(trials)) is not None:
                    self._add_trial(candidate)
                elif any(trial.state is TrialState.RUNNING for trial in trials):
                    return "wait"
                else:
                    self._note_end(trials)
                    return "end"

    def _must_be_alone(self, trial: FrozenTrial) -> bool:
        """Whether a trial has to wait for others of this process, since one of them was there when a process crashed.

        So the next crash shows whose fault it is.
        """
        others = [other for other, _ in self.evaluating.values()]
        return bool(others) and any(CRASHES in each.user_attrs for each in (trial, *others))

    def _note_end(self, trials: list[FrozenTrial]) -> None:
        """Store with the study whether it ends because no untried candidate is drawn."""
        exhausted = self._begun(trials) != self.task.trials and not self.sampler.state(trials).ended
        if self.study.user_attrs.get(EXHAUSTED, False) != exhausted:
            self.study.set_user_attr(EXHAUSTED, exhausted)

    def _next_candidate(self, trials: list[FrozenTrial]) -> Candidate | None:
        """The candidate that comes after these trials; None where the search ends."""
        if self._begun(trials) == self.task.trials or self.sampler.state(trials).ended:
            return None
        return self.sampler.propose(trials)

    def _begun(self, trials: list[FrozenTrial]) -> int:
        """Number of candidates among these trials."""
        return sum(DUPLICATE not in trial.user_attrs for trial in trials)

    def _add_trial(self, candidate: Candidate) -> None:
        """Add a waiting trial with its candidate in one transaction, so that no trial is ever without."""
        self.study.add_trial(self._waiting_trial(candidate))

    def _waiting_trial(self, candidate: Candidate) -> FrozenTrial:
        params, known = self.task.space.choices(candidate), distributions(self.task.space)
        return optuna.create_trial(state=TrialState.WAITING, params=params, distributions=known)

    def _evaluate_trial(self, trial: FrozenTrial, objective: Objective) -> None:
        """Evaluate the candidate of a claimed trial, and store the result."""
        with self.claims.heartbeat(trial):
            try:
                result = self._evaluate(trial, objective)
            except (KeyboardInterrupt, InputError, NoRoomError, *OUTAGE):
                # Not the fault of the candidate: this worker ends, and another one continues.
                if not self.interrupted.is_set():
                    self._release(trial)
                raise
            self.claims.save(trial, result)
            retry_with_backoff(lambda: self.claims.send(trial, result))
        places.publish_progress(self.task.directory)
        value = "failed" if result.value is None else f"{result.value:.3f}"
        why = f" ({result.reason})" if result.reason else ""
        LOGGER.info("%s: trial %d: %s%s", self.task.study, trial.number, value, why)
        self.failures = self.failures + 1 if result.value is None else 0
        if self.failures >= MAX_FAILURES:
            what = f"{MAX_FAILURES} trials in a row failed, the last one: {result.reason}"
            raise InputError(f"study {self.task.study}", what)

    def _release(self, trial: FrozenTrial) -> None:
        with contextlib.suppress(*OUTAGE):
            self.claims.release(self.claims.storage.get_trial(trial._trial_id))

    def _superfluous(self, trial: FrozenTrial, trials: list[FrozenTrial]) -> str:
        """Why a trial is not to be evaluated: workers of two machines may add trials at the same moment."""
        candidate = candidate_of(self.task.space, trial)
        if candidate is None or not self.task.space.contains(candidate):
            return "its parameters are no candidate of the search space"
        earlier = [other for other in trials if other.number < trial.number and DUPLICATE not in other.user_attrs]
        for other in earlier:
            if candidate_of(self.task.space, other) == candidate:
                return f"trial {other.number} has the same candidate"
        return f"{self.task.trials} candidates were begun" if len(earlier) == self.task.trials else ""

    def _refuse(self, trial: FrozenTrial, why: str) -> None:
        with contextlib.suppress(UpdateFinishedTrialError):
            self.claims.storage.set_trial_user_attr(trial._trial_id, DUPLICATE, why)
            self.claims.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)

    def _likely_next(self) -> dict[Candidate, Objective]:
        """The next candidates if the trials in progress are not among the best, which is most likely.

        The first one supposes that the oldest trial has ended, whose objective is then free, and so on. Empty where the
        search would then end, and where other workers have trials: the next candidate depends on them.
        """
        found: dict[Candidate, Objective] = {}
        supposed = list(self.study.get_trials(deepcopy=False))
        unfinished = [trial for trial in supposed if not trial.state.is_finished()]
        if any(trial.number not in self.evaluating for trial in unfinished):
            return {}
        for trial in map(copy.copy, unfinished):
            trial.state, trial.value = TrialState.COMPLETE, FAILED
            supposed[trial.number] = trial
            if (candidate := self._next_candidate(supposed)) is None:
                break
            found[candidate] = self.evaluating[trial.number][1]
            following = self._waiting_trial(candidate)
            following.number = len(supposed)
            supposed.append(following)
        return found

    def _precompile(self, candidate: Candidate, objective: Objective) -> dict[str, Any]:
        """The compiled candidate as an argument of its objective; begins to compile those that probably follow."""
        if not hasattr(objective, "precompile"):
            return {}
        compiled = self.precompiler.take(candidate, objective)
        with self.lock, contextlib.suppress(*OUTAGE):
            claimed = {candidate_of(self.task.space, trial) for trial, _ in self.evaluating.values()}
            self.precompiler.begin(self._likely_next(), claimed)
        return compiled

    def _evaluate(self, trial: FrozenTrial, objective: Objective) -> TrialResult:
        """The result of a candidate; an error that it causes is a result too."""
        candidate = candidate_of(self.task.space, trial)
        assert candidate is not None
        report = TrialReport(self.claims.storage, trial._trial_id, self.interrupted)
        report.stage(Stage("compiling"))
        compiled = self._precompile(candidate, objective)
        folder = self.claims.folder(trial) / "run"

        def evaluate() -> TrialResult:
            nonlocal folder
            self._complete_params(trial, candidate)
            try:
                with writing():
                    return objective(self.task.space.choices(candidate), folder, report, **compiled)
            except FolderInUseError:  # by a frozen worker that lost the trial
                folder = folder.with_name(f"{folder.name}+")
                return evaluate()
            except (InputError, NoRoomError):
                raise
            except Exception as error:
                return TrialResult.failed(error)
            finally:
                # Programs of one candidate are of no use to the next.
                if "jax" in sys.modules:
                    sys.modules["jax"].clear_caches()

        return retry_with_backoff(evaluate)

    def _complete_params(self, trial: FrozenTrial, candidate: Candidate) -> None:
        """Store the choices of a trial that a user enqueued."""
        known = distributions(self.task.space)
        for name, value in self.task.space.choices(candidate).items():
            if name not in trial.params:
                stored = known[name].to_internal_repr(value)
                self.claims.storage.set_trial_param(trial._trial_id, name, stored, known[name])


class _Precompiler:
    """Compiles the next candidates in other threads while some are evaluated; XLA releases the GIL while it compiles.

    Results do not depend on it: a candidate that was not predicted is compiled when it comes.

    Args:
        space: of the candidates.
        devices: number of candidates that are evaluated at the same time.
    """

    def __init__(self, space: SearchSpace, devices: int) -> None:
        self.space = space
        # Twice as many threads, so that a candidate need not wait for a wrong prediction.
        self._threads = ThreadPoolExecutor(2 * devices, "precompile")
        self._begun: dict[Candidate, Future[Any]] = {}

    def take(self, candidate: Candidate, objective: Objective) -> dict[str, Any]:
        """The compiled candidate as an argument of the objective."""
        begun = self._begun.pop(candidate, None) or self._submit(candidate, objective)
        wait([begun])
        # An error of the candidate occurs again when it is evaluated, and is handled there.
        return {} if begun.exception() else {"compiled": begun.result()}

    def begin(self, following: Mapping[Candidate, Objective], claimed: Collection[Candidate | None]) -> None:
        """Begin to compile the candidates that probably follow, and forget others that nobody has claimed."""
        for candidate in [each for each in self._begun if each not in following and each not in claimed]:
            self._begun.pop(candidate).cancel()
        for candidate, objective in following.items():
            if candidate not in self._begun:
                self._begun[candidate] = self._submit(candidate, objective)

    def _submit(self, candidate: Candidate, objective: Any) -> Future[Any]:
        return self._threads.submit(objective.precompile, self.space.choices(candidate))

    def close(self) -> None:
        """Begin no further compilation."""
        self._threads.shutdown(wait=False, cancel_futures=True)
