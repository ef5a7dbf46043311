"""Initialisers as the papers name them, and initialising a whole network as one small program.

`module.init(key, x)` works as everywhere in Flax. Compiled, it holds one random generator for each of some two hundred
parameters, which takes XLA half a minute for a graph network; `initialise` draws all numbers at once instead.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Literal

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from infantjax.nn.parts import parts

Kind = Literal["normal", "uniform"]


_dealt = core.Primitive("dealt")
_dealt.def_abstract_eval(lambda *, kind, shape: jax.core.ShapedArray(shape, jnp.result_type(float)))

_dealing: ContextVar[bool] = ContextVar("dealing", default=False)
"""Whether a parameter's numbers are dealt: left open while a network is traced, see `Initialisation`."""


def _deal(kind: Kind, shape: Sequence[int]) -> jax.Array | None:
    return _dealt.bind(kind=kind, shape=tuple(shape)) if _dealing.get() else None


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


@dataclass(frozen=True, eq=False)
class Initialisation:
    """How the variables of a network begin, from one trace of it.

    Attributes:
        variables: their shapes and dtypes.
        dealt: kind and shape of the random numbers of each parameter, in the order in which they are declared.
        program: the leaves of the variables, from a random key for parameters of other initialisers than this module's,
            and from those numbers; nothing of what the network computes.
    """

    variables: Any
    dealt: tuple[tuple[Kind, tuple[int, ...]], ...]
    program: Callable[..., list[jax.Array]]

    @classmethod
    def of(cls, module: nn.Module, x: Any, **options: Any) -> "Initialisation":
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
        needed, made = {var for var in jaxpr.outvars if isinstance(var, core.Var)}, []
        for eqn in reversed(jaxpr.eqns):
            if eqn.primitive is not _dealt and not needed.isdisjoint(eqn.outvars):
                made.append(eqn)
                needed.update(var for var in eqn.invars if isinstance(var, core.Var))
        if needed.intersection(jaxpr.invars[1:]):
            raise ValueError(f"the variables of {type(module).__name__} depend on its input")
        given = [jaxpr.invars[0], *(eqn.outvars[0] for eqn in dealt)]
        program = core.ClosedJaxpr(core.Jaxpr(jaxpr.constvars, given, jaxpr.outvars, made[::-1]), traced.consts)
        kinds = tuple((eqn.params["kind"], eqn.params["shape"]) for eqn in dealt)
        return cls(variables, kinds, core.jaxpr_as_fun(program))

    def draw(self, key: jax.Array) -> Any:
        """The variables: as `module.init(key, x)` gives them, but other numbers of the same distributions.

        Pure and made for `jit`: the program holds two random generators, however many parameters there are. Parameters
        of initialisers other than this module's are drawn as Flax does.
        """
        asked: dict[Kind, list[tuple[int, ...]]] = {"normal": [], "uniform": []}
        for kind, shape in self.dealt:
            asked[kind].append(shape)
        counts = {kind: sum(map(prod, shapes)) for kind, shapes in asked.items()}
        normal, uniform = jax.random.split(key)
        vectors: dict[Kind, jax.Array] = {
            "normal": jax.random.normal(normal, (counts["normal"],)),
            "uniform": jax.random.uniform(uniform, (counts["uniform"],), minval=-1.0),
        }
        numbers = {kind: iter(parts(vector, asked[kind])) for kind, vector in vectors.items()}
        leaves = self.program(key, *(next(numbers[kind]) for kind, _ in self.dealt))
        return jax.tree.unflatten(jax.tree.structure(self.variables), leaves)


def shapes(module: nn.Module, x: Any, **options: Any) -> Any:
    """Shapes and dtypes of a network's variables; arguments as of `Initialisation.of`."""
    return Initialisation.of(module, x, **options).variables


def initialise(module: nn.Module, key: jax.Array, x: Any) -> Any:
    """The variables of a network, drawn from a random key; see `Initialisation`."""
    return Initialisation.of(module, x).draw(key)


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
        numbers = _deal("normal", shape)
        numbers = jax.random.normal(key, tuple(shape), dtype) if numbers is None else numbers
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
    numbers = _deal("uniform", shape)
    numbers = jax.random.uniform(key, tuple(shape), dtype, minval=-1.0) if numbers is None else numbers
    return (limit * numbers).astype(dtype)
