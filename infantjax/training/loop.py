"""The training loop: epochs of a stack of runs as one compiled program, whatever it is that they train.

A `Task` says what a run trains: its batches, its loss and how it is judged. The loop does the rest for all tasks: runs
over devices, the best epoch, divergence, checkpoints and exact resume, logs, progress. A run gives the same weights
alone, in any stack, and on any number of devices, up to the rounding of programs that the compiler fuses differently.

The page is in the order of execution: `train` sets up, then come the epoch and its parts.
"""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypedDict, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled, Traced
from jaxtyping import Array

from infantjax.cache import COMPILER_OPTIONS
from infantjax.nn.initializers import Initialization
from infantjax.progress import Progress
from infantjax.training import distributed as processes
from infantjax.training.packing import Packing
from infantjax.training.state import Status, TrainState

RunMapping = Literal["auto", "map", "vmap"]
"""How runs are mapped on one device: `map` one after the other, `vmap` side by side; `auto` is `map` on a CPU, where a
vmapped convolution would turn into a slow grouped one, and `vmap` elsewhere."""

BATCH_AXIS = "batch"
"""Name of the mesh axis over which the batches of a run are spread."""


class Config(Protocol):
    """What the loop reads of a task's configuration."""

    @property
    def epochs(self) -> int:
        """Passes over the training samples."""

    @property
    def seed(self) -> int:
        """Root of every random number."""


class EpochResult(NamedTuple):
    """What the steps of an epoch give.

    Attributes:
        variables: each collection as one vector.
        opt_state: of the optimizer.
        loss: `[]` mean over the steps.
    """

    variables: dict[str, Any]
    opt_state: Any
    loss: Array


class EvalResult(NamedTuple):
    """How the weights after an epoch do on what the run is validated on.

    Attributes:
        loss: `[]`.
        score: `[]` by which the best epoch is chosen, higher is better.
        outputs: what is kept of the best epoch beside its weights.
        figures: `[]` each, by name: what the history tells beside the losses.
    """

    loss: Array
    score: Array
    outputs: Any
    figures: dict[str, Array]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainResult:
    """What a stack of runs came to; arrays are NumPy with a leading run axis. Each task adds what it measures.

    Attributes:
        variables: of the best epoch of each run; the last ones where no epoch was good enough.
        best_epoch: `[run]`, counted from 1; 0 where no epoch was good enough.
        status: how each run ended.
        ended: `[run]` the last epoch that counts; for a diverged run the one before it diverged.
        history: `[run, epoch]` of each figure; NaN where a run did not get so far, and where it diverged.
    """

    variables: dict[str, Any]
    best_epoch: np.ndarray
    status: tuple[Status, ...]
    ended: np.ndarray
    history: dict[str, np.ndarray]

    @staticmethod
    def of(state: TrainState) -> dict[str, Any]:
        """These fields, from the state that `train` returns."""
        return {
            "variables": state.best,
            "best_epoch": np.asarray(state.best_epoch),
            "status": tuple(Status(int(s)) for s in state.status),
            "ended": np.asarray(state.epoch - (state.status == Status.DIVERGED)),
            "history": jax.tree.map(np.asarray, state.history),
        }


@dataclass(frozen=True, eq=False)
class Task(ABC):
    """What a run trains. Closes over what never changes; every method is pure, and about one run.

    In the compiled program each collection of variables is one vector, see `training.packing`. What differs between
    runs is in `run`, a named tuple of arrays with the run's random `key`; what they share is in `data`.

    Attributes:
        module: network with `init(key, x)` and `apply(variables, x, train=...)`.
        config: the same for all runs.
        input_shape: of the pictures or windows of a batch of one.
    """

    module: nn.Module
    config: Any
    input_shape: tuple[int, ...]

    min_score = -np.inf
    """A score must be above it to be the best."""

    first_epoch = 1
    """Of an epoch before it no score is the best; its weights stand in for them."""

    def initial(self, key: Array, run: Any, data: Any) -> dict[str, Array]:
        """The network's variables before the first epoch, each collection as one vector."""
        return self.initialization.vectors(key)

    @property
    @abstractmethod
    def optimizer(self) -> optax.GradientTransformation:
        """Of the vector of all parameters."""

    @abstractmethod
    def train_epoch(self, state: TrainState, run: Any, data: Any, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; none of a run that is not running."""

    @abstractmethod
    def evaluate_run(self, variables: dict[str, Array], run: Any, data: Any, running: Array) -> EvalResult:
        """Judge weights on what the run is validated on."""

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """Whether a run ends before its last epoch."""
        return jnp.bool_(False)

    @cached_property
    def judgment(self) -> Callable[..., EvalResult]:
        """`judge`, traced once: for the shapes of what it returns, and for the epoch."""
        return jax.jit(self.evaluate_run)

    @cached_property
    def variables(self) -> Any:
        """Shapes of the network's variables."""
        return self.initialization.variables

    @cached_property
    def initialization(self) -> Initialization:
        """How the network begins, traced once."""
        return Initialization.of(self.module, jnp.zeros(self.input_shape))

    @cached_property
    def packings(self) -> dict[str, Packing]:
        """Where each variable lies in the vector of its collection."""
        return {name: Packing.of(tree) for name, tree in self.variables.items()}

    def pack(self, variables: Mapping[str, Any]) -> dict[str, Array]:
        """Each collection as one vector."""
        return {name: packing.pack(variables[name]) for name, packing in self.packings.items()}

    def unpack(self, vectors: Mapping[str, Array]) -> dict[str, Any]:
        """The network's variables, with any leading axes of the vectors."""
        return {name: packing.unpack(vectors[name]) for name, packing in self.packings.items()}

    def unpacked(self, state: TrainState) -> TrainState:
        """A state with the network's variables in place of their vectors."""
        return state._replace(variables=self.unpack(state.variables), best=self.unpack(state.best))

    def packed(self, state: TrainState) -> TrainState:
        """The inverse, for the state of one run."""
        return state._replace(variables=self.pack(state.variables), best=self.pack(state.best))

    def step(
        self,
        variables: dict[str, Array],
        optimizer: Any,
        loss: Callable[[dict[str, Any]], tuple[Array, Mapping[str, Any]]],
        factor: Array | None = None,
    ) -> tuple[dict[str, Array], Any, Array]:
        """One step of the optimizer.

        Args:
            variables: each collection as one vector.
            optimizer: its memory.
            loss: of the network's variables, and the collections that this pass has changed.
            factor: of the change, for a rate that is not the optimizer's.

        Returns:
            Variables and memory after the step, and the loss before it.
        """
        unpacked = self.unpack(variables)

        def of_parameters(params: Any) -> tuple[Array, Mapping[str, Any]]:
            return loss({**unpacked, "params": params})

        (value, updates), tree = jax.value_and_grad(of_parameters, has_aux=True)(unpacked["params"])
        gradient = self.packings["params"].pack(tree)
        change, optimizer = self.optimizer.update(gradient, optimizer, variables["params"])
        change = change if factor is None else factor * change
        changed = {name: self.packings[name].pack(collection) for name, collection in updates.items()}
        changed["params"] = optax.apply_updates(variables["params"], change)
        return {**variables, **changed}, optimizer, value

    def init_state(self, active: Array, run: Any, data: Any) -> TrainState:
        """State of a run before its first epoch; a run that only pads the stack has ended."""
        variables = self.initial(jax.random.fold_in(run.key, 0), run, data)
        judged = jax.eval_shape(self.judgment, variables, run, data, active)
        nothing = jnp.full(self.config.epochs, jnp.nan)
        return TrainState(
            variables=variables,
            opt_state=self.optimizer.init(variables["params"]),
            epoch=jnp.int32(0),
            status=jnp.where(active, Status.RUNNING, Status.FINISHED).astype(jnp.int32),
            best=variables,
            best_epoch=jnp.int32(0),
            best_score=jnp.float32(self.min_score),
            best_outputs=jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), judged.outputs),
            history=dict.fromkeys(("training_loss", "validation_loss", *judged.figures), nothing),
        )

    def epoch(self, state: TrainState, run: Any, data: Any) -> TrainState:
        """One epoch: train, judge, keep the best. A run that has ended does not change."""
        running = state.status == Status.RUNNING
        trained = self.train_epoch(state, run, data, jax.random.fold_in(run.key, state.epoch + 1), running)
        return self.update_state(state, trained, self.judgment(trained.variables, run, data, running))

    def update_state(self, state: TrainState, trained: EpochResult, judged: EvalResult) -> TrainState:
        """The state after an epoch, from that before it."""
        running, epoch = state.status == Status.RUNNING, state.epoch + 1
        finite = jnp.isfinite(trained.loss) & jnp.isfinite(judged.loss) & _all_finite(trained.variables)
        accepted = running & finite
        better = accepted & (epoch >= self.first_epoch) & (judged.score > state.best_score)
        best_epoch = jnp.where(better, epoch, state.best_epoch)
        best_score = jnp.where(better, judged.score, state.best_score)
        status = jnp.select(
            [~finite, self.should_stop(epoch, best_epoch, best_score), epoch == self.config.epochs],
            [Status.DIVERGED, Status.STOPPED, Status.FINISHED],
            Status.RUNNING,
        )
        # While no score was high enough the newest weights stand in for the best.
        take = better | (accepted & (state.best_epoch == 0))
        measured = {"training_loss": trained.loss, "validation_loss": judged.loss, **judged.figures}
        recorded = {name: past.at[epoch - 1].set(measured[name]) for name, past in state.history.items()}
        return TrainState(
            variables=_where(accepted, trained.variables, state.variables),
            opt_state=_where(accepted, trained.opt_state, state.opt_state),
            epoch=jnp.where(running, epoch, state.epoch),
            status=jnp.where(running, status, state.status).astype(jnp.int32),
            best=_where(take, trained.variables, state.best),
            best_epoch=best_epoch,
            best_score=best_score,
            best_outputs=_where(take, judged.outputs, state.best_outputs),
            history=_where(running, recorded, state.history),
        )

    def map_runs(self, function: Callable, mesh: Mesh, mapping: RunMapping = "auto") -> Callable:
        """`function(state, run, data)` over the run axis, each device mapping the runs that it holds."""
        vmapped = mapping == "vmap" or (mapping == "auto" and jax.default_backend() != "cpu")

        def local(state: Any, run: Any, data: Any) -> Any:
            if vmapped:
                return jax.vmap(function, in_axes=(0, 0, None))(state, run, data)
            return lax.map(lambda one: function(*one, data), (state, run))

        if mesh.size == 1:
            # A mesh marks every operation with its sharding: two fifths of the program that XLA would read.
            return local
        specs = (P("run"), P("run"), P())
        return jax.shard_map(
            local, mesh=mesh, in_specs=specs, out_specs=P("run"), check_vma=False, axis_names=frozenset({"run"})
        )

    def beginning(self, mesh: Mesh, mapping: RunMapping) -> Any:
        """`begin` of the whole stack, to be traced or called."""
        return jax.jit(self.map_runs(self.init_state, mesh, mapping), compiler_options=compiler_options())

    def program(self, state: TrainState, runs: Any, data: Any, mesh: Mesh, mapping: RunMapping) -> Traced:
        """An epoch of the whole stack, traced; it overwrites the state that it is given.

        Args:
            state: shapes with their shardings.
            runs: likewise, or arrays.
            data: likewise, or arrays.
            mesh: of the devices.
            mapping: of the runs on one device.
        """
        return jax.jit(self.map_runs(self.epoch, mesh, mapping), donate_argnums=0).trace(state, runs, data)

    def compile(
        self, state: TrainState, runs: Any, data: Any, mesh: Mesh, mapping: RunMapping
    ) -> Callable[[TrainState, Any, Any], TrainState]:
        """`program` compiled, for runs and data that are on the devices."""
        return self.program(state, runs, data, mesh, mapping).lower().compile(compiler_options=compiler_options())


def compiler_options() -> dict[str, Any] | None:
    """Of the programs of a training on this backend."""
    return COMPILER_OPTIONS.get(jax.default_backend())


@dataclass(frozen=True, eq=False)
class CompiledTraining:
    """A training whose programs are compiled, and which has not begun.

    Attributes:
        task: what its runs train.
        state: shapes of the padded stack with their shardings.
        begin: the state before the first epoch, from which runs are active, the runs, and the data.
        epoch: the state after an epoch, from that before it, the runs, and the data.
    """

    task: Task
    state: TrainState
    begin: Compiled
    epoch: Compiled


@dataclass(frozen=True, eq=False)
class Tracing:
    """The same before it is compiled; see `trace`."""

    task: Task
    state: TrainState
    begin: Traced
    epoch: Traced

    def compile(self) -> CompiledTraining:
        """Compile both at once: this takes no device, and leaves Python's lock to other threads."""
        with ThreadPoolExecutor(1) as other:
            begin = other.submit(self.begin.lower().compile)
            epoch = self.epoch.lower().compile(compiler_options=compiler_options())
        return CompiledTraining(self.task, self.state, begin.result(), epoch)


def trace(
    task: Task,
    runs: Any,
    data: Any,
    count: int,
    *,
    mapping: RunMapping = "auto",
    devices: Sequence[jax.Device] | None = None,
) -> Tracing:
    """The programs of a training that does not begin yet, for instance because another one still trains.

    Args:
        task: as for `train`, as all arguments; one that compiles its epoch as one program.
        runs: only their shapes matter.
        data: only their shapes matter.
        count: of the runs.
        mapping: of the runs on one device.
        devices: over which the runs are spread.
    """
    layout = _Layout.of(count, devices, spread_batches=False)
    runs, data = jax.eval_shape(lambda runs, data: (layout.padded(runs), data), runs, data)
    runs, data = _with_sharding(runs, layout.per_run), _with_sharding(data, layout.replicated)
    active = jax.ShapeDtypeStruct((count + layout.padding,), bool, sharding=layout.per_run)
    begin = task.beginning(layout.mesh, mapping).trace(active, runs, data)
    state = _with_sharding(begin.out_info, layout.per_run)
    return Tracing(task, state, begin, task.program(state, runs, data, layout.mesh, mapping))


class Execution(TypedDict, total=False):
    """How a training is carried out; none of it changes what is learnt. The trainings of all networks take these.

    Attributes:
        directory: where checkpoints and logs go, and from where an interrupted training continues; None keeps nothing.
        mapping: how runs are mapped on one device.
        devices: over which the work is spread; None is all, also those of other processes.
        save_every: epochs between checkpoints, and between tables of the history.
        quiet: no progress on stderr.
        on_epoch: called on the host after each epoch with its number and the state of the padded stack, in memory
            that the next epoch may overwrite.
    """

    directory: str | Path | None
    mapping: RunMapping
    devices: Sequence[jax.Device] | None
    save_every: int
    quiet: bool
    on_epoch: Callable[[int, TrainState], None] | None


def train(
    task: Task,
    runs: Any,
    data: Any,
    setup: Mapping[str, Any],
    *,
    run_ids: Sequence[int],
    directory: str | Path | None = None,
    mapping: RunMapping = "auto",
    devices: Sequence[jax.Device] | None = None,
    spread_batches: bool = False,
    save_every: int = 1,
    quiet: bool = True,
    summary: Callable[[np.ndarray], str] = lambda scores: "",
    on_epoch: Callable[[int, TrainState], None] | None = None,
    programs: CompiledTraining | None = None,
) -> TrainState:
    """Train all runs at once.

    Args:
        task: what they train.
        runs: `[run, ...]` of each array: what differs between them.
        data: what they share; on the devices once.
        setup: all that must be equal for a training to be continued, JSON-compatible.
        run_ids: number of each run.
        directory: where checkpoints and logs go, and from where an interrupted training continues; None keeps nothing.
        mapping: how runs are mapped on one device.
        devices: over which the work is spread; None is all, also those of other processes.
        spread_batches: spread the batches of every run over the devices, in place of the runs.
        save_every: epochs between checkpoints, and between tables of the history.
        quiet: no progress on stderr.
        summary: of the best scores so far `[run]`, for the progress.
        on_epoch: called on the host after each epoch with its number and the state of the padded stack, in memory
            that the next epoch may overwrite.
        programs: what `trace` made of the same task and arguments, compiled; None compiles here.

    Returns:
        The state of every run after its last epoch, on the host, with the network's variables.

    Raises:
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    count = len(run_ids)

    # Devices: the run axis is spread over them, padded with runs that have ended already; or the batches are.
    layout = _Layout.of(count, devices, spread_batches)
    mesh, per_run, padding = layout.mesh, layout.per_run, layout.padding
    runs = processes.device_put_global(layout.padded(runs), per_run)
    active = processes.device_put_global(np.arange(count + padding) < count, per_run)
    data = processes.device_put_global(data, layout.replicated)

    begin = programs.begin if programs else task.beginning(mesh, mapping)
    shapes = programs.state if programs else jax.eval_shape(begin, active, runs, data)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(
            Progress(task.config.epochs, "training", quiet=quiet or not processes.is_main_process())
        )

        # The state: from the newest whole checkpoint, or new.
        store, found = None, None
        wanted = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct((count, *s.shape[1:]), s.dtype), jax.eval_shape(task.unpacked, shapes)
        )
        if directory is not None and processes.is_main_process():
            from infantjax.training.checkpoints import CheckpointStore
            from infantjax.training.logs import Log

            store = stack.enter_context(CheckpointStore(directory, {**setup, "variables": _described(task.variables)}))
            log = stack.enter_context(Log(directory, run_ids))
            found = store.restore(wanted)
            if found is not None:
                progress.log(f"continuing after epoch {found[0]}")
                with store.writing():
                    log.write(found[0], found[1].history)
        done = int(processes.broadcast_from_host0(np.int32(found[0] if found else 0)))
        if done:
            restored = found[1] if found else jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), wanted)
            restored = layout.padded(processes.broadcast_from_host0(restored))
            ended = jnp.where(np.arange(count + padding) < count, restored.status, Status.FINISHED)
            state = processes.device_put_global(jax.vmap(task.packed)(restored._replace(status=ended)), per_run)
        else:
            state = begin(active, runs, data)

        # The program: compiled once, the state donated.
        advance: Callable[[TrainState, Any, Any], TrainState]
        if programs:
            advance = programs.epoch
        elif _running(state):
            progress.log(f"compiling {count} run(s) of {type(task.module).__name__} for {mesh.size} device(s)")
            begun = time.perf_counter()
            advance = task.compile(_with_sharding(shapes, per_run), runs, data, mesh, mapping)
            progress.log(f"compiled in {time.perf_counter() - begun:.1f} s")

        # The loop: the host saves, writes down, and looks whether all runs have ended.
        while _running(state):
            epoch = done = done + 1
            with jax.transfer_guard("disallow"):
                state = advance(state, runs, data)
            saved = directory is not None and (epoch % save_every == 0 or not _running(state))
            # On the host, where a thousand variables are views; on a device each would be a program to compile.
            whole = task.unpacked(processes.fetch(state)) if saved or on_epoch else None
            if directory is not None:
                history = whole.history if whole else processes.fetch(state.history)
                if store is not None:
                    if whole and saved:
                        # Runs that only pad the stack stay out: the devices may be others when it continues.
                        store.save(epoch, take_runs(whole, range(count)))
                    with store.writing():
                        log.write(epoch, history, table=saved)
            if whole and on_epoch:
                on_epoch(epoch, whole)
            progress.update(epoch, summary(np.asarray(processes.fetch(state.best_score))[:count]))
        return take_runs(task.unpacked(processes.fetch(state)), range(count))


Tree = TypeVar("Tree")


def take_runs(tree: Tree, runs: Sequence[int] | np.ndarray) -> Tree:
    """Some runs of a tree with a leading run axis."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[np.asarray(runs)], tree)


def shuffled(key: Array, samples: Array, padded: int) -> Array:
    """The numbers of a run's samples in random order `[padded]`, padding last; the padding changes no sample's place.

    Args:
        key: of the epoch.
        samples: `[]` how many there are.
        padded: length of the padded list.
    """
    return permute_from_bits(jax.random.bits(key, (padded,)), samples)


def permute_from_bits(lots: Array, samples: Array) -> Array:
    """`shuffled` by random bits that each sample has been given, `[padded]`."""
    # Padding comes behind every sample of the same lot, since the sort is stable.
    last = np.uint32(2**32 - 1)
    return jnp.argsort(jnp.where(jnp.arange(len(lots)) < samples, lots, last), stable=True)


def shard_batch(batch: Array) -> Array:
    """Over the devices that share the batches of a run, where there are several."""
    if BATCH_AXIS not in jax.sharding.get_abstract_mesh().axis_names:
        return batch
    return lax.with_sharding_constraint(batch, P(BATCH_AXIS))


def _where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _all_finite(tree: Any) -> Array:
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


class _Layout(NamedTuple):
    """How a stack lies on the devices: its run axis is spread over them, or its batches are."""

    mesh: Mesh
    padding: int

    @classmethod
    def of(cls, count: int, devices: Sequence[jax.Device] | None, spread_batches: bool) -> "_Layout":
        devices = list(devices or jax.devices())
        # Several processes must each have a part in everything.
        used = devices if processes.is_multi_process() else devices[:count]
        grid = np.asarray(devices)[None] if spread_batches else np.asarray(used)[:, None]
        mesh = Mesh(grid, ("run", BATCH_AXIS), axis_types=(AxisType.Auto, AxisType.Auto))
        return cls(mesh, -count % len(grid))

    @property
    def per_run(self) -> Sharding:
        return self._over(P("run"))

    @property
    def replicated(self) -> Sharding:
        return self._over(P())

    def _over(self, spec: P) -> Sharding:
        # A mesh is a part of the type of what lies on it: beside arrays that do not, all would be traced twice.
        return NamedSharding(self.mesh, spec) if self.mesh.size > 1 else SingleDeviceSharding(self.mesh.devices.item())

    def padded(self, runs: "Tree") -> "Tree":
        """With runs behind that only fill the devices."""
        n = self.padding
        return jax.tree.map(lambda leaf: jnp.concatenate([leaf, *[leaf[:1]] * n]) if n else leaf, runs)


def _with_sharding(shapes: Any, sharding: Sharding) -> Any:
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), shapes)


def _running(state: TrainState) -> bool:
    return bool(np.any(processes.fetch(state.status) == Status.RUNNING))


def _described(variables: Any) -> dict[str, str]:
    """Names and shapes, JSON-compatible."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
