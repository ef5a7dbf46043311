"""Ensemble-NAS-GCN (Groos et al.): risk of cerebral palsy with its certainty, from an ensemble of graph networks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Self

from infantjax import models, skeletons
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn import NETWORKS
from infantjax.methods.ensemble_gcn.config import Feature, TrainingConfig
from infantjax.methods.registry import register
from infantjax.methods.window_method import WindowMethod
from infantjax.methods.window_preprocessing import to_points
from infantjax.recording.preprocessing import PAPER, Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import Share, check_fields, to_settings
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
    from infantjax.methods.ensemble_gcn.search import GraphSearch
    from infantjax.methods.ensemble_gcn.training import WindowTask
    from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.cohorts.window_task import CohortData
    from infantjax.training.state import StackResult

SEARCHED = "kbest-gcn-1"
"""Registry name under which candidates of a search are built: all its choices are overridden."""


@register("ensemble-gcn")
@dataclass(frozen=True, kw_only=True)
class EnsembleGCN(WindowMethod):
    """Graph networks over windows of five seconds; one network for each of seven folds, from its best epoch.

    Attributes:
        model: registry name of a network for risk, or `search:DIR#1` for the best candidate of a search.
        overrides: arguments of the network's `build`, for example the choices of an architecture.
        without: feature whose input branch a `kbest-gcn` network leaves out, to see what it is worth (our choice).
        folds: number of folds (7 as published), a column of the outcomes table, or `infant`: each infant is a fold, and
            its network keeps the last weights (our choice).
        threshold: risk above which the decision is CP, stored with the ensemble; `out-of-fold` takes the one that tells
            the held-out infants apart best.
        preprocessing: standardization of recordings, stored with the ensemble.
        training: of every run.

    Raises:
        InputError: a search that has no such candidate.
        ValueError: a network for another task, or a threshold out of range.

    Source: Groos et al., Paper III with supplement; the reference implementation (movement-outcome program).
    """

    title = "Ensemble-NAS-GCN"
    source = "Groos et al. 2022"
    fidelity = "exact"

    model: str = "kbest-gcn-2"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    without: Feature | None = None
    folds: int | str = 7
    threshold: Share | Literal["out-of-fold"] = 0.5
    preprocessing: Preprocessing = Preprocessing()
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.model.startswith("search:"):
            from infantjax.search.study import read_candidate

            choices = read_candidate(self.model.removeprefix("search:"))
            object.__setattr__(self, "overrides", choices | dict(self.overrides))
            object.__setattr__(self, "model", SEARCHED)
        if self.without is not None:
            if not self.model.startswith("kbest-gcn"):
                raise ValueError(f"without {self.without} is for networks of several branches, not for {self.model}")
            object.__setattr__(self, "overrides", {**self.overrides, "without": self.without})
        # The networks of this folder need no import to be known; options are listed without Flax.
        if self.model not in chain(*NETWORKS.values()) and (task := models.get(self.model).task) != "risk":
            raise ValueError(f"{self.model} is a network for {task}; give one for risk")
        check_fields(self)

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Preprocessing of the reference implementation or of the paper."""
        return {"reference": cls(), "paper": cls(preprocessing=PAPER)}

    @property
    def skeleton(self) -> str:  # type: ignore[override]
        """That of the network."""
        return models.get(self.model).skeleton

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one window: time, joint, channel."""
        return models.get(self.model).input_shape

    def build(self) -> "nn.Module":
        """The network with its overrides."""
        return models.get(self.model).build(**self.overrides)

    def convert(self, recording: Recording, strict: bool = False) -> Recording:
        """The points of a recording that the network reads."""
        return to_points(recording, skeletons.get(self.skeleton), self.preprocessing, strict)

    def task(self, network: "nn.Module", data: "CohortData") -> "WindowTask":
        """Training task of a network."""
        from infantjax.methods.ensemble_gcn.training import WindowTask

        return WindowTask.create(network, data, self.training, models.get(self.model).features)

    @property
    def info(self) -> dict[str, Any]:
        """Preprocessing, features and threshold."""
        return {
            "preprocessing": to_settings(self.preprocessing),
            "features": list(models.get(self.model).features),
            "threshold": self.threshold,
            "demonstration": False,
        }

    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "StackResult") -> "TrainOutputs":
        """As of `WindowMethod`, with the threshold that tells held-out infants apart where none is given."""
        from infantjax.training.cohorts.out_of_fold import threshold_of

        found = super().outputs(inputs, setup, result)
        if self.threshold != "out-of-fold":
            return found
        try:
            threshold = threshold_of(inputs.cohort, found.held_out)
        except ValueError as error:
            raise InputError("threshold", f"none can be taken from held-out infants ({error})", "give one") from None
        return replace(found, info={**self.info, "threshold": threshold})

    @classmethod
    def assessor(
        cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False, **options: Any
    ) -> "EnsembleGcnAssessor":
        """An `EnsembleGcnAssessor`; `options` are its other fields."""
        from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor

        return EnsembleGcnAssessor(ensemble, threshold, strict=strict, **options)

    def with_candidate(self, choices: Mapping[str, Any]) -> Self:
        """The method with a candidate; ratio and type of squeeze-and-excitation have no effect without it."""
        unused = {"se_ratio": 4, "se_type": "absolute"} if choices["se"] == "null" else {}
        return replace(self, model=SEARCHED, overrides={**choices, **unused})

    @classmethod
    def search_problem(cls) -> "GraphSearch":
        """The published search space with the AUC of held-out infants."""
        from infantjax.methods.ensemble_gcn.search import GraphSearch

        return GraphSearch()
