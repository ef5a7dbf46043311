"""The objective of a search: what evaluates a candidate, and the result of a trial."""

import inspect
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from infantjax.errors import one_line
from infantjax.search.space import Choices, SearchSpace

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort

Report = Callable[[int, float], None]
"""Called with an epoch and the best value so far, while a candidate is evaluated."""


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
    """The `report` of a search: keeps the values of intermediate epochs.

    Args:
        interrupted: once it is set a report raises `KeyboardInterrupt`, which reaches the main thread only by itself.
    """

    def __init__(self, interrupted: threading.Event | None = None) -> None:
        self._interrupted = interrupted
        self.intermediate: dict[int, float] = {}

    def __call__(self, epoch: int, value: float) -> None:
        """Keep the best value so far after an epoch."""
        if self._interrupted is not None and self._interrupted.is_set():
            raise KeyboardInterrupt
        self.intermediate[int(epoch)] = float(value)


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
    """Search problem of a method: a frozen dataclass of the settings of its candidates' training."""

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
