"""Settings of the published architecture search, without importing what trains.

Each candidate is trained once, on folds 1, 3, 4, 5 and 6 of seven, for 100 epochs; its value is the best AUC over the
infants of folds 2 and 7 together, the easiest and the hardest fold for ST-GCN. At epochs 10, 20 ... 90 a training stops
that has not reached 0.75, 0.775 ... 0.95, and the AUC reached counts.

Source: Groos et al., Paper III, supplement; thesis Appendix A. The reference implementation trains on folds 2 to 7 and
takes the AUC of fold 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from infantjax.methods import registry
from infantjax.methods.ensemble_gcn.config import TrainingConfig

if TYPE_CHECKING:
    from infantjax.methods.ensemble_gcn.objective import AucObjective
    from infantjax.recording.cohort import Cohort
    from infantjax.search.space import SearchSpace

CHECKPOINTS: tuple[tuple[int, float], ...] = tuple((10 * i, 0.725 + 0.025 * i) for i in range(1, 10))
"""Epoch and AUC that a training must have reached by then, as published."""
VALIDATION_FOLDS = (2, 7)
"""Folds whose infants give the AUC of a candidate, counted from 1; `(1,)` in the reference implementation."""
EPOCHS = 100
"""Epochs of a trial, as published."""


@dataclass(frozen=True)
class GraphSearch:
    """Settings of a search for graph networks; the defaults are published."""

    training: TrainingConfig = field(default_factory=lambda: TrainingConfig(epochs=EPOCHS, required_auc=CHECKPOINTS))
    """Training of every candidate; its seed also splits the cohort."""
    folds: int | str = 7
    """Number of folds (7 as published), or a column of the outcomes table."""
    held_out: tuple[int, ...] = VALIDATION_FOLDS
    """Folds, from 1, that together give the AUC: 2 and 7 as published, 1 in the reference implementation."""
    repeats: int = 1
    """Trainings of each candidate; their mean AUC counts."""
    preprocessing: Literal["reference", "paper"] = "reference"
    """How recordings are standardized."""
    no_checkpoints: bool = False
    """Train every candidate to its last epoch, whatever its AUC on the way."""

    @property
    def space(self) -> "SearchSpace":
        """The published choices."""
        from infantjax.methods.ensemble_gcn.objective import SPACE

        return SPACE

    def objective(self, cohort: "Cohort", stratify: Sequence[str] = (), strict: bool = False) -> "AucObjective":
        """The AUC of candidates of `space` on a cohort; see `search.objective.SearchProblem`."""
        from infantjax.methods.ensemble_gcn.objective import AucObjective, build
        from infantjax.recording.preprocessing import PRESETS

        training = replace(self.training, required_auc=()) if self.no_checkpoints else self.training
        kind: Any = registry.get("ensemble-gcn")
        method = kind(training=training, folds=self.folds, preprocessing=PRESETS[self.preprocessing])
        data, splits = method.search_inputs(cohort, self.held_out, self.repeats, stratify, strict)
        return AucObjective(build, data, splits, training)
