"""`Trainable`: all that cross-validation needs of a method; a published method is one that also assesses."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.recording import Recording
from infantjax.settings import to_settings
from infantjax.weights.ensemble import Member

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.loop import TrainOptions
    from infantjax.training.splits import Split
    from infantjax.training.state import StackResult

Fidelity = Literal["exact", "published", "interpretation"]
"""`exact`: equal to the reference implementation; `published`: follows the published text; `interpretation`:
re-implemented from an outline, with choices of our own."""


class Trainable(ABC):
    """A frozen dataclass of settings that cross-validation trains.

    Attributes:
        name: registry name.
        title: in words.
        source: publication.
        fidelity: `exact`, equal to the reference implementation; `published`, follows the text; `interpretation`, only
            an outline is published.
        fidelity_note: what is published and what is our choice; empty where the source defines everything.
        skeleton: name of the keypoints that the network reads.
        score_range: of outcomes that are scores; None where outcomes are 0 or 1.
        shard_batches: whether the devices share the batches of every run, in place of the runs.
        model: registry name of the network.
        training: settings of the training, with a `seed`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    fidelity: ClassVar[Fidelity]
    fidelity_note: ClassVar[str] = ""
    skeleton: ClassVar[str]
    score_range: ClassVar[ScoreRange | None] = None
    shard_batches: ClassVar[bool] = False
    model: Any
    training: Any

    @abstractmethod
    def build(self) -> "nn.Module":
        """The network."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample of the network's input."""

    @abstractmethod
    def prepare(self, recording: Recording, strict: bool = False) -> Any:
        """Training data of a recording.

        Args:
            recording: keypoints.
            strict: refuse points that have to be approximated from others.

        Raises:
            InputError: it cannot be used.
        """

    def prepare_annotated(self, recording: Recording, strict: bool = False) -> Any:
        """Training data of a recording with annotated seconds.

        Raises:
            InputError: it cannot be used.
            ValueError: the method uses no such recordings.
        """
        raise ValueError(f"{self.name} uses no recordings with annotated seconds")

    @abstractmethod
    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> "tuple[Split, ...]":
        """The published splits of a cohort.

        Args:
            cohort: recordings with outcomes.
            stratify: columns of the outcomes table to balance beside the outcome.

        Raises:
            InputError: the cohort cannot be split.
            ValueError: a column that no recording has, or that the method cannot balance.
        """

    def pretrain(self, inputs: "TrainInputs", directory: Path, options: "TrainOptions | None") -> "TrainInputs":
        """Train what the runs stand on, such as a first network whose output they read; most methods have nothing.

        Args:
            inputs: prepared recordings and their splits.
            directory: of the ensemble; a folder in it holds the logs and checkpoints.
            options: of the execution.

        Returns:
            The inputs, with what was trained.

        Raises:
            InputError: as of `training.fit`.
        """
        return inputs

    @abstractmethod
    def setup(self, inputs: "TrainInputs") -> "TrainingSetup":
        """Supervised task, index sets and data of a stack of runs.

        Raises:
            InputError: a split that cannot be trained on.
        """

    @abstractmethod
    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "StackResult") -> "TrainOutputs":
        """Values of held-out recordings, metrics, and what the ensemble needs beside the settings.

        Raises:
            InputError: no run can be used.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as nested dictionaries, JSON-compatible; `from_settings` is the inverse."""
        return to_settings(self)

    @property
    def seed(self) -> int:
        """Seed of the training and of the splits."""
        return self.training.seed

    def with_seed(self, seed: int) -> Self:
        """The method with another seed of the training and of the splits."""
        return replace(self, training=replace(self.training, seed=seed))  # type: ignore[type-var]

    def with_network_of(self, member: Member) -> Self:
        """The method with the options of the network of a member, whose weights its training starts from."""
        return self

    def members(self, result: "StackResult") -> tuple[Member, ...]:
        """The networks of all runs that finished an epoch, as one member of an ensemble."""
        from infantjax.training.execution.layout import take_runs

        runs = [run for run, last in enumerate(result.last_epoch) if last > 0]
        return (Member(self.model, take_runs(result.variables, runs), {}),) if runs else ()
