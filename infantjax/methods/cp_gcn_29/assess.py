"""How CP-GCN-29 assesses a recording: the risk of cerebral palsy, over time and by joint."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from infantjax.assessment import aggregation
from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import OTHER_WEIGHTS, NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.explanation.saliency import LABELS, Explain
from infantjax.methods import registry, window_networks
from infantjax.methods.cp_gcn_29.preprocessing import build_inputs, standardized
from infantjax.methods.window_networks import EnsembleProgram, WindowNetwork
from infantjax.nn.kernels.folding import fold_batch_norm
from infantjax.recording.recording import Recording
from infantjax.recording.windows import window_starts
from infantjax.settings import require_one_of
from infantjax.skeletons import IN_MOTION_29
from infantjax.weights.ensemble import Ensemble, Member, Predict


@dataclass(frozen=True, eq=False)
class CpGcn29Assessor(NetworkAssessor["CpGcn29"]):
    """Assesses recordings with an ensemble of CP-GCN-29.

    Attributes:
        explain: method of the contributions.

    Raises:
        ValueError: an unknown method.
    """

    upwards = True

    explain: Explain = "class-activation"

    def __post_init__(self) -> None:
        require_one_of("explain", self.explain, tuple(LABELS))

    @cached_property
    def _program(self) -> EnsembleProgram:
        cut = self.method.preprocessing
        key, joints = [self.method.settings, self.explain], len(IN_MOTION_29.joints)
        return EnsembleProgram(self.ensemble.members, self.window_network, key, cut.window, joints, self.method.stride)

    def window_network(self, member: Member) -> WindowNetwork:
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

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """Prediction from the windows that are usable, and the prepared recording."""
        method, cut = self.method, self.method.preprocessing
        prepared = standardized(converted, cut)
        starts, length = window_starts(prepared.frames, cut.window, method.stride), cut.window / cut.fps
        keep = kept_windows(usable, starts / cut.fps, length)
        scores, _ = self._program.scores(prepared.keypoints.astype(np.float32), keep)
        risks = np.concatenate([each.risk for each in scores]).astype(np.float64)
        values = np.concatenate([each.contributions for each in scores]).astype(np.float64)
        if not np.isfinite(risks).all():
            raise InputError(converted.name, "gives a risk that is not a number", "check its coordinates")
        risk, by_network = float(np.clip(aggregation.infant_risk(risks), 0, 1)), aggregation.network_risks(risks)
        several = len(by_network) > 1
        low, high = np.percentile(by_network if several else risks[0], [25, 75])
        positive = bool(risk >= method.threshold)
        q1, q3 = np.percentile(risks, [25, 75], axis=0)
        prediction = Prediction(
            headline=Quantity(
                "risk",
                "risk of cerebral palsy",
                risk,
                float(low),
                float(high),
                f"middle half of the {'networks' if several else 'windows'}",
            ),
            threshold=method.threshold,
            classes=("no CP", "CP"),
            positive=positive,
            agreement=float(((by_network >= method.threshold) == positive).mean()),
            time_series=TimeSeries.of_kept(
                keep,
                "risk in a window",
                starts / cut.fps,
                aggregation.window_risk(risks),
                q1,
                q3,
                length,
                threshold=method.threshold,
            ),
            members=self.members(by_network),
            **aggregation.named_contributions(values, keep, converted.skeleton.joints),
            contributions_label=LABELS[self.explain],
        )
        return prediction, prepared


def fold(variables: Any) -> Any:
    """Variables of one network without batch norms where these follow a kernel.

    NumPy's are folded in float64: in float32 the error of the scores is four times as large.
    """
    if any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables)):
        return fold_batch_norm(variables)
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), fold_batch_norm(exact))


def predict_fn(ensemble: Ensemble, platform: str | None) -> Predict:
    """The risks of windows as a pure function; see `Ensemble.predict_fn`."""
    known: Any = registry.assessor(ensemble)
    networks = [known.window_network(member) for member in ensemble.members]
    return window_networks.predict_fn(ensemble.members, networks, platform)
