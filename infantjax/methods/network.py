"""What the systems of one network share: a cohort that is split, prepared and trained on, and its ensemble kept."""

import csv
import dataclasses
import io
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, Unpack

import flax.linen as nn
import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc
from infantjax.files import canonical_json, sha256, write_atomically
from infantjax.methods.base import How, System, plain
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.training import distributed as processes
from infantjax.training import loop
from infantjax.training.loop import Execution
from infantjax.training.splits import Split, stratified_splits
from infantjax.training.state import Status
from infantjax.weights.ensemble import Ensemble, Member, save_ensemble

OUT_OF_FOLD = "out_of_fold.csv"
REPEATS = "repeats.csv"
STATEMENT = "Trained on {count} recordings with infantjax. It was never validated on infants. Research use only."


class Given(NamedTuple):
    """What a system's own training is given.

    Attributes:
        cohort: recordings that can be used, with their outcomes.
        prepared: what `NetworkSystem.prepared` makes of each of them.
        partitions: who is trained on and held out, a run each.
        annotated: what `NetworkSystem.annotation` makes of other infants.
    """

    cohort: Cohort
    prepared: list[Any]
    partitions: Sequence[Split]
    annotated: list[Any]


class Fitted(NamedTuple):
    """What a system's own training gives.

    Attributes:
        outcome: of the stack.
        members: networks with the weights of the runs that finished an epoch.
        held: (recording, run, value) of every recording by a run that did not see it.
        runs: what is told of each run beside how it ended.
        figures: of all that was held out.
        info: what the use of the ensemble needs beside the settings.
    """

    outcome: loop.TrainResult
    members: tuple[Member, ...]
    held: list[tuple[int, int, float]]
    runs: list[dict[str, Any]]
    figures: dict[str, float]
    info: dict[str, Any]


class NetworkSystem(System):
    """A system of one network: what all of them do around their own preparation, training and judgment.

    Attributes:
        value: column of the tables of held-out recordings.
        rounds: what the epochs of its training are.
        skeleton_name: keypoints that the network reads.
        model: registry name of the network.
        network: the network.
        training: configuration of every run.
    """

    value: ClassVar[str] = "risk"
    rounds: ClassVar[str] = "epochs"
    skeleton_name: ClassVar[str]
    model: ClassVar[str]
    network: Any
    training: Any

    @property
    def seed(self) -> int:
        """Of the training, and of the splits."""
        return self.training.seed

    @property
    def description(self) -> dict[str, Any]:
        """The system and its settings, for the records of a training."""
        return {"system": self.name, "settings": self.settings}

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what the network reads, of a batch of one."""

    @abstractmethod
    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """The published splits of a cohort."""

    @abstractmethod
    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Split:
        """A single split, whose held-out recordings are its validation."""

    @abstractmethod
    def prepared(self, recording: Recording, strict: bool = False) -> Any:
        """What the network's training needs of a recording.

        Raises:
            InputError: it cannot be used.
        """

    def annotation(self, recording: Recording, strict: bool = False) -> Any:
        """What the network's training needs of a recording whose seconds are annotated.

        Raises:
            InputError: it cannot be used.
            ValueError: the system learns from no such recordings.
        """
        raise ValueError(f"{self.name} learns from no annotated seconds")

    @abstractmethod
    def fit(self, given: Given, **how: Unpack[Execution]) -> Fitted:
        """Train the stack and judge what it held out."""

    def crossval(self, cohort: Cohort, directory: str | Path, **how: Unpack[How]) -> Ensemble:
        """See `System`."""
        return self._trained(cohort, directory, None, "crossval.json", **how)

    def train(
        self, cohort: Cohort, directory: str | Path, validation: Sequence[str] | float = 0.25, **how: Unpack[How]
    ) -> Ensemble:
        """See `System`."""
        return self._trained(cohort, directory, validation, "training.json", **how)

    def _trained(
        self,
        cohort: Cohort,
        directory: str | Path,
        validation: Sequence[str] | float | None,
        record: str,
        *,
        annotated: Sequence[Recording] = (),
        stratify: Sequence[str] = (),
        strict: bool = False,
        skip_invalid: bool = False,
        save_every: int = 1,
        quiet: bool = True,
    ) -> Ensemble:
        if cohort.score_range != self.score_range:
            raise ValueError(
                f"{self.name} learns from outcomes on {self.score_range or '0 and 1'}, got {cohort.score_range}"
            )
        if validation is not None and stratify:
            raise ValueError("a single split takes no columns to balance")
        directory = Path(directory)
        cohort, prepared = cohort.map(lambda recording: self.prepared(recording, strict), skip_invalid)
        partitions = self.splits(cohort, stratify) if validation is None else (self.split(cohort, validation),)
        others = [self.annotation(recording, strict) for recording in annotated]
        if both := {recording.name for recording in annotated} & set(cohort.names):
            raise InputError("annotated", f'has "{min(both)}", which the cohort has too', "annotate other infants")
        given = Given(cohort, prepared, partitions, others)
        fitted = self.fit(given, directory=directory, save_every=save_every, quiet=quiet)
        if not fitted.members:
            raise InputError(
                directory, "the first epoch of every run diverged", "lower the learning rate or check the recordings"
            )
        told = self._record(cohort, partitions, fitted)
        info = {
            **self.description,
            "skeleton": self.skeleton_name,
            "validated": False,
            "statement": STATEMENT.format(count=len(cohort)),
            # Who was held out stays beside the ensemble: ids of infants do not travel with the weights.
            "training": {
                **told,
                "cohort": {k: v for k, v in told["cohort"].items() if k != "problems"},
                "runs": [{k: v for k, v in run.items() if k != "held_out"} for run in told["runs"]],
            },
            **fitted.info,
        }
        ensemble = Ensemble(fitted.members, info)
        if not processes.is_main_process():
            return ensemble
        try:
            ensemble = save_ensemble(ensemble, directory)
            repeated = any(partition.test for partition in partitions)
            for name, table in held_out_tables(cohort, fitted.held, self.value, repeated).items():
                write_atomically(directory / name, table)
            write_atomically(directory / record, canonical_json(told))
        except OSError as error:
            raise InputError(
                directory, f"cannot be written ({error.strerror})", "make room and run it again"
            ) from error
        return ensemble

    def _record(self, cohort: Cohort, partitions: Sequence[Split], fitted: Fitted) -> dict[str, Any]:
        """What was trained and how each run ended; no times, paths or device counts: same training, same bytes."""
        outcome = fitted.outcome
        runs = [
            {
                "run": run,
                "trained_on": len(partition.train),
                "held_out": [cohort.names[row] for row in partition.test or partition.validation],
                "best_epoch": int(outcome.best_epoch[run]),
                "epochs": int(outcome.ended[run]),
                "status": outcome.status[run].name.lower(),
                "in_ensemble": bool(outcome.ended[run] > 0),
                **(
                    {"diverged_in_epoch": int(outcome.ended[run]) + 1} if outcome.status[run] is Status.DIVERGED else {}
                ),
                **fitted.runs[run],
            }
            for run, partition in enumerate(partitions)
        ]
        content = b"".join(recording.keypoints.tobytes() for recording in cohort.recordings)
        return {
            "model": {"name": self.model, **self.description},
            "cohort": {
                "recordings": len(cohort),
                "sha256": sha256(content + np.asarray(cohort.outcomes, np.float64).tobytes()),
                "problems": list(cohort.problems),
            },
            "runs": runs,
            "figures": {name: value if math.isfinite(value) else None for name, value in fitted.figures.items()},
            "versions": {name: version(name) for name in ("infantjax", "jax", "flax", "optax", "numpy")},
        }

    def told(self, ensemble: Ensemble) -> list[str]:
        """See `System`."""
        training, lines = ensemble.info["training"], []
        for run in training["runs"]:
            own = "  ".join(
                f"{name} {value:.3f}" for name, value in run.get("figures", {}).items() if value is not None
            )
            lines.append(f"run {run['run']}  {own or '-'}  ({run['status']} after {run['epochs']} {self.rounds})")
        figures = (f"{name} {'-' if v is None else f'{v:.3f}'}" for name, v in training["figures"].items())
        return [*lines, f"held out: {', '.join(figures)}"]

    @classmethod
    def of(cls, ensemble: Ensemble, threshold: float | None = None) -> Self:
        """The system of an ensemble, with the settings it was trained with.

        Raises:
            InputError: the settings do not fit the system.
            ValueError: a threshold out of range, or one for a system without decisions.
        """
        try:
            system = cls.configured(ensemble.info["settings"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None
        if threshold is None:
            return system
        if "threshold" not in system.settings:
            raise ValueError(f"{system.name} decides nothing and has no threshold")
        return cls.configured({**system.settings, "threshold": float(threshold)})


def members(model: str, module: nn.Module, outcome: loop.TrainResult, together: bool = True) -> tuple[Member, ...]:
    """The runs that finished an epoch, as members of an ensemble.

    Args:
        model: registry name.
        module: the network.
        outcome: of the stack.
        together: as one member; else each run is one, for networks whose stack would be too large a file.
    """
    runs = np.flatnonzero(outcome.ended > 0)
    overrides = {
        field.name: plain(getattr(module, field.name))
        for field in dataclasses.fields(module)  # type: ignore[arg-type]
        if field.name not in ("parent", "name") and getattr(module, field.name) != field.default
    }
    parts = [runs] if together and len(runs) else [runs[i : i + 1] for i in range(len(runs))]
    return tuple(
        Member(model, jax.tree.map(lambda leaf, part=part: np.asarray(leaf)[part], outcome.variables), overrides)
        for part in parts
    )


def held_out_tables(
    cohort: Cohort, held: Sequence[tuple[int, int, float]], column: str, repeated: bool
) -> dict[str, str]:
    """Of each recording the median over the runs that held it out; and each of these, where there may be several."""
    order = {row: number for number, row in enumerate(dict.fromkeys(row for row, _, _ in held))}
    by_row: dict[int, list[float]] = {row: [] for row in order}
    for row, _, value in held:
        by_row[row].append(value)
    lines = [(row, len(values), _median(values)) for row, values in sorted(by_row.items())]
    tables = {OUT_OF_FOLD: _table(cohort, lines, ("id", "runs", "outcome", column))}
    if repeated:
        tables[REPEATS] = _table(cohort, list(held), ("id", "run", "outcome", column))
    return tables


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def _table(cohort: Cohort, rows: Sequence[tuple[int, int, float]], header: tuple[str, ...]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for row, number, value in rows:
        name = cohort.names[row]
        name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
        writer.writerow((name, number, cohort.outcomes[row], "" if math.isnan(value) else str(value)))
    return stream.getvalue()


def single_split(cohort: Cohort, validation: Sequence[str] | float, seed: int) -> tuple[list[int], list[int]]:
    """Rows to train on and rows to hold out: by ids, or a share of the groups at random, stratified on classes.

    Raises:
        InputError: ids that the cohort does not hold, a group on both sides, or nothing on one side or only one class.
        ValueError: a share that is not above 0 and at most a half.
    """
    groups = list(cohort.groups or cohort.names)
    if isinstance(validation, float):
        if not 0 < validation <= 0.5:
            raise ValueError(f"validation must be a share above 0 and at most 0.5, or ids; got {validation}")
        if cohort.score_range is None:
            fold = stratified_splits(cohort.outcomes, round(1 / validation), groups=cohort.groups, seed=seed)[0]
            return list(fold.train), list(fold.validation)
        order = np.random.default_rng(seed).permutation(sorted(set(groups)))
        chosen = set(order[: max(1, round(validation * len(order)))].tolist())
        held = [row for row, group in enumerate(groups) if group in chosen]
    else:
        if unknown := sorted(set(validation) - set(cohort.names)):
            raise InputError("validation", f"the cohort has no recordings {', '.join(unknown)}", "check the ids")
        held = [row for row, name in enumerate(cohort.names) if name in set(validation)]
    rest = [row for row in range(len(cohort)) if row not in set(held)]
    if not held or not rest:
        raise InputError("validation", "leaves nothing to train on or to hold out", "several infants are needed")
    if both := {groups[row] for row in held} & {groups[row] for row in rest}:
        raise InputError("validation", f"group {min(both)} is on both sides", "hold out whole groups")
    return rest, held


def require_several(cohort: Cohort) -> None:
    """Several infants.

    Raises:
        InputError: all recordings are of one.
    """
    if len(set(cohort.groups or cohort.names)) < 2:
        raise InputError(
            "cohort", f"its {len(cohort)} recording(s) are of one infant", "nothing can be held out; add other infants"
        )


def number_of(recording: Recording, column: str, what: str) -> float:
    """A number that the metadata must hold.

    Raises:
        InputError: it is missing, or no number.
    """
    given = recording.metadata.get(column)
    try:
        value = float(str(given))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        told = "no" if given is None else f'"{str(given)[:40]}" as'
        raise InputError(recording.name, f"has {told} {column}", f"give {what} in its table")
    return value


def class_of(recording: Recording, column: str, classes: Mapping[str, float]) -> float:
    """A class that the metadata must hold, as a number.

    Raises:
        InputError: it is missing, or another one.
    """
    given = recording.metadata.get(column)
    value = classes.get(str(given).strip().lower())
    if value is None:
        told = "no" if given is None else f'"{str(given)[:40]}" as'
        raise InputError(recording.name, f"has {told} {column}", f"known are {', '.join(classes)}")
    return value


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of log-odds, float64."""
    from scipy.special import expit

    return expit(np.asarray(logits, np.float64))


def area(scores: np.ndarray, labels: np.ndarray) -> float:
    """The AUC; NaN for one class, or a score that is not a number."""
    return auc(scores, labels) if len(np.unique(labels)) == 2 and np.isfinite(scores).all() else math.nan


def require_members(labels: Sequence[float], partitions: Sequence[Split]) -> None:
    """Both classes in the training recordings of every split.

    Raises:
        InputError: a split without.
    """
    for number, partition in enumerate(partitions):
        for outcome in (0, 1):
            if not any(labels[row] == outcome for row in partition.train):
                raise InputError(
                    "cohort", f"split {number} trains on no recording with outcome {outcome}", "use others"
                )
