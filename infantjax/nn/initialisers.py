"""Initialisers as the papers name them, and initialising a whole network as one small program.

`module.init(key, x)` works as everywhere in Flax. Compiled, it holds one random generator for each of some two hundred
parameters, which takes XLA half a minute for a graph network; `initialise` draws all numbers at once instead.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any, Literal

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from infantjax.nn.parts import parts

Kind = Literal["normal", "uniform"]


@dataclass
class _Pool:
    """Random numbers for the parameters of one network, dealt out in the order in which they are declared.

    Attributes:
        numbers: arrays of standard normal numbers, and of numbers uniform on -1..1; None only counts.
        asked: shapes of what was asked for.
    """

    numbers: Mapping[Kind, Iterator[jax.Array]] | None = None
    asked: dict[Kind, list[tuple[int, ...]]] = field(default_factory=lambda: {"normal": [], "uniform": []})

    def deal(self, kind: Kind, shape: tuple[int, ...]) -> jax.Array:
        self.asked[kind].append(shape)
        return next(self.numbers[kind]) if self.numbers else jnp.zeros(shape)


_pool: ContextVar[_Pool | None] = ContextVar("pool", default=None)


@contextmanager
def _dealing(pool: _Pool) -> Iterator[_Pool]:
    token = _pool.set(pool)
    try:
        yield pool
    finally:
        _pool.reset(token)


def parameter(module: nn.Module, name: str, initialiser: Callable[..., jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """As `module.param(name, initialiser, shape)`, but an existing parameter is only looked up.

    Flax traces the initialiser of every parameter again on each application, to compare shapes: half of the time that
    tracing a network takes.

    Where the collection `masks` has an array of the same name, the parameter is multiplied by it: what is masked is
    zero for the network and gets a gradient of exactly zero.

    Raises:
        flax.errors.ScopeParamShapeError: the parameter has another shape.
    """
    if not module.has_variable("params", name):
        return module.param(name, initialiser, shape)
    value: jax.Array = module.get_variable("params", name)
    if value.shape != shape:  # a tracer of an exporter has one too
        raise flax.errors.ScopeParamShapeError(name, "/".join(module.path), value.shape, shape)
    if module.has_variable("masks", name):
        value = value * module.get_variable("masks", name)
    return value


def shapes(module: nn.Module, x: jax.Array, **options: Any) -> Any:
    """Shapes and dtypes of a network's variables, from an abstract trace without the initialisers.

    Args:
        module: a network.
        x: an input; only its shape and dtype matter.
        options: further arguments of the network, such as `train`.
    """
    with _dealing(_Pool()):
        return jax.eval_shape(partial(module.init, **options), jax.random.key(0), x)


def initialise(module: nn.Module, key: jax.Array, x: jax.Array) -> Any:
    """The variables of a network, as `module.init(key, x)` but other numbers of the same distributions.

    Pure and made for `jit`: the program holds two random generators, however many parameters there are. Parameters of
    initialisers other than this module's are drawn as Flax does.

    Args:
        module: a network.
        key: random key.
        x: an input; only its shape and dtype matter.
    """
    with _dealing(_Pool()) as needed:
        jax.eval_shape(module.init, key, x)
    counts = {kind: sum(map(prod, asked)) for kind, asked in needed.asked.items()}
    normal, uniform = jax.random.split(key)
    vectors: dict[Kind, jax.Array] = {
        "normal": jax.random.normal(normal, (counts["normal"],)),
        "uniform": jax.random.uniform(uniform, (counts["uniform"],), minval=-1.0),
    }
    pool = _Pool({kind: iter(parts(vector, needed.asked[kind])) for kind, vector in vectors.items()})
    with _dealing(pool):
        return module.init(key, x)


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
        pool = _pool.get()
        numbers = pool.deal("normal", tuple(shape)) if pool else jax.random.normal(key, tuple(shape), dtype)
        return (self.gain / np.sqrt(fan_out) * numbers).astype(dtype)


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


def _uniform(key: jax.Array, shape: Sequence[int], limit: float, dtype: Any) -> jax.Array:
    """Numbers uniform on +-limit."""
    pool = _pool.get()
    numbers = pool.deal("uniform", tuple(shape)) if pool else jax.random.uniform(key, tuple(shape), dtype, minval=-1.0)
    return (limit * numbers).astype(dtype)
