"""MAM, re-implemented from its description: fidgety movements in clips and the risk of videos, cross-validated.

    python experiments/mam.py --simulate 24
    python experiments/mam.py --simulate 24 --without closeness --inputs velocities
    python experiments/mam.py --simulate 12 --folds 2 --pretraining 10 --epochs 2 --compare inputs
    python experiments/mam.py --simulate 12 --folds 2 --pretraining 10 --epochs 2 --compare ablations
    python experiments/mam.py --cohort FOLDER --annotated FOLDER --fps 30 [--metadata]

One run for each fold, all as one stack: the reference branch on annotated clips of other infants, then all branches;
the last weights are evaluated on held-out videos. Prints the metrics of Gao et al. 2023 (internal and external
validation)
beside ours: the AUC of the risk and its metrics at one half, the FMs frequency of both groups with its AUC and the P
value of Mann and Whitney, and, where every second is annotated, the median kappa of clips and whether the kappas of
videos lie above 0 (Wilcoxon's P value). `--compare inputs` compares coordinates, velocities, accelerations
and distances, of simulated infants in three dimensions and in two; `--compare ablations` all parts, without the
closeness loss, without the reference branch and without both. Each is a table with one line per training.

Of MAM only the outline is published; `infantjax.methods.mam` lists our choices, and no option was compared with the
authors' program. A cohort is a folder of keypoint files with `outcomes.csv` (id, outcome; 1: sporadic or absent),
optionally `truth.csv` (id, second, fidgety) for kappa, and for `--metadata` (the info branch) columns sex,
gestational_age, birth_weight and corrected_age; the annotated infants are another folder, with `truth.csv`.
`infantjax simulate --method mam` writes both. `infantjax crossval --method mam` trains the same.

The published metrics are of 1127 infants who are not public. With `--simulate` positions in space are known, so nothing
is
lifted, and a smaller network is trained for fewer epochs: some minutes on two CPU cores. Its metrics say nothing about
infants.
"""

import dataclasses
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jax
import numpy as np
import tyro
from method_runs import MethodRuns, exit_status, train_runs
from scipy import stats

from infantjax.errors import InputError
from infantjax.evaluation.agreement import kappa
from infantjax.formats.cohort import TRUTH, read_annotated, read_cohort
from infantjax.formats.outcomes import read_seconds
from infantjax.methods.common import auc_or_nan
from infantjax.methods.mam import preprocessing
from infantjax.methods.mam.inference import frequency, localize
from infantjax.methods.mam.method import Mam, Network
from infantjax.methods.mam.preprocessing import Distance, Input, Preprocessing
from infantjax.methods.mam.training import Squares, Standardize, TrainingConfig
from infantjax.recording.cohort import Cohort
from infantjax.recording.metadata import Metadata
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, draw_infant, draw_metadata, draw_outcomes, move
from infantjax.skeletons import IN_MOTION_19

Part = Literal["closeness", "reference"]

PUBLISHED = {
    "AUC": ("0.934 +- 0.014", "0.967 +- 0.005"),
    "accuracy": ("-", "0.934 +- 0.003"),
    "sensitivity": ("-", "0.925 +- 0.004"),
    "specificity": ("-", "0.936 +- 0.009"),
    "PPV": ("0.526 +- 0.031", "0.802 +- 0.022"),
    "NPV": ("0.900 +- 0.006", "0.978 +- 0.008"),
    "FMs frequency, normal": ("-", "0.553 (0.412, 0.706)"),
    "FMs frequency, risk": ("-", "0.135 (0.082, 0.215)"),
    "AUC of FMs frequency": ("-", "0.956 (0.924, 0.989)"),
    "median kappa of clips": ("-", "0.601 to 0.620"),
}
"""Internal cross-validation and external validation; threshold and use of the info branch are not
published. Frequencies are medians with quartiles."""

ABLATIONS: dict[str, tuple[Part, ...]] = {
    "all parts": (),
    "without closeness": ("closeness",),
    "without reference": ("reference",),
    "without both": ("closeness", "reference"),
}
PUBLISHED_KAPPA = dict(zip(ABLATIONS, ("0.601 to 0.620", "about 0.224", "about 0.224", "0.064")))
"""Medians over videos."""
RANKING = "published, without numbers: distances are best, three dimensions are better than two"

COLUMNS = ("AUC", "AUC of FMs frequency", "AUC of clips", "median kappa of clips")
"""Metrics of a comparison."""

SMALL = Mam(
    network=Network(width=32, blocks=1, hidden=64, token=24),
    training=TrainingConfig(pretraining=40, joint=15, clips=24, instances=6, half_cycle=100),
)
"""A network and a training of minutes."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        annotated: folder of other infants with `truth.csv`.
        fps: of files without a frame rate, hertz.
        simulate: number of simulated infants instead, and as many annotated ones.
        inputs: of the network.
        distance: between two joints.
        standardize: how inputs are normalized.
        squares: of the closeness loss, their sum over the entries of an embedding or their mean.
        flat: two dimensions in place of three, of simulated infants.
        without: ablations: the closeness loss, the reference branch, or both.
        compare: all inputs, or all ablations, in place of one training.
        metadata: read sex, gestational age, birth weight and corrected age.
        folds: of the cohort.
        epochs: of the second stage; None for 300, or a few if simulated.
        pretraining: epochs of the first stage; None for 50, or a few if simulated.
        output: folder for checkpoints and logs; an interrupted training there is continued.
        seed: of folds, weights and batches, and of the simulation.
    """

    cohort: Path | None = None
    annotated: Path | None = None
    fps: float | None = None
    simulate: int = 0
    inputs: tuple[Input, ...] = ("distances",)
    distance: Distance = "euclidean"
    standardize: Standardize = "token"
    squares: Squares = "sum"
    flat: bool = False
    without: tuple[Part, ...] = ()
    compare: Literal["inputs", "ablations"] | None = None
    metadata: bool = False
    folds: int = 5
    epochs: int | None = None
    pretraining: int | None = None
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    seed: int = 1


def main(options: Options) -> None:
    """Print the metrics of one training, or one line for each of a comparison."""
    if options.compare is None:
        print(table(metrics_of(options)))
    else:
        print(comparison({name: metrics_of(variant) for name, variant in variants(options).items()}))


def variants(options: Options) -> dict[str, Options]:
    """The trainings of a comparison by name."""
    if options.compare == "ablations":
        found = {name: dataclasses.replace(options, without=parts) for name, parts in ABLATIONS.items()}
    else:
        # Files have the dimensions that they have; simulated infants are known in three.
        flats = {"3-D": False, "2-D": True} if options.simulate else {"as given": options.flat}
        found = {
            f"{name}, {space}": dataclasses.replace(options, inputs=(name,), flat=flat)
            for space, flat in flats.items()
            for name in get_args(Input)
        }
    if options.output is None:
        return found
    return {name: dataclasses.replace(v, output=options.output / name) for name, v in found.items()}


def metrics_of(options: Options) -> dict[str, float]:
    """Read or simulate, train, localize, evaluate."""
    cohort, annotated = simulated_cohorts(options) if options.simulate else read(options)
    method = settings(options, 3 if annotated[0].keypoints.shape[-1] == 3 else 2)
    without = f", without {' and '.join(options.without)}" if options.without else ""
    print(
        f"MAM, re-implemented from its description: {' + '.join(options.inputs)} in {method.preprocessing.dimensions} "
        f"dimensions{without}; {len(cohort)} {'simulated infants' if options.simulate else 'videos'}, "
        f"{sum(cohort.outcomes):g} with risk; {len(annotated)} annotated"
    )
    return evaluate(method, train_runs(method, cohort, options.output, annotated))


def settings(options: Options, dimensions: Literal[2, 3]) -> Mam:
    """The method with the settings of the options."""
    method = SMALL if options.simulate else Mam()
    given: dict[str, Any] = {"joint": options.epochs, "pretraining": options.pretraining}
    training = dataclasses.replace(
        method.training,
        inputs=options.inputs,
        distance=options.distance,
        standardize=options.standardize,
        squares=options.squares,
        seed=options.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    for part in options.without:
        training = training.without(part)
    return dataclasses.replace(
        method,
        folds=options.folds,
        network=dataclasses.replace(method.network, metadata=options.metadata),
        preprocessing=Preprocessing(dimensions=dimensions),
        training=training,
    )


def evaluate(method: Mam, runs: MethodRuns) -> dict[str, float]:
    """The metrics of the held-out videos."""
    cohort, prepared, splits, _ = runs.inputs
    positions = [of_video for of_video, _ in prepared]
    usable = np.isfinite(runs.result.held_out(splits, len(cohort)))
    if not usable.all():
        print(f"note: {(~usable).sum()} videos of diverged runs are left out", file=sys.stderr)
    names = {"ppv": "PPV", "npv": "NPV"}
    metrics = {names.get(name, name): value for name, value in runs.outputs.metrics.items()}
    metrics = {name: value for name, value in metrics.items() if name in PUBLISHED}
    probabilities = clip_probabilities(method, runs, positions)
    starts = [preprocessing.localization_starts(len(of_video)) for of_video in positions]
    frequencies = np.array([frequency(p, s, preprocessing.CLIP)[0] for p, s in zip(probabilities, starts)])
    outcomes = np.array(cohort.outcomes)
    groups = [frequencies[usable & (outcomes == outcome)] for outcome in (0, 1)]
    metrics |= {f"FMs frequency, {name}": float(np.median(of)) for name, of in zip(("normal", "risk"), groups)}
    metrics["P, frequency of both groups"] = float(stats.mannwhitneyu(*groups).pvalue)
    metrics["AUC of FMs frequency"] = auc_or_nan(-frequencies[usable], outcomes[usable])
    marked = [row for row, r in enumerate(cohort.recordings) if usable[row] and "fidgety" in r.metadata]
    if marked:
        frames = {row: method.prepare_annotated(cohort.recordings[row])[1] for row in marked}
        truth = [preprocessing.clip_labels(frames[row], starts[row]) for row in marked]
        found = [probabilities[row] for row in marked]
        # Clips overlap and are not independent, so there is no interval; kappa is NaN where all are of one class.
        kappas = np.array([kappa((p > 0.5).astype(int), known) for p, known in zip(found, truth, strict=True)])
        undefined = int(np.isnan(kappas).sum())
        metrics["median kappa of clips"] = float(np.nanmedian(kappas)) if undefined < len(kappas) else math.nan
        above = stats.wilcoxon(kappas, alternative="greater", nan_policy="omit")
        metrics["P, kappa above chance"] = float(above.pvalue)
        metrics["videos without kappa"] = undefined
        metrics["AUC of clips"] = auc_or_nan(np.concatenate(found), np.concatenate(truth))
    return metrics


def clip_probabilities(method: Mam, runs: MethodRuns, positions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Probability of fidgety movements in the clips of each video, by the run that held it out."""
    network, found = method.build(), dict[int, np.ndarray]()
    for run, split in enumerate(runs.inputs.splits):
        variables = jax.tree.map(lambda leaf, run=run: leaf[run], runs.result.variables)
        for row in split.validation:
            found[row] = localize(network, variables, positions[row], method.training)
    return [found[row] for row in range(len(positions))]


def table(metrics: dict[str, float]) -> str:
    """Our metrics and the published ones."""
    lines = [f"{'metric':<26}{'here':>8}{'published, internal':>24}{'published, external':>24}"]
    for name, value in metrics.items():
        internal, external = PUBLISHED.get(name, ("-", "-"))
        lines.append(f"{name:<26}{value if isinstance(value, int) else shown(value):>8}{internal:>24}{external:>24}")
    return "\n".join(lines)


def comparison(found: dict[str, dict[str, float]]) -> str:
    """One line for each training; for ablations with the published kappa."""
    width = max(map(len, COLUMNS)) + 2
    lines = [f"{'training':<24}" + "".join(f"{name:>{width}}" for name in COLUMNS)]
    for training, metrics in found.items():
        lines.append(f"{training:<24}" + "".join(f"{shown(metrics.get(name, math.nan)):>{width}}" for name in COLUMNS))
    if set(found) <= set(PUBLISHED_KAPPA):
        kappa = ["published kappa", *(PUBLISHED_KAPPA[training] for training in found)]
        return "\n".join(f"{line}{cell:>18}" for line, cell in zip(lines, kappa))
    return "\n".join([*lines, RANKING])


def shown(value: float) -> str:
    """Three decimals, or that it is smaller; a dash where a metric is not defined."""
    return "-" if math.isnan(value) else "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def read(options: Options) -> tuple[Cohort, Sequence[Recording]]:
    """A user's cohort and annotated infants."""
    if options.cohort is None or options.annotated is None:
        missing = "--cohort" if options.cohort is None else "--annotated"
        raise InputError(missing, "is missing", "name a folder, or give --simulate 24")
    annotated = read_annotated(options.annotated, fps=options.fps)
    cohort = read_cohort(options.cohort, fps=options.fps)
    truth = read_seconds(options.cohort / TRUTH) if (options.cohort / TRUTH).is_file() else {}
    recordings = tuple(_with_truth(recording, truth.get(recording.name)) for recording in cohort.recordings)
    return dataclasses.replace(cohort, recordings=recordings), annotated


def _with_truth(recording: Recording, seconds: Any) -> Recording:
    """The recording with its annotated seconds; a second without annotation counts as not fidgety."""
    if seconds is None:
        return recording
    fidgety = [seconds.get(second, 0) for second in range(math.ceil(recording.duration))]
    return dataclasses.replace(recording, metadata=recording.metadata.with_columns({"fidgety": fidgety}))


def simulated_cohorts(options: Options) -> tuple[Cohort, Sequence[Recording]]:
    """A minute of each infant, known in space; the annotated ones are others, and half of them have risk."""
    cohort = simulated(options.simulate, options.seed, 0.3, options.flat)
    return cohort, simulated(options.simulate, options.seed + 1000, 0.5, options.flat, "annotated").recordings


def simulated(number: int, seed: int, prevalence: float, flat: bool, name: str = "sim") -> Cohort:
    """Infants with every second annotated; those at risk have no fidgety movements."""
    recordings = []
    outcomes = draw_outcomes(number, seed, prevalence)
    base = InfantConfig(duration=60, fps=preprocessing.RATE)
    for index, outcome in enumerate(outcomes):
        movement = move((seed, index), draw_infant(seed, index, outcome, base))
        # A distant camera above sees the first two axes.
        points = movement.positions[..., :2] if flat else movement.positions
        drawn = {**draw_metadata(seed, index, outcome), "fidgety": movement.fidgety.tolist()}
        metadata = Metadata.from_mapping(drawn)
        recording = Recording(points, preprocessing.RATE, IN_MOTION_19, name=f"{name}{index:04d}", metadata=metadata)
        recordings.append(recording)
    return Cohort(tuple(recordings), outcomes)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
