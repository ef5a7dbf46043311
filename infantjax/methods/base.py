"""The `Method` protocol: a published method as a frozen dataclass of nested settings.

Cross-validation, checkpoints, ensembles, reports, the command line and the search are written once against it. A method
lives in its own folder; `method.py` there shows it from top to bottom.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from infantjax.assessment.assessment import Fidelity
from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.recording import Recording
from infantjax.settings import from_settings, to_settings
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.search.objective import SearchProblem
    from infantjax.simulation.config import InfantConfig
    from infantjax.training.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.loop import TrainOptions
    from infantjax.training.splits import Split
    from infantjax.training.state import TrainResult


class Method(ABC):
    """A published method; a subclass is a frozen dataclass of its settings, nested by concern.

    Attributes:
        name: registry name; the folder of the method has the same name with underscores.
        title: in words.
        source: publication.
        fidelity: `exact`, equal to the reference implementation; `published`, follows the text; `interpretation`, only
            an outline is published.
        fidelity_note: what is published and what is our choice; empty where the source defines everything.
        skeleton: name of the keypoints that the network reads.
        score_range: of outcomes that are scores; None where outcomes are 0 or 1.
        needs_annotated: whether training needs recordings with annotated seconds.
        simulated_columns: columns of a simulated outcomes table beside id and outcome.
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
    needs_annotated: ClassVar[bool] = False
    simulated_columns: ClassVar[tuple[str, ...]] = ()
    model: Any
    training: Any

    # --- what a method fills in ------------------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> "nn.Module":
        """The network."""

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample of the network's input."""

    @abstractmethod
    def prepare(self, recording: Recording, strict: bool = False) -> Any:
        """What the training needs of a recording.

        Args:
            recording: keypoints.
            strict: refuse points that have to be approximated from others.

        Raises:
            InputError: it cannot be used.
        """

    def prepare_annotated(self, recording: Recording, strict: bool = False) -> Any:
        """What the training needs of a recording with annotated seconds.

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

    @abstractmethod
    def setup(self, inputs: "TrainInputs") -> "TrainingSetup":
        """Supervised task, index sets and data of a stack of runs.

        Raises:
            InputError: a split that cannot be trained on.
        """

    @abstractmethod
    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "TrainResult") -> "TrainOutputs":
        """Values of held-out recordings, metrics, and what the ensemble needs beside the settings.

        Raises:
            InputError: no run can be used.
        """

    @classmethod
    @abstractmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> Assessor:
        """An object that assesses recordings with an ensemble of this method.

        Args:
            ensemble: of this method.
            threshold: of decisions; None is the ensemble's.
            strict: refuse recordings with points that have to be approximated.

        Raises:
            InputError: the content of the ensemble does not fit together.
            ValueError: a threshold out of range, or one for a method that decides nothing.
        """

    @classmethod
    def search_problem(cls) -> "SearchProblem":
        """The architecture search over this method: a dataclass of its settings, with space and objective.

        Raises:
            ValueError: the architecture of this method is not searched.
        """
        raise ValueError(f"{cls.name} has no architecture search")

    def with_candidate(self, choices: Mapping[str, Any]) -> Self:
        """The method with the network of a candidate of its architecture search; equal networks give equal methods.

        Args:
            choices: of the candidate.

        Raises:
            ValueError: the architecture of this method is not searched.
        """
        raise ValueError(f"{self.name} has no architecture search")

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Published variants of the settings, by name; the defaults are `reference`."""
        return {"reference": cls()}

    @classmethod
    def simulate(
        cls,
        n: int,
        seed: int,
        duration: float,
        *,
        prevalence: float = 0.3,
        fps: float = 30.0,
        base: "InfantConfig | None" = None,
        first: int = 0,
    ) -> Iterator[tuple[Recording, float]]:
        """Simulated recordings that the method reads, with their outcomes or scores, one after the other.

        Args:
            n: number of infants.
            seed: of the cohort.
            duration: of each recording, seconds.
            prevalence: fraction of infants with outcome 1.
            fps: frames per second.
            base: settings that are not drawn.
            first: number of the first infant; an infant depends on the seed and its number only.
        """
        from infantjax.simulation.cohort import simulate_infants

        return simulate_infants(n, seed, duration, prevalence=prevalence, fps=fps, base=base, first=first)

    # --- what is the same for all ----------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as nested dictionaries, JSON-compatible; `from_settings` is the inverse."""
        return to_settings(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """The method with some settings, others at their defaults.

        Raises:
            ValueError: an unknown name, or a value of another type or out of range.
        """
        return from_settings(cls, settings)

    @classmethod
    def from_ensemble(cls, ensemble: Ensemble, threshold: float | None = None) -> Self:
        """The method with the settings that an ensemble was trained with.

        Args:
            ensemble: of this method.
            threshold: replaces the ensemble's.

        Raises:
            InputError: the settings do not fit the method.
            ValueError: a threshold out of range, or one for a method that decides nothing.
        """
        try:
            method = cls.from_settings(ensemble.info["settings"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None
        if threshold is None:
            return method
        if not hasattr(method, "threshold"):
            raise ValueError(f"{cls.name} decides nothing and has no threshold")
        return dataclasses.replace(method, threshold=float(threshold))  # type: ignore[type-var]

    @property
    def seed(self) -> int:
        """Seed of the training and of the splits."""
        return self.training.seed

    def with_network_of(self, member: Member) -> Self:
        """The method with the options of the network of a member, whose weights its training starts from."""
        return self

    def members(self, result: "TrainResult") -> tuple[Member, ...]:
        """The networks of all runs that finished an epoch, as one member of an ensemble."""
        from infantjax.training.layout import take_runs

        runs = [run for run, last in enumerate(result.last_epoch) if last > 0]
        return (Member(self.model, take_runs(result.variables, runs), {}),) if runs else ()

    def crossval(
        self, cohort: Cohort, directory: str | Path, options: "TrainOptions | None" = None, **others: Any
    ) -> Ensemble:
        """See `training.crossval.crossval`."""
        from infantjax.training.crossval import crossval

        return crossval(self, cohort, directory, options, **others)

    def train(
        self,
        cohort: Cohort,
        directory: str | Path,
        validation: Sequence[str] | float = 0.25,
        options: "TrainOptions | None" = None,
        **others: Any,
    ) -> Ensemble:
        """See `training.crossval.train`."""
        from infantjax.training.crossval import train

        return train(self, cohort, directory, validation, options, **others)
