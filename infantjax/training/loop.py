"""The training loop: epochs of a stack of runs, each epoch one compiled program.

A `SupervisedTask` defines what a run trains; the loop is the same for all tasks: runs over devices, divergence,
checkpoints and exact resume, logs, progress. A run gives the same weights alone, in any stack, and on any number of
devices, up to rounding where the compiler fuses programs differently.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from infantjax import places
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.progress import Progress
from infantjax.settings import Count, check_fields
from infantjax.training.execution import distributed
from infantjax.training.execution.compiled import CompiledTraining, init_program
from infantjax.training.execution.layout import Layout, take_runs, with_sharding
from infantjax.training.records.loggers import LoggerName, require_loggers
from infantjax.training.records.logs import Log, peak_memory
from infantjax.training.state import StackResult, Status, TrainState
from infantjax.training.task import SupervisedTask

if TYPE_CHECKING:
    from infantjax.training.records.checkpoints import CheckpointStore

PROFILED = 3
"""Epochs in a profile, which grows with every operation."""


@dataclass(frozen=True)
class TrainOptions:
    """How a training is executed. None of it changes the result, up to rounding.

    Attributes:
        devices: to use; None is all devices of all processes.
        save_every: epochs between checkpoints, and between writes of `history.csv`.
        quiet: no progress on stderr.
        loggers: of what is measured beside `history.csv`, see `loggers`.
        profile: folder for a profile of the first epochs by `jax.profiler`; None makes none.
        on_epoch: called on the host after each epoch with its number and the state of the padded stack, in memory
            that the next epoch may overwrite.

    Raises:
        ValueError: `save_every` below 1.
    """

    devices: Sequence[jax.Device] | None = None
    save_every: Count = 1
    quiet: bool = True
    loggers: tuple[LoggerName, ...] = ("tensorboard",)
    profile: Path | None = None
    on_epoch: Callable[[int, TrainState], None] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def train(
    task: SupervisedTask,
    runs: Any,
    data: Any,
    *,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    data_digest: str | None = None,
    shard_batches: bool = False,
    options: TrainOptions | None = None,
    compiled: CompiledTraining | None = None,
    init: Mapping[str, Any] | None = None,
) -> StackResult:
    """Train all runs of a stack at once.

    Args:
        task: what the runs train.
        runs: index sets with a leading run axis, see `state.Run`.
        data: what the runs share; on the devices once.
        directory: for checkpoints and logs; an interrupted training there is continued. None keeps nothing.
        description: of the model, JSON-compatible; checkpoints of another model are refused.
        data_digest: of the data; None computes it.
        shard_batches: shard the batches of every run over the devices, in place of the runs.
        options: of the execution.
        compiled: programs of `compiled.trace` for arguments of equal shapes; None compiles here.
        init: variables of the network to start from, `[run, ...]` each; None draws them. `description` must differ
            too.

    Raises:
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    options = options or TrainOptions()
    require_loggers(options.loggers)
    count = len(jax.tree.leaves(runs)[0])
    setup = {
        "config": asdict(task.config),
        "data": data_digest or digest_of(data),
        "splits": digest_of(runs._replace(key=None)),
        "model": dict(description or {}),
        "variables": _shapes_in_words(task.variables),
    }
    drawn = task.draw_variables(runs.key) if init is None else task.to_vectors(init)

    # Devices: the run axis is sharded over them and padded with runs that have ended, or the batches are sharded.
    layout = Layout.create(count, options.devices, shard_batches)
    per_run = layout.per_run
    runs = distributed.device_put_global(layout.pad(runs), per_run)
    active = np.arange(count + layout.padding) < count
    before = distributed.device_put_global((layout.pad(drawn), active), per_run)
    data = distributed.device_put_global(data, layout.replicated)

    init_state = compiled.init_state if compiled else init_program(task, layout)
    shapes = compiled.state if compiled else jax.eval_shape(init_state, before, runs, data)
    with contextlib.ExitStack() as stack:
        quiet = options.quiet or not distributed.is_main_process()
        progress = stack.enter_context(Progress(task.config.epochs, "training", quiet=quiet))
        store = log = None
        if directory is not None and distributed.is_main_process():
            from infantjax.training.records.checkpoints import CheckpointStore

            store = stack.enter_context(CheckpointStore(directory, setup))
            log = stack.enter_context(Log(directory, count, options.loggers))

        # The state: from the newest intact checkpoint, or new.
        done, restored = _restore(task, shapes, count, store, log)
        if done:
            progress.log(f"continuing after epoch {done}")
            padded = layout.pad(restored)
            status = jnp.where(active, padded.status, Status.FINISHED)
            state = distributed.device_put_global(jax.vmap(task.pack_state)(padded._replace(status=status)), per_run)
        else:
            state = init_state(before, runs, data)
        del before

        # The program: compiled once, the state donated.
        advance: Callable[[TrainState, Any, Any], TrainState]
        if compiled:
            advance = compiled.epoch
        elif _running(state).any():
            size = layout.mesh.size
            progress.log(f"compiling {count} run(s) of {type(task.module).__name__} for {size} device(s)")
            began = time.perf_counter()
            advance = task.compile(with_sharding(shapes, per_run), runs, data, layout.mesh)
            progress.log(f"compiled in {time.perf_counter() - began:.1f} s")

        # The loop: the host saves, logs, and checks whether all runs have ended.
        running, counts = _running(state), np.asarray(distributed.fetch(runs.train_count))
        profile, last_profiled = stack.enter_context(_profiled(options.profile)), done + PROFILED
        while running.any():
            done += 1
            if done > last_profiled:
                profile.close()
            began, samples = time.perf_counter(), counts[running].sum()
            with jax.transfer_guard("disallow"):
                state = advance(state, runs, data)
            running = _running(state)
            speed = _speed(task, done, samples, time.perf_counter() - began, layout)
            due = done % options.save_every == 0 or not running.any()
            saved = directory is not None and due
            # Unpacked on the host, where a thousand variables are views; on a device each would be a program.
            whole = task.unpack_state(distributed.fetch(state)) if saved or options.on_epoch else None
            if directory is not None:
                history = whole.history if whole else distributed.fetch(state.history)
            if store and log:
                if saved and whole:
                    # Without the runs that pad the stack: it may be continued on other devices.
                    store.save(done, take_runs(whole, range(count)))
                with store.writing():
                    log.write(done, history, table=saved, speed=speed)
                if saved:
                    places.publish_progress(store.directory)
            if whole and options.on_epoch:
                options.on_epoch(done, whole)
            progress.update(done, task.format_summary(np.asarray(distributed.fetch(state.best_score))[:count]))
        return StackResult.from_state(take_runs(task.unpack_state(distributed.fetch(state)), range(count)))


@contextlib.contextmanager
def _profiled(folder: Path | None) -> Iterator[contextlib.ExitStack]:
    """Profile until what is given is closed."""
    with contextlib.ExitStack() as profile:
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                what = f"cannot be written ({error.strerror})"
                raise InputError(folder, what, "give another folder by --profile") from None
            profile.enter_context(jax.profiler.trace(folder))
        yield profile


def _restore(
    task: SupervisedTask, shapes: TrainState, count: int, store: "CheckpointStore | None", log: Log | None
) -> tuple[int, TrainState]:
    """Epoch and state of the newest intact checkpoint, on every process; epoch 0 where there is none."""
    wanted = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct((count, *s.shape[1:]), s.dtype), jax.eval_shape(task.unpack_state, shapes)
    )
    found = store.restore(wanted) if store else None
    if found is not None and store and log:
        with store.writing():
            log.write(found[0], found[1].history)
    epoch = int(distributed.broadcast_from_host0(np.int32(found[0] if found else 0)))
    if not epoch:
        return 0, wanted
    state = found[1] if found else jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), wanted)
    return epoch, distributed.broadcast_from_host0(state)


def digest_of(tree: Any) -> str:
    """SHA-256 over the structure and all arrays of a tree."""
    leaves, structure = jax.tree.flatten(tree)
    return sha256(str(structure), *(np.ascontiguousarray(leaf) for leaf in leaves))


def _running(state: TrainState) -> np.ndarray:
    """`[run]` whether each run of the padded stack goes on."""
    return np.asarray(distributed.fetch(state.status)) == Status.RUNNING


def _speed(task: SupervisedTask, epoch: int, samples: int, seconds: float, layout: Layout) -> dict[str, float]:
    """Learning rate (NaN where it changes), seconds, samples a second and memory of an epoch, for the logs."""
    rate = task.learning_rate(epoch - 1)
    return {
        "learning_rate": math.nan if rate is None else rate,
        "seconds": seconds,
        "samples_per_second": samples / seconds,
        "memory_mb": peak_memory(layout.mesh.local_devices),
    }


def _shapes_in_words(variables: Any) -> dict[str, str]:
    """Names and shapes, JSON-compatible."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
