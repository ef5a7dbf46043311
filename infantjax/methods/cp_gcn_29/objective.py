"""A candidate of the search over the builder of CP-GCN-29: its space, its network, and the training of its AUC.

Source: Tempel et al. 2024 (AutoCP).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import flax.linen as nn

from infantjax.methods import registry
from infantjax.methods.cp_gcn_29.architecture import ALTERNATIVES, canonical
from infantjax.methods.cp_gcn_29.method import TrainingConfig
from infantjax.methods.cp_gcn_29.model import build
from infantjax.methods.cp_gcn_29.training import CpGcn29Task
from infantjax.search.auc import AucObjective
from infantjax.search.space import Choices, SearchSpace

if TYPE_CHECKING:
    from infantjax.methods.cp_gcn_29.method import CpGcn29

SPACE = SearchSpace(tuple(ALTERNATIVES.items()))
"""The published choices: 56,687,040,000 candidates, some of them of equal networks (`architecture.canonical`)."""


def build_candidate(choices: Choices) -> nn.Module:
    """The network of a candidate of `SPACE`."""
    return build(**canonical(choices))


@dataclass(frozen=True, eq=False)
class CpGcn29Objective(AucObjective):
    """The AUC of networks of 29 points.

    Attributes:
        method: how recordings become inputs.
    """

    config: TrainingConfig
    method: "CpGcn29" = field(default_factory=lambda: registry.get("cp-gcn-29")())  # type: ignore[assignment]

    @property
    def inputs(self) -> dict[str, bool]:
        """Whether the velocity is filtered."""
        return {"filter_velocity": self.method.filter_velocity}

    def task(self, module: nn.Module) -> CpGcn29Task:
        """The training of a candidate on windows."""
        return self.method.task(module, self.data)
