"""How Ensemble-NAS-GCN assesses a recording: the risk of cerebral palsy with its certainty."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Array, Float

from infantjax import models, skeletons
from infantjax.assessment import certainty
from infantjax.assessment.assessor import OTHER_WEIGHTS
from infantjax.assessment.certainty import Certainty, Rule
from infantjax.errors import InputError
from infantjax.explanation.saliency import Explain
from infantjax.methods import registry
from infantjax.methods.window_assess import WindowAssessor
from infantjax.methods.window_networks import EnsembleProgram, Scores, WindowNetwork
from infantjax.methods.window_preprocessing import to_points
from infantjax.recording import features, windows
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.settings import Share, check_fields, to_settings
from infantjax.skeletons import Skeleton
from infantjax.training.cohorts.trainable import Trainable
from infantjax.weights.ensemble import Ensemble, Member

ContributionsOf = Literal["all", "first_model"]


@dataclass
class EnsembleGcnAssessor(WindowAssessor):
    """Assesses recordings with one ensemble of graph networks; its programs are compiled once and reused.

    Attributes:
        ensemble: architectures with weights, and the preprocessing that they were trained with.
        threshold: decision threshold; None takes the ensemble's.
        rule: certainty rule.
        strict: refuse recordings whose points had to be approximated.
        exact: contributions go through the spatial pooling layer, which the reference implementation ignores.
        contributions_of: `all` networks, as in the paper, or only those of the `first_model`, as the reference
            implementation does for several architectures.
        explain: method of the contributions: the published class activation, Grad-CAM++ or saliency.
        devices: JAX devices that compute; None is all of this process. The result does not depend on them.

    Raises:
        InputError: the ensemble names an unknown model, skeleton or preprocessing.
        ValueError: threshold not within 0..1, an unknown name, or `exact` with another method than class activation.
    """

    ensemble: Ensemble
    threshold: Share | None = None
    rule: Rule = "fraction"
    strict: bool = False
    exact: bool = False
    contributions_of: ContributionsOf = "all"
    explain: Explain = "class-activation"
    devices: Sequence[Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.exact and self.explain != "class-activation":
            raise ValueError(f"exact contributions are those of class-activation, got {self.explain}")
        info = self.ensemble.info
        try:
            self._skeleton = skeletons.get(info.skeleton)
            if self._skeleton.trunk is None:
                raise ValueError(f"its skeleton {self._skeleton.name} has no trunk")
            if info.preprocessing is None:
                raise ValueError("it has no preprocessing")
            self.preprocessing = info.preprocessing
            for member in self.ensemble.members:
                models.require_known(member.model)
            if self.threshold is None:
                if info.threshold is None:
                    raise ValueError("it has no threshold")
                self.threshold = info.threshold
        except ValueError as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None

    @cached_property
    def _program(self) -> EnsembleProgram:
        skeleton, cut = self._skeleton, self.preprocessing
        network_of = partial(
            window_network, skeleton=skeleton, preprocessing=cut, exact=self.exact, explain=self.explain
        )
        key = [asdict(skeleton), cut.rotation, self.exact, self.explain]
        members, joints = self.ensemble.members, len(skeleton.joints)
        return EnsembleProgram(members, network_of, key, cut.window, joints, devices=self.devices)

    @property
    def description(self) -> type[Trainable]:
        """The class of the method."""
        return registry.get("ensemble-gcn")

    @property
    def settings(self) -> dict[str, Any]:
        """Preprocessing, threshold and rules of the answer, JSON-compatible."""
        return {
            "preprocessing": to_settings(self.preprocessing),
            "threshold": self.threshold,
            "certainty_rule": self.rule,
            "contributions": self._explained_how,
            "contributions_of": self.contributions_of,
        }

    @property
    def _explained_how(self) -> str:
        if self.explain != "class-activation":
            return self.explain
        return "through the spatial pooling" if self.exact else "as in the reference implementation"

    def convert(self, recording: Recording) -> Recording:
        """The recording in the joints of the networks; `InputError` if it is too short or lacks joints."""
        return to_points(recording, self._skeleton, self.preprocessing, self.strict)

    def judged(self, risk: float, by_network: np.ndarray, risks: Float[np.ndarray, "network kept"]) -> dict[str, Any]:
        """By the certainty rule; the interval is over the networks."""
        assert self.threshold is not None
        positive = bool(certainty.predicts_cp(risk, self.threshold, self.rule))
        agree = certainty.predicts_cp(by_network, self.threshold, self.rule) == positive
        return {
            "positive": positive,
            "agreement": float(np.mean(agree)),
            "certainty": Certainty(certainty.level(risk, by_network, self.threshold, self.rule), self.rule),
            "interval": (*np.percentile(by_network, [25, 75]), "middle half of the networks"),
        }

    def levels(self, median: Float[np.ndarray, " kept"], risks: Float[np.ndarray, "network kept"]) -> Any:
        """By the certainty rule."""
        assert self.threshold is not None
        return tuple(certainty.level(w, column, self.threshold, self.rule) for w, column in zip(median, risks.T))

    def explaining(self, scores: list[Scores]) -> list[Scores]:
        """Of all networks, or of the first model."""
        return scores if self.contributions_of == "all" else scores[:1]


def window_network(
    member: Member,
    skeleton: Skeleton,
    preprocessing: Preprocessing,
    exact: bool = False,
    explain: Explain = "class-activation",
) -> WindowNetwork:
    """The network of a member.

    Args:
        member: of an ensemble.
        skeleton: the joints that it reads.
        preprocessing: of the recordings; windows are turned as it says.
        exact: contributions go through the spatial pooling layer.
        explain: method of the contributions.

    Raises:
        InputError: the member names settings that the network does not take.
    """
    from infantjax.methods.ensemble_gcn.model import fold  # the networks, which need Flax

    entry = models.get(member.model)
    try:
        module = entry.build(skeleton=skeleton, **member.overrides)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        where = f"weights of {member.model}"
        raise InputError(where, f"name settings that the network does not take ({reason})", OTHER_WEIGHTS) from error

    def inputs(positions: Float[Array, "window time joint 2"]) -> Float[Array, "window time joint channel"]:
        turned = windows.align_windows(positions, skeleton, preprocessing.rotation)
        return features.build_features(turned, skeleton, entry.features)

    shape = (preprocessing.window, len(skeleton.joints), entry.input_shape[-1])
    return WindowNetwork(module, inputs, partial(fold, module), shape, exact, explain)
