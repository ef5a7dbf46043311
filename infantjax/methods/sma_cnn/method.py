"""The SMA CNN as a system: a motor score on the scale of CHOP INTEND from the tracks of hands and feet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Unpack

import jax
import numpy as np

from infantjax.assessment.result import Course, Finding, Quantity
from infantjax.errors import InputError
from infantjax.evaluation.regression import Aggregation, aggregate, subject_errors
from infantjax.methods import network as common
from infantjax.methods.network import Fitted, Given, NetworkFinder, NetworkSystem
from infantjax.methods.sma_cnn import preprocessing as limbs
from infantjax.methods.sma_cnn.model import AXES, SmaCnn
from infantjax.methods.sma_cnn.training import SmaConfig, leave_one_out, train
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording, require_movement
from infantjax.training.loop import Execution
from infantjax.training.splits import Fold, Partition
from infantjax.training.state import Status
from infantjax.weights.ensemble import Ensemble

RATE = 30.0
"""Frames per second of the published camera, about."""


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
    scale = (0.0, 72.0)
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

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Partition, ...]:
        """Each infant left out once."""
        if stratify:
            raise ValueError("sma leaves one infant out at a time and balances no columns")
        common.require_several(cohort)
        return tuple(Partition(f.train, f.validation, ()) for f in leave_one_out(cohort.groups or cohort.names))

    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Partition:
        """Some infants held out."""
        common.require_several(cohort)
        train, held = common.single_split(cohort, validation, self.seed)
        return Partition(tuple(train), tuple(held), ())

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
            Fold(*(tuple(np.flatnonzero(np.isin(place, side)).tolist()) for side in (p.train, p.validation)))
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
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> "SmaFinder":
        """See `System`; there is no threshold, and nothing is approximated."""
        return SmaFinder(cls.of(ensemble, threshold), ensemble)


@dataclass(frozen=True, eq=False)
class SmaFinder(NetworkFinder[Sma]):
    """Assesses recordings with an ensemble of SMA CNNs; nothing is approximated, `strict` or not."""

    @cached_property
    def _apply(self) -> Any:
        return jax.jit(lambda variables, windows: self.system.network.apply(variables, windows)[0])

    def assess(self, recording: Recording, source_digest: str = "") -> Finding:
        """See `Finder`."""
        system, size = self.system, self.system.training.evaluation_batch
        windows = system.prepared(recording)
        filled = np.concatenate([windows, np.zeros((-len(windows) % size, *windows.shape[1:]), np.float32)])[..., None]
        found = np.array(
            [
                np.concatenate([self._apply(v, filled[i : i + size]) for i in range(0, len(filled), size)])
                for v in self._instances
            ],
            np.float64,
        )[:, : len(windows)]
        if not np.isfinite(found).all():
            raise InputError(recording.name, "gives a score that is not a number", "check its coordinates")
        low, middle, high = np.percentile(found, [25, 50, 75], axis=0)
        instances = [aggregate(of_run, system.aggregation) for of_run in found]
        over_runs = {how: [aggregate(of_run, how) for of_run in found] for how in ("mean", "median", "fence")}
        q1, q3 = np.percentile(middle, [25, 75])
        track, notes = limbs.track(recording), []
        if abs(recording.fps / RATE - 1) > 0.1:
            seconds = system.window / recording.fps
            notes.append(f"at {recording.fps:g} frames per second a window lasts {seconds:.3g} s; published are 30 s")
        if (track[..., 2] == 0).all():
            notes.append("two coordinates: the published tracks have depth as well")
        starts = window_starts(recording, system)
        assert system.scale is not None
        limits = (min(system.scale[0], float(low.min())), max(system.scale[1], float(high.max())))
        others = [
            Quantity(f"score_{how}", f"{how} over windows", float(np.median(values)), unit="points")
            for how, values in over_runs.items()
        ]
        return self._finding(
            recording,
            source_digest,
            quantities=(
                Quantity(
                    "score",
                    f"motor score of the extremity items of CHOP INTEND, 0 to 72, {system.aggregation} over windows",
                    float(np.median(instances)),
                    float(q1),
                    float(q3),
                    "middle half of the windows",
                    "points",
                ),
                *others,
            ),
            course=Course(
                "score of a window, median and quartiles over the runs",
                starts,
                middle,
                low,
                high,
                system.window / recording.fps,
                limits,
            ),
            instances=instances,
            notes=notes,
        )


def window_starts(recording: Recording, system: Sma) -> np.ndarray:
    """Seconds at which the windows of a recording start."""
    track = limbs.track(recording)
    frames = np.broadcast_to(np.arange(recording.frames, dtype=np.float64)[:, None, None], track.shape).copy()
    frames[np.isnan(track)] = np.nan
    parts = limbs.stretches(frames, np.arange(recording.frames) / recording.fps, system.longest_step, system.join_gaps)
    firsts = [part[s, 0, 0] for part in parts for s in range(0, len(part) - system.window + 1, system.step)]
    return np.array(firsts) / recording.fps


def _spaced(limb: str) -> str:
    return limb.replace("_", " ")
