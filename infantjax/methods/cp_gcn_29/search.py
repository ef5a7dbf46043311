"""The architecture search over the builder of CP-GCN-29, without importing what trains.

The space of 20 choices is published (AutoCP, Tempel et al. 2024). Our choice, as that search's protocol is not public
in full: folds 2 and 7 of seven give the AUC as for Ensemble-NAS-GCN, no training stops early, and candidates are
trained as the released network; AutoCP also searched optimizer, rates, momentum and batch. Not validated on infants.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infantjax.methods import registry
from infantjax.methods.cp_gcn_29.method import TrainingConfig

if TYPE_CHECKING:
    from infantjax.methods.cp_gcn_29.objective import CpGcn29Objective
    from infantjax.recording.cohort import Cohort
    from infantjax.search.space import SearchSpace


@dataclass(frozen=True)
class CpGcn29Search:
    """Settings of a search for networks of 29 points; the space is published, the protocol is our choice."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Training of every candidate; its seed also splits the cohort."""
    folds: int | str = 7
    """Number of folds, or a column of the outcomes table."""
    held_out: tuple[int, ...] = (2, 7)
    """Folds, from 1, that together give the AUC."""
    repeats: int = 1
    """Trainings of each candidate; their mean AUC counts."""

    @property
    def space(self) -> "SearchSpace":
        """The published choices."""
        from infantjax.methods.cp_gcn_29.objective import SPACE

        return SPACE

    def objective(self, cohort: "Cohort", stratify: Sequence[str] = (), strict: bool = False) -> "CpGcn29Objective":
        """The AUC of candidates of `space` on a cohort; see `search.objective.SearchProblem`."""
        from infantjax.methods.cp_gcn_29.objective import CpGcn29Objective, build_candidate

        kind: Any = registry.get("cp-gcn-29")
        method = kind(training=self.training, folds=self.folds)
        data, splits = method.search_inputs(cohort, self.held_out, self.repeats, stratify, strict)
        return CpGcn29Objective(build_candidate, data, splits, self.training, method=method)
