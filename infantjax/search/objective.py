"""The objective of a search: what evaluates a candidate, and the result of a trial."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from infantjax.errors import one_line
from infantjax.search.space import Choices, SearchSpace

if TYPE_CHECKING:
    from infantjax.recording.cohort import Cohort

Report = Callable[[int, float], None]
"""Called with an epoch and the best value so far, while a candidate is evaluated.

That of a worker also has a method `stage`, see `report_stage`.
"""


@dataclass(frozen=True)
class Stage:
    """What the worker of a trial does.

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrialResult":
        """The inverse of `to_dict`.

        Raises:
            ValueError: the values do not describe a result.
        """
        try:
            intermediate = tuple((int(epoch), float(value)) for epoch, value in values["intermediate"])
            return cls(values["status"], values["value"], str(values["reason"]), intermediate, dict(values["details"]))
        except (KeyError, TypeError) as error:
            raise ValueError("these values are no result of a trial") from error


class Objective(Protocol):
    """Evaluates candidates. Worker processes unpickle it, so its class belongs to a module and its fields are plain.

    It may have a method `precompile(choices)`, which workers call in another thread while they evaluate the candidate
    before; its return value is then passed as the argument `compiled` of the call. It may have a method
    `on_device(number)`, which returns the objective for one local device, counted from 0 and taken modulo their number.
    Objectives of several devices are called at the same time, each in its own thread; what one has compiled is passed
    to any of them.
    """

    @property
    def description(self) -> dict[str, Any]:
        """All that decides the value of a candidate, JSON-compatible; workers of one study must agree in it.

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


class SearchProblem(Protocol):
    """What a method offers to the search: a frozen dataclass of the settings of its candidates' training."""

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
