"""A reading of MAM (Gao et al. 2023) as a system: where fidgety movements are, how frequent, whether a video is risk.

Besides its cohort it needs clips of other infants whose seconds are annotated (`motion.cohort.read_annotated`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.discrimination import confusion_counts
from infantjax.methods import network as common
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam.model import INFO, MAM
from infantjax.methods.mam.training import MamConfig, Videos, train
from infantjax.methods.network import Fitted, Given, NetworkSystem
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import HUMAN36M_17
from infantjax.training.loop import Execution
from infantjax.training.splits import Split, stratified_splits
from infantjax.weights.ensemble import Ensemble

SEXES = {"female": 0.0, "male": 1.0, "f": 0.0, "m": 1.0, "0": 0.0, "1": 1.0}
_UNITS = {"gestational_age": "weeks", "birth_weight": "grams", "corrected_age": "weeks"}

if TYPE_CHECKING:
    from infantjax.methods.mam.assess import MamAssessor


@dataclass(frozen=True, kw_only=True)
class Mam(NetworkSystem):
    """Attention over joints and frames of clips, and over the clips of a video.

    Attributes:
        dimensions: coordinates of the recordings, 2 or 3 (lifted); published is that 3 did better.
        metadata: read sex, gestational age, birth weight and corrected age (the info branch).
        folds: of the cross-validation (chosen).
        smooth: odd width of the running mean, frames.
        localization_step: frames between two clips that localize.
        threshold: of decisions on the risk (chosen).
        network: the network; its channels follow from the inputs, `info` are the units of the info branch if there is
            one.
        training: of every run.

    Raises:
        ValueError: a value out of range.
    """

    name = "mam"
    title = "MAM"
    source = "Gao, Yao, Tian et al. 2023, Nature Communications, through a published summary"
    fidelity = "interpretation"
    fidelity_note = (
        "MAM, re-implemented from its description: its methods text, supplement and code were not at hand. Published: the inputs, clips of 240 "
        "frames, the three branches with one encoder, attention fusion, four losses, the margin, batches, 300 "
        "epochs, the FMs frequency. Our choice: the inside of the Transformer, the formulas of fusion and closeness, "
        "normalization, range of the rate, momentum and decay, 50 epochs of the reference branch alone, the number of "
        "folds, the threshold, and the interval of the frequency."
    )
    skeleton_name = "human36m-17"
    model = "mam"
    derived = frozenset({"channels", "joints", "info"})

    dimensions: int = 2
    metadata: bool = False
    folds: int = 5
    smooth: int = 5
    localization_step: int = motion.LOCALIZATION_STEP
    threshold: float = 0.5
    network: MAM = field(default_factory=MAM)
    training: MamConfig = field(default_factory=MamConfig)

    def __post_init__(self) -> None:
        if self.dimensions not in (2, 3):
            raise ValueError(f"dimensions must be 2 or 3, got {self.dimensions}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be within 0..1, got {self.threshold}")
        if self.localization_step < 1 or self.smooth < 1 or not self.smooth % 2:
            raise ValueError("localization_step must be at least 1 and smooth an odd number of frames")
        inputs, distance = self.training.inputs, self.training.distance
        channels = motion.channels(inputs, self.dimensions, distance=distance)
        info = (self.network.info or 16) if self.metadata else 0
        object.__setattr__(self, "network", self.network.clone(channels=channels, info=info))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one clip, see `NetworkSystem`."""
        return 1, self.network.frames, self.network.joints, self.network.channels

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Stratified folds, infants whole."""
        common.require_several(cohort)
        strata = cohort.columns(stratify)
        folds = stratified_splits(cohort.outcomes, self.folds, groups=cohort.groups, strata=strata, seed=self.seed)
        return tuple(Split(fold.train, fold.validation, ()) for fold in folds)

    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Split:
        """Some infants held out."""
        common.require_several(cohort)
        train, held = common.single_split(cohort, validation, self.seed)
        return Split(tuple(train), tuple(held), ())

    def prepared(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions at 25 frames per second, and the entries of the info branch where they are read."""
        return self.positions(recording, strict), info_of(recording) if self.metadata else None

    def annotation(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Positions, and 0 or 1 for every frame."""
        positions, seconds = self.positions(recording, strict), np.asarray(recording.metadata["fidgety"])
        at = (np.arange(len(positions)) / motion.RATE).astype(int)
        return positions, seconds[np.minimum(at, len(seconds) - 1)]

    def positions(self, recording: Recording, strict: bool = False) -> np.ndarray:
        """As `motion.mam.prepare`, of a recording that moves and is as long as a token."""
        require_movement(recording)
        if (axes := recording.keypoints.shape[-1]) != self.dimensions:
            what = f"has {axes} coordinates, {self.dimensions} are needed"
            raise InputError(recording.name, what, "lift or project it, or set dimensions")
        positions = motion.prepare(convert(recording, HUMAN36M_17, strict=strict), self.smooth)
        if len(positions) < self.network.token:
            seconds = self.network.token / motion.RATE
            what = f"lasts {recording.duration:.2f} s, shorter than a token of {seconds:g} s"
            raise InputError(recording.name, what, "give a longer recording")
        return positions

    def fit(self, given: Given, **how: Unpack[Execution]) -> Fitted:
        """Train both stages, and judge the videos held out."""
        cohort, prepared, partitions, annotated = given
        common.require_members(cohort.outcomes, partitions)
        clips, of_clips = self._clips(annotated)
        labels = np.asarray(cohort.outcomes, np.int32)
        info = [known for _, known in prepared] if self.metadata else None
        data = Videos.of([positions for positions, _ in prepared], labels.tolist(), clips, of_clips, info)
        outcome = train(
            self.network,
            data,
            [Split(p.train, p.validation) for p in partitions],
            self.training,
            description=self.description,
            **how,
        )
        risks, held, runs = common.sigmoid(outcome.logits), [], []
        for run, partition in enumerate(partitions):
            rows = list(partition.validation)
            held += [(row, run, float(risks[row])) for row in rows]
            area = common.area(risks[rows], labels[rows])
            runs.append({"figures": {"AUC": area if math.isfinite(area) else None}})
        known = np.isfinite(risks)
        figures = {"AUC": common.area(risks[known], labels[known])}
        if len(set(labels[known])) == 2:
            figures |= confusion_counts(risks[known], labels[known], self.threshold).metrics()
        return Fitted(
            outcome=outcome,
            members=common.members(self.model, self.network, outcome),
            held=held,
            runs=runs,
            figures=figures,
            info={"threshold": self.threshold, "fidelity_note": self.fidelity_note},
        )

    def _clips(self, annotated: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """The annotated clips and their labels."""
        if not annotated:
            raise InputError("mam", "needs annotated infants", "name their folder by --annotated")
        cut, labels = [], []
        for positions, fidgety in annotated:
            starts = motion.clip_starts(len(positions), self.network.frames, self.training.step)
            cut.append(motion.cut(positions, starts, self.network.frames)[0])
            labels.append(motion.clip_labels(fidgety, starts, self.network.frames))
        clips, of_clips = np.concatenate(cut), np.concatenate(labels)
        if self.training.reference and len(clips) < self.training.clips:
            what = f"give {len(clips)} clips, a step needs {self.training.clips}"
            raise InputError("annotated infants", what, "annotate more, or --set clips=...")
        if self.training.reference and len(set(of_clips.tolist())) < 2:
            kind = "fidgety" if of_clips[0] else "without fidgety movements"
            raise InputError("annotated infants", f"give {len(clips)} clips, all {kind}", "both kinds are needed")
        return clips, of_clips

    @classmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> "MamAssessor":
        """See `System`."""
        from infantjax.methods.mam.assess import MamAssessor

        return MamAssessor(cls.of(ensemble, threshold), ensemble, strict)


def info_of(recording: Recording) -> np.ndarray:
    """The entries of the info branch, float32, in the order of `models.mam.INFO`.

    Raises:
        InputError: one is missing, or is no such entry.
    """
    numbers = [common.number_of(recording, name, unit) for name, unit in _UNITS.items()]
    assert ("sex", *_UNITS) == INFO
    return np.array([common.class_of(recording, "sex", SEXES), *numbers], np.float32)
