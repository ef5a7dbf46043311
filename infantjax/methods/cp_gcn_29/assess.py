"""How CP-GCN-29 assesses a recording: the risk of cerebral palsy, over time and by joint."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from infantjax.assessment.assessor import OTHER_WEIGHTS
from infantjax.errors import InputError
from infantjax.explanation.saliency import LABELS, Explain
from infantjax.methods.cp_gcn_29.preprocessing import build_inputs
from infantjax.methods.window_assess import WindowAssessor
from infantjax.methods.window_networks import EnsembleProgram, WindowNetwork
from infantjax.nn.kernels.folding import fold_batch_norm
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import require_one_of
from infantjax.skeletons import IN_MOTION_29
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    from infantjax.methods.cp_gcn_29.method import CpGcn29


@dataclass
class CpGcn29Assessor(WindowAssessor):
    """Assesses recordings with an ensemble of CP-GCN-29.

    Attributes:
        method: with the settings of the ensemble.
        ensemble: networks with weights.
        strict: refuse recordings whose points had to be approximated.
        explain: method of the contributions.

    Raises:
        ValueError: an unknown method of the contributions.
    """

    method: "CpGcn29"
    ensemble: Ensemble
    strict: bool = False
    explain: Explain = "class-activation"

    def __post_init__(self) -> None:
        require_one_of("explain", self.explain, tuple(LABELS))
        self.threshold, self.stride = self.method.threshold, self.method.stride
        self.preprocessing: Preprocessing = self.method.preprocessing

    @property
    def description(self) -> "CpGcn29":
        """The method with its settings."""
        return self.method

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the method, JSON-compatible."""
        return self.method.settings

    @cached_property
    def _program(self) -> EnsembleProgram:
        key, joints = [self.method.settings, self.explain], len(IN_MOTION_29.joints)
        window = self.preprocessing.window
        return EnsembleProgram(self.ensemble.members, self._network_of, key, window, joints, self.stride)

    def _network_of(self, member: Member) -> WindowNetwork:
        """The network of a member; the best candidates of a search differ in their choices."""
        try:
            module = replace(self.method, overrides={**self.method.overrides, **member.overrides}).build()
        except ValueError as error:
            raise InputError(f"weights of {member.model}", str(error), OTHER_WEIGHTS) from None
        inputs = partial(build_inputs, filter_velocity=self.method.filter_velocity)
        return WindowNetwork(module, inputs, fold, self.method.input_shape, explain=self.explain)

    def convert(self, recording: Recording) -> Recording:
        """The recording in the 29 joints of the network."""
        return self.method.convert(recording, self.strict)

    def judged(self, risk: float, by_network: np.ndarray, risks: Float[np.ndarray, "network kept"]) -> dict[str, Any]:
        """From the threshold on; the interval of a single network is over its windows."""
        limit, several = self.method.threshold, len(by_network) > 1
        positive = bool(risk >= limit)
        low, high = np.percentile(by_network if several else risks[0], [25, 75])
        return {
            "positive": positive,
            "agreement": float(((by_network >= limit) == positive).mean()),
            "interval": (low, high, f"middle half of the {'networks' if several else 'windows'}"),
        }


def fold(variables: Any) -> Any:
    """Variables of one network without batch norms where these follow a kernel.

    NumPy's are folded in float64: in float32 the error of the scores is four times as large.
    """
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables)):
        return fold_batch_norm(variables)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), fold_batch_norm(exact))
