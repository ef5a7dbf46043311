"""Open questions of Ensemble-NAS-GCN: networks, length of a window, aggregation, errors of the pose.

    python experiments/open_questions.py --simulate -o questions          # minutes, far too small to learn from
    python experiments/open_questions.py cohort -o questions --published  # 105 networks of one architecture; days
    python experiments/open_questions.py cohort -o questions --questions networks noise

A quarter of the infants take no part in training and give all figures, unless it says otherwise. Run again with the
same options, an interrupted training continues. The folder gets a CSV for each question, and `tables.md`:

- `networks`: accuracy and certainty of ensembles of 1 to 100 networks, drawn again and again from those that were
  trained; nothing is trained anew. The networks are folds times seeds of one architecture. Ranges are over the draws.
  By the rule one network alone is always certain.
- `window`: one ensemble for each length from 1 to 30 s.
- `aggregation`: from windows to the infant by the median (published) and the mean. The networks stay as they are.
- `noise`: errors added to the keypoints of the held-out infants: `jitter` is new in each frame, `drift` stays for about
  a second, as a tracker's that loses a limb; in parts of the trunk's length.

Figures of simulated infants say nothing of real ones. The questions are those that the thesis leaves open; how they
are put to the test here is our choice.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import jax
import numpy as np
import support
import tyro

from infantjax.assessment import aggregation
from infantjax.assessment.certainty import level
from infantjax.assessment.gate import UNGATED
from infantjax.evaluation.comparison import delong
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.evaluation.intervals import bootstrap_mean, clopper_pearson
from infantjax.files import write_atomically
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig, setup
from infantjax.models import get
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import REFERENCE, Preprocessing
from infantjax.recording.recording import Recording
from infantjax.training.cohorts.cohort_splits import cohort_splits
from infantjax.training.execution.layout import take_runs
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import StackResult
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member

Question = Literal["networks", "window", "aggregation", "noise"]
NOTHING = (np.nan, np.nan, np.nan)
"""A figure with its interval that is not defined."""


@dataclass(frozen=True)
class Options:
    """What is asked, and of what; the defaults are a small run."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for everything."""
    cohort: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of keypoint files with their outcomes.csv."""
    simulate: bool = False
    """Simulate the cohort instead."""
    questions: tuple[Question, ...] = get_args(Question)
    """Which ones."""
    published: bool = False
    """Seven folds and fifteen seeds of a whole published network, 200 epochs."""
    model: str = support.BASE
    """Registry entry."""
    stratify: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Columns of the outcomes table to balance beside the outcome."""
    infants: int = 32
    """Of a simulated cohort."""
    duration: float = 32.0
    """Seconds of each of its recordings."""
    folds: int = 4
    """Of the cross-validation; 7 in the paper."""
    seeds: int = 25
    """Trainings of each fold, for the number of networks; the other questions take one."""
    networks: tuple[int, ...] = (1, 2, 3, 5, 7, 10, 20, 35, 50, 70, 100)
    """Sizes of ensembles."""
    draws: int = 200
    """Ensembles of each size."""
    windows: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0)
    """Lengths in seconds; those that a recording is too short for are left out."""
    noise: tuple[float, ...] = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    """Standard deviations of the errors, in trunk lengths."""
    threshold: float = 0.5
    """Decision threshold."""
    training: TrainingConfig = field(default_factory=lambda: support.brief(4))
    """Of every network."""

    @property
    def overrides(self) -> dict[str, Any]:
        """Of the network."""
        return {} if self.published else support.SMALL


PAPER: dict[str, Any] = {"folds": 7, "seeds": 15, "training": TrainingConfig()}
"""What `--published` changes."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks of one architecture: each fold once or with several seeds, seed by seed."""

    result: StackResult
    folds: tuple[Split, ...]
    data: CohortData
    ensemble: Ensemble

    def first(self, count: int) -> "Trained":
        """Its first networks."""
        (member,) = self.ensemble.members
        fewer = dataclasses.replace(member, variables=take_runs(member.variables, np.arange(count)))
        return dataclasses.replace(
            self, folds=self.folds[:count], ensemble=dataclasses.replace(self.ensemble, members=(fewer,))
        )


def main(options: Options) -> None:
    """Train what the questions need, answer them, write the tables."""
    options.output.mkdir(parents=True, exist_ok=True)
    cohort = support.cohort_of(options.cohort, options.simulate, options.output, options.infants, options.duration)
    split = cohort_splits(cohort, 4, options.stratify, options.training.seed)[-1]
    development, test = cohort.subset(split.train), cohort.subset(split.validation)
    seeds = options.seeds if "networks" in options.questions else 1
    whole = trained(options, development, seeds, REFERENCE, "networks")
    tables = []
    for question in options.questions:
        head, rows, title = QUESTIONS[question](options, whole, development, test)
        write_atomically(options.output / f"{question}.csv", support.csv_text(head, rows))
        tables.append(support.markdown(title, *_merged(head, rows)))
        write_atomically(options.output / "tables.md", "\n".join(tables))
        print(tables[-1], flush=True)


def prepared(options: Options, cohort: Cohort, preprocessing: Preprocessing) -> CohortData:
    """Standardized recordings with their outcomes."""
    method = EnsembleGCN(model=options.model, preprocessing=preprocessing)
    return method.data([method.prepare(recording) for recording in cohort.recordings], cohort.outcomes)


def trained(options: Options, cohort: Cohort, seeds: int, preprocessing: Preprocessing, name: str) -> Trained:
    """Every fold with so many seeds, as one stack."""
    entry = get(options.model)
    folds = cohort_splits(cohort, options.folds, options.stratify, options.training.seed) * seeds
    data = prepared(options, cohort, preprocessing)
    result = fit(
        *setup(entry.build(**options.overrides), data, folds, options.training, entry.features),
        directory=options.output / name,
        description={"name": options.model, "overrides": options.overrides},
        options=TrainOptions(quiet=False),
    )
    info = EnsembleInfo(skeleton=entry.skeleton, preprocessing=preprocessing, threshold=options.threshold)
    member = Member(options.model, jax.tree.map(np.asarray, result.variables), options.overrides)
    return Trained(result, folds, data, Ensemble((member,), info))


Table = tuple[tuple[str, ...], list[tuple], str]
"""Columns, rows, title."""


def networks(options: Options, whole: Trained, development: Cohort, test: Cohort) -> Table:
    """Accuracy and certainty by the number of networks."""
    assessor = EnsembleGcnAssessor(whole.ensemble)
    risks = [assessor.window_risks(recording) for recording in test.recordings]
    count, labels = len(risks[0]), np.asarray(test.outcomes)
    rows: list[tuple] = []
    random = np.random.default_rng(1)
    for size in sorted({*(size for size in options.networks if size <= count), count}):
        draws = [
            np.sort(random.choice(count, size, replace=False)) for _ in range(options.draws if size < count else 1)
        ]
        figures = np.array(
            [_decided([infant[drawn] for infant in risks], labels, options.threshold) for drawn in draws]
        )
        rows.append((size, len(draws), *(value for column in figures.T for value in _range(column))))
    head = ("networks", "draws", *_columns("auc", "accuracy", "certain", "right_of_certain"))
    return head, rows, f"Number of networks, {len(test)} held-out infants [95 % of the draws]"


def _range(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and central 95 % of what is defined."""
    values = values[np.isfinite(values)]
    if not len(values):
        return NOTHING
    low, high = np.quantile(values, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def _decided(risks: list[np.ndarray], labels: np.ndarray, threshold: float) -> tuple[float, float, float, float]:
    """AUC, accuracy, share certain, and how many of these are right, from `[network, window]` of each infant."""
    infant = np.array([aggregation.infant_risk(each) for each in risks])
    colors = [level(r, aggregation.network_risks(each), threshold) for r, each in zip(infant, risks)]
    right = (infant > threshold) == labels
    certain = np.isin(colors, ("red", "green"))
    return auc(infant, labels), right.mean(), certain.mean(), right[certain].mean() if certain.any() else np.nan


def window(options: Options, whole: Trained, development: Cohort, test: Cohort) -> Table:
    """AUC by the length of the windows: of the held-out infants, and of the folds at the best epoch."""
    longest = min(recording.duration for recording in (*development.recordings, *test.recordings))
    rows: list[tuple] = []
    for seconds in options.windows:
        frames = round(seconds * REFERENCE.fps)
        if seconds > longest:
            print(f"note: windows of {seconds:g} s left out, a recording lasts {longest:.1f} s", file=sys.stderr)
            continue
        if frames == REFERENCE.window:
            found = whole.first(options.folds)
        else:
            preprocessing = dataclasses.replace(REFERENCE, window=frames)
            found = trained(options, development, 1, preprocessing, f"window-{frames}")
        validation = bootstrap_mean(found.result.best_score[: options.folds])
        risks, _ = _risks(found.ensemble, test)
        rows.append((seconds, *_area(risks, test.outcomes), *map(float, validation)))
    head = ("seconds", *_columns("auc", "fold_auc"))
    return head, rows, "Window length [95 % intervals: DeLong over infants, bootstrap over folds]"


def aggregated(options: Options, whole: Trained, development: Cohort, test: Cohort) -> Table:
    """AUC by how the windows of an infant become one risk."""
    assessor = EnsembleGcnAssessor(whole.first(options.folds).ensemble)
    risks = [assessor.window_risks(recording) for recording in test.recordings]
    methods = {
        "median over networks, then windows (published)": [aggregation.infant_risk(each) for each in risks],
        "median over networks, mean over windows": [aggregation.window_risk(each).mean() for each in risks],
        "median over windows, then networks": [np.median(aggregation.network_risks(each)) for each in risks],
        "mean over windows and networks": [each.mean() for each in risks],
    }
    published = next(iter(methods.values()))
    rows: list[tuple] = []
    for name, values in methods.items():
        right = int(((np.array(values) > options.threshold) == np.asarray(test.outcomes)).sum())
        accuracy = (right / len(test), *clopper_pearson(right, len(test)))
        difference = _or_nothing(partial(delong, values, published, test.outcomes))
        rows.append((name, *_area(values, test.outcomes), *difference, *accuracy))
    head = ("aggregation", *_columns("auc", "difference", "accuracy"))
    return head, rows, "Aggregation [95 % intervals: DeLong, paired against the first; Clopper-Pearson]"


def noise(options: Options, whole: Trained, development: Cohort, test: Cohort) -> Table:
    """What errors of the keypoints of the held-out infants change."""
    ensemble = whole.first(options.folds).ensemble
    labels = np.asarray(test.outcomes)
    clean, _ = _risks(ensemble, test)
    rows: list[tuple] = []
    for kind in ("jitter", "drift"):
        for noise in options.noise:
            recordings = [disturbed(r, noise, kind, (1, i)) for i, r in enumerate(test.recordings)]
            risks, seen = _risks(ensemble, dataclasses.replace(test, recordings=tuple(recordings)))
            changed = int(((risks > options.threshold) != (clean > options.threshold)).sum())
            certain = float(np.mean([c in ("red", "green") for c in seen]))
            change = bootstrap_mean(np.abs(risks - clean))
            share = (changed / len(test), *clopper_pearson(changed, len(test)))
            rows.append((kind, noise, *_area(risks, labels), *map(float, change), *share, certain))
    head = ("errors", "sd_of_trunk", *_columns("auc", "risk_change", "decisions_changed"), "certain")
    return head, rows, "Errors of the pose [95 % intervals: DeLong; bootstrap over infants; Clopper-Pearson]"


def disturbed(recording: Recording, level: float, kind: str, seed: tuple[int, int]) -> Recording:
    """A recording whose points are off by errors of a standard deviation in trunk lengths."""
    upper, lower = recording.skeleton.trunk_indices
    trunk = np.nanmedian(np.linalg.norm(recording.keypoints[:, upper] - recording.keypoints[:, lower], axis=-1))
    errors = np.random.default_rng(seed).standard_normal(recording.keypoints.shape)
    if kind == "drift":
        # A first-order process with a memory of a second, of unit variance throughout.
        keep = np.exp(-1 / recording.fps)
        for frame in range(1, len(errors)):
            errors[frame] = keep * errors[frame - 1] + np.sqrt(1 - keep**2) * errors[frame]
    return dataclasses.replace(recording, keypoints=recording.keypoints + level * trunk * errors)


QUESTIONS: dict[Question, Callable[[Options, Trained, Cohort, Cohort], Table]] = {
    "networks": networks,
    "window": window,
    "aggregation": aggregated,
    "noise": noise,
}


def _risks(ensemble: Ensemble, test: Cohort) -> tuple[np.ndarray, list[str]]:
    """Risk and color of each infant."""
    assessor = EnsembleGcnAssessor(ensemble)
    assessed = [assessor.assess(recording, options=UNGATED) for recording in test.recordings]
    return np.array([a.value for a in assessed]), [a.certainty.level for a in assessed if a.certainty]


def _area(risks: Any, labels: Any) -> tuple[float, float, float]:
    """AUC with its interval; without one where a class has fewer than two infants."""
    return (auc(risks, labels), *_or_nothing(lambda: (0, *auc_interval(risks, labels)))[1:])


def _or_nothing(figure: Callable[[], tuple]) -> tuple[float, float, float]:
    try:
        value, low, high, *_ = figure()
    except ValueError:
        return NOTHING
    return float(value), float(low), float(high)


def _columns(*names: str) -> list[str]:
    """Of figures with their intervals."""
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def _merged(head: tuple[str, ...], rows: list[tuple]) -> tuple[list[str], list[list[str]]]:
    """The table as it is read: a figure and its interval in one cell, a dash for what is not defined."""

    def cell(named: dict[str, Any], name: str) -> str:
        value = named[name]
        if not isinstance(value, float):
            return str(value)
        low, high = named.get(f"{name}_low", np.nan), named.get(f"{name}_high", np.nan)
        interval = "" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]"
        return "-" if np.isnan(value) else f"{value:.3f}{interval}"

    shown = [name for name in head if not name.endswith(("_low", "_high"))]
    return shown, [[cell(dict(zip(head, row)), name) for name in shown] for row in rows]


if __name__ == "__main__":
    given = support.options_of(Options, PAPER, __doc__)
    sys.exit(support.exit_status(lambda: main(given)))
