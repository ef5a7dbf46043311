"""Ensemble-NAS-GCN (Groos et al.): risk of cerebral palsy with its certainty, from an ensemble of graph networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from infantjax import models, skeletons
from infantjax.errors import InputError
from infantjax.methods.base import Method
from infantjax.methods.ensemble_gcn import NETWORKS
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.preprocessing import standardized_positions
from infantjax.methods.registry import register
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import PAPER, Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import Share, check_fields
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    import flax.linen as nn

    from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
    from infantjax.methods.ensemble_gcn.search import GraphSearch
    from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
    from infantjax.training.splits import Split
    from infantjax.training.state import StackResult

SEARCHED = "kbest-gcn-1"
"""Registry name under which candidates of a search are built: all its choices are overridden."""


@register("ensemble-gcn")
@dataclass(frozen=True, kw_only=True)
class EnsembleGCN(Method):
    """Graph networks over windows of five seconds; one network for each of seven folds, from its best epoch.

    Attributes:
        model: registry name of a network for risk, or `search:DIR#1` for the best candidate of a search.
        overrides: arguments of the network's `build`, for example the choices of an architecture.
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

    def prepare(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """Standardized positions `[time, joint, 2]`, float32."""
        return standardized_positions(recording, self.skeleton, self.preprocessing, strict)

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> "tuple[Split, ...]":
        """Stratified folds, groups whole; or the folds of a column."""
        from infantjax.training.cohorts.cohort_splits import cohort_splits

        return cohort_splits(cohort, self.folds, stratify, self.seed)

    def setup(self, inputs: "TrainInputs") -> "TrainingSetup":
        """Windows of all recordings."""
        from infantjax.methods.ensemble_gcn.training import CohortData, WindowTask, window_runs
        from infantjax.training.cohorts.crossval import TrainingSetup

        preprocessing = self.preprocessing
        data = CohortData.from_recordings(
            inputs.prepared,
            inputs.cohort.outcomes,
            skeletons.get(self.skeleton),
            preprocessing.rotation,
            preprocessing.window,
        )
        task = WindowTask.create(self.build(), data, self.training, models.get(self.model).features)
        return TrainingSetup(task, data, window_runs(data, inputs.splits, self.training))

    def outputs(self, inputs: "TrainInputs", setup: "TrainingSetup", result: "StackResult") -> "TrainOutputs":
        """Risks of the validation recordings at the best epoch of each run, or the last one where none has an AUC."""
        from infantjax.methods.common import best_epoch_outputs
        from infantjax.training.cohorts.out_of_fold import threshold_of

        info = {
            "preprocessing": self.preprocessing.to_dict(),
            "features": list(models.get(self.model).features),
            "threshold": self.threshold,
            "demonstration": False,
        }
        found = best_epoch_outputs(inputs, result, info)
        if self.threshold != "out-of-fold":
            return found
        try:
            threshold = threshold_of(inputs.cohort, found.held_out)
        except ValueError as error:
            raise InputError("threshold", f"none can be taken from held-out infants ({error})", "give one") from None
        return replace(found, info={**info, "threshold": threshold})

    def with_network_of(self, member: Member) -> Self:
        """The method with the overrides of a member's network; overrides that are given are kept."""
        return replace(self, overrides={**member.overrides, **self.overrides})

    def members(self, result: "StackResult") -> tuple[Member, ...]:
        """The networks of all runs that finished an epoch, with the overrides of the network."""
        return tuple(Member(m.model, m.variables, dict(self.overrides)) for m in super().members(result))

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
