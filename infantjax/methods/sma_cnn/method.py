"""SMA CNN: a motor score on the scale of CHOP INTEND from the tracks of hands and feet."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.agreement import RELIABLE_CHANGE, reliable_change
from infantjax.files import finite_or_none
from infantjax.methods.base import Method
from infantjax.methods.registry import register
from infantjax.methods.sma_cnn.evaluation import AGGREGATOR, Aggregation, LinearAggregator, aggregate, subject_errors
from infantjax.methods.sma_cnn.model import AXES
from infantjax.methods.sma_cnn.model import SmaCnn as SmaCnnNet
from infantjax.methods.sma_cnn.preprocessing import LIMBS, Preprocessing, recording_windows
from infantjax.methods.sma_cnn.simulation import HIGHEST_SCORE, simulate
from infantjax.methods.sma_cnn.training import ScoredWindows, TrainingConfig, setup
from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.recording import Recording
from infantjax.settings import check_fields
from infantjax.training.cohorts.cohort_splits import require_several_groups
from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.execution.layout import take_runs
from infantjax.training.splits import Split, leave_one_group_out
from infantjax.training.state import StackResult, Status
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    from infantjax.methods.sma_cnn.assess import SmaAssessor

CHOP_INTEND = "extremity items of CHOP INTEND"
"""The published score."""


@dataclass(frozen=True)
class Network:
    """Sizes of the network, see `model.SmaCnn`.

    Attributes:
        features: channels of the three convolutions, and units of the first linear layer.
        dropout: fraction of the linear units that training drops.
        bias: initial value of all biases (our choice).
    """

    features: tuple[int, int, int, int] = (48, 128, 256, 1024)
    dropout: float = 0.5
    bias: float = 0.0


@register("sma-cnn")
@dataclass(frozen=True, kw_only=True)
class SmaCnn(Method):
    """Convolutions over windows of limb tracks; one run for each infant left out.

    Attributes:
        aggregation: average over the windows; `fence` is the mean without outliers. `linear` is our choice: a
            regression on quantiles of the windows, fitted to out-of-fold predictions; not validated on infants.
        network: sizes of the network.
        preprocessing: windows of a recording.
        training: of every run.
        scale: lowest and highest score; the published one is of CHOP INTEND. No other was tried on infants.
        score_name: what the score is of, for reports; another scale needs its own.

    Raises:
        ValueError: an unknown aggregation, a scale that does not rise, or one without a name.

    Source: workshop paper on infants with spinal muscular atrophy type I.
    """

    title = "SMA CNN"
    source = "workshop paper on infants with spinal muscular atrophy type I; neither code nor weights are public"
    fidelity = "published"
    score_range = (0.0, HIGHEST_SCORE)
    searched = (*Method.searched, "training.linear_decay")
    skeleton = "limbs-4"
    model = "sma-cnn"
    simulated_columns = ("group", "age_days")

    aggregation: Literal["mean", "median", "fence", "linear"] = "mean"
    network: Network = field(default_factory=Network)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    scale: ScoreRange = (0.0, HIGHEST_SCORE)
    score_name: str = CHOP_INTEND

    def __post_init__(self) -> None:
        check_fields(self)
        low, high = self.scale
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"scale must be a lowest and a higher score, got {low:g} {high:g}")
        if not self.score_name.strip() or (self.scale != type(self).scale and self.score_name == CHOP_INTEND):
            raise ValueError(f"score_name must say what has the scale {low:g} to {high:g}")
        object.__setattr__(self, "score_range", self.scale)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one window."""
        return len(LIMBS) * AXES, self.preprocessing.window, 1

    def build(self) -> SmaCnnNet:
        """The network for the loss and the scale of the scores."""
        training, (low, high) = self.training, self.scale
        if training.loss == "ordinal":
            levels = training.levels or max(2, round(high - low) + 1)
            return SmaCnnNet(**asdict(self.network), scale=self.scale, levels=levels)
        return SmaCnnNet(**asdict(self.network), scale=self.scale if training.normalize else None)

    def prepare(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """All windows of a recording; nothing is approximated, `strict` or not."""
        return recording_windows(recording, self.preprocessing)

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Each infant left out once."""
        if stratify:
            raise ValueError(f"{self.name} leaves one infant out at a time and balances no columns")
        require_several_groups(cohort)
        return leave_one_group_out(cohort.groups or cohort.names)

    def setup(self, inputs: TrainInputs) -> TrainingSetup:
        """Windows of all recordings with the scores of their recordings."""
        cohort, size = inputs.cohort, self.training.batch_size
        if len(set(cohort.outcomes)) < 2:
            what = f"all {len(cohort)} recordings have the score {cohort.outcomes[0]:g}"
            raise InputError("cohort", what, "there is nothing to learn; add others")
        owner = _owners(inputs)
        splits = _of_windows(inputs.splits, owner)
        if (fewest := min(len(split.train) for split in splits)) < size:
            what = f"gives {fewest} windows to train on, fewer than a batch of {size}"
            raise InputError("cohort", what, f"add recordings, or use --training.batch-size {fewest} at most")
        scores = np.asarray(cohort.outcomes, np.float32)[owner]
        data = ScoredWindows(np.concatenate(inputs.prepared), scores)  # type: ignore[arg-type]
        return setup(self.build(), data, splits, self.training)

    def outputs(self, inputs: TrainInputs, setup: TrainingSetup, result: StackResult) -> TrainOutputs:
        """The score of each recording by the run that held it out, and errors of windows and of recordings."""
        cohort, owner = inputs.cohort, _owners(inputs)
        groups, outcomes = np.asarray(cohort.groups or cohort.names), np.asarray(cohort.outcomes)
        found = result.held_out(_of_windows(inputs.splits, owner), len(owner))
        errors, held_out = np.abs(found - outcomes[owner]), []
        run_metrics: list[dict[str, float | None]] = []
        for run, split in enumerate(inputs.splits):
            if result.status[run] == Status.DIVERGED:
                run_metrics.append({})
                continue
            how: Aggregation = "mean" if self.aggregation == "linear" else self.aggregation
            held_out += [HeldOut(row, run, aggregate(found[owner == row], how)) for row in split.validation]
            run_metrics.append(finite_or_none({"error": float(errors[np.isin(owner, split.validation)].mean())}))
        if not held_out:
            return TrainOutputs([], run_metrics, {})
        rows = [entry.row for entry in held_out]
        scores, infants = outcomes[rows].tolist(), groups[rows].tolist()
        info: dict[str, Any] = {}
        if self.aggregation == "linear" and len(set(infants)) > 1:
            windows = [found[owner == row] for row in rows]
            second, values = LinearAggregator.fit_out_of_fold(windows, scores, infants)
            held_out = [entry._replace(value=value) for entry, value in zip(held_out, values)]
            info = {AGGREGATOR: list(second)}
        values, known = [entry.value for entry in held_out], np.isfinite(found)
        of = owner[known]
        of_windows, all_windows = subject_errors(found[known], outcomes[of], groups[of].tolist())
        by_infant, all_recordings = subject_errors(values, scores, infants)
        change = reliable_change(np.array(values) - scores, len(set(infants)))
        info |= {RELIABLE_CHANGE: change} if math.isfinite(change) else {}
        metrics = {
            "windows: error per infant": float(of_windows.mean()),
            "windows: error overall": all_windows,
            "recordings: error per infant": float(by_infant.mean()),
            "recordings: error overall": all_recordings,
        }
        return TrainOutputs(held_out, run_metrics, metrics, info)

    def members(self, result: StackResult) -> tuple[Member, ...]:
        """One member for each run: a stack of fifteen networks of the published size would not fit into a file."""
        runs = [run for run, last in enumerate(result.last_epoch) if last > 0]
        return tuple(Member(self.model, take_runs(result.variables, [run]), {}) for run in runs)

    @classmethod
    def simulate(cls, n: int, seed: int, duration: float, **options: Any) -> Iterator[tuple[Recording, float]]:
        """Infants with three visits each and a score at every visit."""
        return simulate(n, seed, duration, **options)

    @classmethod
    def assessor(
        cls,
        ensemble: Ensemble,
        *,
        threshold: float | None = None,
        strict: bool = False,
        scale: ScoreRange | None = None,
        score_name: str | None = None,
    ) -> "SmaAssessor":
        """An assessor of scores: there is no threshold, and nothing is approximated.

        Args:
            ensemble: of this method.
            threshold: must be None.
            strict: without effect.
            scale: that the ensemble must have; None takes any.
            score_name: in place of the ensemble's, for reports.

        Raises:
            InputError: the ensemble has another scale.
            ValueError: a threshold.
        """
        from infantjax.methods.sma_cnn.assess import SmaAssessor

        method = cls.from_ensemble(ensemble, threshold)
        if scale is not None and tuple(scale) != method.scale:
            what = "has scores from {:g} to {:g}, not from {:g} to {:g}".format(*method.scale, *scale)
            raise InputError("ensemble", what, "leave out --scale, or train on that scale")
        return SmaAssessor(method if score_name is None else replace(method, score_name=score_name), ensemble)


def _owners(inputs: TrainInputs) -> np.ndarray:
    """`[window]` recording that each window is cut from."""
    return np.repeat(np.arange(len(inputs.cohort)), [len(windows) for windows in inputs.prepared])


def _of_windows(splits: Sequence[Split], owner: np.ndarray) -> list[Split]:
    """Splits of recordings as splits of their windows."""
    return [
        Split(*(tuple(np.flatnonzero(np.isin(owner, rows)).tolist()) for rows in (split.train, split.validation)))
        for split in splits
    ]
