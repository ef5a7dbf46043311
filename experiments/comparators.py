"""Comparators: every method that the papers compare with, on one cohort and the same folds, in one table.

    python experiments/comparators.py --simulate 60 --seconds 20 --video-seconds 8 -o comparators
    python experiments/comparators.py --cohort FOLDER [--fps 30] [--videos FOLDER] -o comparators

Every recording is judged once, by a model fitted on the other folds; networks keep the weights of their last epoch, so
no comparator sees the outcome of a held-out infant. The threshold of a fold is Youden's on the risks of the others.
Printed are the AUC with DeLong's interval, sensitivity and specificity, the P values of the AUC (DeLong) and of the
decisions (McNemar) against the first method, each corrected by Holm, processor seconds of preparing a recording and of
fitting a fold, fitted parameters, and what is published, of other infants. An infant counts once, with its mean risk.
With `-o` the table is `comparators.csv`, and the risks of each method are a table that `infantjax evaluate` reads; the
same command continues after an interruption.

A cohort is a folder of keypoint files with `outcomes.csv`: id, outcome, and group, the infant, where some have several
recordings. Optical flow and frame differencing need the videos, named as the keypoint files, in
`--videos` or in the folder `videos` of the cohort.

With `--simulate` the networks are smaller and trained for a few epochs, and clips are rendered; the ensemble, with
which the others are compared, is the bundled one, which trained on other, longer and more simulated infants (seeds 1
and 11). Figures of simulated infants say nothing about infants. In `benchmarks/results/comparators.csv`
rows whose interval holds 0.5 are not shown to learn.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from baseline_methods.catalog import COMPARATORS
from baseline_methods.protocol import CLIP_RATE, Clip, Comparator, Problem, Sample, clip_of, gray
from baseline_methods.table import Row, table
from method_runs import exit_status

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import canonical_json, csv_text, write_atomically
from infantjax.formats.cohort import read_cohort
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.settings import from_settings
from infantjax.simulation import InfantConfig, RenderConfig, render, simulate_cohort
from infantjax.training.splits import stratified_splits
from infantjax.video import is_frames, open_frames


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        seconds: length of each simulated recording.
        videos: folder of the videos; None is the folder `videos` of the cohort.
        output: folder for the table and for the risks of each method.
        methods: names; None for all whose data and packages are available.
        fps: of files without a frame rate, hertz.
        folds: of the cohort.
        epochs: of the networks; None for the defaults, or a few if simulated.
        image_size: sides of the frames that are read, pixels.
        video_seconds: longest part of a video that is read.
        seed: of folds and weights, and of the simulation.
    """

    cohort: Path | None = None
    simulate: int = 0
    seconds: float = 60
    videos: Path | None = None
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    methods: tuple[str, ...] | None = None
    fps: float | None = None
    folds: int = 5
    epochs: int | None = None
    image_size: int = 64
    video_seconds: float = 20
    seed: int = 5


def main(options: Options) -> None:
    """Fit, evaluate, print."""
    if options.simulate and options.seed in (1, 11):
        raise InputError("--seed", "1 and 11 are of the infants that trained the bundled ensemble", "give another")
    if unknown := set(options.methods or ()) - set(COMPARATORS):
        raise InputError("--methods", f"has no {min(unknown)}", f"known: {', '.join(COMPARATORS)}")
    cohort = simulated(options) if options.simulate else read(options)
    splits = stratified_splits(cohort.outcomes, options.folds, groups=cohort.groups, seed=options.seed)
    problem = Problem(cohort, splits, options.seed, small=bool(options.simulate), epochs=options.epochs)
    names = options.methods or tuple(COMPARATORS)
    missing = [name for name in names if read_row(name, problem, options) is None]
    rows = fit(names, problem, samples(missing, cohort, options), options)
    if not rows:
        raise InputError("--methods", "leaves none that can be fitted", "see the lines above")
    kind = "simulated infants" if options.simulate else "recordings"
    print(f"{len(cohort)} {kind}, {sum(cohort.outcomes):g} with outcome 1, {options.folds} folds")
    lines = table(rows, problem, COMPARATORS)
    print(lines.to_string(index=False, na_rep="", float_format="{:.3g}".format))
    if options.output is not None:
        write_atomically(options.output / "comparators.csv", lines.to_csv(index=False, float_format="%.4g"))


# --- fitting ----------------------------------------------------------------------------------------------------------


def fit(names: Sequence[str], problem: Problem, given: Sequence[Sample], options: Options) -> dict[str, Row]:
    """Each method in turn; those that cannot be fitted are named and left out, unless they were asked for."""
    rows: dict[str, Row] = {}
    features: dict[Any, tuple[list[Any], float]] = {}
    for name in names:
        if (kept := read_row(name, problem, options)) is not None:
            rows[name] = kept
            continue
        comparator = COMPARATORS[name]
        # Features that several classifiers read are computed once.
        key = getattr(comparator, "features", comparator)
        try:
            if key not in features:
                features[key] = prepare(comparator, given)
            prepared, seconds = features[key]
            begun = time.process_time()
            risks, parameters = comparator.cross_fit(prepared, problem)
            spent = (time.process_time() - begun) / len(problem.splits)
            if not np.isfinite(risks).all():
                raise InputError(name, "diverged in a fold", "try another --seed")
        except (InputError, MissingExtraError) as error:
            if options.methods is not None:
                raise
            print(f"skipped: {name}: {error}", file=sys.stderr)
            continue
        rows[name] = Row(risks, parameters, seconds, spent)
        write_row(name, rows[name], problem, options)
        print(f"done: {name}: {seconds * len(given) + spent * len(problem.splits):.0f} s", file=sys.stderr)
    return rows


def prepare(comparator: Comparator, given: Sequence[Sample]) -> tuple[list[Any], float]:
    """What the method reads of each recording, and the mean processor time that this took, seconds."""
    begun = time.process_time()
    prepared = [comparator.prepare(sample) for sample in given]
    return prepared, (time.process_time() - begun) / len(given)


def write_row(name: str, row: Row, problem: Problem, options: Options) -> None:
    """The risks of a method, and what they cost, in the output folder."""
    if options.output is None:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    cohort = problem.cohort
    values = zip(cohort.names, row.risks.tolist(), cohort.outcomes)
    write_atomically(options.output / f"{name}.csv", csv_text(("id", "risk", "outcome"), values))
    record = {"settings": settings(options), **row._asdict(), "risks": row.risks.tolist()}
    write_atomically(options.output / f"{name}.json", canonical_json(record))


def read_row(name: str, problem: Problem, options: Options) -> Row | None:
    """What an earlier run with the same settings kept, so that an interrupted one goes on."""
    path = options.output / f"{name}.json" if options.output else None
    if path is None or not path.is_file():
        return None
    record = json.loads(path.read_text("utf-8"))
    if record.pop("settings") != settings(options) or len(record["risks"]) != len(problem.cohort):
        return None
    return Row(**record | {"risks": np.asarray(record["risks"])})


def settings(options: Options) -> dict[str, str]:
    """What the risks of a method depend on."""
    return {name: str(value) for name, value in vars(options).items() if name not in ("output", "methods")}


# --- data -------------------------------------------------------------------------------------------------------------


def read(options: Options) -> Cohort:
    """A user's cohort."""
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 60")
    cohort = read_cohort(options.cohort, fps=options.fps)
    for problem in cohort.problems:
        print(f"note: {problem}", file=sys.stderr)
    return cohort


def simulated(options: Options) -> Cohort:
    """Keypoints of each infant."""
    pairs = simulate_cohort(options.simulate, options.seed, duration=options.seconds, prevalence=0.3)
    return Cohort(tuple(recording for recording, _ in pairs), tuple(outcome for _, outcome in pairs))


def samples(names: Sequence[str], cohort: Cohort, options: Options) -> list[Sample]:
    """Recordings with their clips, which are read if a method needs them."""
    wanted = any(COMPARATORS[name].reads == "video" for name in names)
    return [Sample(recording, clip(recording, options) if wanted else None) for recording in cohort.recordings]


def clip(recording: Recording, options: Options) -> Clip | None:
    """The rendered movement, or the video of the same name; None where there is none.

    Raises:
        InputError: several videos of that name, or one that cannot be read.
    """
    side = options.image_size
    if options.simulate:
        infant, seed = from_settings(InfantConfig, recording.metadata["simulation"]), recording.metadata["seed"]
        film = render(seed, infant, RenderConfig(side, side))
        times = np.arange(round(min(options.video_seconds, infant.duration) * CLIP_RATE)) / CLIP_RATE
        return Clip(np.stack([gray(film.frame(round(t * film.fps))) for t in times]), CLIP_RATE)
    folder = options.videos or (options.cohort / "videos" if options.cohort else None)
    files = [file for file in sorted(folder.glob("*")) if file.stem == recording.name] if folder else []
    files = [file for file in files if is_frames(file)]
    if folder and len(files) > 1:
        raise InputError(folder, f"holds {len(files)} videos named {recording.name}", "leave one")
    return clip_of(open_frames(files[0]), side, options.video_seconds) if files else None


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
