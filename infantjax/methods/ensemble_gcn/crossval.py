"""From a cohort to an ensemble: cross-validation, and training on a single split.

Both are a stack of runs and write the same folder: the ensemble (`ensemble.json` with its arrays), `crossval.json` or
`training.json` (what was trained, how each run ended), `out_of_fold.csv` (risks of the infants by the run that did not
see them), `history.csv`, `tensorboard/` and `checkpoints/`. Called again on the folder of an interrupted training, they
continue it.

Source: Groos et al., Paper III with supplement: seven folds, one instance each from its best epoch.
"""

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict, Unpack

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from infantjax import models, skeletons
from infantjax.errors import InputError
from infantjax.files import canonical_json, write_atomically
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.training import Result, RunMapping, train
from infantjax.models.entry import Entry
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.preprocessing import REFERENCE, Preprocessing, standardize
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import Skeleton
from infantjax.training import distributed as processes
from infantjax.training import metrics
from infantjax.training.splits import Split, stratified_splits
from infantjax.training.state import CohortData, Status, TrainingConfig
from infantjax.weights.ensemble import Ensemble, Member, save_ensemble

OUT_OF_FOLD = "out_of_fold.csv"
STATEMENT = (
    "Trained on {count} recordings with infantjax. Its figures come from infants that also chose the epoch of each "
    "instance, so they are optimistic; it was never validated on other infants. Research use only."
)


class Options(TypedDict, total=False):
    """What `crossval` and `train_single` pass on to `train_on`, which says what each means."""

    overrides: Mapping[str, Any] | None
    preprocessing: Preprocessing
    threshold: float
    strict: bool
    mapping: RunMapping
    save_every: int
    quiet: bool


def crossval(
    cohort: Cohort,
    *,
    model: str,
    directory: str | Path,
    config: TrainingConfig | None = None,
    folds: int | str = 7,
    stratify: Sequence[str] = (),
    **options: Unpack[Options],
) -> Ensemble:
    """Train one instance of a network for each fold of a cohort, all as one stack, and save them as an ensemble.

    Args:
        cohort: recordings with outcomes; those of one group are never in training and held out at once.
        model: registry name.
        directory: of the ensemble; made if missing, continued if it holds the same training, interrupted.
        config: of every run; None is the published cross-validation.
        folds: number of folds, or the column of the outcomes table that names the fold of each recording.
        stratify: columns of the outcomes table to balance beside the outcome (center, subtype).
        options: of `train_on`.

    Returns:
        The saved ensemble: one member whose instances are the folds, in order.

    Raises:
        InputError: as `train_on`, or a cohort that cannot be dealt to that many folds.
        ValueError: unknown model, column or value.
    """
    config = config or TrainingConfig()
    dealt = cohort_splits(cohort, folds, stratify, config.seed)
    return train_on(cohort, dealt, model=model, directory=directory, config=config, record="crossval.json", **options)


def cohort_splits(cohort: Cohort, folds: int | str, stratify: Sequence[str], seed: int) -> tuple[Split, ...]:
    """The folds of a cross-validation: `stratified_splits` with the cohort's groups and columns, or given ones.

    Args:
        cohort: recordings with outcomes.
        folds: their number; or a column of the outcomes table whose values are the folds, in the order of numbers if
            they are numbers. Then nothing is dealt.
        stratify: columns of the outcomes table to balance beside the outcome.
        seed: of the shuffle.

    Raises:
        InputError: the cohort cannot be dealt to that many folds, or the given folds cannot be used.
        ValueError: a column that no recording has, or something to balance where the folds are given.
    """
    strata = cohort.columns(stratify)
    if isinstance(folds, str):
        if stratify:
            raise ValueError(f'the column "{folds}" gives the folds; nothing is left to stratify')
        cohort.columns([folds])
        return _given_folds(cohort, folds)
    return stratified_splits(cohort.outcomes, folds, groups=cohort.groups, strata=strata, seed=seed)


def _given_folds(cohort: Cohort, column: str) -> tuple[Split, ...]:
    """The folds that a column names."""
    names = [str(recording.metadata.get(column, "")).strip() for recording in cohort.recordings]
    if without := [recording.name for recording, name in zip(cohort.recordings, names) if not name]:
        raise InputError("cohort", f'{", ".join(without[:5])} has no "{column}"', "name a fold for each recording")
    order = sorted(set(names), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    if len(order) < 2:
        raise InputError("cohort", f'"{column}" names one fold', "name at least two")
    rows = range(len(cohort))
    folds = tuple(
        Split(tuple(r for r in rows if names[r] != name), tuple(r for r in rows if names[r] == name)) for name in order
    )
    for name, fold in zip(order, folds):
        if any(len({cohort.outcomes[row] for row in side}) < 2 for side in (fold.train, fold.validation)):
            raise InputError("cohort", f'fold {name} of "{column}" does not leave both outcomes on both sides')
        if cohort.groups and {cohort.groups[r] for r in fold.train} & {cohort.groups[r] for r in fold.validation}:
            raise InputError("cohort", f'fold {name} of "{column}" shares a group with others', "keep groups together")
    return folds


def deal(
    cohort: Cohort, folds: int = 7, held_out: int = 4, stratify: Sequence[str] = (), seed: int = 1
) -> tuple[int, ...]:
    """Infants that take no part until the end, and folds of the others, as in the paper.

    Args:
        cohort: recordings with outcomes; groups stay together.
        folds: number of folds.
        held_out: one of so many parts is held out: of four a quarter, as published; 0 is none.
        stratify: columns of the outcomes table to balance beside the outcome; in the paper center and CP subtype.
        seed: of the shuffles.

    Returns:
        The fold of each recording, from 1; 0 is held out.

    Raises:
        InputError: the cohort cannot be dealt so.
        ValueError: a column that no recording has.

    Source: Groos et al., Paper III: 139 of 557 infants held out, seven folds of the other 418.
    """
    fold_of = [0] * len(cohort)
    # The last part is never larger than the others, so that 139 of 557 are held out.
    rest = cohort_splits(cohort, held_out, stratify, seed)[-1].train if held_out else tuple(range(len(cohort)))
    for number, fold in enumerate(cohort_splits(cohort.subset(rest), folds, stratify, seed), start=1):
        for row in fold.validation:
            fold_of[rest[row]] = number
    return tuple(fold_of)


def folds_table(cohort: Cohort, fold_of: Sequence[int], rows: Iterable[int], columns: Sequence[str] = ()) -> str:
    """Some recordings as a table of outcomes with a column `fold`: `id;outcome;fold`, then group and columns.

    Args:
        cohort: recordings with outcomes.
        fold_of: of each recording, see `deal`.
        rows: which ones.
        columns: of the outcomes table that are kept.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=";", quotechar="|", lineterminator="\n")
    grouped = [] if cohort.groups is None else ["group"]
    writer.writerow(["id", "outcome", "fold", *grouped, *columns])
    for row in rows:
        group = [] if cohort.groups is None else [cohort.groups[row]]
        kept = [cohort.recordings[row].metadata.get(column, "") for column in columns]
        writer.writerow([cohort.names[row], cohort.outcomes[row], fold_of[row], *group, *kept])
    return stream.getvalue()


def folds_summary(cohort: Cohort, fold_of: Sequence[int], columns: Sequence[str] = ()) -> list[str]:
    """What each fold holds, a line each: recordings, those with outcome 1, and how often each value of a column occurs.

    Args:
        cohort: recordings with outcomes.
        fold_of: of each recording, see `deal`.
        columns: of the outcomes table.
    """
    lines = []
    for number in sorted(set(fold_of), key=lambda k: (k == 0, k)):
        rows = [row for row, k in enumerate(fold_of) if k == number]
        line = f"{f'fold {number}' if number else 'held out'}: {len(rows)}, {sum(cohort.outcomes[r] for r in rows)} CP"
        for column in columns:
            counted = Counter(str(cohort.recordings[row].metadata.get(column, "")) or "none" for row in rows)
            line += f"; {column} " + ", ".join(f"{value} {count}" for value, count in sorted(counted.items()))
        lines.append(line)
    return lines


def train_single(
    cohort: Cohort,
    *,
    model: str,
    directory: str | Path,
    config: TrainingConfig | None = None,
    validation: Sequence[str] | float = 0.25,
    **options: Unpack[Options],
) -> Ensemble:
    """Train one instance of a network on a single split of a cohort and save it as an ensemble of one.

    Args:
        cohort: recordings with outcomes.
        model: registry name.
        directory: as in `crossval`.
        config: as in `crossval`.
        validation: ids of the recordings that choose the best epoch, or about which share of the cohort, up to a half;
            then it is stratified and keeps groups together.
        options: of `train_on`.

    Raises:
        InputError: as `crossval`; ids that the cohort does not hold, or one outcome only on either side.
        ValueError: as `crossval`; a share that is not above 0 and at most a half.
    """
    config = config or TrainingConfig()
    if isinstance(validation, float):
        if not 0 < validation <= 0.5:
            raise ValueError(f"validation must be a share above 0 and at most 0.5, or ids; got {validation}")
        parts = round(1 / validation)
        fold = stratified_splits(cohort.outcomes, parts, groups=cohort.groups, seed=config.seed)[0]
    else:
        fold = _split_by_id(cohort, validation)
    return train_on(cohort, [fold], model=model, directory=directory, config=config, record="training.json", **options)


def prepare(
    cohort: Cohort, skeleton: Skeleton | str, preprocessing: Preprocessing = REFERENCE, strict: bool = False
) -> CohortData:
    """Convert and standardize the recordings of a cohort for training.

    Args:
        cohort: recordings with outcomes.
        skeleton: that the network reads.
        preprocessing: how recordings are standardized.
        strict: refuse recordings whose points have to be approximated.

    Raises:
        InputError: recordings that cannot be used; one line that names all of them.
    """
    skeleton = skeletons.get(skeleton)
    _, positions = cohort.map(lambda recording: positions_of(recording, skeleton, preprocessing, strict))
    return CohortData.from_recordings(
        positions, cohort.outcomes, skeleton, preprocessing.rotation, preprocessing.window
    )


def positions_of(
    recording: Recording, skeleton: Skeleton, preprocessing: Preprocessing = REFERENCE, strict: bool = False
) -> Float[np.ndarray, "time joint 2"]:
    """The standardized positions of a recording, float32.

    Args:
        recording: of any keypoint set that converts to the network's.
        skeleton: that the network reads.
        preprocessing: how recordings are standardized.
        strict: refuse a recording whose points have to be approximated.

    Raises:
        InputError: three coordinates, shorter than a window, nothing moves, or without a joint that the network needs.
    """
    if recording.keypoints.shape[-1] != 2:
        raise InputError(recording.name, "has three coordinates, the networks read two")
    prepared = standardize(convert(recording, skeleton, strict=strict), preprocessing)
    if prepared.frames < preprocessing.window:
        raise InputError(
            recording.name,
            f"lasts {prepared.duration:.1f} s, shorter than a window of {preprocessing.window / preprocessing.fps:g} s",
        )
    require_movement(recording)
    if absent := [j for j, missing in zip(skeleton.joints, prepared.missing.T) if missing.any()]:
        raise InputError(recording.name, f"lacks {', '.join(absent)}, which the network needs")
    return prepared.keypoints.astype(np.float32)


def _split_by_id(cohort: Cohort, ids: Sequence[str]) -> Split:
    if unknown := sorted(set(ids) - set(cohort.names)):
        raise InputError("validation", f"the cohort has no recordings {', '.join(unknown)}", "check the ids")
    held = tuple(row for row, name in enumerate(cohort.names) if name in set(ids))
    fold = Split(tuple(row for row in range(len(cohort)) if row not in held), held)
    for side, rows in (("training", fold.train), ("validation", fold.validation)):
        if len({cohort.outcomes[row] for row in rows}) < 2:
            raise InputError("validation", f"the {side} recordings do not hold both outcomes", "choose other ids")
    if cohort.groups is not None:
        both = {cohort.groups[r] for r in fold.train} & {cohort.groups[r] for r in fold.validation}
        if both:
            raise InputError("validation", f"group {sorted(both)[0]} is on both sides", "hold out whole groups")
    return fold


def train_on(
    cohort: Cohort,
    folds: Sequence[Split],
    *,
    model: str,
    directory: str | Path,
    config: TrainingConfig,
    record: str = "training.json",
    overrides: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing = REFERENCE,
    threshold: float = 0.5,
    strict: bool = False,
    mapping: RunMapping = "auto",
    save_every: int = 1,
    quiet: bool = True,
) -> Ensemble:
    """Train one instance for each of the given folds and save them as an ensemble.

    Args:
        cohort: recordings with outcomes.
        folds: by index of the cohort's recordings.
        model: registry name.
        directory: of the ensemble.
        config: of every run.
        record: name of the file that says what was trained.
        overrides: arguments for the network's `build`, JSON-compatible.
        preprocessing: of the recordings, stored with the ensemble.
        threshold: decision threshold that is stored with the ensemble.
        strict: refuse recordings whose points have to be approximated in the network's skeleton.
        mapping: how runs are mapped on one device.
        save_every: epochs between checkpoints.
        quiet: no progress on stderr.

    Returns:
        The saved ensemble; of several processes only the first one saves it.

    Raises:
        InputError: recordings that cannot be used (all named), a directory that cannot be written or holds another
            training, or a training that diverged in its first epoch in every fold.
        ValueError: unknown model or value.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be within 0..1, got {threshold}")
    if save_every < 1:
        raise ValueError(f"save_every must be at least 1, got {save_every}")
    entry, overrides = models.get(model), dict(overrides or {})
    module = entry.build(**overrides)
    data = prepare(cohort, entry.skeleton, preprocessing, strict)
    description = {"name": model, "overrides": overrides, "preprocessing": preprocessing.to_dict()}
    result = train(
        module,
        data,
        folds,
        config,
        names=entry.features,
        directory=directory,
        description=description,
        mapping=mapping,
        save_every=save_every,
        quiet=quiet,
    )
    # A run that never finished an epoch has the weights that it began with.
    trained = np.flatnonzero(result.ended > 0)
    if not len(trained):
        raise InputError(
            directory, "the first epoch of every run diverged", "lower the learning rate or check the recordings"
        )
    trained_as = _record(cohort, folds, result, config, description, data)
    member = Member(model, stack.take_runs(result.variables, trained), overrides)
    ensemble = Ensemble((member,), _info(cohort, entry, preprocessing, threshold, trained_as))
    if not processes.is_main_process():
        return ensemble
    try:
        ensemble = save_ensemble(ensemble, directory)
        write_atomically(Path(directory) / OUT_OF_FOLD, out_of_fold_table(cohort, folds, result))
        write_atomically(Path(directory) / record, canonical_json(trained_as))
    except OSError as error:
        raise InputError(directory, f"cannot be written ({error.strerror})", "make room and run it again") from error
    return ensemble


def out_of_fold_table(cohort: Cohort, folds: Sequence[Split], result: Result) -> str:
    """Risk of each infant by the run that held it out, as CSV text: `id,run,outcome,risk`.

    The risks are those of each run's best epoch. Text that a spreadsheet would take for a formula gets an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("id", "run", "outcome", "risk"))
    for run, (fold, risks) in enumerate(zip(folds, result.risks)):
        for row, risk in zip(fold.validation, risks):
            name = cohort.names[row]
            name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
            writer.writerow((name, run, cohort.outcomes[row], "" if math.isnan(risk) else str(risk)))
    return stream.getvalue()


def _record(
    cohort: Cohort,
    folds: Sequence[Split],
    result: Result,
    config: TrainingConfig,
    description: Mapping[str, Any],
    data: CohortData,
) -> dict[str, Any]:
    """What was trained and how each run ended; no times, paths or device counts: the same training, the same bytes."""
    labels = np.concatenate([[cohort.outcomes[row] for row in fold.validation] for fold in folds])
    pooled = float(metrics.auc(jnp.asarray(np.concatenate(result.risks)), jnp.asarray(labels)))
    runs = [
        {
            "run": run,
            "trained_on": len(fold.train),
            "held_out": [cohort.names[row] for row in fold.validation],
            "best_epoch": int(result.best_epoch[run]),
            "auc": float(result.best_auc[run]),
            "epochs": int(result.ended[run]),
            "status": result.status[run].name.lower(),
            "in_ensemble": bool(result.ended[run] > 0),
            **({"diverged_in_epoch": int(result.ended[run]) + 1} if result.status[run] is Status.DIVERGED else {}),
        }
        for run, fold in enumerate(folds)
    ]
    return {
        "model": dict(description),
        "config": asdict(config),
        "cohort": {
            "recordings": len(cohort),
            "positive": int(sum(cohort.outcomes)),
            "sha256": data.digest,
            "problems": list(cohort.problems),
        },
        "runs": runs,
        "held_out_auc": pooled if math.isfinite(pooled) else None,
        "versions": {name: version(name) for name in ("infantjax", "jax", "flax", "optax", "numpy")},
    }


def _info(
    cohort: Cohort, entry: Entry, preprocessing: Preprocessing, threshold: float, record: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "skeleton": entry.skeleton,
        "preprocessing": preprocessing.to_dict(),
        "features": list(entry.features),
        "threshold": threshold,
        "demonstration": False,
        "validated": False,
        "statement": STATEMENT.format(count=len(cohort)),
        # Who was held out stays beside the ensemble: ids of infants do not travel with the weights.
        "training": {
            **{name: value for name, value in record.items() if name not in ("model", "cohort")},
            "cohort": {k: v for k, v in record["cohort"].items() if k != "problems"},
            "runs": [{k: v for k, v in run.items() if k != "held_out"} for run in record["runs"]],
        },
    }
