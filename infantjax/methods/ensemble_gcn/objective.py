"""A candidate of the published search: its space of 20 choices, its network, and the training that gives its AUC.

Source: Groos et al., Paper III, supplement; thesis Appendix A.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn

from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, Architecture
from infantjax.methods.ensemble_gcn.config import FEATURES, TrainingConfig
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.training import WindowTask
from infantjax.search import auc
from infantjax.search.space import Choices, SearchSpace
from infantjax.skeletons import IN_MOTION_19, Skeleton

SPACE = SearchSpace(tuple(ALTERNATIVES.items()))
"""The published choices: 5,435,817,984 candidates, of which 4,416,602,112 differ (without squeeze-and-excitation its
ratio and type have no effect; the search counts them as different all the same)."""


def build(choices: Choices, skeleton: Skeleton = IN_MOTION_19) -> GraphNetwork:
    """The graph network of a candidate of `SPACE`, without the parameters that never influence its output."""
    return GraphNetwork(Architecture.from_choices(choices), skeleton, lean=True)


@dataclass(frozen=True, eq=False)
class AucObjective(auc.AucObjective):
    """The AUC of graph networks, with the published checkpoints.

    Attributes:
        features: input features of the networks.
    """

    config: TrainingConfig
    features: tuple[str, ...] = FEATURES

    @property
    def checkpoints(self) -> tuple[tuple[int, float], ...]:
        """As the training has them."""
        return self.config.required_auc

    @property
    def inputs(self) -> dict[str, Any]:
        """The features."""
        return {"features": list(self.features)}

    def task(self, module: nn.Module) -> WindowTask:
        """The training of a candidate on windows."""
        return WindowTask.create(module, self.data, self.config, self.features)
