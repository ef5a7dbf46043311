"""MAM (Gao et al. 2023): where fidgety movements are, how frequent they are, and whether a video shows a risk.

Besides its cohort the training needs clips of other infants with annotated seconds (`formats.read_annotated`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.discrimination import confusion_counts
from infantjax.files import finite_or_none
from infantjax.methods import common
from infantjax.methods.base import Method
from infantjax.methods.mam import preprocessing
from infantjax.methods.mam.model import INFO, MAM
from infantjax.methods.mam.preprocessing import Preprocessing
from infantjax.methods.mam.training import TrainingConfig, Videos, setup
from infantjax.methods.registry import register
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, require_movement
from infantjax.settings import Count, Share, check_fields
from infantjax.skeletons import HUMAN36M_17
from infantjax.training.cohorts.cohort_splits import cohort_splits, require_several_groups
from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.splits import Split
from infantjax.training.state import StackResult
from infantjax.weights.ensemble import Ensemble

if TYPE_CHECKING:
    from infantjax.methods.mam.assess import MamAssessor
    from infantjax.pose.lifting import Lifter

SEXES = {"female": 0.0, "male": 1.0, "f": 0.0, "m": 1.0, "0": 0.0, "1": 1.0}
UNITS = {"gestational_age": "weeks", "birth_weight": "grams", "corrected_age": "weeks"}
"""Numbers of the info branch; sex comes before them."""


@dataclass(frozen=True)
class Network:
    """Sizes of the network, see `model.MAM`; its channels follow from the inputs.

    Attributes:
        frames: frames of a clip.
        token: frames of a token; divides `frames`.
        width: channels of tokens and embeddings.
        blocks: Transformer blocks.
        heads: attention heads of a block.
        hidden: units of the MLP of a block.
        dropout: fraction dropped in attentions and MLPs of the Transformer.
        classifier: units of the clip classifier.
        attention: units of the attention over the clips of a video.
        main_share: weight of the main branch in the fused log-odds at the start.
        metadata: also read sex, gestational age, birth weight and corrected age (info branch).
        info: units of both layers of the info branch.
    """

    frames: int = 240
    token: int = 8
    width: int = 64
    blocks: int = 4
    heads: int = 4
    hidden: int = 128
    dropout: float = 0.1
    classifier: int = 32
    attention: int = 32
    main_share: float = 0.9
    metadata: bool = False
    info: int = 16


@register("mam")
@dataclass(frozen=True, kw_only=True)
class Mam(Method):
    """Attention over joints and frames of clips, and over the clips of a video.

    Attributes:
        folds: number of folds (5 is our choice), a column of the outcomes table, or `infant`: each infant is a fold.
        threshold: risk above which the decision is "at risk" (our choice).
        localization_step: frames between the clips of an assessment over time.
        network: sizes of the network.
        preprocessing: of recordings.
        training: of every run.

    Raises:
        ValueError: a value out of range.

    Source: Gao, Yao, Tian et al. 2023, Nature Communications, through a published summary.
    """

    title = "MAM (re-implemented from its description)"
    source = "Gao, Yao, Tian et al. 2023, Nature Communications, through a published summary"
    fidelity = "interpretation"
    fidelity_note = (
        "MAM, re-implemented from its description: methods text, supplement and code were not available. Published: "
        "the inputs, clips of 240 frames, the three branches with one encoder, attention fusion, four losses, the "
        "margin, batches, 300 epochs, the FMs frequency. Our choice: the inside of the Transformer, the formulas of "
        "fusion and closeness, normalization, range of the rate, momentum and decay, 50 epochs of the reference branch "
        "alone, the number of folds, the threshold, and the interval of the frequency."
    )
    skeleton = "human36m-17"
    model = "mam"
    needs_annotated = True
    searched = ("training.highest_rate", "training.decay", "training.clips", "training.margin")
    simulated_columns = ("sex", *UNITS)

    folds: int | str = 5
    threshold: Share = 0.5
    localization_step: Count = preprocessing.LOCALIZATION_STEP
    network: Network = field(default_factory=Network)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def channels(self) -> int:
        """Of a joint in a frame of the network's input."""
        inputs, distance = self.training.inputs, self.training.distance
        return preprocessing.channels(inputs, self.preprocessing.dimensions, distance=distance)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of a video with one clip."""
        return 1, self.network.frames, len(HUMAN36M_17.joints), self.channels

    def build(self) -> MAM:
        """The network for the channels of the inputs."""
        sizes = asdict(self.network)
        sizes["info"] = sizes["info"] if sizes.pop("metadata") else 0
        return MAM(**sizes, channels=self.channels, joints=len(HUMAN36M_17.joints))

    def prepare(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions at 25 frames per second, and the entries of the info branch where they are read."""
        return self.positions(recording, strict), read_info(recording) if self.network.metadata else None

    def prepare_annotated(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Positions, and 0 or 1 for every frame."""
        positions, seconds = self.positions(recording, strict), np.asarray(recording.metadata["fidgety"])
        at = (np.arange(len(positions)) / preprocessing.RATE).astype(int)
        return positions, seconds[np.minimum(at, len(seconds) - 1)]

    def positions(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """Positions `[time, joint, axis]` of a recording that moves and is at least as long as a token."""
        require_movement(recording)
        wanted = self.preprocessing.dimensions
        if (axes := recording.keypoints.shape[-1]) != wanted:
            what = f"has {axes} coordinates, {wanted} are needed"
            remedy = f"train with --preprocessing.dimensions {axes}"
            remedy += ", or lift it: --lift, or infantjax lift" if axes == 2 else ""
            raise InputError(recording.name, what, remedy)
        converted = convert(recording, HUMAN36M_17, strict=strict)
        positions = preprocessing.prepare(converted, self.preprocessing.smooth)
        if len(positions) < self.network.token:
            seconds = self.network.token / preprocessing.RATE
            what = f"lasts {recording.duration:.2f} s, shorter than a token of {seconds:g} s"
            raise InputError(recording.name, what, "give a longer recording")
        return positions

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Stratified folds, infants whole; or the folds of a column."""
        require_several_groups(cohort)
        return cohort_splits(cohort, self.folds, stratify, self.seed)

    def setup(self, inputs: TrainInputs) -> TrainingSetup:
        """Videos with their labels and info, and the annotated clips."""
        common.require_both_outcomes(inputs.cohort.outcomes, inputs.splits)
        clips, clip_labels = self._clips(inputs.annotated)
        info = [known for _, known in inputs.prepared] if self.network.metadata else None
        labels = [int(outcome) for outcome in inputs.cohort.outcomes]
        data = Videos.create([positions for positions, _ in inputs.prepared], labels, clips, clip_labels, info)
        return setup(self.build(), data, inputs.splits, self.training)

    def _clips(self, annotated: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """The annotated clips and their labels."""
        if not annotated:
            raise InputError("mam", "needs annotated infants", "name their folder by --annotated")
        frames, cut, labels = self.network.frames, [], []
        for positions, fidgety in annotated:
            starts = preprocessing.clip_starts(len(positions), frames, self.training.step)
            cut.append(preprocessing.cut(positions, starts, frames)[0])
            labels.append(preprocessing.clip_labels(fidgety, starts, frames))
        clips, clip_labels = np.concatenate(cut), np.concatenate(labels)
        if self.training.reference and len(clips) < self.training.clips:
            what = f"give {len(clips)} clips, a step needs {self.training.clips}"
            raise InputError("annotated infants", what, "annotate more, or set --training.clips")
        if self.training.reference and len(set(clip_labels.tolist())) < 2:
            kind = "fidgety" if clip_labels[0] else "without fidgety movements"
            raise InputError("annotated infants", f"give {len(clips)} clips, all {kind}", "both kinds are needed")
        return clips, clip_labels

    def outputs(self, inputs: TrainInputs, setup: TrainingSetup, result: StackResult) -> TrainOutputs:
        """Risks of the validation videos after the last epoch."""
        labels = np.asarray(inputs.cohort.outcomes, np.int32)
        risks = common.sigmoid(result.held_out(inputs.splits, len(labels)))
        held_out, run_metrics = [], []
        for run, split in enumerate(inputs.splits):
            rows = list(split.validation)
            held_out += [HeldOut(row, run, float(risks[row])) for row in rows]
            run_metrics.append(finite_or_none({"AUC": common.auc_or_nan(risks[rows], labels[rows])}))
        known = np.isfinite(risks)
        metrics = {"AUC": common.auc_or_nan(risks[known], labels[known])}
        if len(set(labels[known].tolist())) == 2:
            metrics |= confusion_counts(risks[known], labels[known], self.threshold).metrics()
        return TrainOutputs(held_out, run_metrics, metrics, {"threshold": self.threshold})

    @classmethod
    def assessor(
        cls,
        ensemble: Ensemble,
        *,
        threshold: float | None = None,
        strict: bool = False,
        lifter: "Lifter | None" = None,
    ) -> "MamAssessor":
        """An assessor; `lifter` lifts recordings in 2D, the other arguments are those of `Method`.

        Raises:
            ValueError: a lifter for an ensemble that reads 2D.
        """
        from infantjax.methods.mam.assess import MamAssessor

        method = cls.from_ensemble(ensemble, threshold)
        if lifter is not None and method.preprocessing.dimensions != 3:
            raise ValueError("the ensemble reads 2D and needs no lifting")
        return MamAssessor(method, ensemble, strict, lifter)


def read_info(recording: Recording) -> np.ndarray:
    """The entries of the info branch, float32, in the order of `model.INFO`.

    Raises:
        InputError: one is missing, or cannot be read.
    """
    assert ("sex", *UNITS) == INFO
    numbers = [common.read_number(recording, name, unit) for name, unit in UNITS.items()]
    return np.array([common.read_class(recording, "sex", SEXES), *numbers], np.float32)
