"""Ensemble-NAS-GCN (Groos et al.) as a system: the risk of cerebral palsy with its certainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from infantjax import models, skeletons
from infantjax.methods.base import How, System
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import PRESETS
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    from infantjax.training.state import TrainingConfig


def _published() -> "TrainingConfig":
    # Assessing needs nothing of training, and is to start fast.
    from infantjax.training.state import TrainingConfig

    return TrainingConfig()


@dataclass(frozen=True, kw_only=True)
class Groos(System):
    """Graph networks over windows of five seconds.

    Attributes:
        model: registry name of a network for risk.
        preprocessing: how recordings are standardized, `reference` or `paper`.
        folds: of the cross-validation, 7 as published; or the column of the outcomes table that names the fold of each.
        threshold: of decisions, stored with the ensemble.
        training: of every run.

    Raises:
        ValueError: a network for another task, or an unknown name.
    """

    name = "groos"
    title = "Ensemble-NAS-GCN"
    source = "Groos et al. 2022"
    fidelity = "exact"
    alternatives: ClassVar[Mapping[str, type]] = {"folds": str}

    model: str = "kbest-gcn-2"
    preprocessing: Literal["reference", "paper"] = "reference"
    folds: int | str = 7
    threshold: float = 0.5
    training: "TrainingConfig" = field(default_factory=_published)

    def __post_init__(self) -> None:
        if (task := models.get(self.model).task) != "risk":
            raise ValueError(f"{self.model} is a network for {task}; give one for risk")
        if self.preprocessing not in PRESETS:
            raise ValueError(f"preprocessing is one of {', '.join(PRESETS)}, got {self.preprocessing!r}")

    def crossval(self, cohort: Cohort, directory: str | Path, **how: Unpack[How]) -> Ensemble:
        """See `System`."""
        from infantjax.methods.ensemble_gcn import crossval as protocols

        options, stratify = self._options(how)
        cohort = self._usable(cohort, options)
        return protocols.crossval(cohort, directory=directory, folds=self.folds, stratify=stratify, **options)

    def train(
        self, cohort: Cohort, directory: str | Path, validation: Sequence[str] | float = 0.25, **how: Unpack[How]
    ) -> Ensemble:
        """See `System`."""
        from infantjax.methods.ensemble_gcn import crossval as protocols

        options, stratify = self._options(how)
        if stratify:
            raise ValueError("a single split takes no columns to balance")
        cohort = self._usable(cohort, options)
        return protocols.train_single(cohort, directory=directory, validation=validation, **options)

    def _usable(self, cohort: Cohort, options: dict[str, Any]) -> Cohort:
        """The cohort, without recordings that cannot be used if that is asked for."""
        if not options.pop("skip_invalid", False):
            return cohort
        from infantjax.methods.ensemble_gcn import crossval as protocols

        skeleton, settings = skeletons.get(models.get(self.model).skeleton), PRESETS[self.preprocessing]
        strict = options.get("strict", False)
        return cohort.map(lambda r: protocols.positions_of(r, skeleton, settings, strict), skip_invalid=True)[0]

    def _options(self, how: How) -> tuple[dict[str, Any], Sequence[str]]:
        options: dict[str, Any] = dict(how)
        if options.pop("annotated", ()):
            raise ValueError("groos learns from no annotated seconds")
        stratify = options.pop("stratify", ())
        common = {"model": self.model, "config": self.training, "threshold": self.threshold}
        return {**common, "preprocessing": PRESETS[self.preprocessing], **options}, stratify

    @classmethod
    def assessor(
        cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False, **options: Any
    ) -> EnsembleGcnAssessor:
        """See `System`; `options` are the other fields of `EnsembleGcnAssessor`."""
        return EnsembleGcnAssessor(ensemble, threshold, strict=strict, **options)

    def told(self, ensemble: Ensemble) -> list[str]:
        """See `System`."""
        lines = []
        for run in ensemble.info["training"]["runs"]:
            ended = f"{run['status']} after {run['epochs']} of {self.training.epochs} epochs"
            lines.append(f"run {run['run']}  AUC {run['auc']:.3f} in epoch {run['best_epoch']}  ({ended})")
        return lines
