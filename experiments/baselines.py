"""A table of methods on one cohort: every method that the papers compare with, on the same folds, judged alike.

    python experiments/baselines.py --simulate 40
    python experiments/baselines.py --cohort FOLDER [--fps 30] [--videos FOLDER] -o risks

Every recording is judged once, by a model that was fitted on the other folds. Printed are the AUC with its interval,
sensitivity and specificity at the highest threshold with the wanted sensitivity, the P value of the AUC against the
first method (DeLong, corrected by Holm), and the published AUC, each of other infants. With `-o` the risks of each
method are a table that `infantjax evaluate` reads.

A cohort is a folder of keypoint files with `outcomes.csv`: id, outcome, and group, the infant, where some have several
recordings. Frame differencing needs the videos, named as the keypoint files. The networks keep the epoch of the best
AUC of the fold that they are judged on, as published, which flatters them; the linear methods do not see it.

With `--simulate` the networks are smaller and trained for a few epochs; two CPU cores need some minutes. Simulated
infants tell whether the program runs to its end and whether a method can learn anything; their figures say nothing of
infants.
"""

import csv
import dataclasses
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import baseline_classifiers as baselines
import catch22
import cima
import frame_differencing as differencing
import histograms
import numpy as np
import spectra
import stam_preprocessing as stam_channels
import stam_training as stam
import tyro
from stam_model import Stam

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation import comparison, discrimination
from infantjax.files import write_atomically
from infantjax.formats.cohort import read_cohort
from infantjax.methods.ensemble_gcn import crossval as protocols
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.model import build_st_gcn
from infantjax.methods.ensemble_gcn.training import TrainingConfig
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.simulation import simulate_cohort
from infantjax.skeletons import IN_MOTION_19
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
        methods: which; None for all whose data and packages are there.
        fps: of files that do not say theirs, hertz.
        folds: of the cohort.
        sensitivity: at which thresholds are taken.
        epochs: of the networks; None for those published or chosen, or a few if simulated.
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
    """Fit, judge, print."""
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
    """A line for each method."""
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
    for name, figures in found.items():
        area = figures["auc"]
        lines.append(
            f"{name:<26}{area.value:>7.3f}{f'{area.low:.3f} to {area.high:.3f}':>17}"
            f"{figures['sensitivity'].value:>7.2f}{figures['specificity'].value:>7.2f}"
            f"{rounded(p[name]) if name in p else '':>8}{PUBLISHED.get(name, '-'):>14}"
        )
    return "\n".join(lines)


def rounded(p: float) -> str:
    """Three decimals, which are never all zero."""
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


# --- methods: cohort, folds, options -> risks [recording] -------------------------------------------------------------

Method = Callable[[Cohort, Sequence[Split], Options], np.ndarray]
Fit = Callable[[Cohort, Split], np.ndarray]


def out_of_fold(cohort: Cohort, folds: Sequence[Split], fit: Fit) -> np.ndarray:
    """Risks of each fold's recordings by what was fitted on the others."""
    risks = np.full(len(cohort), np.nan)
    for fold in folds:
        risks[list(fold.validation)] = fit(cohort, fold)
    return risks


def linear(
    features: Callable[[Recording, Options], np.ndarray], classifier: Literal["logistic", "lda", "svm", "pls"]
) -> Method:
    """A linear classifier on features of each recording."""

    def method(cohort: Cohort, folds: Sequence[Split], options: Options) -> np.ndarray:
        x = np.stack([features(recording, options).ravel() for recording in cohort.recordings])

        def fit(cohort: Cohort, fold: Split) -> np.ndarray:
            known: dict[str, Any] = {"groups": cohort.groups, "folds": inner(cohort, fold), "seed": options.seed}
            if classifier == "logistic":
                return baselines.logistic(x, cohort.outcomes, fold.train, fold.validation, **known)
            return baselines.classify(x, cohort.outcomes, fold.train, fold.validation, classifier, **known)

        return out_of_fold(cohort, folds, fit)

    return method


def inner(cohort: Cohort, fold: Split) -> int:
    """Folds within those that a method is fitted on: five, or fewer where an outcome is rare."""
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
    """The 22 features of each coordinate of each part of the body, smoothed by nothing."""
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


def cima_like(cohort: Cohort, folds: Sequence[Split], options: Options) -> np.ndarray:
    """The share of windows that are called."""
    windows = [cima.features(sized(recording)) for recording in cohort.recordings]
    return out_of_fold(
        cohort, folds, lambda c, fold: baselines.window_share(windows, c.outcomes, fold.train, fold.validation)
    )


def st_gcn(cohort: Cohort, folds: Sequence[Split], options: Options) -> np.ndarray:
    """ST-GCN on positions."""
    config = TrainingConfig(seed=options.seed)
    sizes: dict[str, Any] = {}
    if options.simulate:
        config = dataclasses.replace(
            config, epochs=8, batch_size=16, learning_rate=5e-3, samples_per_negative=2, positive_ratio=2
        )
        sizes = {"widths": (8, 8, 16, 16)}
    if options.epochs is not None:
        config = dataclasses.replace(config, epochs=options.epochs)
    data = protocols.prepare(cohort, IN_MOTION_19)
    result = stack.train(build_st_gcn(**sizes), data, folds, config, names=("position",), quiet=False)
    return gathered(cohort, folds, result.risks)


def stam_network(cohort: Cohort, folds: Sequence[Split], options: Options) -> np.ndarray:
    """STAM on the cohort's own points; pieces of the published length, or of the shortest recording."""
    skeleton = cohort.recordings[0].skeleton
    config, frames = stam.StamConfig(seed=options.seed), stam.FRAMES
    sizes: dict[str, Any] = {}
    if options.simulate:
        config = dataclasses.replace(config, epochs=4, batch_size=8, learning_rate=2e-3)
        sizes, frames = {"widths": (8, 16, 16)}, 300
    if options.epochs is not None:
        config = dataclasses.replace(config, epochs=options.epochs)
    channels = [stam_channels.channels(stam_channels.prepare(r), r.fps) for r in cohort.recordings]
    data = stam.Pieces.of(channels, cohort.outcomes, min(frames, *map(len, channels)))
    result = stam.train(Stam(skeleton, **sizes), data, folds, config, quiet=False)
    return gathered(cohort, folds, result.risks)


def gathered(cohort: Cohort, folds: Sequence[Split], risks: Sequence[np.ndarray]) -> np.ndarray:
    """Risks of the runs in the order of the cohort."""
    found = np.full(len(cohort), np.nan)
    for fold, values in zip(folds, risks):
        found[list(fold.validation)] = values
    return found


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
"""The first is the one that the others are compared with."""


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
    try:
        main(tyro.cli(Options, description=__doc__))
    except (InputError, MissingExtraError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
