"""The objective of a search: what evaluates a candidate, and the result of a trial."""

import contextlib
import inspect
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from infantjax.errors import one_line
from infantjax.files import canonical_json, write_atomically
from infantjax.search.space import Choices, SearchSpace

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort

Report = Callable[[int, float], None]
"""Called with an epoch and the best value so far, while a candidate is evaluated.

That of a search also has a method `stage`, see `report_stage`.
"""
PERIOD = 5.0
"""Seconds between two writes of the epoch of a trial."""


@dataclass(frozen=True)
class Stage:
    """Stage of a trial.

    Attributes:
        name: `compiling` or `training`.
        epoch: the last finished one; 0 before the first.
        epochs: of a whole training.
        device: that the candidate trains on, such as `cpu:0`.
    """

    name: Literal["compiling", "training"]
    epoch: int = 0
    epochs: int = 0
    device: str = ""


def report_stage(report: Report, stage: Stage) -> None:
    """Say how far a trial is, to whoever shows the progress of the search."""
    if (say := getattr(report, "stage", None)) is not None:
        say(stage)


@dataclass(frozen=True)
class TrialResult:
    """Result of a trial, as plain data.

    Attributes:
        status: `finished` after all epochs; `stopped` early, at a checkpoint or because training diverged; `failed`
            without a value.
        value: the objective, higher is better; None where the trial failed.
        reason: why it stopped or failed; empty where it finished.
        intermediate: (epoch, best value so far) pairs, at the checkpoints and at the end.
        details: further results, JSON-compatible.

    Raises:
        ValueError: a status that does not exist, or one that does not go with the value.
    """

    status: Literal["finished", "stopped", "failed"]
    value: float | None
    reason: str = ""
    intermediate: tuple[tuple[int, float], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in ("finished", "stopped", "failed") or (self.value is None) != (self.status == "failed"):
            raise ValueError(f"a trial cannot be {self.status} with value {self.value}")

    @classmethod
    def failed(cls, error: BaseException) -> "TrialResult":
        """The result of a candidate whose evaluation raised an error."""
        return cls("failed", None, f"{type(error).__name__}: {one_line(str(error))[:300]}")


class TrialReport:
    """The `report` of a search: keeps values of intermediate epochs and the stage of a trial in a file.

    The driver of the search and every view read it, whichever process of the file system evaluates the candidate. What
    cannot be written is left out.

    Args:
        path: of the file; the values of an interrupted evaluation are read from it.
        interrupted: once it is set a report raises `KeyboardInterrupt`, which reaches the main thread only by itself.
    """

    def __init__(self, path: Path, interrupted: threading.Event | None = None) -> None:
        self._path, self._interrupted = path, interrupted
        self._stage, self.intermediate = read_report(path)
        self._written = -PERIOD

    def __call__(self, epoch: int, value: float) -> None:
        """Keep the best value so far after an epoch."""
        self.intermediate[int(epoch)] = float(value)
        self._write()

    def stage(self, stage: Stage) -> None:
        """Keep the stage; of one that has the same name as the one before, at most every `PERIOD` seconds."""
        same = self._stage.get("name") == stage.name
        self._stage = asdict(stage)
        if not same or time.monotonic() - self._written >= PERIOD:
            self._write()

    def _write(self) -> None:
        if self._interrupted is not None and self._interrupted.is_set():
            raise KeyboardInterrupt
        self._written = time.monotonic()
        pairs = [pair for pair in sorted(self.intermediate.items()) if math.isfinite(pair[1])]
        with contextlib.suppress(OSError):
            write_atomically(self._path, canonical_json({"stage": self._stage, "intermediate": pairs}))


def read_report(path: Path) -> tuple[dict[str, Any], dict[int, float]]:
    """The stage and the values of a trial, by epoch, from the file of its `TrialReport`; empty without one."""
    try:
        content = json.loads(path.read_text("utf-8"))
        return dict(content["stage"]), {int(epoch): float(value) for epoch, value in content["intermediate"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}


class Objective(Protocol):
    """Evaluates candidates. Its class belongs to a module and its fields are plain, so that other processes can run it.

    It may have a method `precompile(choices)`, which a search calls in another thread while it evaluates the candidate
    before; its return value is then passed as the argument `compiled` of the call. It may have a method
    `on_device(number)`, which returns the objective for one local device, counted from 0 and taken modulo their number.
    Objectives of several devices are called at the same time, each in its own thread; what one has compiled is passed
    to any of them.
    """

    @property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate, JSON-compatible; a search continues only if it is the same.

        The key `checkpoints`, if present, holds (epoch, minimum value) pairs at which training stops early.
        """

    def __call__(self, choices: Choices, directory: Path, report: Report) -> TrialResult:
        """Evaluate a candidate.

        Args:
            choices: of the candidate.
            directory: for checkpoints; an interrupted evaluation continues from them.
            report: called at intermediate epochs.

        Raises:
            InputError: the directory cannot be written. Every other exception counts as a failure of the candidate.
        """


@dataclass(frozen=True)
class FunctionObjective:
    """A plain function as an objective.

    Attributes:
        function: from choices to a value, higher is better, or to a `TrialResult`. It may have further arguments
            `directory` (a folder that an interrupted evaluation finds again) and `report` (see `Report`).
    """

    function: Callable[..., Any]

    @property
    def description(self) -> dict[str, Any]:
        """The name of the function."""
        function = getattr(self.function, "func", self.function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return {"objective": f"{function.__module__}.{name}"}

    def __call__(self, choices: Choices, directory: Path, report: Report) -> TrialResult:
        """Call the function.

        Raises:
            ValueError: its value is not a finite number.
        """
        directory.mkdir(parents=True, exist_ok=True)
        known = inspect.signature(self.function).parameters
        further = {"directory": directory, "report": report}
        found = self.function(dict(choices), **{name: each for name, each in further.items() if name in known})
        if isinstance(found, TrialResult):
            return found
        if not math.isfinite(found):
            raise ValueError(f"its value is {found}")
        return TrialResult("finished", float(found))


class SearchProblem(Protocol):
    """Search problem of a method: a frozen dataclass of the settings of its candidates' training.

    Of outcomes that are scores it has a `score_range`. Its `objective` may take recordings with annotated seconds,
    `annotated`, as of `crossval`.
    """

    @property
    def space(self) -> SearchSpace:
        """The search space."""

    def objective(self, cohort: "Cohort", stratify: Sequence[str] = (), strict: bool = False) -> Objective:
        """The objective on a cohort.

        Args:
            cohort: recordings with outcomes.
            stratify: columns of the outcomes table to balance over the parts of the cohort beside the outcome.
            strict: refuse recordings whose points have to be approximated.

        Raises:
            InputError: the cohort cannot be used or split.
            ValueError: settings that do not go together.
        """
