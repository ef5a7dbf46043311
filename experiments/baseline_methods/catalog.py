"""The comparators by name: features with a classifier, and networks that are trained on pieces of recordings."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from stam import preprocessing as stam_channels
from stam.model import FRAMES as STAM_FRAMES
from stam.model import Stam

from baseline_methods import (
    catch22,
    cima,
    classifiers,
    differencing,
    flow,
    histograms,
    pieces,
    spectra,
)
from baseline_methods.pieces import PieceConfig, PieceTask
from baseline_methods.protocol import Comparator, CrossFit, Problem, Sample
from infantjax.assessment.gate import UNGATED
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton
from infantjax.training.cohorts.crossval import TrainInputs
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.weights import bundled

WIDTH = 0.02
"""Trunk lengths of a bin of displacement: the published 2 pixels of an infant whose trunk is 100 pixels long."""

Reads = Literal["keypoints", "video"]


@dataclass(frozen=True)
class FeatureClassifier:
    """A classifier on features of whole recordings; its penalty is chosen within the training recordings."""

    reads: Reads
    features: Callable[[Sample], np.ndarray]
    classifier: classifiers.Classifier
    published: str = "-"

    def prepare(self, sample: Sample) -> np.ndarray:
        """The features; those that are not defined, where nothing moves, are 0."""
        return np.nan_to_num(self.features(sample).ravel())

    def cross_fit(self, prepared: Sequence[np.ndarray], problem: Problem) -> CrossFit:
        """See `Comparator`."""
        x, cohort, risks = np.stack(prepared), problem.cohort, np.full(len(prepared), np.nan)
        for fold in problem.splits:
            risks[list(fold.validation)] = classifiers.classify(
                *(x, cohort.outcomes, fold.train, fold.validation, self.classifier),
                groups=cohort.groups,
                folds=_inner(problem, fold),
                seed=problem.seed,
            )
        return CrossFit(risks, None if self.classifier in ("forest", "kernel") else x.shape[1] + 1)


def _inner(problem: Problem, fold: Split) -> int:
    """Number of folds within the training recordings: five, or fewer where an outcome is rare."""
    cohort = problem.cohort
    names = cohort.groups or cohort.names
    infants = [{names[row] for row in fold.train if cohort.outcomes[row] == outcome} for outcome in (0, 1)]
    return max(2, min(5, *map(len, infants)))


@dataclass(frozen=True)
class WindowShare:
    """The fraction of windows that are classified as positive, of features of windows."""

    features: Callable[[Sample], np.ndarray]
    reads: Reads = "keypoints"
    published: str = "-"

    def prepare(self, sample: Sample) -> np.ndarray:
        """The features of each window."""
        return self.features(sample)

    def cross_fit(self, prepared: Sequence[np.ndarray], problem: Problem) -> CrossFit:
        """See `Comparator`."""
        risks = np.full(len(prepared), np.nan)
        for fold in problem.splits:
            data = (prepared, problem.cohort.outcomes, fold.train, fold.validation)
            risks[list(fold.validation)] = classifiers.window_share(*data)
        latent = min(classifiers.MOST_LATENT, prepared[0].shape[1])
        return CrossFit(risks, latent * prepared[0].shape[1] + latent + 1)


@dataclass(frozen=True)
class GraphNetworks:
    """The median risk of graph networks in windows of five seconds; the weights of their last epoch.

    Simulated infants are assessed by a small ST-GCN, or by the bundled ensemble, which trained on others.

    Attributes:
        models: registry names of the networks.
        published: see `Comparator`.
    """

    models: tuple[str, ...]
    published: str
    reads: Reads = "keypoints"

    def prepare(self, sample: Sample) -> np.ndarray:
        """Standardized positions."""
        return EnsembleGCN().prepare(sample.recording)

    def cross_fit(self, prepared: Sequence[np.ndarray], problem: Problem) -> CrossFit:
        """See `Comparator`."""
        training, overrides = TrainingConfig(seed=problem.seed), dict[str, Any]()
        if problem.small:
            if self.models != ("st-gcn",):
                assessor = EnsembleGcnAssessor(bundled.ensemble())
                found = [assessor.assess(r, options=UNGATED).value for r in problem.cohort.recordings]
                return CrossFit(np.array(found, float), None)
            training = dataclasses.replace(
                training, epochs=40, batch_size=16, learning_rate=5e-3, samples_per_negative=2, positive_ratio=2
            )
            overrides = {"widths": (8, 8, 16, 16)}
        if problem.epochs is not None:
            training = dataclasses.replace(training, epochs=problem.epochs)
        risks, parameters = [], 0
        for model in self.models:
            method = EnsembleGCN(model=model, overrides=overrides, training=training)
            setup = method.setup(TrainInputs(problem.cohort, list(prepared), problem.splits))
            result = fit(*setup, options=TrainOptions(quiet=False))
            risks.append(pieces.at_last_epoch(result, problem.splits, len(prepared)))
            parameters += sum(leaf.size for leaf in jax.tree.leaves(setup.task.variables["params"]))
        return CrossFit(np.median(risks, axis=0), parameters)


class Recipe(NamedTuple):
    """How a network is built and trained.

    Attributes:
        module: the network.
        config: of its training.
        frames: of a piece; the shortest recording is the limit.
    """

    module: nn.Module
    config: PieceConfig
    frames: int


@dataclass(frozen=True)
class PieceNetwork:
    """A network trained on pieces of recordings; the weights of its last epoch.

    Attributes:
        reads: its input.
        channels: what it reads of a recording.
        full: as published.
        small: for simulated infants on a CPU.
        task: its loss.
        published: see `Comparator`.
    """

    reads: Reads
    channels: Callable[[Sample], np.ndarray]
    full: Callable[[Skeleton], Recipe]
    small: Callable[[Skeleton], Recipe]
    task: type[PieceTask] = PieceTask
    published: str = "-"

    def prepare(self, sample: Sample) -> np.ndarray:
        """The channels."""
        return self.channels(sample)

    def cross_fit(self, prepared: Sequence[np.ndarray], problem: Problem) -> CrossFit:
        """See `Comparator`."""
        skeleton = problem.cohort.recordings[0].skeleton
        module, config, frames = (self.small if problem.small else self.full)(skeleton)
        data = pieces.Pieces.create(prepared, problem.cohort.outcomes, min(frames, *map(len, prepared)))
        fewest = min(int(np.isin(data.recording, fold.train).sum()) for fold in problem.splits)
        config = dataclasses.replace(
            config,
            seed=problem.seed,
            epochs=problem.epochs or config.epochs,
            batch_size=min(config.batch_size, fewest),
        )
        task = self.task(module, config, (1, *data.x.shape[1:]))
        result = pieces.train(task, data, problem.splits, options=TrainOptions(quiet=False, save_every=10))
        risks = pieces.at_last_epoch(result, problem.splits, len(prepared))
        return CrossFit(risks, sum(leaf.size for leaf in jax.tree.leaves(task.variables["params"])))


def _of_recording(features: Callable[[Recording], np.ndarray]) -> Callable[[Sample], np.ndarray]:
    """Features of keypoints in trunk lengths."""
    return lambda sample: features(sample.sized())


def _histograms(sample: Sample) -> np.ndarray:
    """HOJO2D and HOJD2D."""
    return histograms.features(sample.sized(), width=WIDTH)


def _catch22(sample: Sample) -> np.ndarray:
    """The 22 features of each coordinate of each part of the body, without smoothing."""
    recording = sample.sized()
    return catch22.catch22(spectra.part_tracks(recording).reshape(recording.frames, -1))


def _differencing(sample: Sample) -> np.ndarray:
    """Quantity and centroid of motion."""
    clip = sample.film()
    return np.array(differencing.features(differencing.motion(clip.frames[..., None]), clip.fps))


def _flow(sample: Sample) -> np.ndarray:
    """Statistics of optical flow."""
    return flow.features(sample.film())


def _stam(sample: Sample) -> np.ndarray:
    return stam_channels.channels(stam_channels.prepare(sample.recording), sample.recording.fps)


COMPARATORS: dict[str, Comparator] = {
    "ensemble-gcn": GraphNetworks(tuple(f"kbest-gcn-{number}" for number in range(1, 11)), "0.921"),
    "st-gcn": GraphNetworks(("st-gcn",), "0.851"),
    "stam": PieceNetwork(
        "keypoints",
        _stam,
        full=lambda skeleton: Recipe(Stam(skeleton), PieceConfig(), STAM_FRAMES),
        small=lambda skeleton: Recipe(
            Stam(skeleton, widths=(8, 16, 16)), PieceConfig(epochs=20, batch_size=8, learning_rate=2e-3), 300
        ),
        published="0.819",
    ),
    "cima-like": WindowShare(_of_recording(cima.features), published="0.839"),
    "histograms-lda": FeatureClassifier("keypoints", _histograms, "lda"),
    "histograms-svm": FeatureClassifier("keypoints", _histograms, "svm"),
    "histograms-logistic": FeatureClassifier("keypoints", _histograms, "logistic"),
    "histograms-forest": FeatureClassifier("keypoints", _histograms, "forest"),
    "fft-histograms-lda": FeatureClassifier("keypoints", _of_recording(histograms.spectral_features), "lda"),
    "fft-pls": FeatureClassifier("keypoints", _of_recording(spectra.features), "pls", "0.93"),
    "catch22-logistic": FeatureClassifier("keypoints", _catch22, "logistic", "0.604"),
    "catch22-kernel": FeatureClassifier("keypoints", _catch22, "kernel", "0.720"),
    "flow-svm": FeatureClassifier("video", _flow, "svm", "85 / - %"),
    "flow-forest": FeatureClassifier("video", _flow, "forest", "0.82 to 0.83"),
    "differencing-logistic": FeatureClassifier("video", _differencing, "logistic", "0.73 to 0.88"),
}
"""The others are compared with the first. Published: the centroid alone (Adde, Stoeen), leaving one out (Rahmati), an
external set (CIMA, ST-GCN and the ensemble in Groos et al.), five folds (STAM), ten (Stahl), random forest (Orlandi),
25 splits (Passmore: 0.604 is without age and cohort, 0.706 with; it does not say which 0.720 is); sensitivity and
specificity of Stahl. Each of other infants than the others."""
