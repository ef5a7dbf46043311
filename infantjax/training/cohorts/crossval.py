"""Cross-validation, and training on a single split: from a cohort to an ensemble with its record.

Both train a stack of runs and write the same folder: the ensemble, `training.json` (what was trained and how each run
ended), `out_of_fold.csv` (values of held-out recordings), `history.csv`, `tensorboard/` and `checkpoints/`. Called
again on the folder of an interrupted training, they continue it. A method is anything that is `Trainable`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.files import finite_or_none
from infantjax.recording.cohort import Cohort
from infantjax.recording.quality import moments
from infantjax.recording.recording import Recording
from infantjax.training.cohorts.cohort_splits import single_split
from infantjax.training.cohorts.fine_tuning import Start, trainable_mask
from infantjax.training.cohorts.nested import EpochCurves, nested_selection
from infantjax.training.cohorts.out_of_fold import ALL_RUNS, OUT_OF_FOLD, HeldOut, calibrate, write_tables
from infantjax.training.cohorts.trainable import Trainable
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.records.logs import TABLE
from infantjax.training.records.record import RECORD, versions, write_training
from infantjax.training.splits import Split
from infantjax.training.state import Run, StackResult, Status
from infantjax.training.task import SupervisedTask
from infantjax.weights.ensemble import INDEX, Ensemble, EnsembleInfo, Member

WRITTEN = (INDEX, RECORD, OUT_OF_FOLD, ALL_RUNS, TABLE)
"""Names of the files of a training in its folder."""
STATEMENT = "Trained on {count} recordings with infantjax. It was never validated on infants. Research use only."


class TrainInputs(NamedTuple):
    """Prepared recordings and their splits.

    Attributes:
        cohort: usable recordings with their outcomes; of a method that learns from images, those, with `names`,
            `problems` and `digest` as a `Cohort` has them.
        prepared: result of `Trainable.prepare` for each of them.
        splits: of the cohort's recordings, one a run.
        annotated: result of `Trainable.prepare_annotated` for each annotated recording.
    """

    cohort: Any
    prepared: list[Any]
    splits: tuple[Split, ...]
    annotated: Sequence[Any] = ()


class TrainingSetup(NamedTuple):
    """Arguments of `training.fit`.

    Attributes:
        task: what the runs train.
        data: what they share.
        runs: their index sets.
    """

    task: SupervisedTask
    data: Any
    runs: Run


@dataclass(frozen=True)
class TrainOutputs:
    """Values and metrics that a method computes from a trained stack.

    Attributes:
        held_out: a value of each recording by each run that held it out.
        run_metrics: metrics of each run; None where one is not defined.
        metrics: metrics over all that was held out; NaN where one is not defined.
        info: what the use of the ensemble needs beside the settings, JSON-compatible.
        calibrated: the method calibrates its risks itself, to probabilities at the prevalence of the cohort.
        optimistic: held-out recordings also chose the epoch of their run.
        curves: of every epoch, where held-out recordings chose one.
        members: networks that those of the runs stand on, see `Trainable.pretrain`.
    """

    held_out: list[HeldOut]
    run_metrics: list[dict[str, float | None]]
    metrics: dict[str, float]
    info: dict[str, Any] = field(default_factory=dict)
    calibrated: bool = False
    optimistic: bool = False
    curves: EpochCurves | None = None
    members: tuple[Member, ...] = ()


class Trained(NamedTuple):
    """Result of a training.

    Attributes:
        ensemble: saved.
        cohort: usable recordings with their outcomes.
        outputs: of the method.
        record: as in its file, see `make_record`.
    """

    ensemble: Ensemble
    cohort: Cohort
    outputs: TrainOutputs
    record: dict[str, Any]


def crossval(
    method: Trainable,
    cohort: Cohort,
    directory: str | Path,
    options: TrainOptions | None = None,
    *,
    annotated: Sequence[Recording] = (),
    stratify: Sequence[str] = (),
    strict: bool = False,
    skip_invalid: bool = False,
    start: Start | None = None,
) -> Ensemble:
    """Train one network for each published split of a cohort, all as one stack, and save them as an ensemble.

    Recordings of bad tracking quality are used too: only the commands warn of them. `assessment.screening.screen` with
    "exclude" gives the cohort without them.

    Args:
        method: with its settings.
        cohort: recordings with outcomes on the method's scale; a group is never on two sides of a split.
        directory: of the ensemble; created if missing; an interrupted training in it is continued.
        options: of the execution.
        annotated: recordings of other infants with annotated seconds (`formats.read_annotated`).
        stratify: columns of the outcomes table to balance beside the outcome.
        strict: refuse recordings with points that have to be approximated.
        skip_invalid: leave out recordings that cannot be used, instead of refusing the cohort.
        start: weights of an ensemble to start from; None draws them at random.

    Returns:
        The saved ensemble. Of several processes only the main one saves it.

    Raises:
        InputError: recordings that cannot be used (all are named), a cohort that cannot be split, a directory that
            cannot be written or holds another training, a first epoch that diverged in every run, or an ensemble to
            start from of another architecture or that was trained on these recordings.
        ValueError: a cohort on another scale, or an option that the method does not have.
    """
    inputs = crossval_inputs(
        method, cohort, annotated=annotated, stratify=stratify, strict=strict, skip_invalid=skip_invalid
    )
    return train_inputs(method, inputs, directory, options, start).ensemble


def crossval_inputs(
    method: Trainable,
    cohort: Cohort,
    *,
    annotated: Sequence[Recording] = (),
    stratify: Sequence[str] = (),
    strict: bool = False,
    skip_invalid: bool = False,
) -> TrainInputs:
    """Prepare the recordings of a cohort and split them; arguments and errors as of `crossval`."""
    return _inputs(method, cohort, lambda usable: method.splits(usable, stratify), annotated, strict, skip_invalid)


def train(
    method: Trainable,
    cohort: Cohort,
    directory: str | Path,
    validation: Sequence[str] | float = 0.25,
    options: TrainOptions | None = None,
    *,
    annotated: Sequence[Recording] = (),
    strict: bool = False,
    skip_invalid: bool = False,
    start: Start | None = None,
) -> Ensemble:
    """Train one network on a single split of a cohort and save it as an ensemble of one.

    Args:
        method: see `crossval`, as all other arguments.
        cohort: see `crossval`.
        directory: see `crossval`.
        validation: ids of the validation recordings, or about which fraction of the groups, up to a half.
        options: of the execution.
        annotated: see `crossval`.
        strict: see `crossval`.
        skip_invalid: see `crossval`.
        start: see `crossval`.

    Raises:
        InputError: as `crossval`, or ids that the cohort does not hold.
        ValueError: as `crossval`, or a fraction that is not above 0 and at most a half.
    """

    def split(usable: Cohort) -> tuple[Split, ...]:
        return (single_split(usable, validation, method.seed),)

    inputs = _inputs(method, cohort, split, annotated, strict, skip_invalid)
    return train_inputs(method, inputs, directory, options, start).ensemble


def _inputs(
    method: Trainable,
    cohort: Cohort,
    split: Callable[[Cohort], tuple[Split, ...]],
    annotated: Sequence[Recording],
    strict: bool,
    skip_invalid: bool,
) -> TrainInputs:
    """Prepare recordings, and split those that can be used."""
    if cohort.score_range != method.score_range:
        raise ValueError(
            f"{method.name} learns from outcomes on {method.score_range or '0 and 1'}, got {cohort.score_range}"
        )
    cohort, prepared = cohort.map(lambda recording: method.prepare(recording, strict), skip_invalid)
    splits = split(cohort)
    of_others = [method.prepare_annotated(recording, strict) for recording in annotated]
    if both := {recording.name for recording in annotated} & set(cohort.names):
        raise InputError("annotated", f'"{min(both)}" is also in the cohort', "annotate other infants")
    return TrainInputs(cohort, prepared, splits, of_others)


def train_inputs(
    method: Trainable,
    inputs: TrainInputs,
    directory: str | Path,
    options: TrainOptions | None = None,
    start: Start | None = None,
) -> Trained:
    """Train one network for each split of prepared recordings, and save them; arguments and errors as of `crossval`."""
    directory, init, origin = Path(directory), None, {}
    if start is not None:
        _require_other_infants(start, inputs.cohort)
        member, origin = start.member(method.model), {"start": start.to_dict()}
        method = method.with_network_of(member)
    inputs = method.pretrain(inputs, directory, options)
    setup = method.setup(inputs)
    if start is not None:
        setup = setup._replace(task=replace(setup.task, trainable=start.trainable))
        trainable_mask(setup.task.variables["params"], start.trainable)  # refuses a pattern before anything is compiled
        init = start.variables(member, setup.task.variables, len(inputs.splits))
    description = {"method": method.name, "settings": method.settings, **origin}
    result = fit(
        *setup,
        directory=directory,
        description=description,
        shard_batches=method.shard_batches,
        options=options,
        init=init,
    )
    if not (members := method.members(result)):
        raise InputError(
            directory, "the first epoch of every run diverged", "lower the learning rate or check the recordings"
        )
    try:
        outputs = method.outputs(inputs, setup, result)
    except InputError as error:
        raise InputError(directory, error.what, error.remedy) from error
    record = make_record(method, inputs, result, outputs) | origin
    info = _info(method, inputs, record, outputs)
    if isinstance(inputs.cohort, Cohort):
        info |= _trust(inputs.cohort, result, outputs)
    ensemble = Ensemble((*outputs.members, *members), EnsembleInfo.from_dict(info))
    ensemble = write_results(directory, ensemble, inputs.cohort, outputs.held_out, record)
    return Trained(ensemble, inputs.cohort, outputs, record)


def write_results(
    directory: Path, ensemble: Ensemble, cohort: Any, held_out: Sequence[HeldOut], record: Mapping[str, Any]
) -> Ensemble:
    """Write an ensemble, its record and the values of held-out recordings, if there are any; see `write_training`."""

    def tables() -> None:
        if held_out:
            write_tables(directory, cohort, held_out)

    return write_training(directory, ensemble, record, tables)


def make_record(method: Trainable, inputs: TrainInputs, result: StackResult, outputs: TrainOutputs) -> dict[str, Any]:
    """Record of a training: its settings, and how each run ended, JSON-compatible.

    It holds no times, paths or device counts: the same training gives the same bytes.
    """
    cohort = inputs.cohort
    nested = None
    if isinstance(cohort, Cohort):
        nested = nested_selection(cohort, inputs.splits, outputs.held_out, outputs.curves)
    runs = []
    for run, (split, status) in enumerate(zip(inputs.splits, result.status)):
        last = int(result.last_epoch[run])
        entry: dict[str, Any] = {
            "run": run,
            "trained_on": len(split.train),
            "held_out": [cohort.names[row] for row in split.test or split.validation],
            "best_epoch": int(result.best_epoch[run]),
            "epochs": last,
            "status": status.name.lower(),
            "in_ensemble": last > 0,
            "metrics": outputs.run_metrics[run],
        }
        if status is Status.DIVERGED:
            entry["diverged_in_epoch"] = last + 1
        runs.append(entry)
    return {
        "method": method.name,
        "settings": method.settings,
        "cohort": {
            "recordings": len(cohort),
            "sha256": cohort.digest,
            "problems": list(cohort.problems),
        },
        "runs": runs,
        "metrics": finite_or_none(outputs.metrics),
        "selection": None if nested is None else nested.to_dict(),
        "versions": versions(),
    }


def _require_other_infants(start: Start, cohort: Cohort) -> None:
    """Refuse weights that were trained on the very recordings; that they saw some of the infants cannot be known."""
    known = start.ensemble.info.training.get("cohort")
    if isinstance(known, dict) and known.get("sha256") == cohort.digest:
        what = "was trained on these recordings, so that none of them would be held out"
        raise InputError("--init", what, "start from an ensemble of other infants")


def _info(method: Trainable, inputs: TrainInputs, record: dict[str, Any], outputs: TrainOutputs) -> dict[str, Any]:
    """The part of the record that travels with the weights: without ids of infants."""
    training = {name: value for name, value in record.items() if name not in ("method", "settings")}
    training["cohort"] = {name: value for name, value in record["cohort"].items() if name != "problems"}
    training["runs"] = [{name: value for name, value in run.items() if name != "held_out"} for run in record["runs"]]
    notes = [*outputs.info.get("notes", ()), *_unseen_outcomes(inputs)]
    if (origin := record.get("start")) is not None:
        which = f"only {', '.join(origin['trainable'])} trained" if origin["trainable"] else "all parameters trained"
        notes.append(
            f"training started from the ensemble {origin['ensemble'][:12]}, {which}; metrics hold only if it never saw "
            f"these infants"
        )
    return {
        "method": method.name,
        "settings": method.settings,
        "skeleton": method.skeleton,
        "validated": False,
        "statement": STATEMENT.format(count=len(inputs.cohort)),
        "training": training,
        **outputs.info,
        **({"notes": notes} if notes else {}),
    }


def _unseen_outcomes(inputs: TrainInputs) -> list[str]:
    """A note for each run that trained on one outcome alone: leaving out the only infant with the other one."""
    if not isinstance(inputs.cohort, Cohort) or inputs.cohort.score_range is not None:
        return []
    notes = []
    for run, split in enumerate(inputs.splits):
        seen = {inputs.cohort.outcomes[row] for row in split.train}
        notes += [f"run {run} trained on no infant with outcome {o}: its risks say little" for o in {0, 1} - seen]
    return notes


def _trust(cohort: Cohort, result: StackResult, outputs: TrainOutputs) -> dict[str, Any]:
    """Calibration and moments by which an assessment limits its trust in a value; without ids of infants."""
    kept = [run for run, last in enumerate(result.last_epoch) if last > 0]
    found = calibrate(cohort, outputs.held_out, kept, calibrated=outputs.calibrated, optimistic=outputs.optimistic)
    known = {"moments": moments(cohort.recordings).to_dict()}
    return known if found is None else known | {"calibration": found.to_dict()}


def format_summary(ensemble: Ensemble) -> list[str]:
    """How each run of a training ended, the metrics of held-out recordings, and their calibration, a line each."""
    training = ensemble.info.training
    lines = []
    for number, architecture in enumerate(training.get("architectures", ()), start=1):
        lines.append(f"architecture {number}  {_metrics_in_words(architecture['metrics'])}")
    for run in training.get("runs", ()):
        best = f"best epoch {run['best_epoch']}" if run["best_epoch"] else "last weights"
        ended = f"{run['status']} after epoch {run['epochs']}, {best}"
        lines.append(f"run {run['run']}  {_metrics_in_words(run['metrics'])}  ({ended})")
    lines.append(f"held out: {_metrics_in_words(training['metrics'])}")
    if (selection := training.get("selection")) is not None:
        what = "threshold and calibration" if selection["epochs"] is None else "epoch, threshold and calibration"
        lines.append(f"{what} by the same infants (optimistic): {_metrics_in_words(selection['optimistic'])}")
        lines.append(f"{what} by the other infants (nested): {_metrics_in_words(selection['nested'])}")
    if (calibration := ensemble.info.calibration) is not None:
        lines.append(RiskCalibration.from_dict(calibration).describe())
    return lines


def _metrics_in_words(metrics: dict[str, float | None]) -> str:
    words = (f"{name} {'-' if value is None else f'{value:.3f}'}" for name, value in metrics.items())
    return ", ".join(words) or "-"
