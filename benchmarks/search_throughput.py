"""A search: trials per hour over a fixed list of candidates, compilation included.

    python -m benchmarks.search_throughput
    python -m benchmarks.search_throughput --workers 2

Ours is what a search does with a candidate (`AucObjective` of the method `ensemble_gcn`): trace, compile, train,
evaluate, write checkpoints. While one candidate trains the next one is compiled, as by a search; the list is known, so
what comes next always is. The peer is the loop that one would write in PyTorch: a `Dataset` that cuts, augments and
describes a window in NumPy, a `DataLoader`, one candidate after the other in one process, an evaluation after each
epoch, no checkpoints. Both have the same cohort, batch size, epochs and number of windows; no training is stopped
early, since then the two would do different work, and where ours ends because it diverges the peer has as many epochs.
First, the features of a window, and the loss and the weights after one step of each candidate, must be equal on both
sides.

All of ours run first, then all of the peer's, since compilation goes on between candidates. A candidate's `ours_s` is
from the end of the one before to its own end; its own compilation is in it as far as it was waited for (`waited_s`),
and that of the next one runs beside it. `ahead_s` is what tracing and compiling a candidate took in their thread,
`ours_cpu_s` the CPU seconds of the process, and `idle` the share of the time in which nothing trained, the proxy for
the idle share of the device. The paper's trials have 100 epochs, the first checkpoint after ten of them: fewer epochs
overstate what compilation costs. Compiled programs of earlier runs are not used.

With several workers each is a process, as the tasks of a cluster are, and
takes the next candidate of the list when it is done with one; nothing is compiled ahead, since other workers train
meanwhile. A candidate's seconds are then those in its worker, divided by the number of workers; those of the mean
trial are the time from the start of the processes to the end of the last, so what a worker waits for the others at
the end is in it (`ended_s` is when a trial and those before it had ended). The peer stays the one process that uses
all cores.
"""

import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro
from torch.utils.data import DataLoader, Dataset

from benchmarks import common, torch_twin
from benchmarks.cohort import simulated
from benchmarks.stack_training import require_equal_step
from infantjax import cache as runtime
from infantjax.evaluation.discrimination import auc
from infantjax.methods.ensemble_gcn.architecture import Architecture
from infantjax.methods.ensemble_gcn.objective import SPACE, AucObjective, build
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.recording import features
from infantjax.recording.windows import WINDOW, window_starts
from infantjax.search.space import pick
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.execution.compiled import CompiledTraining
from infantjax.training.splits import Split


@dataclass(frozen=True)
class Options:
    """What is measured."""

    candidates: int = 4
    """Candidates, the first of the published space by the seed."""
    seed: int = 1
    """Of the candidates."""
    infants: int = 28
    """Simulated, 40 % of them positive."""
    duration: float = 20.0
    """Seconds of each recording."""
    epochs: int = 5
    """Of a trial."""
    batch_size: int = 32
    """Windows of a step."""
    samples_per_negative: int = 12
    """Windows of a negative infant in an epoch; a positive one gives twice as many."""
    workers: int = 1
    """Processes that evaluate candidates side by side."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    torch.manual_seed(0)
    where = common.environment()
    data, fold = simulated(options.infants, options.duration)
    config = TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        samples_per_negative=options.samples_per_negative,
        positive_ratio=2,
    )
    training = AucObjective(build, data, (fold,), config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    window = jnp.asarray(data.positions[:1, :WINDOW])
    found = features.build_features(window, data.skeleton)[0].transpose(2, 0, 1)
    common.require_equal(_described(np.asarray(window[0])), found, 1e-6, "features")

    generator = random.Random(options.seed)
    candidates = [SPACE.choices(pick(SPACE.uniform(), generator.random)) for _ in range(options.candidates)]
    twins = []
    rows: list[dict[str, Any]] = []
    for number, choices in enumerate(candidates):
        twins.append(torch_twin.GraphNetwork(choices).to(device))
        size, module = min(8, options.batch_size), build(choices)
        error = require_equal_step(
            f"candidate {number}", Architecture.from_choices(choices), module, twins[-1], size, str(device)
        )
        rows.append({"candidate": str(number), "difference": error})
    several = options.workers > 1
    trials = _trials_of_workers(training, candidates, options.workers) if several else _our_trials(training, candidates)
    for row, ours in zip(rows, trials):
        row |= ours
        print(json.dumps(row), flush=True)
    for row, twin in zip(rows, twins):
        row["peer_s"] = _peer_trial(twin, data, fold, replace(config, epochs=row["epochs"]), device)
        row["ratio"] = row["peer_s"] / row["ours_s"]
        print(json.dumps(row), flush=True)
    rows.append(_summary(rows))
    names = ("epochs", "batch_size", "infants", "seed", "candidates", "workers")
    shapes = {name: getattr(options, name) for name in names}
    shapes["programs"] = 2 * len(candidates)
    if options.write:
        name = f"search_throughput_{options.workers}_workers" if several else "search_throughput"
        print(common.write(name, rows, shapes, where))
    else:
        print(common.table(rows), shapes)
    for side in ("ours", "peer"):
        print(f"{side}: {3600 / rows[-1][f'{side}_s']:.1f} trials an hour")


def _our_trials(training: AucObjective, candidates: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One candidate after the other, the next one compiled while one trains."""

    def prepare(choices: dict[str, Any]) -> tuple[CompiledTraining, float]:
        began = time.perf_counter()
        return training.precompile(choices), time.perf_counter() - began

    with ThreadPoolExecutor(1) as thread:
        began, used = time.perf_counter(), time.process_time()
        ahead = thread.submit(prepare, candidates[0])
        for choices, following in zip(candidates, [*candidates[1:], None]):
            programs, seconds = ahead.result()
            waited = time.perf_counter() - began
            if following is not None:
                ahead = thread.submit(prepare, following)
            with tempfile.TemporaryDirectory() as folder:
                details = training(choices, Path(folder), lambda epoch, value: None, programs).details
            ended, now = time.perf_counter(), time.process_time()
            yield _figures(details, ended - began, now - used, seconds, waited)
            began, used = ended, now


def _trials_of_workers(
    training: AucObjective, candidates: list[dict[str, Any]], workers: int
) -> Iterator[dict[str, Any]]:
    """Candidates evaluated by processes beside each other."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(workers)
    with ProcessPoolExecutor(workers, context, _begin_worker, (ready,)) as pool:
        wait([pool.submit(_nothing) for _ in range(workers)])  # imported, as the peer is
        began = time.perf_counter()
        for found in [pool.submit(_trial_of_worker, training, choices) for choices in candidates]:
            trial = found.result()
            yield trial | {"ours_s": trial["ours_s"] / workers, "ended_s": time.perf_counter() - began}


def _begin_worker(ready: Any) -> None:
    """What `infantjax search` does when it begins, but that compiled programs are not kept."""
    runtime.shorten_compilation()
    jax.devices()
    ready.wait()


def _nothing() -> None:
    """Wait for the process to begin."""


def _trial_of_worker(training: AucObjective, choices: dict[str, Any]) -> dict[str, Any]:
    """A candidate in a worker; the same figures as of `_our_trials`."""
    began, used = time.perf_counter(), time.process_time()
    programs = training.precompile(choices)
    ahead = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        details = training(choices, Path(folder), lambda epoch, value: None, programs).details
    jax.clear_caches()
    seconds = time.perf_counter() - began
    return _figures(details, seconds, time.process_time() - used, ahead, ahead)


def _figures(
    details: Mapping[str, Any], seconds: float, cpu_seconds: float, ahead: float, waited: float
) -> dict[str, Any]:
    """What a row tells of a trial: its seconds, of them those until its programs were there, and what these took."""
    return {
        # A training that diverges has computed the epoch in which it does.
        "epochs": details["epochs"] + ("diverged" in details["runs"]),
        "ours_s": seconds,
        "ours_cpu_s": cpu_seconds,
        "ahead_s": ahead,
        "waited_s": waited,
        "first_epoch_s": waited + details["seconds_to_first_epoch"],
        "idle": 1 - details["seconds"] / seconds,
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds of a mean trial; the ratio is that of all trials."""
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if name != "candidate"}
    if "ended_s" in mean:
        mean["ended_s"] = max(row["ended_s"] for row in rows)
        mean["ours_s"] = mean["ended_s"] / len(rows)
    mean["difference"] = max(row["difference"] for row in rows)
    return {"candidate": "mean", **mean, "ratio": mean["peer_s"] / mean["ours_s"]}


class Windows(Dataset):
    """Windows of some infants as one writes it in PyTorch: for training a random one of each part, augmented."""

    def __init__(self, data: CohortData, rows: tuple[int, ...], config: TrainingConfig, train: bool) -> None:
        self.positions, self.lengths, self.labels = (np.asarray(a) for a in (data.positions, data.lengths, data.labels))
        self.train, self.generator = train, np.random.default_rng(0)
        self.samples: list[tuple[int, int, int]] = []
        for row in rows:
            parts = config.samples_per_negative * (config.positive_ratio if self.labels[row] else 1)
            starts = window_starts(int(self.lengths[row]))
            self.samples += (
                [(row, part, parts) for part in range(parts)] if train else [(row, int(start), 0) for start in starts]
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int, int]:
        row, start, parts = self.samples[index]
        if self.train:
            last = int(self.lengths[row]) - WINDOW
            part = int(self.lengths[row]) // parts
            start = int(self.generator.integers(min(start * part, last), min((start + 1) * part, last) + 1))
        window = self.positions[row, start : start + WINDOW]
        if self.train:
            window = self._augmented(window)
        return _described(window), int(self.labels[row]), row

    def _augmented(self, window: np.ndarray) -> np.ndarray:
        angle = -np.deg2rad(self.generator.integers(-45, 46))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
        scale = np.float32(self.generator.integers(70, 131) / 100)
        shift = (self.generator.integers(-30, 31, 2) / 100).astype(np.float32)
        return window @ turn * scale + shift


_PARENTS = [IN_MOTION_19.joints.index(parent) for parent in IN_MOTION_19.parents]


def _described(window: np.ndarray) -> np.ndarray:
    """Position, velocity and bone of a window, `[channel, time, joint]`."""
    velocity = np.zeros_like(window)
    velocity[:-2] = window[1:-1] - window[:-2]
    bone = window - window[:, _PARENTS]
    return np.concatenate([window, velocity, bone], -1).transpose(2, 0, 1)


def _peer_trial(
    model: torch.nn.Module, data: CohortData, fold: Split, config: TrainingConfig, device: torch.device
) -> float:
    """Seconds of a whole training with an evaluation after each epoch."""
    began = time.perf_counter()
    training = DataLoader(Windows(data, fold.train, config, True), config.batch_size, shuffle=True, drop_last=True)
    validation = DataLoader(Windows(data, fold.validation, config, False), config.batch_size)
    optimizer = torch_twin.nesterov_sgd(model, config.learning_rate, config.momentum)
    best = 0.0
    for _ in range(config.epochs):
        for x, y, _row in training:
            torch_twin.torch_training_step(model, optimizer, x.to(device), y.to(device))
        risks: dict[int, list[float]] = {}
        for x, _y, rows in validation:
            scores = torch_twin.torch_inference(model, x.to(device), config.batch_size)
            for row, risk in zip(rows.tolist(), torch.softmax(scores, -1)[:, 1].tolist()):
                risks.setdefault(row, []).append(risk)
        infants = [float(np.median(found)) for found in risks.values()]
        if np.isfinite(infants).all():
            best = max(best, auc(infants, [int(data.labels[row]) for row in risks]))
    common.torch_wait(best)
    return time.perf_counter() - began


if __name__ == "__main__":
    runtime.shorten_compilation()
    main(tyro.cli(Options, description=__doc__))
