"""What a search trial spends before and in its first epoch, for the ten published architectures.

    python -m benchmarks.trial_compile

Trace, lowering, compilation, first epoch and a later one apart, of the program that a worker compiles for a candidate:
sampling, views, training and validation of an epoch. Compilation is also given in CPU seconds of all threads, which
others on the machine disturb less, and with the number of kernels. Programs of earlier runs are not used.
"""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import tyro

from benchmarks import common
from benchmarks.cohort import simulated
from infantjax import cache as runtime
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.architecture import KBEST
from infantjax.methods.ensemble_gcn.objective import build
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.training.execution.compiled import CompiledTraining, trace
from infantjax.training.execution.layout import compiler_options
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split

STAGES = ("trace", "lower", "compile", "compile_begin")
"""Before the first epoch, one after the other; `compile` is the program of the epochs, `compile_begin` that of the
state before the first. A search compiles the two at once."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    networks: tuple[int, ...] = tuple(range(1, len(KBEST) + 1))
    """Numbers of the published architectures."""
    infants: int = 28
    """Simulated, 40 % of them positive."""
    duration: float = 20.0
    """Seconds of each recording."""
    batch_size: int = 32
    """Windows of a step."""
    samples_per_negative: int = 4
    """Windows of a negative infant in an epoch; a positive one gives twice as many."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    where = common.environment()
    data, fold = simulated(options.infants, options.duration)
    config = TrainingConfig(
        epochs=3, batch_size=options.batch_size, samples_per_negative=options.samples_per_negative, positive_ratio=2
    )
    rows = []
    for number in options.networks:
        module = build(KBEST[number - 1].to_choices())
        rows.append({"network": f"kbest-gcn-{number}", **measured(module, data, fold, config)})
        print(json.dumps(rows[-1]), flush=True)
        jax.clear_caches()
        gc.collect()
    shapes = {name: getattr(options, name) for name in ("infants", "duration", "batch_size", "samples_per_negative")}
    print(common.write("trial_compile", rows, shapes, where) if options.write else common.table(rows))


def measured(module: Any, data: CohortData, fold: Split, config: TrainingConfig) -> dict[str, float]:
    """Seconds of each stage of a trial."""
    taken: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        taken[f"{stage}_s"] = time.perf_counter() - wall
        taken[f"{stage}_cpu_s"] = time.process_time() - cpu

    setup = stack.setup(module, data, [fold], config)
    with timed("trace"):
        tracing = trace(setup.task, setup.runs, data)
    with timed("lower"):
        begin, epoch = tracing.init_state.lower(), tracing.epoch.lower()
    with timed("compile"):
        compiled = epoch.compile(compiler_options=compiler_options(tracing.mesh))
    with timed("compile_begin"):
        programs = CompiledTraining(tracing.task, tracing.state, begin.compile(), compiled)
    moments = [time.perf_counter()]
    fit(
        *setup,
        compiled=programs,
        options=TrainOptions(on_epoch=lambda *_: moments.append(time.perf_counter())),
    )
    first, *later = np.diff(moments).tolist()
    steps = int(setup.runs.train_count[0])
    return {
        **taken,
        "kernels": str(programs.epoch.as_text()).count(" fusion("),
        "first_epoch_s": first,
        "epoch_s": min(later),
        "steps": steps // config.batch_size,
        "time_to_first_epoch_s": sum(taken[f"{stage}_s"] for stage in STAGES) + first,
    }


if __name__ == "__main__":
    runtime.shorten_compilation()
    runtime.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__))
