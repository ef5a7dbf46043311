"""Initializers as the papers name them, and drawing the variables of a whole network with NumPy.

`module.init(key, x)` works as everywhere in Flax. Compiled, it holds one random generator for each of some two hundred
parameters, which takes XLA half a minute to a minute and a half for a graph network. `initialize` traces the network
abstractly instead, notes the initializer of each parameter, and draws all numbers on the host: 2 s in all.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Literal

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

Path = tuple[str, ...]
"""Collection, modules and name of a variable."""

_recorded: ContextVar[dict[Path, Any] | None] = ContextVar("recorded", default=None)
"""Initializers of parameters and values of other variables, while `Initialization` traces a network."""


def parameter(module: nn.Module, name: str, initializer: Callable[..., jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """As `module.param(name, initializer, shape)`, but an existing parameter is only looked up.

    Flax traces the initializer of every parameter again on each application, to compare shapes: half of the time that
    tracing a network takes.

    Raises:
        flax.errors.ScopeParamShapeError: the parameter has another shape.
    """
    if module.has_variable("params", name):
        value: jax.Array = module.get_variable("params", name)
        if value.shape != shape:  # a tracer of an exporter has one too
            raise flax.errors.ScopeParamShapeError(name, "/".join(module.path), value.shape, shape)
        return value
    recorded = _recorded.get()
    if recorded is None:
        return module.param(name, initializer, shape)
    recorded["params", *module.path, name] = initializer
    return module.param(name, lambda key: jnp.zeros(shape, jnp.float32))


def variable(module: nn.Module, collection: str, name: str, value: Callable[[], np.ndarray]) -> nn.Variable:
    """As `module.variable(collection, name, value)`, of a value that NumPy computes; float32."""

    def init() -> jax.Array:
        found = np.asarray(value(), np.float32)
        if (recorded := _recorded.get()) is not None:
            recorded[collection, *module.path, name] = found
        return jnp.asarray(found)

    return module.variable(collection, name, init)


@dataclass(frozen=True, eq=False)
class Initialization:
    """Initial variables of a network, from one abstract trace of it.

    Attributes:
        variables: shapes and dtypes of all variables.
        recorded: initializer of each parameter, or value of another variable, by path. Parameters that a network
            declares without `parameter`, or with initializers that are not this module's, are drawn as Flax does.
        init: the leaves of the variables from a key, as Flax draws those that are not recorded.
    """

    variables: Any
    recorded: Mapping[Path, Any]
    init: Callable[[jax.Array], list[jax.Array]]

    @classmethod
    def of(cls, module: nn.Module, x: Any, **options: Any) -> "Initialization":
        """Trace a network.

        Args:
            module: a network.
            x: an input, an array or a tree of arrays; only shapes and dtypes matter.
            options: further arguments of the network, such as `train`.
        """
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), leaf.dtype), x)

        def init(key: jax.Array) -> Any:
            return module.init(key, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), **options)

        recorded: dict[Path, Any] = {}
        token = _recorded.set(recorded)
        try:
            key = jax.eval_shape(jax.random.key, 0)
            traced, variables = jax.make_jaxpr(init, return_shape=True)(key)
        finally:
            _recorded.reset(token)
        return cls(variables, recorded, core.jaxpr_as_fun(traced))

    def draw(self, key: jax.Array) -> Any:
        """Variables as NumPy arrays: a function of the key alone. Runs on the host, not under `jit`.

        The distributions are those of `module.init(key, x)`, the numbers are others.

        Args:
            key: of JAX; several `[run]` give variables with a leading run axis.
        """
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
            return jax.tree.map(lambda *leaves: np.stack(leaves), *map(self.draw, key))
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        others = iter(jax.device_get(self._others(key)))

        def leaf(path: Any, shape: jax.ShapeDtypeStruct) -> np.ndarray:
            known = self.recorded.get(_names(path))
            if isinstance(known, Initializer):
                return known.draw(rng, shape.shape).astype(shape.dtype)
            return np.array(known, shape.dtype) if isinstance(known, np.ndarray) else next(others)

        return jax.tree_util.tree_map_with_path(leaf, self.variables)

    @cached_property
    def _others(self) -> Callable[[jax.Array], list[jax.Array]]:
        """Variables that only the network can make, from a key, as one program in which XLA leaves out all others."""
        paths = [_names(path) for path, _ in jax.tree_util.tree_leaves_with_path(self.variables)]
        known = [isinstance(self.recorded.get(path), Initializer | np.ndarray) for path in paths]
        if all(known):
            return lambda key: []
        return jax.jit(lambda key: [leaf for leaf, drawn in zip(self.init(key), known) if not drawn])


def _names(path: Sequence[Any]) -> Path:
    return tuple(str(key.key) for key in path)


def shapes(module: nn.Module, x: Any, **options: Any) -> Any:
    """Shapes and dtypes of a network's variables; arguments as of `Initialization.of`."""
    return Initialization.of(module, x, **options).variables


def initialize(module: nn.Module, key: jax.Array, x: Any, **options: Any) -> Any:
    """Variables of a network as NumPy arrays, drawn on the host; see `Initialization.draw`."""
    return Initialization.of(module, x, **options).draw(key)


# --- distributions ---------------------------------------------------------------------------------------------------


def _truncated_normal(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Standard normal numbers within two deviations."""
    numbers = rng.standard_normal(shape)
    while (outside := np.abs(numbers) > 2).any():
        numbers[outside] = rng.standard_normal(outside.sum())
    return numbers


_STANDARD: dict[str, tuple[Callable[..., np.ndarray], Callable[..., jax.Array]]] = {
    "normal": (lambda rng, shape: rng.standard_normal(shape), jax.random.normal),
    "uniform": (lambda rng, shape: rng.uniform(-1, 1, shape), partial(jax.random.uniform, minval=-1.0)),
    "truncated": (
        _truncated_normal,
        lambda key, shape, dtype: jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype),
    ),
}
"""Standard numbers of each kind, from NumPy and from JAX."""


class Initializer(ABC):
    """Random numbers of a kind, times a scale that follows from the shape; called as the initializers of Flax are."""

    kind: ClassVar[Literal["normal", "uniform", "truncated"]]

    @abstractmethod
    def scale(self, shape: Sequence[int]) -> float:
        """Factor of the standard numbers of an array."""

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """Draw an array with NumPy."""
        return self.scale(shape) * _STANDARD[self.kind][0](rng, tuple(shape))

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """Draw an array with JAX."""
        return jnp.asarray(self.scale(shape), dtype) * _STANDARD[self.kind][1](key, shape=tuple(shape), dtype=dtype)


@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere."""

    value: float

    def scale(self, shape: Sequence[int]) -> float:
        """The value."""
        return self.value

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        """An array of the value; draws nothing."""
        return np.full(shape, self.value)

    def __call__(self, key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        """An array of the value."""
        return jnp.full(shape, self.value, dtype)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with the given standard deviation."""

    kind = "normal"
    deviation: float

    def scale(self, shape: Sequence[int]) -> float:
        """Standard deviation."""
        return self.deviation


@dataclass(frozen=True)
class HeNormalFanOut(Initializer):
    """Normal with variance `gain**2 / fan_out`, where fan_out = output channels x kernel length, groups ignored.

    Attributes:
        gain: sqrt(2) before a rectifier, 1 elsewhere.
        out_axes: axes of the kernel that count output channels.
        kernel_axes: axes of the kernel that count its length.

    Source: He et al. 2015; the thesis and the reference implementation of movement outcome use the fan-out form.
    """

    kind = "normal"
    gain: float = 1.0
    out_axes: tuple[int, ...] = (-1,)
    kernel_axes: tuple[int, ...] = ()

    def scale(self, shape: Sequence[int]) -> float:
        """Standard deviation."""
        return self.gain / np.sqrt(np.prod([shape[axis] for axis in (*self.out_axes, *self.kernel_axes)]))


@dataclass(frozen=True)
class UniformFanIn(Initializer):
    """Uniform on +-1/sqrt(fan_in): PyTorch's default for biases."""

    kind = "uniform"
    fan_in: int

    def scale(self, shape: Sequence[int]) -> float:
        """Limit."""
        return 1 / np.sqrt(self.fan_in)


@dataclass(frozen=True)
class HeUniform(Initializer):
    """Uniform on +-sqrt(6 / fan_in), for kernels `[tap, ..., in, out]`, `[in, out]`, and vectors of fan_in numbers.

    Source: He et al. 2015; the reference implementation of Baby Moves.
    """

    kind = "uniform"

    def scale(self, shape: Sequence[int]) -> float:
        """Limit."""
        return np.sqrt(6 / np.prod(shape[: max(len(shape) - 1, 1)]))


@dataclass(frozen=True)
class GlorotUniform(Initializer):
    """Uniform on +-sqrt(6 / (fan_in + fan_out)): `[row, column, in, out]`, `[row, column, channel]` and `[in, out]`.

    Both fans count the kernel's size. A depthwise kernel has one output a channel, as Keras counts it.

    Source: Glorot and Bengio 2010; the default of Keras, in which the published pose networks were trained.
    """

    kind = "uniform"

    def scale(self, shape: Sequence[int]) -> float:
        """Limit."""
        inputs, outputs = shape[-2:] if len(shape) != 3 else (shape[2], 1)
        size = np.prod(shape[:2]) if len(shape) > 2 else 1
        return np.sqrt(6 / (size * (inputs + outputs)))


@dataclass(frozen=True)
class TruncatedFanIn(Initializer):
    """Normal within two deviations, of variance `variance / fan_in`, for `[tap, ..., in, out]` and `[in, out]`.

    Attributes:
        variance: 2 is He's before a rectifier.

    Source: the variance scaling of Keras.
    """

    kind = "truncated"
    variance: float = 1.0

    def scale(self, shape: Sequence[int]) -> float:
        """Factor that gives numbers within two deviations the wanted variance."""
        return np.sqrt(self.variance / np.prod(shape[:-1])) / _DEVIATION


_DEVIATION = 0.87962566103423978
"""Deviation of a standard normal number within two deviations."""
