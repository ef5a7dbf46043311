"""Initializers as the papers name them, and initializing a whole network as one small program.

`module.init(key, x)` works as everywhere in Flax. Compiled, it holds one random generator for each of some two hundred
parameters, which takes XLA half a minute for a graph network; `initialize` draws all numbers at once instead, and
scales and orders them by a table: a program of some ten kernels, however many parameters there are.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate
from math import prod
from typing import Any, Literal, NamedTuple, get_args

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from infantjax.nn.folding import evaluate
from infantjax.nn.kernels.unflatten import unflatten

Kind = Literal["normal", "uniform", "truncated"]
"""Of random numbers: standard normal, uniform on -1 to 1, standard normal within two deviations."""


_dealt = core.Primitive("dealt")
_dealt.def_abstract_eval(lambda *, kind, shape, scale: jax.core.ShapedArray(shape, jnp.result_type(float)))

_dealing: ContextVar[bool] = ContextVar("dealing", default=False)
"""Whether a parameter's numbers are dealt: left open while a network is traced, see `Initialization`."""


def _deal(kind: Kind, shape: Sequence[int], scale: float) -> jax.Array | None:
    return _dealt.bind(kind=kind, shape=tuple(shape), scale=float(scale)) if _dealing.get() else None


def parameter(module: nn.Module, name: str, initializer: Callable[..., jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """As `module.param(name, initializer, shape)`, but an existing parameter is only looked up.

    Flax traces the initializer of every parameter again on each application, to compare shapes: half of the time that
    tracing a network takes.

    Raises:
        flax.errors.ScopeParamShapeError: the parameter has another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, initializer, shape)
    value: jax.Array = module.get_variable("params", name)
    if value.shape != shape:  # a tracer of an exporter has one too
        raise flax.errors.ScopeParamShapeError(name, "/".join(module.path), value.shape, shape)
    return value


class _Dealt(NamedTuple):
    """Random numbers of a parameter: standard ones of a kind, times a scale."""

    kind: Kind
    shape: tuple[int, ...]
    scale: float


class _Segment(NamedTuple):
    """Where the numbers of an array come from: `scale * source[start:start + size] + offset`."""

    start: int
    scale: float
    offset: float


@dataclass(frozen=True, eq=False)
class Initialization:
    """How the variables of a network begin, from one trace of it.

    Attributes:
        variables: their shapes and dtypes.
        dealt: the random numbers of each parameter, in the order in which they are declared.
        leaves: what each array is: the number of what is dealt for it, an array, or None where the program makes it.
        program: the arrays that are None, from a random key for parameters of other initializers than this module's,
            and from what is dealt; nothing of what the network computes.
    """

    variables: Any
    dealt: tuple[_Dealt, ...]
    leaves: tuple[int | np.ndarray | None, ...]
    program: Callable[..., list[jax.Array]]

    @classmethod
    def of(cls, module: nn.Module, x: Any, **options: Any) -> "Initialization":
        """Of a network.

        Args:
            module: a network.
            x: an input; only its shape and dtype matter.
            options: further arguments of the network, such as `train`.

        Raises:
            ValueError: a variable depends on the values of the input.
        """
        token = _dealing.set(True)
        try:
            traced, variables = jax.make_jaxpr(partial(module.init, **options), return_shape=True)(
                jax.random.key(0), jax.ShapeDtypeStruct(jnp.shape(x), x.dtype)
            )
        finally:
            _dealing.reset(token)
        jaxpr = traced.jaxpr
        dealt = [eqn for eqn in jaxpr.eqns if eqn.primitive is _dealt]
        # What the variables are made of; the rest is what the network computes.
        needed, made = _made_of(jaxpr, [var for var in jaxpr.outvars if isinstance(var, core.Var)])
        if needed.intersection(jaxpr.invars[1:]):
            raise ValueError(f"the variables of {type(module).__name__} depend on its input")
        # What depends on no random number is known now.
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(np.asarray, traced.consts)))
        fixed = []
        for eqn in made:
            if all(isinstance(var, core.Literal) or var in known for var in eqn.invars):
                known.update((var, None) for var in eqn.outvars)
                fixed.append(eqn)
        with jax.ensure_compile_time_eval():  # also where this is traced itself
            evaluate(fixed, known)
        number = {eqn.outvars[0]: i for i, eqn in enumerate(dealt)}
        leaves: list[int | np.ndarray | None] = []
        for var in jaxpr.outvars:
            if isinstance(var, core.Literal):
                leaves.append(np.asarray(var.val))
            else:
                leaves.append(number.get(var) if var not in known else np.asarray(known[var]))
        left = [var for var, leaf in zip(jaxpr.outvars, leaves) if leaf is None]
        _, made = _made_of(jaxpr, left)
        given = [jaxpr.invars[0], *(eqn.outvars[0] for eqn in dealt)]
        program = core.ClosedJaxpr(core.Jaxpr(jaxpr.constvars, given, left, made), traced.consts)
        kinds = tuple(_Dealt(**eqn.params) for eqn in dealt)
        return cls(variables, kinds, tuple(leaves), core.jaxpr_as_fun(program))

    def draw(self, key: jax.Array) -> Any:
        """The variables: as `module.init(key, x)` gives them, but other numbers of the same distributions.

        Pure. Within `jit` every array is a kernel to compile; called by itself it compiles `vectors` alone, which takes
        a tenth of the time for a network of three hundred arrays. Parameters of initializers other than this module's
        are drawn as Flax does.
        """
        if isinstance(key, jax.core.Tracer):
            dealt = self._dealt(self._standard(key))
            made = iter(self.program(key, *dealt))
            leaves = [
                dealt[leaf] if isinstance(leaf, int) else next(made) if leaf is None else leaf for leaf in self.leaves
            ]
            return jax.tree.map(jnp.asarray, jax.tree.unflatten(jax.tree.structure(self.variables), leaves))
        if self._mixed:
            return jax.jit(self.draw)(key)
        vectors = jax.device_get(self._compiled(key))
        return jax.device_put(
            {
                name: jax.tree.unflatten(jax.tree.structure(tree), unflatten(vectors[name], _shapes(tree)))
                for name, tree in self.variables.items()
            }
        )

    def vectors(self, key: jax.Array) -> dict[str, jax.Array]:
        """The variables of each collection one behind the other, in the order of its leaves: `draw` as few kernels.

        Raises:
            ValueError: the variables of a collection differ in dtype.
        """
        if self._mixed:
            raise ValueError(
                f"the variables of a collection must have one dtype, those of {self._mixed[0]} have several"
            )
        standard = self._standard(key)
        made = self.program(key, *self._dealt(standard)) if any(leaf is None for leaf in self.leaves) else []
        # One kernel: each number of the result is found by the place at which its array begins in the source.
        table, segments = self._table
        source = jnp.concatenate([standard, table, *map(jnp.ravel, made), jnp.zeros(1)])
        sizes = [prod(shape) for shape in _shapes(self.variables)]
        ends = np.cumsum(sizes, dtype=np.int32)
        i = jnp.arange(sum(sizes), dtype=jnp.int32)
        segment = jnp.searchsorted(ends, i, side="right")
        shift, scale, offset = (np.asarray(column) for column in zip(*segments))
        place = i + jnp.asarray(shift - (ends - sizes), jnp.int32)[segment]
        numbers = source.at[place].get(mode="clip")
        vector = numbers * jnp.asarray(scale, source.dtype)[segment] + jnp.asarray(offset, source.dtype)[segment]
        counts = [sum(map(prod, _shapes(tree))) for tree in self.variables.values()]
        return {
            name: vector[end - count : end].astype(*(self._dtypes[name] or {vector.dtype}))
            for name, count, end in zip(self.variables, counts, accumulate(counts))
        }

    @cached_property
    def _compiled(self) -> Callable[[jax.Array], dict[str, jax.Array]]:
        """`vectors`, compiled once for all draws."""
        return jax.jit(self.vectors)

    @cached_property
    def _dtypes(self) -> dict[str, set[Any]]:
        """Of each collection."""
        return {name: {leaf.dtype for leaf in jax.tree.leaves(tree)} for name, tree in self.variables.items()}

    @property
    def _mixed(self) -> list[str]:
        """Collections of several dtypes."""
        return [name for name, found in self._dtypes.items() if len(found) > 1]

    def _standard(self, key: jax.Array) -> jax.Array:
        """All random numbers that are dealt, those of a kind together."""
        normal, uniform = jax.random.split(key)
        drawn = {
            "normal": lambda n: jax.random.normal(normal, (n,)),
            "uniform": lambda n: jax.random.uniform(uniform, (n,), minval=-1.0),
            "truncated": lambda n: jax.random.truncated_normal(jax.random.fold_in(normal, 1), -2.0, 2.0, (n,)),
        }
        return jnp.concatenate([jnp.zeros(0), *(drawn[kind](n) for kind, n in self._counts.items() if n)])

    def _dealt(self, standard: jax.Array) -> list[jax.Array]:
        """The numbers of each parameter, of those that `_standard` draws."""
        return [
            number.scale * standard[start : start + prod(number.shape)].reshape(number.shape)
            for number, start in zip(self.dealt, self._starts)
        ]

    @cached_property
    def _counts(self) -> dict[Kind, int]:
        """How many random numbers of each kind are dealt."""
        return {kind: sum(prod(n.shape) for n in self.dealt if n.kind == kind) for kind in get_args(Kind)}

    @cached_property
    def _starts(self) -> list[int]:
        """Where the numbers of each parameter begin among all that are drawn."""
        ends = accumulate(self._counts.values())
        place = {kind: end - count for (kind, count), end in zip(self._counts.items(), ends)}
        starts = []
        for number in self.dealt:
            starts.append(place[number.kind])
            place[number.kind] += prod(number.shape)
        return starts

    @cached_property
    def _table(self) -> tuple[np.ndarray, list[_Segment]]:
        """Numbers of arrays that are known and not all the same, and where each array comes from."""
        table, segments = [np.zeros(0, np.float32)], []
        place = sum(self._counts.values())
        for leaf in self.leaves:
            if isinstance(leaf, int):
                segments.append(_Segment(self._starts[leaf], self.dealt[leaf].scale, 0.0))
            elif leaf is not None and (leaf == leaf.flat[0]).all():
                segments.append(_Segment(0, 0.0, float(leaf.flat[0])))
            elif leaf is not None:
                segments.append(_Segment(place, 1.0, 0.0))
                table.append(leaf.ravel())
                place += leaf.size
            else:
                segments.append(_Segment(-1, 1.0, 0.0))
        for i, shape in enumerate(_shapes(self.variables)):
            if segments[i].start < 0:
                segments[i] = _Segment(place, 1.0, 0.0)
                place += prod(shape)
        return np.concatenate(table), segments


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(tree)]


def _made_of(jaxpr: core.Jaxpr, results: Sequence[core.Var]) -> tuple[set[core.Var], list[core.JaxprEqn]]:
    """What some results are made of: all variables that are needed, and the operations but those that deal numbers."""
    needed, made = set(results), []
    for eqn in reversed(jaxpr.eqns):
        if eqn.primitive is not _dealt and not needed.isdisjoint(eqn.outvars):
            made.append(eqn)
            needed.update(var for var in eqn.invars if isinstance(var, core.Var))
    return needed, made[::-1]


def shapes(module: nn.Module, x: Any, **options: Any) -> Any:
    """Shapes and dtypes of a network's variables; arguments as of `Initialization.of`."""
    return Initialization.of(module, x, **options).variables


def initialize(module: nn.Module, key: jax.Array, x: Any) -> Any:
    """The variables of a network, drawn from a random key; see `Initialization`."""
    return Initialization.of(module, x).draw(key)


@dataclass(frozen=True)
class HeNormalFanOut:
    """Normal with variance `gain**2 / fan_out`, where fan_out = output channels x kernel length, groups ignored.

    Attributes:
        gain: sqrt(2) before a rectifier, 1 elsewhere.
        out_axes: axes of the kernel that count output channels.
        kernel_axes: axes of the kernel that count taps.

    Source: He et al. 2015; the thesis and the released movement-outcome program use the fan-out form.
    """

    gain: float = 1.0
    out_axes: tuple[int, ...] = (-1,)
    kernel_axes: tuple[int, ...] = ()

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array."""
        fan_out = int(np.prod([shape[axis] for axis in (*self.out_axes, *self.kernel_axes)]))
        scale = self.gain / np.sqrt(fan_out)
        numbers = _deal("normal", shape, scale)
        numbers = scale * jax.random.normal(key, tuple(shape), dtype) if numbers is None else numbers
        return numbers.astype(dtype)


@dataclass(frozen=True)
class UniformFanIn:
    """Uniform on +-1/sqrt(fan_in): the default for biases in the framework of the released program."""

    fan_in: int

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array."""
        return _uniform(key, shape, 1 / np.sqrt(self.fan_in), dtype)


@dataclass(frozen=True)
class HeUniform:
    """Uniform on +-sqrt(6 / fan_in), for kernels `[tap, ..., in, out]`, `[in, out]`, and vectors of fan_in numbers.

    Source: He et al. 2015; the released Baby Moves program.
    """

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array."""
        return _uniform(key, shape, np.sqrt(6 / np.prod(shape[: max(len(shape) - 1, 1)])), dtype)


@dataclass(frozen=True)
class GlorotUniform:
    """Uniform on +-sqrt(6 / (fan_in + fan_out)): `[row, column, in, out]`, `[row, column, channel]` and `[in, out]`.

    Both fans count the taps. A depthwise kernel has one output a channel, as Keras counts it.

    Source: Glorot and Bengio 2010; the default of the framework of the released pose networks.
    """

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array."""
        inputs, outputs = shape[-2:] if len(shape) != 3 else (shape[2], 1)
        taps = np.prod(shape[:2]) if len(shape) > 2 else 1
        return _uniform(key, shape, np.sqrt(6 / (taps * (inputs + outputs))), dtype)


@dataclass(frozen=True)
class TruncatedFanIn:
    """Normal within two deviations, of variance `scale / fan_in`, for kernels `[tap, ..., in, out]` and `[in, out]`.

    Attributes:
        scale: 2 is He's before a rectifier.

    Source: the variance scaling of Keras.
    """

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array."""
        scale = np.sqrt(self.scale / np.prod(shape[:-1])) / _TRUNCATED
        numbers = _deal("truncated", shape, scale)
        if numbers is None:
            numbers = scale * jax.random.truncated_normal(key, -2.0, 2.0, tuple(shape), dtype)
        return numbers.astype(dtype)


_TRUNCATED = 0.87962566103423978
"""Deviation of a standard normal number within two deviations."""


def _uniform(key: jax.Array, shape: Sequence[int], limit: float, dtype: Any) -> jax.Array:
    """Numbers uniform on +-limit."""
    numbers = _deal("uniform", shape, limit)
    numbers = limit * jax.random.uniform(key, tuple(shape), dtype, minval=-1.0) if numbers is None else numbers
    return numbers.astype(dtype)
