"""Baby Moves (Passmore et al.): a calibrated risk of abnormal or absent fidgety movements, from phone videos."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt, platt, platt_reference
from infantjax.evaluation.discrimination import confusion_counts
from infantjax.files import finite_or_none
from infantjax.methods import common
from infantjax.methods.baby_moves import preprocessing
from infantjax.methods.baby_moves.model import METADATA, Entry
from infantjax.methods.baby_moves.model import BabyMoves as BabyMovesNet
from infantjax.methods.baby_moves.preprocessing import Preprocessing, read_metadata
from infantjax.methods.baby_moves.simulation import HAND_HELD, to_baby_moves_points
from infantjax.methods.baby_moves.training import TrainingConfig, Videos, setup, video_logit
from infantjax.methods.base import Method
from infantjax.methods.registry import register
from infantjax.methods.window_preprocessing import require_plane
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, require_movement
from infantjax.settings import Count, Positive, Share, check_fields
from infantjax.simulation.config import InfantConfig
from infantjax.skeletons import BABY_MOVES_18
from infantjax.training.cohorts.cohort_splits import require_several_groups
from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.splits import Split, random_splits
from infantjax.training.state import StackResult
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    from infantjax.methods.baby_moves.assess import BabyMovesAssessor


@dataclass(frozen=True)
class Network:
    """Sizes of the network, see `model.BabyMoves`.

    Attributes:
        features: channels of every convolution, of the linear layer and of the attention.
        blocks: number of convolutions.
        kernel_size: frames of a convolution's kernel.
        pool: frames that are pooled into one after each convolution.
        dropout: fraction of units that training drops.
        metadata: also read age and cohort (term or preterm).
        entries: with `metadata`, which of the two.
    """

    features: int = 64
    blocks: int = 3
    kernel_size: int = 3
    pool: int = 4
    dropout: float = 0.5
    metadata: bool = False
    entries: tuple[Entry, ...] = METADATA

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.entries or len(set(self.entries)) < len(self.entries):
            raise ValueError(f"entries must name age, cohort, or both, got {self.entries}")


@register("baby-moves")
@dataclass(frozen=True, kw_only=True)
class BabyMoves(Method):
    """Convolutions over clips of a phone video, and attention over its clips; 25 random splits.

    Attributes:
        image: width and height of the videos in pixels; columns `width` and `height` of the table overrule it.
        repeats: random splits of a cross-validation; 25 as published.
        shares: fractions of infants for validation and test, as in the paper; 0.102, 0.15 in the reference.
        threshold: calibrated risk above which the decision is abnormal.
        calibration: `reference`: a score at even prevalence, `population`: a probability at that of validation videos.
        network: sizes of the network.
        preprocessing: of recordings.
        training: of every run.

    Raises:
        ValueError: a value out of range.

    Source: Passmore et al. 2024, PLOS Digital Health, and the reference implementation.
    """

    title = "Baby Moves"
    source = "Passmore et al., Automated identification of abnormal infant movements from smart phone videos"
    fidelity = "exact"
    skeleton = "baby-moves-18"
    model = "baby-moves"
    simulated_columns = ("age", "cohort")
    searched = (*Method.searched, "training.smoothing", "training.oversampling")

    image: tuple[Positive, Positive] = (640.0, 480.0)
    repeats: Count = 25
    shares: tuple[Share, Share] = (0.15, 0.15)
    threshold: Share = 0.5
    calibration: Literal["reference", "population"] = "reference"
    network: Network = field(default_factory=Network)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def presets(cls) -> dict[str, Self]:
        """Preprocessing of the reference implementation or of the paper."""
        return {"reference": cls(), "paper": cls(preprocessing=preprocessing.PAPER)}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one clip."""
        return 1, preprocessing.CLIP, preprocessing.FEATURES

    def build(self) -> BabyMovesNet:
        """The network of these sizes."""
        return BabyMovesNet(**asdict(self.network))

    def prepare(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """The 46 series, and age and cohort where they are read."""
        converted = self.convert(recording, strict)
        metadata = read_metadata(recording, self.network.entries) if self.network.metadata else None
        return self.series(self.standardize(converted)), metadata

    def convert(self, recording: Recording, strict: bool = False) -> Recording:
        """The 18 points of a recording that moves."""
        require_movement(recording)
        require_plane(recording)
        return convert(recording, BABY_MOVES_18, strict=strict)

    def standardize(self, recording: Recording) -> Recording:
        """The recording at 4500 frames, see `preprocessing.prepare`."""
        image = self.image
        if {"width", "height"} & set(recording.metadata):
            width, height = (common.read_number(recording, side, "pixels") for side in ("width", "height"))
            image = width, height
        try:
            return preprocessing.prepare(recording, image, self.preprocessing)
        except ValueError as error:
            raise InputError(recording.name, str(error), "check the tracking and the sides of the image") from None

    def series(self, standardized: Recording) -> np.ndarray:
        """The 46 series `[time, 46]` of a standardized recording."""
        return preprocessing.features(standardized.keypoints, self.preprocessing.smooth)

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Random splits, stratified on the outcome and the columns, infants whole."""
        require_several_groups(cohort)
        strata = [(outcome, *values) for outcome, values in zip(cohort.outcomes, cohort.columns(stratify))]
        return random_splits(
            cohort.outcomes,
            self.repeats,
            shares=self.shares,
            groups=cohort.groups,
            strata=strata if stratify else None,
            seed=self.seed,
        )

    def setup(self, inputs: TrainInputs) -> TrainingSetup:
        """Videos with their labels and metadata."""
        common.require_both_outcomes(inputs.cohort.outcomes, inputs.splits)
        labels = [int(outcome) for outcome in inputs.cohort.outcomes]
        metadata = [known for _, known in inputs.prepared] if self.network.metadata else None
        data = Videos.create([series for series, _ in inputs.prepared], labels, metadata, self.training)
        return setup(self.build(), data, inputs.splits, self.training)

    def outputs(self, inputs: TrainInputs, setup: TrainingSetup, result: StackResult) -> TrainOutputs:
        """Calibrate each run on its validation videos and evaluate it on its test videos.

        A run on a single split has no test videos: its metrics are those of its validation, which are optimistic.
        """
        labels = np.asarray(inputs.cohort.outcomes, np.int32)
        held_out: list[HeldOut] = []
        run_metrics, curves, notes = [], [], []
        logits = self._logits(setup.data, inputs.splits, result)
        for run, (split, found) in enumerate(zip(inputs.splits, result.validation_outputs(inputs.splits))):
            rows = list(split.test or split.validation)
            try:
                curve = self._calibrate(found, labels[list(split.validation)])
            except ValueError as error:
                curve = None
                notes.append(f"run {run} could not be calibrated: {error}")
            risks = np.full(len(rows), np.nan) if curve is None else curve(common.sigmoid(logits[run]))
            held_out += [HeldOut(row, run, float(risk)) for row, risk in zip(rows, risks)]
            curves.append(None if curve is None else [curve.slope, curve.intercept])
            run_metrics.append(self._metrics(logits[run], risks, labels[rows], setup.data, rows))
        used = [curve for curve, last in zip(curves, result.last_epoch) if last > 0]
        if used and all(curve is None for curve in used):
            remedy = "train longer, or validate on more infants; its checkpoints are kept"
            raise InputError("ensemble", notes[0], remedy)
        names = dict.fromkeys(name for metrics in run_metrics for name in metrics)
        return TrainOutputs(
            held_out,
            [finite_or_none(metrics) for metrics in run_metrics],
            {name: _mean([metrics.get(name, math.nan) for metrics in run_metrics]) for name in names},
            {"threshold": self.threshold, "calibrations": used, "notes": notes},
            calibrated=self.calibration == "population",
            optimistic=not all(split.test for split in inputs.splits),
        )

    def _logits(self, data: Videos, splits: Sequence[Split], result: StackResult) -> list[np.ndarray]:
        """Of the test videos of each run; of its validation videos where there are none."""
        network = self.build()
        logit = jax.jit(lambda variables, series, metadata: video_logit(network, variables, series, metadata))
        found = []
        for run, split in enumerate(splits):
            variables = jax.tree.map(lambda leaf, run=run: leaf[run], result.variables)
            rows = split.test or split.validation
            metadata = [None if data.metadata is None else data.metadata[row] for row in rows]
            found.append(np.array([logit(variables, data.series[row], known) for row, known in zip(rows, metadata)]))
        return found

    def _metrics(
        self, logits: np.ndarray, risks: np.ndarray, labels: np.ndarray, data: Videos, rows: list[int]
    ) -> dict[str, float]:
        metrics = {"AUC": common.auc_or_nan(logits, labels)}
        if np.isfinite(risks).all() and len(set(labels.tolist())) == 2:
            metrics |= confusion_counts(risks, labels, self.threshold).metrics()
        if data.metadata is not None and "cohort" in self.network.entries:
            cohort = np.asarray(data.metadata)[rows, self.network.entries.index("cohort")]
            metrics["AUC of cohort alone"] = common.auc_or_nan(cohort, labels)
        return metrics

    def _calibrate(self, logits: np.ndarray, labels: np.ndarray) -> Platt:
        """Curve from the sigmoid of a logit to a risk; where scores separate the outcomes, with smooth labels.

        The smooth labels are our choice.
        """
        scores = common.sigmoid(logits)
        if self.calibration == "population":
            return platt(scores, labels)
        try:
            return platt_reference(scores, labels)
        except ValueError:
            return platt(scores, labels, balanced=True)

    @classmethod
    def program(cls, ensemble: Ensemble, samples: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
        """Of clips; networks that also read age and cohort raise a `ValueError`."""
        if cls.from_ensemble(ensemble).network.metadata:
            raise ValueError(f"{cls.name} with metadata reads more than one array")
        return super().program(ensemble, samples)

    @classmethod
    def simulate(
        cls, n: int, seed: int, duration: float, *, base: InfantConfig | None = None, **options: Any
    ) -> Iterator[tuple[Recording, float]]:
        """A phone above the infant, with age and cohort of birth."""
        base = replace(base or InfantConfig(), **HAND_HELD)
        for recording, outcome in super().simulate(n, seed, duration, base=base, **options):
            yield to_baby_moves_points(recording), outcome

    @classmethod
    def assessor(
        cls,
        ensemble: Ensemble,
        *,
        threshold: float | None = None,
        strict: bool = False,
        explain: Literal["saliency"] | None = None,
    ) -> "BabyMovesAssessor":
        """An assessor; `explain` asks for contributions of the points, the other arguments are those of `Method`."""
        from infantjax.methods.baby_moves.assess import BabyMovesAssessor

        return BabyMovesAssessor(cls.from_ensemble(ensemble, threshold), ensemble, strict, explain)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
