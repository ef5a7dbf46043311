"""The ensemble of a search: its best candidates, each cross-validated as one stack of runs, as one ensemble.

The folder holds what a cross-validation writes, over all architectures; `candidates.json`, the candidates that it was
begun with; and in `architectures/` the whole cross-validation of each. Called again, an interrupted ensemble continues
with the same candidates, even if the search has found better ones meanwhile, and ends with the same bytes.

Source: Groos et al., Paper III: ten architectures, seven folds, 70 networks. There each architecture is the best of a
search of its own.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infantjax import places
from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc
from infantjax.files import canonical_json, write_atomically
from infantjax.models.entry import count_flops
from infantjax.progress import LOGGER
from infantjax.recording.cohort import Cohort
from infantjax.search.study import read_study, study_names
from infantjax.training.cohorts.crossval import Trainable, Trained, crossval_inputs, train_inputs, write_results
from infantjax.training.cohorts.out_of_fold import HeldOut, calibrate
from infantjax.training.execution import distributed
from infantjax.training.execution.compiled import trace
from infantjax.training.execution.cost import PROGRAMS, count_task_parameters, training_memory
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import Ensemble

CANDIDATES = "candidates.json"
"""Name of the file of the candidates in the folder of an ensemble."""
ARCHITECTURES = "architectures"
"""Name of the folder of the cross-validations."""
OF_ONE = ("runs", "metrics", "selection")
"""Parts of the record of a training that hold for one architecture."""
STATEMENT = (
    "Its {count} architectures were chosen by a search; if the search saw these infants too, that makes the metrics "
    "more optimistic still."
)


class Architecture(NamedTuple):
    """A candidate of a search that becomes a part of the ensemble.

    Attributes:
        method: with the network of the candidate.
        candidate: its `study`, `trial`, `value` and `choices`.
    """

    method: Trainable
    candidate: dict[str, Any]


def find_candidates(
    method: Any, place: str, count: int = 10, study: str | None = None, winners: bool = False
) -> list[dict[str, Any]]:
    """The best candidates of a search whose networks differ, best first; see `SearchResult.best`.

    Args:
        method: whose networks were searched; two candidates may have equal ones.
        place: output folder of the search.
        count: number of candidates.
        study: name of the search; None is the only one of the folder.
        winners: take the best candidate of each search of the folder, in the order of their names, as published.

    Raises:
        InputError: no such search, several and none is named, or too few candidates.
        ValueError: a number of candidates below 1.
    """
    if count < 1:
        raise ValueError(f"the number of architectures must be at least 1, got {count}")
    names = study_names(place) if study is None else [study]
    if len(names) > 1 and not winners:
        raise InputError(place, f"holds the searches {', '.join(names)}", "name one by --study, or give --winners")
    found: list[tuple[Any, dict[str, Any]]] = []
    for name in names:
        searched, begun = read_study(place, name), len(found)
        for row in searched.best(len(searched.trials)):
            network = method.with_candidate(row["choices"])
            if network not in [other for other, _ in found]:
                found.append((network, {"study": name, **row}))
            if len(found) == count or (winners and len(found) > begun):
                break
    if len(found) < count:
        remedy = f"give --k {len(found)}, or run more trials" if found else "run more trials"
        raise InputError(place, f"has {len(found)} different networks with a value, {count} are asked for", remedy)
    return [row for _, row in found]


def keep_candidates(directory: Path, found: Sequence[dict[str, Any]], read_only: bool = False) -> list[dict[str, Any]]:
    """The candidates that an ensemble was begun with; these, where it begins now.

    Args:
        directory: of the ensemble.
        found: the best candidates now.
        read_only: write nothing.

    Raises:
        InputError: the folder holds an ensemble of another number of candidates, or of other searches, or cannot be
            read or written.
    """
    path = directory / CANDIDATES
    try:
        kept = json.loads(path.read_text("utf-8")) if path.exists() else list(found)
        studies = [{row["study"] for row in rows} for rows in (kept, found)]
        if (len(kept), studies[0]) != (len(found), studies[1]):
            what = f"holds an ensemble of {len(kept)} candidates of {', '.join(sorted(studies[0]))}"
            raise InputError(directory, what, "give another place")
        kept = distributed.agree(kept)
        if distributed.is_main_process() and not (read_only or path.exists()):
            directory.mkdir(parents=True, exist_ok=True)
            write_atomically(path, canonical_json(kept))
            places.publish_progress(path)
    except OSError as error:
        raise InputError(path, f"cannot be read or written ({error.strerror})", "give another place") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(path, f"cannot be read ({type(error).__name__})", "remove the folder") from None
    return kept


def train_architecture(
    architecture: Architecture,
    cohort: Cohort,
    directory: Path,
    number: int,
    options: TrainOptions | None = None,
    **given: Any,
) -> Trained:
    """Cross-validate one architecture of an ensemble; arguments and errors as of `train_ensemble`.

    Args:
        architecture: the candidate.
        cohort: see `train_ensemble`.
        directory: of the ensemble.
        number: of the architecture, from 1.
        options: of the execution.
        given: `stratify`, `strict`, `skip_invalid`.
    """
    inputs = crossval_inputs(architecture.method, cohort, **given)
    return train_inputs(architecture.method, inputs, directory / ARCHITECTURES / f"{number:02d}", options)


def train_ensemble(
    architectures: Sequence[Architecture],
    cohort: Cohort,
    directory: str | Path,
    options: TrainOptions | None = None,
    *,
    stratify: Sequence[str] = (),
    strict: bool = False,
    skip_invalid: bool = False,
) -> Ensemble:
    """Cross-validate architectures one after the other, each as one stack of runs, and save all as one ensemble.

    An architecture with a fold that diverged in its first epoch is left out: every fold needs a network of each.

    Args:
        architectures: of one method, with equal settings but their networks.
        cohort: see `training.cohorts.crossval.crossval`, as all further arguments.
        directory: of the ensemble; an interrupted one in it is continued.
        options: of the execution of each training.
        stratify: see `crossval`.
        strict: see `crossval`.
        skip_invalid: see `crossval`.

    Raises:
        InputError: as `crossval`, or no architecture is left.
        ValueError: as `crossval`.
    """
    directory = Path(directory)
    given: dict[str, Any] = {"stratify": stratify, "strict": strict, "skip_invalid": skip_invalid}
    trained: list[tuple[Architecture, Trained]] = []
    for number, architecture in enumerate(architectures, start=1):
        LOGGER.info("architecture %d of %d", number, len(architectures))
        one = train_architecture(architecture, cohort, directory, number, options, **given)
        if all(run["in_ensemble"] for run in one.record["runs"]):
            trained.append((architecture, one))
        else:
            LOGGER.warning("architecture %d is left out: a fold diverged in its first epoch", number)
    if not trained:
        raise InputError(directory, "a fold of every architecture diverged", "lower the learning rate")
    return _combine(trained, directory)


def estimate_ensemble(
    architectures: Sequence[Architecture],
    cohort: Cohort,
    *,
    stratify: Sequence[str] = (),
    strict: bool = False,
    skip_invalid: bool = False,
) -> dict[str, Any]:
    """Plan of `train_ensemble` as plain data; nothing is trained or written.

    Memory is that of the architecture with the most operations, which is compiled. Arguments and errors as of
    `train_ensemble`.
    """
    setups = []
    for architecture in architectures:
        method = architecture.method
        inputs = crossval_inputs(method, cohort, stratify=stratify, strict=strict, skip_invalid=skip_invalid)
        setups.append(method.setup(inputs))
    flops = [count_flops(setup.task.module, setup.task.input_shape[1:]) for setup in setups]
    largest = int(np.argmax(flops))
    traced = trace(setups[largest].task, setups[largest].runs, setups[largest].data)
    memory = training_memory(traced.compile())
    runs = len(inputs.splits)
    return {
        "architectures": len(setups),
        "networks": len(setups) * runs,
        "recordings": len(inputs.cohort),
        "parameters": [count_task_parameters(setup.task) for setup in setups],
        "programs": PROGRAMS * len(setups),
        "largest": largest + 1,
        **memory.to_dict(),
    }


def _combine(trained: Sequence[tuple[Architecture, Trained]], directory: Path) -> Ensemble:
    """Save the networks of several cross-validations over the same folds as one ensemble."""
    first = trained[0][1]
    cohort = first.cohort
    held_out = merge_held_out(one.outputs.held_out for _, one in trained)
    methods = [architecture.method.settings for architecture, _ in trained]
    shared = {name: value for name, value in methods[0].items() if all(other[name] == value for other in methods)}
    metrics = {"AUC": _auc_or_none(cohort, held_out)}
    statement = f"{first.ensemble.info.statement} {STATEMENT.format(count=len(trained))}"

    # What other infants choose, `selection`, is known of each architecture only.
    record = {name: value for name, value in first.record.items() if name not in OF_ONE}
    record |= {"settings": shared, "metrics": metrics, "architectures": [_entry(a, one.record) for a, one in trained]}
    training = {name: value for name, value in first.ensemble.info.training.items() if name not in OF_ONE}
    training |= {"metrics": metrics}
    training["architectures"] = [_entry(a, one.ensemble.info.training) for a, one in trained]

    found = calibrate(
        cohort,
        held_out,
        sorted({entry.run for entry in held_out}),
        calibrated=first.outputs.calibrated,
        optimistic=first.outputs.optimistic,
    )
    info = replace(
        first.ensemble.info,
        settings=shared,
        training=training,
        statement=statement,
        calibration=None if found is None else found.to_dict(),
    )
    members = tuple(member for _, one in trained for member in one.ensemble.members)
    return write_results(directory, Ensemble(members, info), cohort, held_out, record)


def merge_held_out(of_architectures: Iterable[Sequence[HeldOut]]) -> list[HeldOut]:
    """For each recording and fold the median over the architectures, as an assessment merges its networks.

    Conformal sets compare a new infant with these values, so both must be merged alike.
    """
    values: dict[tuple[int, int], list[float]] = {}
    for held_out in of_architectures:
        for entry in held_out:
            values.setdefault((entry.row, entry.run), []).append(entry.value)
    return [HeldOut(row, run, float(np.median(risks))) for (row, run), risks in values.items()]


def _entry(architecture: Architecture, record: Mapping[str, Any]) -> dict[str, Any]:
    return {**architecture.candidate, **{name: record[name] for name in OF_ONE}}


def _auc_or_none(cohort: Cohort, held_out: Sequence[HeldOut]) -> float | None:
    """AUC of the held-out risks; None where it is not defined."""
    labels = np.array([cohort.outcomes[entry.row] for entry in held_out])
    risks = np.array([entry.value for entry in held_out])
    if len(np.unique(labels)) < 2 or not np.isfinite(risks).all():
        return None
    found = auc(risks, labels)
    return found if math.isfinite(found) else None
