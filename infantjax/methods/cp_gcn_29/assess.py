"""How CP-GCN-29 assesses a recording: the risk of cerebral palsy, over time and by joint."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from infantjax.assessment import aggregation
from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import OTHER_WEIGHTS, NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.methods.cp_gcn_29.method import CpGcn29
from infantjax.methods.cp_gcn_29.preprocessing import build_inputs, standardized
from infantjax.nn.kernels.folding import fold_batch_norm
from infantjax.recording.recording import Recording
from infantjax.recording.windows import window_starts
from infantjax.weights.ensemble import Member

CHUNK = 4
"""Windows that are computed at once."""


@dataclass(frozen=True, eq=False)
class CpGcn29Assessor(NetworkAssessor[CpGcn29]):
    """Assesses recordings with an ensemble of CP-GCN-29."""

    upwards = True

    def prepare_variables(self, variables: Any) -> Any:
        """See `NetworkAssessor`: norms are folded."""
        return fold(variables)

    def network_of(self, member: Member) -> Any:
        """See `NetworkAssessor`; the best candidates of a search differ in their choices."""
        try:
            return replace(self.method, overrides={**self.method.overrides, **member.overrides}).build()
        except ValueError as error:
            raise InputError(f"weights of {member.model}", str(error), OTHER_WEIGHTS) from None

    @cached_property
    def _applies(self) -> list[Any]:
        """The compiled function of every network, in the order of the ensemble; one for each member."""
        return [
            apply for member in self.ensemble.members for apply in [self._apply(self.network_of(member))] * member.runs
        ]

    def _apply(self, network: Any) -> Any:
        filtered = self.method.filter_velocity

        def apply(variables: Any, windows: Float[Array, "window time joint 2"]) -> tuple[Array, Array]:
            with jax.default_matmul_precision("highest"):
                logits, aux = network.apply(variables, build_inputs(windows, filtered))
                explained = contributions(aux["features"], class_weights(variables["params"]))
            return jax.nn.softmax(logits)[:, 1], explained

        return jax.jit(apply)

    def convert(self, recording: Recording) -> Recording:
        """See `Assessor`."""
        return self.method.convert(recording, self.strict)

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """See `Assessor`."""
        method, cut = self.method, self.method.preprocessing
        prepared = standardized(converted, cut)
        starts, length = window_starts(prepared.frames, cut.window, method.stride), cut.window / cut.fps
        keep = kept_windows(usable, starts / cut.fps, length)
        risks, explained = self.scores(prepared.keypoints, starts[keep])
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
            **aggregation.named_contributions(explained, keep, converted.skeleton.joints),
            contributions_label="how strongly each point spoke for a higher risk, relative to the strongest one",
        )
        return prediction, prepared

    def scores(
        self, positions: Float[np.ndarray, "time joint 2"], starts: np.ndarray
    ) -> tuple[Float[np.ndarray, "network window"], Float[np.ndarray, "network window joint"]]:
        """Risks and contributions of windows of standardized positions, float64.

        Args:
            positions: of the whole recording.
            starts: first frame of each window.
        """
        frames, positions = np.arange(self.method.preprocessing.window), positions.astype(np.float32)
        chosen = np.pad(starts, (0, -len(starts) % CHUNK), mode="edge")
        parts = [positions[part[:, None] + frames] for part in np.split(chosen, len(chosen) // CHUNK)]
        risks, explained = [], []
        for apply, variables in zip(self._applies, self.variables, strict=True):
            of_parts = [apply(variables, part) for part in parts]
            risks.append(np.concatenate([risk for risk, _ in of_parts])[: len(starts)])
            explained.append(np.concatenate([joints for _, joints in of_parts])[: len(starts)])
        return np.array(risks, np.float64), np.array(explained, np.float64)


def fold(variables: Any) -> Any:
    """Variables of one network without batch norms where these follow a kernel, folded in float64.

    Folded within the program, in float32, the error of the scores is four times as large.
    """
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), fold_batch_norm(exact))
