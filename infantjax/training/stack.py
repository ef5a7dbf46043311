"""The training loop: a stack of runs as one compiled program.

Folds, seeds, repeats and candidates of one shape are runs of a stack. Each has its own index sets and random key; the
data set lies on the device once; sampling, augmentation, features, the optimiser and the evaluation of an epoch are one
compiled call over the whole stack. A run gives the same weights alone, in any stack, and on any number of devices.

The page is in the order of execution: `train` sets up, then come the epoch and its parts.

Source: Groos et al., Paper III with supplement, and the released movement-outcome program.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int

from infantjax.motion import augmentation, features, windows
from infantjax.nn.conv import COMPILER_OPTIONS
from infantjax.nn.initialisers import initialise
from infantjax.progress import Progress
from infantjax.training import metrics, optimisers
from infantjax.training.folds import Fold
from infantjax.training.packing import Packing
from infantjax.training.state import (
    CohortData,
    History,
    Run,
    RunState,
    Status,
    TrainingConfig,
    index_sets,
    run_keys,
)

__all__ = ["CohortData", "Result", "RunMapping", "TrainingConfig", "train"]

RunMapping = Literal["auto", "map", "vmap"]
"""How runs are mapped on one device: `map` one after the other, `vmap` side by side; `auto` is `map` on a CPU, where a
vmapped convolution would turn into a slow grouped one, and `vmap` elsewhere."""

FEATURES = ("position", "velocity", "bone")


@dataclass(frozen=True, eq=False)
class Result:
    """What a stack of runs came to; arrays are NumPy with a leading run axis.

    Attributes:
        variables: of the best epoch of each run: `params`, `batch_stats` and constant collections.
        best_epoch: `[run]`, counted from 1; 0 where no AUC was above 0 (the variables are then the last ones).
        best_auc: `[run]` validation AUC at that epoch.
        risks: for each run the risks of its validation recordings at that epoch, in the order of the fold.
        status: how each run ended.
        ended: `[run]` the last epoch that counts; for a diverged run the one before it diverged.
        history: `[run, epoch]` of each figure; NaN where a run did not get so far, and where it diverged.
    """

    variables: dict[str, Any]
    best_epoch: np.ndarray
    best_auc: np.ndarray
    risks: tuple[np.ndarray, ...]
    status: tuple[Status, ...]
    ended: np.ndarray
    history: History


def train(
    module: nn.Module,
    data: CohortData,
    folds: Sequence[Fold],
    config: TrainingConfig,
    *,
    names: Sequence[str] = FEATURES,
    run_ids: Sequence[int] | None = None,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    mapping: RunMapping = "auto",
    devices: Sequence[jax.Device] | None = None,
    save_every: int = 1,
    quiet: bool = True,
    on_epoch: Callable[[int, RunState], None] | None = None,
) -> Result:
    """Train one run for each fold, all at once, and keep each run's best epoch.

    Args:
        module: network with `init(key, x)` and `apply(variables, x, train=...) -> (logits [batch, 2], aux)`; training
            changes its collections `params` and `batch_stats` and no others.
        data: the cohort.
        folds: recordings that each run trains and is validated on.
        config: the same for all runs.
        names: input features of the network, see `motion.features.stack`.
        run_ids: number of each run, from which its random key is derived; None counts from 0.
        directory: where checkpoints and logs go, and from where an interrupted training continues; None keeps nothing.
        description: of the model (name, overrides), JSON-compatible; a checkpoint of another one is refused.
        mapping: how runs are mapped on one device.
        devices: over which the runs are spread; None is all local ones.
        save_every: epochs between checkpoints.
        quiet: no progress on stderr.
        on_epoch: called on the host after each epoch with its number and the state of the padded stack on the devices,
            which the next epoch overwrites.

    Returns:
        The best epoch of every run, and how each ended.

    Raises:
        ValueError: no folds, ids that repeat, recordings that do not exist, or too few samples for a batch.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    run_ids = list(range(len(folds))) if run_ids is None else list(run_ids)
    if not folds or len(run_ids) != len(folds) or len(set(run_ids)) != len(run_ids):
        raise ValueError(f"{len(folds)} folds need as many different run ids, got {run_ids}")
    program = _Program.of(module, tuple(names), config, mapping, len(data.skeleton.joints))

    # Devices: the run axis is spread over them, padded with runs that have ended already.
    devices = list(devices or jax.local_devices())[: len(folds)]
    mesh = Mesh(np.asarray(devices), ("run",))
    per_run, replicated = NamedSharding(mesh, P("run")), NamedSharding(mesh, P())
    padding = -len(folds) % len(devices)

    # Data and index sets, on the devices once.
    tables: Any = index_sets(np.asarray(data.lengths), np.asarray(data.labels), folds, config)
    runs: Any = Run(key=run_keys(config.seed, run_ids), **tables)
    runs = jax.device_put(jax.tree.map(partial(_pad_runs, padding=padding), runs), per_run)
    active = jax.device_put(np.arange(len(folds) + padding) < len(folds), per_run)
    digest = data.digest
    data = jax.device_put(data, replicated)

    initialise = jax.jit(program.over_runs(program.initial_state, mesh))
    shapes = jax.eval_shape(initialise, active, runs, data)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(config.epochs, "training", quiet=quiet))

        # The state: from the newest whole checkpoint, or new.
        store, found = None, None
        if directory is not None:
            from infantjax.training.checkpoints import CheckpointStore
            from infantjax.training.logs import Log

            setup = _setup(config, digest, folds, run_ids, names, description, program.variables)
            store = stack.enter_context(CheckpointStore(directory, setup))
            log = stack.enter_context(Log(directory, run_ids))
            found = store.restore(jax.eval_shape(program.unpacked, shapes))
        if store is not None and found is not None:
            done, state = found[0], jax.device_put(jax.vmap(program.packed)(found[1]), per_run)
            progress.say(f"continuing after epoch {done}")
            with store.writing():
                log.write(done, found[1].history)
        else:
            done, state = 0, initialise(active, runs, data)

        # The program: compiled once, the state donated.
        if _running(state):
            progress.say(f"compiling {len(folds)} run(s) of {type(module).__name__} for {len(devices)} device(s)")
            begun = time.perf_counter()
            run_epoch = jax.jit(program.over_runs(program.epoch, mesh), donate_argnums=0)
            lowered = run_epoch.lower(_with_sharding(shapes, per_run), runs, data)
            compiled = lowered.compile(compiler_options=COMPILER_OPTIONS.get(jax.default_backend()))
            progress.say(f"compiled in {time.perf_counter() - begun:.1f} s")

        # The loop: the host saves, writes down, and looks whether all runs have ended.
        while _running(state):
            epoch = done = done + 1
            with jax.transfer_guard("disallow"):
                state = compiled(state, runs, data)
            if store is not None:
                if epoch % save_every == 0 or not _running(state):
                    store.save(epoch, program.unpacked(jax.device_get(state)))
                with store.writing():
                    log.write(epoch, jax.device_get(state.history))
            if on_epoch is not None:
                on_epoch(epoch, program.unpacked(state))
            progress.update(epoch, _summary(jax.device_get(state.best_auc)[: len(folds)]))
        return _result(program.unpacked(jax.device_get(state)), folds)


@dataclass(frozen=True, eq=False)
class _Program:
    """The compiled part: closes over what never changes; every method is pure, and about one run.

    Its `RunState` holds each collection of variables as one vector, see `training.packing`.
    """

    module: nn.Module
    names: tuple[str, ...]
    config: TrainingConfig
    mapping: RunMapping
    input_shape: tuple[int, ...]
    variables: Mapping[str, Any]
    packings: Mapping[str, Packing]

    @classmethod
    def of(
        cls, module: nn.Module, names: tuple[str, ...], config: TrainingConfig, mapping: RunMapping, joints: int
    ) -> "_Program":
        """For a network that reads these features of so many joints."""
        input_shape = (1, windows.WINDOW, joints, sum(features.CHANNELS[name] for name in names))
        variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(input_shape))
        packings = {name: Packing.of(tree) for name, tree in variables.items()}
        return cls(module, names, config, mapping, input_shape, variables, packings)

    def pack(self, variables: Mapping[str, Any]) -> dict[str, Array]:
        """Each collection as one vector."""
        return {name: packing.pack(variables[name]) for name, packing in self.packings.items()}

    def unpack(self, vectors: Mapping[str, Array]) -> dict[str, Any]:
        """The network's variables, with any leading axes of the vectors."""
        return {name: packing.unpack(vectors[name]) for name, packing in self.packings.items()}

    def unpacked(self, state: RunState) -> RunState:
        """A state with the network's variables in place of their vectors."""
        return state._replace(variables=self.unpack(state.variables), best=self.unpack(state.best))

    def packed(self, state: RunState) -> RunState:
        """The inverse, for the state of one run."""
        return state._replace(variables=self.pack(state.variables), best=self.pack(state.best))

    def over_runs(self, function: Callable, mesh: Mesh) -> Callable:
        """`function(state, run, data)` over the run axis, each device mapping the runs that it holds."""
        vmapped = self.mapping == "vmap" or (self.mapping == "auto" and jax.default_backend() != "cpu")

        def local(state: Any, run: Run, data: CohortData) -> Any:
            if vmapped:
                return jax.vmap(function, in_axes=(0, 0, None))(state, run, data)
            return lax.map(lambda one: function(*one, data), (state, run))

        specs = (P("run"), P("run"), P())
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P("run"), check_vma=False)

    def initial_state(self, active: Array, run: Run, data: CohortData) -> RunState:
        """State of a run before its first epoch; a run that only pads the stack has ended."""
        variables = self.pack(initialise(self.module, jax.random.fold_in(run.key, 0), jnp.zeros(self.input_shape)))
        nothing = jnp.full(self.config.epochs, jnp.nan)
        return RunState(
            variables=variables,
            optimiser=self.optimiser.init(variables["params"]),
            epoch=jnp.int32(0),
            status=jnp.where(active, Status.RUNNING, Status.FINISHED).astype(jnp.int32),
            best=variables,
            best_epoch=jnp.int32(0),
            best_auc=jnp.float32(0),
            best_risks=jnp.full(run.infant_count.shape, jnp.nan),
            history=History(nothing, nothing, nothing),
        )

    @property
    def optimiser(self) -> optax.GradientTransformation:
        return optimisers.nesterov(self.config.learning_rate, self.config.momentum)

    def epoch(self, state: RunState, run: Run, data: CohortData) -> RunState:
        """One epoch of one run: train, evaluate, keep the best. A run that has ended does not change."""
        running = state.status == Status.RUNNING
        epoch = state.epoch + 1
        key = jax.random.fold_in(run.key, epoch)
        variables, optimiser, training_loss = self.train_epoch(state, run, data, key, running)
        risks, validation_loss = self.evaluate(variables, run, data, running)
        auc = metrics.auc(risks, run.infant_label, (run.infant_count > 0).astype(jnp.float32))

        finite = jnp.isfinite(training_loss) & jnp.isfinite(validation_loss) & _all_finite(variables)
        accepted = running & finite
        better = accepted & (auc > state.best_auc)
        best_auc = jnp.where(better, auc, state.best_auc)
        too_low = [(epoch >= due) & (best_auc < least) for due, least in self.config.required_auc]
        status = jnp.select(
            [~finite, jnp.any(jnp.asarray(too_low)), epoch == self.config.epochs],
            [Status.DIVERGED, Status.STOPPED, Status.FINISHED],
            Status.RUNNING,
        )
        # While no AUC was above 0 the newest weights stand in for the best.
        take = better | (accepted & (state.best_epoch == 0))
        measured = History(training_loss, validation_loss, auc)
        recorded = jax.tree.map(lambda past, now: past.at[epoch - 1].set(now), state.history, measured)
        return RunState(
            variables=_where(accepted, variables, state.variables),
            optimiser=_where(accepted, optimiser, state.optimiser),
            epoch=jnp.where(running, epoch, state.epoch),
            status=jnp.where(running, status, state.status).astype(jnp.int32),
            best=_where(take, variables, state.best),
            best_epoch=jnp.where(better, epoch, state.best_epoch),
            best_auc=best_auc,
            best_risks=jnp.where(take, risks, state.best_risks),
            history=_where(running, recorded, state.history),
        )

    def train_epoch(
        self, state: RunState, run: Run, data: CohortData, key: Array, running: Array
    ) -> tuple[dict[str, Any], Any, Float[Array, ""]]:
        """All steps of an epoch; as many as the run has whole batches, so runs of different size share a stack."""
        size = self.config.batch_size
        sample_key, step_key = jax.random.split(key)
        order = _shuffled(sample_key, run)
        steps = jnp.where(running, run.samples // size, 0)

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimiser, total = carry
            samples = lax.dynamic_slice_in_dim(order, i * size, size)
            x, labels = self.training_batch(sample_key, samples, run, data)

            unpacked = self.unpack(variables)

            def loss(params: Any) -> tuple[Array, Any]:
                (logits, _), updates = self.module.apply(
                    {**unpacked, "params": params},
                    x,
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": jax.random.fold_in(step_key, i)},
                )
                return metrics.cross_entropy(logits, labels).mean(), updates

            (value, updates), tree = jax.value_and_grad(loss, has_aux=True)(unpacked["params"])
            gradient = self.packings["params"].pack(tree)
            change, optimiser = self.optimiser.update(gradient, optimiser, variables["params"])
            changed = {name: self.packings[name].pack(collection) for name, collection in updates.items()}
            changed["params"] = optax.apply_updates(variables["params"], change)
            return {**variables, **changed}, optimiser, total + value

        carry = (state.variables, state.optimiser, jnp.float32(0))
        variables, optimiser, total = lax.fori_loop(0, steps, step, carry)
        return variables, optimiser, total / steps

    def training_batch(
        self, key: Array, samples: Int[Array, " batch"], run: Run, data: CohortData
    ) -> tuple[Float[Array, "batch time joint channel"], Int[Array, " batch"]]:
        """Cut, augment and describe the windows of some samples; a sample's draws depend on its own number only."""
        recording = run.recording[samples]
        length = data.lengths[recording]
        frames = jnp.broadcast_to(run.longest, length.shape) if self.config.roll else length
        keys = jax.vmap(lambda sample: jax.random.split(jax.random.fold_in(key, sample)))(samples)
        low, high = windows.start_range(frames, run.part[samples], run.parts[samples])
        start = jax.vmap(lambda k, a, b: jax.random.randint(k, (), a, b + 1))(keys[:, 0], low, high)
        # A recording repeated end to end is read modulo its length; without repetition the remainder changes nothing.
        times = (start[:, None] + jnp.arange(windows.WINDOW)) % length[:, None]
        positions = windows.finish(data.positions[recording[:, None], times], data.skeleton, data.rotation)
        if self.config.augmentation is not None:
            draw = jax.vmap(partial(augmentation.draw, augmentation=self.config.augmentation))(keys[:, 1])
            positions = augmentation.apply(positions, draw)
        return features.stack(positions, data.skeleton, self.names), data.labels[recording]

    def evaluate(
        self, variables: dict[str, Array], run: Run, data: CohortData, running: Array
    ) -> tuple[Float[Array, " infant"], Float[Array, ""]]:
        """Risk of every validation recording (median over its windows) and the class-balanced loss over windows."""
        size = self.config.evaluation_batch
        most = run.window_start.shape[0]
        chunks = jnp.where(running, -(-run.windows // size), 0)

        def chunk(i: Array, carry: tuple) -> tuple:
            risks, total, count = carry
            window = i * size + jnp.arange(size)
            real = window < run.windows
            window = jnp.minimum(window, most - 1)
            recording = run.window_recording[window]
            times = run.window_start[window][:, None] + jnp.arange(windows.WINDOW)
            positions = windows.finish(data.positions[recording[:, None], times], data.skeleton, data.rotation)
            x = features.stack(positions, data.skeleton, self.names)
            logits, _ = self.module.apply(self.unpack(variables), x, train=False)
            labels = data.labels[recording]
            of_class = real & (labels == jnp.arange(2)[:, None])
            total += jnp.sum(jnp.where(of_class, metrics.cross_entropy(logits, labels), 0), axis=1)
            risk = jax.nn.softmax(logits)[:, 1]
            return lax.dynamic_update_slice_in_dim(risks, risk, i * size, 0), total, count + jnp.sum(of_class, axis=1)

        carry = (jnp.zeros(-(-most // size) * size), jnp.zeros(2), jnp.zeros(2))
        risks, total, count = lax.fori_loop(0, chunks, chunk, carry)
        return metrics.median_over_windows(risks, run.infant_windows, run.infant_count), metrics.balanced(total, count)


def _shuffled(key: Array, run: Run) -> Int[Array, " sample"]:
    """The samples in random order, padding last; where a sample comes does not depend on the padding."""
    number = jnp.arange(run.recording.shape[0])
    lots = jax.vmap(lambda n: jax.random.bits(jax.random.fold_in(key, n)))(number)
    # Padding comes behind every sample of the same lot, since the sort is stable.
    return jnp.argsort(jnp.where(number < run.samples, lots, np.uint32(2**32 - 1)), stable=True)


def _where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _all_finite(tree: Any) -> Array:
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def _pad_runs(array: Any, padding: int) -> Any:
    return jnp.concatenate([array, *[array[:1]] * padding]) if padding else array


def _with_sharding(shapes: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding), shapes)


def _summary(best_auc: np.ndarray) -> str:
    return f"best AUC {np.median(best_auc):.3f} ({best_auc.min():.3f} to {best_auc.max():.3f})"


def _running(state: RunState) -> bool:
    return bool(np.any(jax.device_get(state.status) == Status.RUNNING))


def _setup(
    config: TrainingConfig,
    cohort_digest: str,
    folds: Sequence[Fold],
    run_ids: Sequence[int],
    names: Sequence[str],
    description: Mapping[str, Any] | None,
    variables: Any,
) -> dict[str, Any]:
    """All that must be equal for a training to be continued, as JSON-compatible data."""
    return {
        "config": asdict(config),
        "cohort": cohort_digest,
        "folds": [asdict(fold) for fold in folds],
        "run_ids": [int(i) for i in run_ids],
        "features": list(names),
        "model": dict(description or {}),
        "variables": {
            jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)}"
            for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
        },
    }


def take_runs(tree: Any, runs: Sequence[int] | np.ndarray) -> Any:
    """Some runs of a tree with a leading run axis."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[np.asarray(runs)], tree)


def _result(stacked: RunState, folds: Sequence[Fold]) -> Result:
    state: Any = take_runs(stacked, np.arange(len(folds)))
    diverged = state.status == Status.DIVERGED
    return Result(
        variables=state.best,
        best_epoch=state.best_epoch,
        best_auc=state.best_auc,
        risks=tuple(risks[: len(fold.validation)] for risks, fold in zip(state.best_risks, folds)),
        status=tuple(Status(int(s)) for s in state.status),
        ended=state.epoch - diverged,
        history=state.history,
    )
