"""The supervised task: what a run trains, one run at a time; `training.loop` maps it over a stack of runs.

Steps, shuffling, the optimizer's update, masks of padded samples, early stopping, divergence and the best epoch are
shared by all tasks. A method fills in small hooks: `sample` or `batch`, `loss`, `predict`, `evaluate`, `optimizer`.
Everything here is pure. Within the compiled program each collection of variables is one vector for each dtype
(`execution.packing`); networks, losses and optimizers see the trees.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh
from jax.stages import Traced
from jaxtyping import Array

from infantjax.nn.initializers import Initialization
from infantjax.training.cohorts.fine_tuning import trainable_mask
from infantjax.training.execution.layout import compiler_options, map_runs
from infantjax.training.execution.packing import Packing, Vectors
from infantjax.training.optimizers import Elementwise
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Status, TrainState


class EpochResult(NamedTuple):
    """Result of the optimizer steps of an epoch.

    Attributes:
        variables: each collection as vectors.
        opt_state: of the optimizer, as vectors.
        loss: `[]` mean over the steps.
    """

    variables: dict[str, Any]
    opt_state: Any
    loss: Array


class EvalResult(NamedTuple):
    """Evaluation of the weights after an epoch on the validation samples.

    Attributes:
        loss: `[]`.
        score: `[]` the best epoch has the highest one.
        outputs: arrays of the best epoch that are kept beside its weights, for example predictions.
        metrics: by name, `[]` each: columns of the history beside the losses. Arrays with axes are kept for every
            epoch too, in the checkpoints and the result but not in the logs.
    """

    loss: Array
    score: Array
    outputs: Any
    metrics: dict[str, Array]


class EpochPlan(NamedTuple):
    """Random numbers of an epoch, drawn once.

    Attributes:
        epoch: `[]` from 0.
        key: of the samples' draws; a sample folds in its own number, so padding changes no draw.
        order: what `draw_order` gives: the numbers of the training samples in random order.
    """

    epoch: Array
    key: Array
    order: Any


BatchFunction = Callable[..., Any]
"""Batch of a step, see `SupervisedTask.batch`."""
Carry = tuple[dict[str, Vectors], Any, Array]
"""Variables and state of the optimizer as vectors, and the sum of the losses so far."""


@dataclass(frozen=True, eq=False)
class SupervisedTask(ABC):
    """Loss, batches, metrics and optimizer of a run. Closes over constants only.

    Attributes:
        module: network with `init(key, x)` and `apply(variables, x, train=...)`.
        config: the same for all runs; the loop reads `epochs`, `seed`, the root of all random numbers, and without own
            batches `batch_size`.
        input_shape: of the network's input, for a batch of one.
        trainable: patterns of the parameters that are trained; empty trains all. See `fine_tuning.trainable_mask`.
        transform: optax transformation in place of `optimizer`; None takes that.
    """

    module: nn.Module
    config: Any
    input_shape: tuple[int, ...]
    trainable: tuple[str, ...] = field(default=(), kw_only=True)
    transform: optax.GradientTransformation | None = field(default=None, kw_only=True)

    min_score = -np.inf
    """The best epoch needs a score above it."""

    # --- hooks of a method -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def optimizer(self) -> optax.GradientTransformation:
        """Optimizer of the tree of parameters; of their vectors if it is `optimizers.elementwise`."""

    @property
    def first_epoch(self) -> int:
        """First epoch that can be the best one; before it the newest weights are kept."""
        return 1

    @property
    def evaluation_batch(self) -> int:
        """Number of validation samples that are predicted at once."""
        return getattr(self.config, "evaluation_batch", 1)

    def index_sets(self, split: Split, data: Any) -> IndexSets:
        """Index sets of a run. Default: the samples of the split.

        Raises:
            ValueError: samples that do not exist, or too few for a batch.
        """
        split.check(len(jax.tree.leaves(data)[0]))
        if len(split.train) < self.config.batch_size:
            raise ValueError(f"{len(split.train)} training samples do not fill a batch of {self.config.batch_size}")
        return IndexSets(np.asarray(split.train), np.asarray(split.validation))

    def with_optimizer(self, transform: optax.GradientTransformation) -> Self:
        """The same task with another optimizer."""
        return replace(self, transform=transform)

    def init_variables(self, variables: dict[str, Any], run: Any, data: Any) -> dict[str, Any]:
        """Adapt the initial variables of the network to a run, for example standardize its inputs. Default: keep."""
        return variables

    def sample(self, key: Array, row: Any, data: Any) -> Any:
        """One training sample. The default `batch` maps it over the samples of a step.

        Args:
            key: of this sample in this epoch.
            row: its entry of `Run.train`.
            data: what all runs share.
        """
        raise NotImplementedError

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Loss of a batch `[]`, and the collections of variables that the forward pass has updated."""
        raise NotImplementedError

    def predict(self, variables: dict[str, Any], rows: Any, data: Any) -> Any:
        """Predictions of some validation samples, `[sample, ...]` each.

        Args:
            variables: of the network.
            rows: `evaluation_batch` entries of `Run.validation`.
            data: what all runs share.
        """
        raise NotImplementedError

    def evaluate(self, predictions: Any, variables: dict[str, Any], run: Any, data: Any) -> EvalResult:
        """Evaluate the predictions of all validation samples; those beyond `run.validation_count` are padding."""
        raise NotImplementedError

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """Whether a run stops early, after epoch `epoch` (counted from 1)."""
        return jnp.bool_(False)

    def update_scale(self, epoch: Array) -> Array | None:
        """Factor of the optimizer's updates in an epoch (from 0), for rates that change by epoch; None is 1."""
        return None

    def learning_rate(self, epoch: int) -> float | None:
        """Learning rate of an epoch (from 0), for the logs; None where it has no single one."""
        rate, scale = getattr(self.config, "learning_rate", None), self.update_scale(jnp.int32(epoch))
        return None if rate is None else float(rate * (1 if scale is None else scale))

    def draw_order(self, key: Array, run: Any, data: Any) -> Any:
        """Random order of an epoch's training samples `[sample]`; padding comes last."""
        return permutation(key, run.train_count, len(jax.tree.leaves(run.train)[0]))

    def batch(self, plan: EpochPlan, step: Array, run: Any, data: Any) -> Any:
        """Batch of a step: `sample` of the next samples in the order of the epoch, `[batch, ...]`."""
        size = self.config.batch_size
        samples = lax.dynamic_slice_in_dim(plan.order, step * size, size)
        keys = jax.vmap(partial(jax.random.fold_in, plan.key))(samples)
        rows = jax.tree.map(lambda leaf: leaf[samples], run.train)
        return jax.vmap(self.sample, in_axes=(0, 0, None))(keys, rows, data)

    def stages(self, epoch: Array, run: Any, data: Any) -> Sequence[tuple[Array, BatchFunction]]:
        """Number of steps and batches of each part of an epoch. Default: one part with all whole batches."""
        return [(run.train_count // self.config.batch_size, self.batch)]

    def format_summary(self, best_scores: np.ndarray) -> str:
        """Best scores so far `[run]` in words, for the progress line."""
        return ""

    # --- variables -------------------------------------------------------------------------------------------------

    @property
    def example(self) -> Any:
        """Input of the network for a batch of one; only shapes and dtypes matter."""
        return jnp.zeros(self.input_shape)

    @cached_property
    def initialization(self) -> Initialization:
        """Initializers of the network, traced once."""
        return Initialization.of(self.module, self.example)

    @cached_property
    def variables(self) -> Any:
        """Shapes of the network's variables."""
        return self.initialization.variables

    @cached_property
    def packings(self) -> dict[str, Packing]:
        """Layout of each collection in its vectors."""
        return {name: Packing.of(tree) for name, tree in self.variables.items()}

    def pack(self, variables: Mapping[str, Any]) -> dict[str, Vectors]:
        """Each collection as vectors."""
        return {name: packing.pack(variables[name]) for name, packing in self.packings.items()}

    def unpack(self, vectors: Mapping[str, Vectors]) -> dict[str, Any]:
        """The network's variables, with any leading axes of the vectors."""
        return {name: packing.unpack(vectors[name]) for name, packing in self.packings.items()}

    def unpack_state(self, state: TrainState) -> TrainState:
        """A state with the network's variables in place of their vectors."""
        return state._replace(variables=self.unpack(state.variables), best=self.unpack(state.best))

    def pack_state(self, state: TrainState) -> TrainState:
        """The inverse of `unpack_state`, of one run."""
        return state._replace(variables=self.pack(state.variables), best=self.pack(state.best))

    def draw_variables(self, keys: Array) -> dict[str, Vectors]:
        """Initial variables of each run as vectors `[run, n]`, on the host."""
        return self.to_vectors(self.initialization.draw(jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)))

    def to_vectors(self, variables: Mapping[str, Any]) -> dict[str, Vectors]:
        """Variables of a stack `[run, ...]` on the host, each collection as vectors `[run, n]`."""
        return {name: packing.pack_stack(variables[name]) for name, packing in self.packings.items()}

    # --- the optimizer ---------------------------------------------------------------------------------------------

    @cached_property
    def transformation(self) -> optax.GradientTransformation:
        """`transform` or `optimizer`, with no update of parameters that are not trained."""
        chosen = self.transform or self.optimizer
        if not self.trainable:
            return chosen
        frozen = jax.tree.map(lambda trained: not trained, trainable_mask(self.variables["params"], self.trainable))
        return optax.chain(chosen, optax.masked(optax.set_to_zero(), frozen))

    @cached_property
    def opt_packing(self) -> Packing | None:
        """Layout of the optimizer's state; None where the optimizer works on the vectors of the parameters."""
        if isinstance(self.transformation, Elementwise):
            return None
        return Packing.of(jax.eval_shape(self.transformation.init, self.variables["params"]))

    def init_optimizer(self, params: Vectors) -> Any:
        """State of the optimizer before the first step, as vectors."""
        if self.opt_packing is None:
            return self.transformation.init(params)
        return self.opt_packing.pack(self.transformation.init(self.packings["params"].unpack(params)))

    def update_parameters(
        self, params: Vectors, tree: Any, gradient: Any, opt_state: Any, scale: Array | None = None
    ) -> tuple[Vectors, Any]:
        """Parameters and state of the optimizer after its step, as vectors.

        Args:
            params: vectors of the parameters.
            tree: the parameters.
            gradient: tree of the loss's gradient.
            opt_state: of the optimizer, as vectors.
            scale: factor of the update; None is 1.
        """
        packing, opt_packing = self.packings["params"], self.opt_packing

        def scaled(change: Any) -> Any:
            return change if scale is None else jax.tree.map(lambda leaf: scale * leaf, change)

        if opt_packing is None:
            change, opt_state = self.transformation.update(packing.pack(gradient), opt_state, params)
            return optax.apply_updates(params, scaled(change)), opt_state
        change, state = self.transformation.update(gradient, opt_packing.unpack(opt_state), tree)
        return packing.pack(optax.apply_updates(tree, scaled(change))), opt_packing.pack(state)

    # --- one run ---------------------------------------------------------------------------------------------------

    def init_state(self, drawn: dict[str, Vectors], active: Array, run: Any, data: Any) -> TrainState:
        """State of a run before its first epoch.

        Args:
            drawn: initial variables, each collection as vectors; see `draw_variables`.
            active: `[]` false for a run that only pads the stack; it has ended.
            run: index sets.
            data: what all runs share.
        """
        unpacked = self.unpack(drawn)
        adapted = self.init_variables(unpacked, run, data)
        variables = {
            name: drawn[name] if adapted[name] is unpacked[name] else packing.pack(adapted[name])
            for name, packing in self.packings.items()
        }
        result = jax.eval_shape(self.evaluation, variables, run, data, active)
        measured = {"training_loss": result.loss, "validation_loss": result.loss, **result.metrics}
        return TrainState(
            variables=variables,
            opt_state=self.init_optimizer(variables["params"]),
            epoch=jnp.int32(0),
            status=jnp.where(active, Status.RUNNING, Status.FINISHED).astype(jnp.int32),
            best=variables,
            best_epoch=jnp.int32(0),
            best_score=jnp.float32(self.min_score),
            best_outputs=jax.tree.map(lambda leaf: jnp.full(leaf.shape, jnp.nan, leaf.dtype), result.outputs),
            history={name: jnp.full((self.config.epochs, *leaf.shape), jnp.nan) for name, leaf in measured.items()},
        )

    def epoch(self, state: TrainState, run: Any, data: Any) -> TrainState:
        """One epoch: train, evaluate, keep the best. A run that has ended does not change."""
        running = state.status == Status.RUNNING
        trained = self.train_epoch(state, run, data, jax.random.fold_in(run.key, state.epoch + 1), running)
        return self.update_state(state, trained, self.evaluation(trained.variables, run, data, running))

    def train_epoch(self, state: TrainState, run: Any, data: Any, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; none of a run that is not running."""
        plan, step_key = self.plan_epoch(state.epoch, run, data, key)
        carry: Carry = (state.variables, state.opt_state, jnp.float32(0))
        taken = jnp.int32(0)
        for count, batch in self.stages(state.epoch, run, data):
            count = jnp.where(running, count, 0)
            carry = self.train_steps(carry, partial(batch, plan, run=run, data=data), plan.epoch, step_key, count)
            taken += count
        variables, opt_state, total = carry
        return EpochResult(variables, opt_state, total / taken)

    def plan_epoch(self, epoch: Array, run: Any, data: Any, key: Array) -> tuple[EpochPlan, Array]:
        """The random numbers of an epoch, and the key of its steps."""
        sample_key, step_key = jax.random.split(key)
        return EpochPlan(epoch, sample_key, self.draw_order(sample_key, run, data)), step_key

    def train_steps(
        self,
        carry: Carry,
        batch: Callable[[Array], Any],
        epoch: Array,
        key: Array,
        count: Array,
        first: Array | int = 0,
    ) -> Carry:
        """Steps of the optimizer, one after the other.

        Args:
            carry: variables, state of the optimizer, sum of the losses.
            batch: of a step, by its number.
            epoch: from 0.
            key: of the steps.
            count: `[]` number of steps.
            first: number of the first one.
        """
        scale = self.update_scale(epoch)

        def step(i: Array, carry: Carry) -> Carry:
            variables, opt_state, total = carry
            rngs = {"dropout": jax.random.fold_in(key, i)}
            loss = partial(self.loss, batch=batch(i), rngs=rngs)
            variables, opt_state, value = self.step(variables, opt_state, loss, scale)
            return variables, opt_state, total + value

        return lax.fori_loop(first, first + count, step, carry)

    def step(
        self,
        variables: dict[str, Vectors],
        opt_state: Any,
        loss: Callable[[dict[str, Any]], tuple[Array, Mapping[str, Any]]],
        scale: Array | None = None,
    ) -> tuple[dict[str, Vectors], Any, Array]:
        """One step of the optimizer.

        Args:
            variables: each collection as vectors.
            opt_state: of the optimizer, as vectors.
            loss: of the network's variables; also gives the collections that the pass has updated.
            scale: factor of the update; None is 1.

        Returns:
            Variables and state after the step, and the loss before it.
        """
        unpacked = self.unpack(variables)

        def of_parameters(params: Any) -> tuple[Array, Mapping[str, Any]]:
            return loss({**unpacked, "params": params})

        (value, updates), gradient = jax.value_and_grad(of_parameters, has_aux=True)(unpacked["params"])
        params, opt_state = self.update_parameters(variables["params"], unpacked["params"], gradient, opt_state, scale)
        changed = {name: self.packings[name].pack(collection) for name, collection in updates.items()}
        return {**variables, **changed, "params": params}, opt_state, value

    @cached_property
    def evaluation(self) -> Callable[..., EvalResult]:
        """`evaluate_run`, traced once: for the shapes of its result, and for the epoch."""
        return jax.jit(self.evaluate_run)

    def evaluate_run(self, variables: dict[str, Vectors], run: Any, data: Any, running: Array) -> EvalResult:
        """Predict and evaluate the validation samples of a run, with variables as vectors."""
        count = jnp.where(running, run.validation_count, 0)
        predictions = self.predict_all(variables, run.validation, count, data)
        return self.evaluate(predictions, self.unpack(variables), run, data)

    def predict_all(self, variables: dict[str, Vectors], rows: Any, count: Array, data: Any) -> Any:
        """Predictions `[sample, ...]` of validation samples, a batch at a time; zeros from `count` on.

        Args:
            variables: each collection as vectors.
            rows: `[sample]` entries of `Run.validation`.
            count: number of samples to predict, rounded up to whole batches.
            data: what all runs share.
        """
        padded, size = len(jax.tree.leaves(rows)[0]), self.evaluation_batch
        room = -(-padded // size) * size
        rows = jax.tree.map(lambda leaf: jnp.pad(leaf, [(0, room - padded)] + [(0, 0)] * (leaf.ndim - 1)), rows)

        @jax.jit  # traced once: for the shapes, and for the loop
        def predict(variables: dict[str, Vectors], rows: Any, data: Any) -> Any:
            return self.predict(self.unpack(variables), rows, data)

        def chunk(i: Array, found: Any) -> Any:
            at = jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, i * size, size), rows)
            new = predict(variables, at, data)
            return jax.tree.map(lambda all, part: lax.dynamic_update_slice_in_dim(all, part, i * size, 0), found, new)

        shapes = jax.eval_shape(predict, variables, jax.tree.map(lambda leaf: leaf[:size], rows), data)
        empty = jax.tree.map(lambda s: jnp.zeros((room, *s.shape[1:]), s.dtype), shapes)
        found = lax.fori_loop(0, -(-count // size), chunk, empty)
        return jax.tree.map(lambda leaf: leaf[:padded], found)

    def update_state(self, state: TrainState, trained: EpochResult, result: EvalResult) -> TrainState:
        """The state after an epoch, from that before it."""
        running, epoch = state.status == Status.RUNNING, state.epoch + 1
        finite = jnp.isfinite(trained.loss) & jnp.isfinite(result.loss) & _all_finite(trained.variables)
        accepted = running & finite
        better = accepted & (epoch >= self.first_epoch) & (result.score > state.best_score)
        best_epoch = jnp.where(better, epoch, state.best_epoch)
        best_score = jnp.where(better, result.score, state.best_score)
        status = jnp.select(
            [~finite, self.should_stop(epoch, best_epoch, best_score), epoch == self.config.epochs],
            [Status.DIVERGED, Status.STOPPED, Status.FINISHED],
            Status.RUNNING,
        )
        # The newest weights stand in for the best while no epoch has a sufficient score.
        take = better | (accepted & (state.best_epoch == 0))
        measured = {"training_loss": trained.loss, "validation_loss": result.loss, **result.metrics}
        recorded = {name: past.at[epoch - 1].set(measured[name]) for name, past in state.history.items()}
        return TrainState(
            variables=_where(accepted, trained.variables, state.variables),
            opt_state=_where(accepted, trained.opt_state, state.opt_state),
            epoch=jnp.where(running, epoch, state.epoch),
            status=jnp.where(running, status, state.status).astype(jnp.int32),
            best=_where(take, trained.variables, state.best),
            best_epoch=best_epoch,
            best_score=best_score,
            best_outputs=_where(take, result.outputs, state.best_outputs),
            history=_where(running, recorded, state.history),
        )

    # --- the whole stack -------------------------------------------------------------------------------------------

    def trace_epoch(self, state: TrainState, runs: Any, data: Any, mesh: Mesh) -> Traced:
        """Trace an epoch of the whole stack; its program donates the state.

        Args:
            state: shapes with their shardings.
            runs: likewise, or arrays.
            data: likewise, or arrays.
            mesh: of the devices.
        """
        return jax.jit(map_runs(self.epoch, mesh), donate_argnums=0).trace(state, runs, data)

    def compile(
        self, state: TrainState, runs: Any, data: Any, mesh: Mesh
    ) -> Callable[[TrainState, Any, Any], TrainState]:
        """Compile `trace_epoch`, for runs and data that are on the devices."""
        traced = self.trace_epoch(state, runs, data, mesh)
        return traced.lower().compile(compiler_options=compiler_options(mesh))


def permutation(key: Array, count: Array, padded: int) -> Array:
    """The numbers 0 to `count - 1` in random order, then the padding `[padded]`, which moves no number.

    Args:
        key: random key.
        count: `[]` how many numbers there are.
        padded: length of the result.
    """
    return permute_from_bits(jax.random.bits(key, (padded,)), count)


def permute_from_bits(bits: Array, count: Array) -> Array:
    """`permutation` by random bits `[padded]` of type uint32, one for each number."""
    # A stable sort keeps the padding behind numbers of equal bits.
    last = np.uint32(2**32 - 1)
    return jnp.argsort(jnp.where(jnp.arange(len(bits)) < count, bits, last), stable=True)


def mask(count: Array, padded: int) -> Array:
    """`[padded]` true for the first `count` entries, false for padding."""
    return jnp.arange(padded) < count


def _where(condition: Array, a: Any, b: Any) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def _all_finite(tree: Any) -> Array:
    return jnp.all(jnp.asarray([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
