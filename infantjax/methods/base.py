"""The `Method` protocol: a published method as a frozen dataclass of nested settings.

Cross-validation, checkpoints, ensembles, reports, the command line and the search are written once against it. A method
lives in its own folder; `method.py` there shows it from top to bottom.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.settings import from_settings
from infantjax.training.cohorts.trainable import Trainable
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    from infantjax.search.crossval import CrossvalObjective
    from infantjax.search.objective import SearchProblem
    from infantjax.search.space import SearchSpace
    from infantjax.simulation.config import InfantConfig
    from infantjax.training.loop import TrainOptions


class Method(Trainable):
    """A published method; a subclass is a frozen dataclass of its settings, nested by concern.

    `Trainable` has what its training needs.

    Attributes:
        needs_annotated: whether training needs recordings with annotated seconds.
        simulated_columns: columns of a simulated outcomes table beside id and outcome.
        searched: settings that a search varies, where the architecture is not searched (our choice).
    """

    needs_annotated: ClassVar[bool] = False
    simulated_columns: ClassVar[tuple[str, ...]] = ()
    searched: ClassVar[tuple[str, ...]] = ("training.learning_rate", "training.decay", "training.batch_size")

    # --- what a method fills in ------------------------------------------------------------------------------------

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
    def tracker(cls, ensemble: Ensemble, min_confidence: float = 0.3, batch_size: int | None = None) -> Any:
        """An object that finds keypoints in images with an ensemble of this method.

        Args:
            ensemble: of this method.
            min_confidence: keypoints with less confidence are missing.
            batch_size: samples in a call of the networks; None lets the backend decide.

        Raises:
            InputError: the content of the ensemble does not fit together.
            ValueError: the method reads keypoints, or a value out of range.
        """
        raise ValueError(f"{cls.name} reads keypoints and finds none")

    @classmethod
    def program(cls, ensemble: Ensemble, samples: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
        """The networks of an ensemble as a function of one array, to export, with the shape of that array.

        Default: from the network's input `[sample, ...]` to its output by every instance, `[sample, instance]`.

        Args:
            ensemble: of this method.
            samples: of a call.

        Raises:
            InputError: the settings do not fit the method.
            ValueError: the network reads more than one array.
        """
        import jax
        import jax.numpy as jnp

        method = cls.from_ensemble(ensemble)
        module, variables = method.build(), jax.tree.map(jnp.asarray, ensemble.variables)

        def outputs(x: Any) -> Any:
            runs = [jax.lax.map(lambda one: module.apply(one, x)[0], member) for member in variables]
            return jnp.concatenate(runs).T

        return outputs, (samples, *method.input_shape)

    @classmethod
    def search_problem(cls) -> "SearchProblem":
        """A dataclass of settings with space and objective of a search. Default: settings of the training."""
        return cls()

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
        from infantjax.simulation.traits import draw_metadata

        infants = simulate_infants(n, seed, duration, prevalence=prevalence, fps=fps, base=base, first=first)
        for index, (recording, outcome) in enumerate(infants, first):
            drawn = draw_metadata(seed, index, outcome)
            metadata = recording.metadata.with_columns({name: drawn[name] for name in cls.simulated_columns})
            yield replace(recording, metadata=metadata), outcome

    # --- what is the same for all ----------------------------------------------------------------------------------

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
            method = cls.from_settings(ensemble.info.settings)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None
        if threshold is None:
            return method
        if not hasattr(method, "threshold"):
            raise ValueError(f"{cls.name} decides nothing and has no threshold")
        return replace(method, threshold=float(threshold))  # type: ignore[type-var]

    @property
    def space(self) -> "SearchSpace":
        """Alternatives of the settings in `searched`; the method's own values are in the middle."""
        from infantjax.search.crossval import settings_space

        return settings_space(self, self.searched)

    def objective(
        self,
        cohort: Cohort,
        stratify: Sequence[str] = (),
        strict: bool = False,
        annotated: Sequence[Recording] = (),
    ) -> "CrossvalObjective":
        """The held-out metric of cross-validations; see `search.objective.SearchProblem`, and errors of `crossval`."""
        from infantjax.search.crossval import CrossvalObjective

        return CrossvalObjective.create(self, cohort, stratify, strict, annotated)

    def crossval(
        self, cohort: Cohort, directory: str | Path, options: "TrainOptions | None" = None, **others: Any
    ) -> Ensemble:
        """Train an ensemble by cross-validation; arguments and errors as of `training.cohorts.crossval.crossval`."""
        from infantjax.training.cohorts.crossval import crossval

        return crossval(self, cohort, directory, options, **others)

    def train(
        self,
        cohort: Cohort,
        directory: str | Path,
        validation: Sequence[str] | float = 0.25,
        options: "TrainOptions | None" = None,
        **others: Any,
    ) -> Ensemble:
        """Train one network on a single split; arguments and errors as of `training.cohorts.crossval.train`."""
        from infantjax.training.cohorts.crossval import train

        return train(self, cohort, directory, validation, options, **others)
