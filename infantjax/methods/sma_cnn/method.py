"""The SMA CNN as a system: a motor score on the scale of CHOP INTEND from the tracks of hands and feet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.regression import Aggregation, aggregate, subject_errors
from infantjax.methods import network as common
from infantjax.methods.network import Fitted, Given, NetworkSystem
from infantjax.methods.sma_cnn import preprocessing as limbs
from infantjax.methods.sma_cnn.model import AXES, SmaCnn
from infantjax.methods.sma_cnn.training import SmaConfig, leave_one_out, train
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording, require_movement
from infantjax.training.loop import Execution
from infantjax.training.splits import Split
from infantjax.training.state import Status
from infantjax.weights.ensemble import Ensemble

RATE = 30.0
"""Frames per second of the published camera, about."""

if TYPE_CHECKING:
    from infantjax.methods.sma_cnn.assess import SmaAssessor


@dataclass(frozen=True, kw_only=True)
class Sma(NetworkSystem):
    """Convolutions over windows of limb tracks; one run for each infant left out.

    Attributes:
        window: frames of a window.
        step: frames between the starts of two.
        longest_step: seconds between two frames beyond which a recording is cut (chosen).
        join_gaps: windows straddle cuts.
        aggregation: how the windows of a recording become one score: `mean`, `median` or `fence`.
        network: the network.
        training: of every run.

    Raises:
        ValueError: a value out of range.
    """

    name = "sma"
    title = "SMA CNN"
    source = "workshop paper on infants with spinal muscular atrophy type I; neither code nor weights were released"
    fidelity = "published"
    score_range = (0.0, 72.0)
    value = "score"
    rounds = "reports"
    skeleton_name = "limbs-4"
    model = "sma-cnn"

    window: int = limbs.WINDOW
    step: int = limbs.STEP
    longest_step: float = limbs.LONGEST_STEP
    join_gaps: bool = False
    aggregation: Aggregation = "mean"
    network: SmaCnn = field(default_factory=SmaCnn)
    training: SmaConfig = field(default_factory=SmaConfig)

    def __post_init__(self) -> None:
        if self.window < 108 or self.step < 1 or not self.longest_step > 0:
            raise ValueError(
                f"window must be at least 108 frames, step 1 and longest_step above 0, got {self.window}, {self.step} "
                f"and {self.longest_step}"
            )
        aggregate([0.0], self.aggregation)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one window, see `NetworkSystem`."""
        return len(limbs.LIMBS) * AXES, self.window, 1

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Each infant left out once."""
        if stratify:
            raise ValueError("sma leaves one infant out at a time and balances no columns")
        common.require_several(cohort)
        return tuple(Split(f.train, f.validation, ()) for f in leave_one_out(cohort.groups or cohort.names))

    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Split:
        """Some infants held out."""
        common.require_several(cohort)
        train, held = common.single_split(cohort, validation, self.seed)
        return Split(tuple(train), tuple(held), ())

    def prepared(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """All windows of a recording.

        Raises:
            InputError: a limb that is missing, never seen, or at one place throughout; no window without a gap.
        """
        require_movement(recording)
        track = limbs.track(recording)
        for number, limb in enumerate(limbs.LIMBS):
            places = track[~np.isnan(track[:, number]).any(axis=-1), number]
            if not len(places):
                raise InputError(recording.name, f"never shows the {_spaced(limb)}", "all four limbs are needed")
            if (places == places[0]).all():
                what = f"has the {_spaced(limb)} at one place in all frames"
                raise InputError(recording.name, what, "check its tracking")
        found = limbs.windows(
            track,
            np.arange(recording.frames) / recording.fps,
            window=self.window,
            step=self.step,
            longest_step=self.longest_step,
            join_gaps=self.join_gaps,
        )
        if not len(found):
            seconds = self.window / recording.fps
            what = f"has no {self.window} frames ({seconds:.1f} s) in which all four limbs are seen"
            raise InputError(recording.name, what, "give a longer recording, or one with fewer gaps")
        return found

    def fit(self, given: Given, **how: Unpack[Execution]) -> Fitted:
        """Train, and judge windows and recordings of the infants left out."""
        cohort, prepared, partitions, _ = given
        if len(set(cohort.outcomes)) < 2:
            what = f"all {len(cohort)} recordings have score {cohort.outcomes[0]:g}"
            raise InputError("cohort", what, "there is nothing to learn; add others")
        count = [len(windows) for windows in prepared]
        place = np.repeat(np.arange(len(cohort)), count)
        scores = np.asarray(cohort.outcomes, np.float64)
        folds = [
            Split(*(tuple(np.flatnonzero(np.isin(place, side)).tolist()) for side in (p.train, p.validation)))
            for p in partitions
        ]
        if (fewest := min(len(fold.train) for fold in folds)) < self.training.batch_size:
            what = f"gives {fewest} windows to train on, fewer than a batch of {self.training.batch_size}"
            raise InputError("cohort", what, f"add recordings, or use --batch-size {fewest} at most")
        groups = cohort.groups or cohort.names
        outcome = train(
            self.network,
            np.concatenate(prepared),
            scores[place].tolist(),
            [groups[row] for row in place],
            self.training,
            description=self.description,
            **how,
            folds=folds,
        )
        held: list[tuple[int, int, float]] = []
        runs: list[dict[str, Any]] = []
        for run, partition in enumerate(partitions):
            own: dict[str, float] = {}
            if outcome.status[run] != Status.DIVERGED:
                of = {row: outcome.predictions[place == row] for row in partition.validation}
                held += [(row, run, aggregate(values, self.aggregation)) for row, values in of.items()]
                inside = np.isin(place, partition.validation)
                own["error"] = float(np.abs(outcome.predictions[inside] - scores[place[inside]]).mean())
            runs.append({"figures": own})
        known = np.isfinite(outcome.predictions)
        figures: dict[str, float] = {}
        if known.any():
            errors = subject_errors(
                outcome.predictions[known], scores[place[known]], [groups[row] for row in place[known]]
            )
            figures = {"windows: error per infant": errors.per_subject, "overall": errors.overall}
            rows, values = [row for row, _, _ in held], [value for _, _, value in held]
            errors = subject_errors(values, scores[rows], [groups[row] for row in rows])
            figures |= {"recordings: error per infant": errors.per_subject, "of recordings overall": errors.overall}
        return Fitted(
            outcome=outcome,
            # A stack of fifteen networks of the published size would not fit into a file.
            members=common.members(self.model, self.network, outcome, together=False),
            held=held,
            runs=runs,
            figures=figures,
            info={},
        )

    @classmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> "SmaAssessor":
        """See `System`; there is no threshold, and nothing is approximated."""
        from infantjax.methods.sma_cnn.assess import SmaAssessor

        return SmaAssessor(cls.of(ensemble, threshold), ensemble)


def _spaced(limb: str) -> str:
    return limb.replace("_", " ")
