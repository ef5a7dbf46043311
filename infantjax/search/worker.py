"""Workers: processes that join a study, evaluate candidates, and may die at any moment.

A worker claims a trial, evaluates its candidate, writes the result to disk, stores it, and removes its folder, see
`claims`. Meanwhile it compiles the candidate that probably comes next. A candidate that cannot be evaluated is a failed
trial with its reason; a worker waits for a storage that does not answer and for room on a full disk.
"""

import contextlib
import copy
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import FolderInUseError
from infantjax.progress import LOGGER
from infantjax.search.claims import Claims
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


def run_worker(task: SearchTask) -> None:
    """Be a worker of a study until it has ended.

    Raises:
        InputError: the study is another search, its storage or the disk did not come back within an hour, or
            `MAX_FAILURES` candidates failed one after the other.
        KeyboardInterrupt: interrupted; the trial in progress waits for another worker.
    """
    try:
        _Worker(task).run()
    except OUTAGE as error:
        what = f"its storage did not come back ({reason(error)})"
        raise InputError(f"study {task.study}", what, "run the search again") from None
    except NoRoomError as error:
        what = f"cannot be written ({error})"
        raise InputError(task.directory, what, "make room and run the search again") from None


class _Worker:
    def __init__(self, task: SearchTask) -> None:
        self.task, self.sampler = task, task.sampler
        storage = retry_with_backoff(lambda: connect(task.storage, task.heartbeat))
        self.study = retry_with_backoff(lambda: join_study(task.study, storage, self.sampler, task.setup))
        self.claims = Claims(self.study, task.storage, task.directory)
        self.failures = 0
        precompile: Any = getattr(task.objective, "precompile", None)
        self.precompiler = _Precompiler(lambda candidate: precompile(task.space.choices(candidate)))
        self.precompiles = precompile is not None

    def run(self) -> None:
        """Evaluate trial after trial, until the search has ended and no trial of other workers is left."""
        with self.claims.alive(), contextlib.closing(self.precompiler):
            while (step := retry_with_backoff(self._next_step)) != "end":
                if isinstance(step, FrozenTrial):
                    self._evaluate_trial(step)
                else:
                    time.sleep(POLL)

    def _next_step(self) -> FrozenTrial | Literal["wait", "end"]:
        """Claim a trial; without one, wait for those of other workers, or end."""
        with self.claims.exclusive():
            self.claims.recover()
            while True:
                trials = self.study.get_trials(deepcopy=False)
                waiting = next((trial for trial in trials if trial.state is TrialState.WAITING), None)
                if waiting is not None:
                    if why := self._superfluous(waiting, trials):
                        self._refuse(waiting, why)
                    elif self.claims.claim(waiting):
                        return waiting
                elif (candidate := self._next_candidate(trials)) is not None:
                    self._add_trial(candidate)
                elif any(trial.state is TrialState.RUNNING for trial in trials):
                    return "wait"
                else:
                    self._note_end(trials)
                    return "end"

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
        params, known = self.task.space.choices(candidate), distributions(self.task.space)
        self.study.add_trial(optuna.create_trial(state=TrialState.WAITING, params=params, distributions=known))

    def _evaluate_trial(self, trial: FrozenTrial) -> None:
        """Evaluate the candidate of a claimed trial, and store the result."""
        with self.claims.heartbeat(trial):
            try:
                result = self._evaluate(trial)
            except (KeyboardInterrupt, InputError, NoRoomError, *OUTAGE):
                # Not the fault of the candidate: this worker ends, and another one continues.
                with contextlib.suppress(*OUTAGE):
                    self.claims.release(self.claims.storage.get_trial(trial._trial_id))
                raise
            self.claims.save(trial, result)
            retry_with_backoff(lambda: self.claims.send(trial, result))
        value = "failed" if result.value is None else f"{result.value:.3f}"
        why = f" ({result.reason})" if result.reason else ""
        LOGGER.info("%s: trial %d: %s%s", self.task.study, trial.number, value, why)
        self.failures = self.failures + 1 if result.value is None else 0
        if self.failures == MAX_FAILURES:
            what = f"{MAX_FAILURES} trials in a row failed, the last one: {result.reason}"
            raise InputError(f"study {self.task.study}", what)

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

    def _likely_next(self, number: int) -> Candidate | None:
        """The next candidate if the trial in progress is not one of the best, which is most likely.

        None where the search would then end, and where other workers have trials: the next candidate depends on them.
        """
        supposed = []
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number == number:
                trial = copy.copy(trial)
                trial.state, trial.value = TrialState.COMPLETE, FAILED
            elif not trial.state.is_finished():
                return None
            supposed.append(trial)
        return self._next_candidate(supposed)

    def _evaluate(self, trial: FrozenTrial) -> TrialResult:
        """The result of a candidate; an error that it causes is a result too."""
        candidate = candidate_of(self.task.space, trial)
        assert candidate is not None
        compiled = {}
        report = TrialReport(self.claims.storage, trial._trial_id)
        report.stage(Stage("compiling"))
        if self.precompiles:
            following = None
            with contextlib.suppress(*OUTAGE):
                following = self._likely_next(trial.number)
            compiled = self.precompiler.take(candidate, following)

        folder = self.claims.folder(trial) / "run"

        def evaluate() -> TrialResult:
            nonlocal folder
            self._complete_params(trial, candidate)
            try:
                with writing():
                    return self.task.objective(self.task.space.choices(candidate), folder, report, **compiled)
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
    """Compiles the next candidate in another thread while one is evaluated; XLA releases the GIL while it compiles.

    Results do not depend on it: a candidate that was not predicted is compiled when it comes.
    """

    def __init__(self, precompile: Callable[[Candidate], Any]) -> None:
        self._precompile = precompile
        # Two threads, so that a candidate need not wait for a wrong prediction.
        self._threads = ThreadPoolExecutor(2, "precompile")
        self._begun: dict[Candidate, Future[Any]] = {}

    def take(self, candidate: Candidate, following: Candidate | None) -> dict[str, Any]:
        """The compiled candidate as an argument of the objective; begins to compile the following one."""
        begun = self._begun.pop(candidate, None) or self._threads.submit(self._precompile, candidate)
        wait([begun])
        self._begun = {} if following is None else {following: self._threads.submit(self._precompile, following)}
        # An error of the candidate occurs again when it is evaluated, and is handled there.
        return {} if begun.exception() else {"compiled": begun.result()}

    def close(self) -> None:
        """Begin no further compilation."""
        self._threads.shutdown(wait=False, cancel_futures=True)
