"""Baselines: every method that the papers compare with, on one cohort and the same folds, beside the published AUCs.

    python experiments/baselines.py --simulate 40
    python experiments/baselines.py --cohort FOLDER [--fps 30] [--videos FOLDER] -o risks

Every recording is evaluated once, by a model that was fitted on the other folds. Printed are the AUC with its interval,
sensitivity and specificity at the highest threshold with the given sensitivity, the P value of the AUC against the
first method (DeLong, corrected by Holm), and the published AUC, each of other infants. With `-o` the risks of each
method are a table that `infantjax evaluate` reads.

A cohort is a folder of keypoint files with `outcomes.csv`: id, outcome, and group, the infant, where some have several
recordings. Frame differencing needs the videos, named as the keypoint files. The networks keep the epoch of the best
AUC of the validation fold, as published, which makes their AUC optimistic; the linear methods do not use it.

With `--simulate` the networks are smaller and trained for a few epochs: some minutes on two CPU cores. Simulated
infants show that the program runs and that a method can learn; their metrics say nothing about infants.
"""

import csv
import dataclasses
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from baseline_methods import catch22, cima, classifiers, differencing, histograms, spectra
from method_runs import exit_status
from stam import preprocessing as stam_channels
from stam import training as stam
from stam.model import FRAMES, Stam

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation import comparison, discrimination
from infantjax.files import write_atomically
from infantjax.formats.cohort import read_cohort
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.simulation import simulate_cohort
from infantjax.training import loop
from infantjax.training.crossval import TrainInputs
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split, stratified_splits
from infantjax.video import open_frames

PUBLISHED = {
    "differencing-logistic": "0.73 to 0.88",
    "fft-pls": "0.93",
    "cima-like": "0.839",
    "st-gcn": "0.851",
    "stam": "0.819",
}
"""AUCs of the papers: of the centroid alone (Adde, Stoeen), of leaving one out (Rahmati), of an external set
(CIMA and ST-GCN in Groos et al.), of five folds (STAM). Each of other infants than the others."""

WIDTH = 0.02
"""Trunk lengths of a bin of displacement: the published 2 pixels of an infant whose trunk is 100 pixels long."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        videos: folder of the videos, for frame differencing.
        output: folder for the risks of each method.
        methods: names; None for all whose data and packages are available.
        fps: of files without a frame rate, hertz.
        folds: of the cohort.
        sensitivity: of the thresholds.
        epochs: of the networks; None for the defaults, or a few if simulated.
        seed: of folds and weights, and of the simulation.
    """

    cohort: Path | None = None
    simulate: int = 0
    videos: Path | None = None
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    methods: tuple[str, ...] | None = None
    fps: float | None = None
    folds: int = 5
    sensitivity: float = 0.7
    epochs: int | None = None
    seed: int = 1


def main(options: Options) -> None:
    """Fit, evaluate, print."""
    cohort = simulated(options) if options.simulate else read(options)
    folds = stratified_splits(cohort.outcomes, options.folds, groups=cohort.groups, seed=options.seed)
    if unknown := set(options.methods or ()) - set(METHODS):
        raise InputError("--methods", f"has no {min(unknown)}", f"known: {', '.join(METHODS)}")
    risks = {}
    for name in options.methods or METHODS:
        try:
            found = METHODS[name](cohort, folds, options)
            if not np.isfinite(found).all():
                raise InputError(name, "diverged in a fold", "try another --seed")
            risks[name] = found
        except (InputError, MissingExtraError) as problem:
            if options.methods:
                raise
            print(f"skipped: {name}: {problem}", file=sys.stderr)
    if not risks:
        raise InputError("--methods", "leaves none that can be fitted", "see the lines above")
    if options.output is not None:
        save(options.output, cohort, risks)
    kind = "simulated infants" if options.simulate else "recordings"
    print(f"{len(cohort)} {kind}, {sum(cohort.outcomes)} with outcome 1, {options.folds} folds")
    print(table(risks, cohort, options.sensitivity))


def table(risks: dict[str, np.ndarray], cohort: Cohort, sensitivity: float) -> str:
    """One line for each method."""
    labels, first = np.asarray(cohort.outcomes), next(iter(risks.values()))
    groups = cohort.groups if cohort.groups and len(set(cohort.groups)) < len(cohort) else None
    found = {
        name: discrimination.discrimination_metrics(
            values, labels, discrimination.threshold_at_sensitivity(values, labels, sensitivity), groups=groups
        )
        for name, values in risks.items()
    }
    others = list(risks)[1:]
    p = comparison.holm({name: comparison.delong(first, risks[name], labels).p for name in others})
    lines = [f"{'method':<26}{'AUC':>7}{'95 % interval':>17}{'sens.':>7}{'spec.':>7}{'P':>8}{'published':>14}"]
    for name, metrics in found.items():
        area = metrics["auc"]
        lines.append(
            f"{name:<26}{area.value:>7.3f}{f'{area.low:.3f} to {area.high:.3f}':>17}"
            f"{metrics['sensitivity'].value:>7.2f}{metrics['specificity'].value:>7.2f}"
            f"{rounded(p[name]) if name in p else '':>8}{PUBLISHED.get(name, '-'):>14}"
        )
    return "\n".join(lines)


def rounded(p: float) -> str:
    """Three decimals, or that it is smaller."""
    return f"{p:.3f}" if p >= 0.0005 else "<0.001"


def save(folder: Path, cohort: Cohort, risks: dict[str, np.ndarray]) -> None:
    """A table of risks for each method."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in risks.items():
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "risk", "outcome"])
        writer.writerows(zip(cohort.names, values.tolist(), cohort.outcomes))
        write_atomically(folder / f"{name}.csv", stream.getvalue())


# --- methods: cohort, splits, options -> risks [recording] ------------------------------------------------------------

Method = Callable[[Cohort, Sequence[Split], Options], np.ndarray]
Fit = Callable[[Cohort, Split], np.ndarray]


def out_of_fold(cohort: Cohort, splits: Sequence[Split], fit: Fit) -> np.ndarray:
    """Risks of each validation fold by a model fitted on the other folds."""
    risks = np.full(len(cohort), np.nan)
    for fold in splits:
        risks[list(fold.validation)] = fit(cohort, fold)
    return risks


def linear(
    features: Callable[[Recording, Options], np.ndarray], classifier: Literal["logistic", "lda", "svm", "pls"]
) -> Method:
    """A linear classifier on features of each recording."""

    def method(cohort: Cohort, splits: Sequence[Split], options: Options) -> np.ndarray:
        x = np.stack([features(recording, options).ravel() for recording in cohort.recordings])

        def fit(cohort: Cohort, fold: Split) -> np.ndarray:
            known: dict[str, Any] = {"groups": cohort.groups, "folds": inner(cohort, fold), "seed": options.seed}
            if classifier == "logistic":
                return classifiers.logistic(x, cohort.outcomes, fold.train, fold.validation, **known)
            return classifiers.classify(x, cohort.outcomes, fold.train, fold.validation, classifier, **known)

        return out_of_fold(cohort, splits, fit)

    return method


def inner(cohort: Cohort, fold: Split) -> int:
    """Number of folds within the training recordings: five, or fewer where an outcome is rare."""
    names = cohort.groups or cohort.names
    infants = [{names[row] for row in fold.train if cohort.outcomes[row] == outcome} for outcome in (0, 1)]
    return max(2, min(5, *map(len, infants)))


def sized(recording: Recording) -> Recording:
    """In trunk lengths."""
    upper, lower = recording.skeleton.trunk_indices
    points = recording.keypoints[..., :2]
    length = float(np.nanmedian(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1)))
    return dataclasses.replace(recording, keypoints=points / length)


def of_catch22(recording: Recording, options: Options) -> np.ndarray:
    """The 22 features of each coordinate of each part of the body, without smoothing."""
    return catch22.catch22(spectra.part_tracks(sized(recording)).reshape(recording.frames, -1))


def of_video(recording: Recording, options: Options) -> np.ndarray:
    """Quantity and centroid of motion."""
    if options.videos is None:
        raise InputError("--videos", "is missing", "frame differencing reads no keypoints")
    files = sorted(options.videos.glob(f"{recording.name}.*"))
    if len(files) != 1:
        raise InputError(options.videos, f"holds {len(files)} files named {recording.name}", "one is needed")
    frames = (frame.pixels() for frame in open_frames(files[0]))
    return np.array(differencing.features(differencing.motion(frames), recording.fps))


def cima_like(cohort: Cohort, splits: Sequence[Split], options: Options) -> np.ndarray:
    """The fraction of windows that are classified as positive."""
    windows = [cima.features(sized(recording)) for recording in cohort.recordings]
    return out_of_fold(
        cohort, splits, lambda c, fold: classifiers.window_share(windows, c.outcomes, fold.train, fold.validation)
    )


def st_gcn(cohort: Cohort, splits: Sequence[Split], options: Options) -> np.ndarray:
    """ST-GCN on positions."""
    training = TrainingConfig(seed=options.seed)
    overrides: dict[str, Any] = {}
    if options.simulate:
        training = dataclasses.replace(
            training, epochs=8, batch_size=16, learning_rate=5e-3, samples_per_negative=2, positive_ratio=2
        )
        overrides = {"widths": (8, 8, 16, 16)}
    if options.epochs is not None:
        training = dataclasses.replace(training, epochs=options.epochs)
    method = EnsembleGCN(model="st-gcn", overrides=overrides, training=training)
    prepared = [method.prepare(recording) for recording in cohort.recordings]
    setup = method.setup(TrainInputs(cohort, prepared, tuple(splits)))
    result = loop.train(*setup, options=TrainOptions(quiet=False))
    return result.held_out(splits, len(cohort))


def stam_network(cohort: Cohort, splits: Sequence[Split], options: Options) -> np.ndarray:
    """STAM on the cohort's own points; pieces of the published length, or of the shortest recording."""
    skeleton = cohort.recordings[0].skeleton
    config, frames = stam.StamConfig(seed=options.seed), FRAMES
    sizes: dict[str, Any] = {}
    if options.simulate:
        config = dataclasses.replace(config, epochs=4, batch_size=8, learning_rate=2e-3)
        sizes, frames = {"widths": (8, 16, 16)}, 300
    if options.epochs is not None:
        config = dataclasses.replace(config, epochs=options.epochs)
    channels = [stam_channels.channels(stam_channels.prepare(r), r.fps) for r in cohort.recordings]
    data = stam.Pieces.create(channels, cohort.outcomes, min(frames, *map(len, channels)))
    result = stam.train(Stam(skeleton, **sizes), data, splits, config, options=TrainOptions(quiet=False, save_every=10))
    return result.held_out(splits, len(cohort))


def of_histograms(recording: Recording, options: Options) -> np.ndarray:
    """HOJO2D and HOJD2D."""
    return histograms.features(sized(recording), width=WIDTH)


def of_fft_histograms(recording: Recording, options: Options) -> np.ndarray:
    """FFT-JO and FFT-JD."""
    return histograms.spectral_features(sized(recording))


METHODS: dict[str, Method] = {
    "st-gcn": st_gcn,
    "stam": stam_network,
    "histograms-lda": linear(of_histograms, "lda"),
    "histograms-svm": linear(of_histograms, "svm"),
    "histograms-logistic": linear(of_histograms, "logistic"),
    "fft-histograms-lda": linear(of_fft_histograms, "lda"),
    "fft-pls": linear(lambda recording, _: spectra.features(sized(recording)), "pls"),
    "cima-like": cima_like,
    "catch22-logistic": linear(of_catch22, "logistic"),
    "differencing-logistic": linear(of_video, "logistic"),
}
"""The others are compared with the first."""


# --- data -------------------------------------------------------------------------------------------------------------


def read(options: Options) -> Cohort:
    """A user's cohort."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 40")
    cohort = read_cohort(options.cohort, fps=options.fps)
    for problem in cohort.problems:
        print(f"note: {problem}", file=sys.stderr)
    return cohort


def simulated(options: Options) -> Cohort:
    """A minute of each infant."""
    pairs = simulate_cohort(options.simulate, options.seed, duration=60, prevalence=0.3)
    return Cohort(tuple(recording for recording, _ in pairs), tuple(outcome for _, outcome in pairs))


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
