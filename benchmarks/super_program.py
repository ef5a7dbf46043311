"""One program for many candidates of a search against a program for each: candidates per hour, compilation included.

    python -m benchmarks.super_program
    python -m benchmarks.super_program --space benchmarks/spaces/tiny.json --epochs 2 --batch-size 4 --infants 20 \
        --duration 7 --batches 1 4
    python -m benchmarks.super_program --space benchmarks/spaces/middle.json --epochs 3 --batch-size 16 --infants 20 \
        --duration 10 --batches 1 4

Candidates of one group (`infantjax.search.supernet.group_of`) are drawn at random and trained without checkpoints, each
in a program of its own (`evaluation.Training`) and as stacks of 1, 2, 4 and 8 in one program
(`evaluation.SharedTraining`), in turns. Both are traced, compiled and trained with nothing kept from before; `further`
is a second stack of the same size in the programs of the first, which is what the later candidates of a search cost.
First, the losses of the first epoch must be those of the candidate's own program; later epochs amplify rounding.

A shared program has the sizes of the largest candidate, so an epoch takes longer (`epoch_ratio`); it pays where that is
less than what compilation takes. `worth_from` is the number of candidates of a group from which on it does, at this
number of epochs, if they are trained one stack after the other; empty where it never does.

Seconds are of the process's CPU time as well as of the wall: on a machine that does other things only the former mean
something, and on an accelerator only the latter. `an_hour` is by the wall.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro

from benchmarks import common
from benchmarks.cohort import simulated
from infantjax import cache as runtime
from infantjax.methods.ensemble_gcn.training import Result
from infantjax.search.evaluation import SharedTraining, Training
from infantjax.search.space import PUBLISHED, Candidate, Choices, SearchSpace, build_published, read_space
from infantjax.search.supernet import GROUPING
from infantjax.training.state import TrainingConfig


@dataclass(frozen=True)
class Options:
    """What is measured."""

    batches: tuple[int, ...] = (1, 2, 4, 8)
    """Candidates of a stack."""
    space: Path | None = None
    """JSON file with the alternatives of some choices, as of `infantjax search`; all published ones if not given."""
    initial_block_type: str = "basic"
    """Of the group."""
    block_type: str = "basic"
    """Of the group."""
    seed: int = 1
    """Of the candidates."""
    infants: int = 28
    """Simulated, 40 % of them positive."""
    duration: float = 20.0
    """Seconds of each recording."""
    epochs: int = 5
    """Of a training."""
    batch_size: int = 32
    """Windows of a step."""
    samples_per_negative: int = 12
    """Windows of a negative infant in an epoch; a positive one gives twice as many."""
    mapping: Literal["auto", "map", "vmap"] = "auto"
    """How the candidates of a stack are mapped: one after the other, or side by side; `auto` is by backend."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    where = common.environment()
    whole = PUBLISHED if options.space is None else read_space(options.space, PUBLISHED)
    space = whole.restricted({"initial_block_type": options.initial_block_type, "block_type": options.block_type})
    if max(options.batches) > space.size:
        raise ValueError(f"the space has {space.size} candidates, too few for a stack of {max(options.batches)}")
    separate = _training(options)
    shared = SharedTraining.of(separate, space, [name for name in space.names if name not in GROUPING])
    candidates = _candidates(space, max(options.batches), options.seed)
    rows: list[dict[str, Any]] = []
    alone: list[dict[str, Any]] = []
    for batch in options.batches:
        alone += [_measured(partial(_alone, separate, choices)) for choices in candidates[len(alone) : batch]]
        together = partial(shared.train_together, candidates[:batch], mapping=options.mapping)
        stack, further = _measured(together), _measured(together)
        rows.append(_row(batch, alone[:batch], stack, further, options.epochs))
        print(json.dumps(rows[-1]), flush=True)
    shapes = {name: getattr(options, name) for name in ("epochs", "batch_size", "infants", "seed", "mapping")}
    name = f"super_program_{options.space.stem if options.space else 'published'}"
    shapes |= {"group": f"{options.initial_block_type}/{options.block_type}", "candidates_of_space": space.size}
    print(common.write(name, rows, shapes, where) if options.write else common.table(rows))
    for row in rows:
        hourly = ", ".join(f"{row[f'{name}_an_hour']:.1f} {how}" for name, how in _WAYS.items())
        print(f"{row['batch']} in a stack, candidates an hour: {hourly}")


_WAYS = {"separate": "apart", "together": "in a shared program", "further": "once that is compiled"}


def _candidates(space: SearchSpace, count: int, seed: int) -> list[dict[str, Any]]:
    generator = random.Random(seed)
    drawn: dict[Candidate, dict[str, Any]] = {}
    while len(drawn) < min(count, space.size):
        candidate = space.sample(generator.random)
        drawn[candidate] = space.choices(candidate)
    return list(drawn.values())


def _alone(training: Training, choices: Choices, **told: Any) -> list[Result]:
    return [training.train(choices, **told)]


def _training(options: Options) -> Training:
    data, fold = simulated(options.infants, options.duration)
    config = TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        samples_per_negative=options.samples_per_negative,
        positive_ratio=2,
    )
    return Training(build_published, data, (fold,), config)


def _measured(train: Callable[..., list[Any]]) -> dict[str, Any]:
    """What trainings came to, with the seconds of all and of an epoch but the first, of the wall and of the CPU."""
    jax.clear_caches()
    began, first = np.array([time.perf_counter(), time.process_time()]), []

    def on_epoch(epoch: int, state: Any) -> None:
        jax.block_until_ready(state.epoch)
        first.append(np.array([time.perf_counter(), time.process_time()]) - began)

    with tempfile.TemporaryDirectory() as folder:
        results = train(directory=folder, on_epoch=on_epoch)
    total = np.array([time.perf_counter(), time.process_time()]) - began
    return {"results": results, "total": total, "epoch": (total - first[0]) / max(len(first) - 1, 1)}


def _row(
    batch: int, alone: list[dict[str, Any]], stack: dict[str, Any], further: dict[str, Any], epochs: int
) -> dict[str, Any]:
    """Of one size of stack; all figures of time for one candidate."""
    error = max(_difference(one["results"][0], own) for one, own in zip(alone, stack["results"]))
    separate = np.mean([one["total"] for one in alone], axis=0)
    separate_epoch = np.mean([one["epoch"] for one in alone], axis=0)
    together, again = stack["total"] / batch, further["total"] / batch
    row: dict[str, Any] = {"batch": batch, "difference": error}
    for clock, name in enumerate(("wall", "cpu")):
        gain = separate[clock] - again[clock]
        row |= {
            f"separate_{name}_s": separate[clock],
            f"together_{name}_s": together[clock],
            f"further_{name}_s": again[clock],
            f"epoch_ratio_{name}": stack["epoch"][clock] / batch / separate_epoch[clock],
            f"worth_from_{name}": (stack["total"][clock] - further["total"][clock]) / gain if gain > 0 else None,
        }
    row |= {f"{name}_an_hour": 3600 / row[f"{name}_wall_s"] for name in _WAYS}
    return row


def _difference(own: Any, shared: Any) -> float:
    """Of the first epochs' losses: later ones drift apart, since training amplifies rounding."""
    found, expected = (np.asarray(each.history["training_loss"][:, :1]) for each in (shared, own))
    return common.require_equal(found, expected, 1e-3, "training loss of the first epoch")


if __name__ == "__main__":
    runtime.shorten_compilation()
    runtime.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__.partition("\n")[0]))
