"""What of a network depends on its weights alone, computed once instead of with every input.

In evaluation mode most operations of a graph network make kernels and offsets: norms go into convolutions, scales into
one kernel, edge weights into the graph. They work on a few hundred numbers each, but they are six of ten kernels that
XLA would compile, and a tenth of the time of a window. `split` divides a traced function into that part, which NumPy
computes (each of its operations runs once, so that compiling them would cost more than all else), and the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend import core

Folded = list[np.ndarray]
"""What the rest of a function reads, in a fixed order."""


@dataclass(frozen=True, eq=False)
class Split:
    """A traced function of variables and inputs, divided.

    Attributes:
        traced: the whole function.
        variables: number of its arguments that are variables; they come first.
        first: which of its operations depend on no input.
        carried: what `first` makes, or variables, that the rest reads.
        outputs: structure of what it returns.
    """

    traced: core.ClosedJaxpr
    variables: int
    first: tuple[bool, ...]
    carried: tuple[core.Var, ...]
    outputs: Any

    @property
    def reads_all(self) -> bool:
        """Whether the function reads every variable."""
        jaxpr = self.traced.jaxpr
        read = {var for eqn in jaxpr.eqns for var in _reads(eqn)} | set(self.carried)
        return read.issuperset(jaxpr.invars[: self.variables])

    def fold(self, variables: Any) -> Folded:
        """What depends on the variables alone, for variables of the traced shapes."""
        jaxpr, leaves = self.traced.jaxpr, [np.asarray(leaf) for leaf in jax.tree.leaves(variables)]
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*map(np.asarray, self.traced.consts), *leaves]))
        evaluate([eqn for eqn, first in zip(jaxpr.eqns, self.first) if first], known)
        return [known[var] for var in self.carried]

    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        """Of what `fold` returns."""
        return [jax.ShapeDtypeStruct(var.aval.shape, var.aval.dtype) for var in self.carried]  # type: ignore[attr-defined]

    def __call__(self, folded: Sequence[Any], *inputs: Any) -> Any:
        """The rest of the function; to be compiled by `jax.jit`."""
        jaxpr = self.traced.jaxpr
        # What depends on neither is cheap, and no reason to carry it.
        eqns = [eqn for eqn, first in zip(jaxpr.eqns, self.first) if not first or not _reads(eqn)]
        given = [*self.carried, *jaxpr.invars[self.variables :]]
        rest = core.ClosedJaxpr(core.Jaxpr(jaxpr.constvars, given, jaxpr.outvars, eqns), self.traced.consts)
        return jax.tree.unflatten(self.outputs, core.jaxpr_as_fun(rest)(*folded, *jax.tree.leaves(inputs)))


def split(function: Callable[..., Any], variables: Any, *inputs: Any) -> Split:
    """Trace a function and divide it.

    Args:
        function: of variables and inputs; pure.
        variables: arrays or their shapes.
        inputs: likewise.
    """
    traced, outputs = jax.make_jaxpr(function, return_shape=True)(variables, *inputs)
    jaxpr, count = traced.jaxpr, len(jax.tree.leaves(variables))
    late, first = set(jaxpr.invars[count:]), []
    for eqn in jaxpr.eqns:
        first.append(late.isdisjoint(_reads(eqn)))
        if not first[-1]:
            late.update(eqn.outvars)
    constant = {var for eqn, early in zip(jaxpr.eqns, first) if early and not _reads(eqn) for var in eqn.outvars}
    ready = {var for eqn, early in zip(jaxpr.eqns, first) if early for var in eqn.outvars} - constant
    ready |= set(jaxpr.invars[:count])
    read = [var for eqn, early in zip(jaxpr.eqns, first) if not early for var in _reads(eqn)]
    read += [var for var in jaxpr.outvars if isinstance(var, core.Var)]
    carried = tuple(dict.fromkeys(var for var in read if var in ready))
    return Split(traced, count, tuple(first), carried, jax.tree.structure(outputs))


def _reads(eqn: core.JaxprEqn) -> list[core.Var]:
    return [var for var in eqn.invars if isinstance(var, core.Var)]


def _value(known: dict, var: Any) -> Any:
    return var.val if isinstance(var, core.Literal) else known[var]


def evaluate(eqns: Sequence[core.JaxprEqn], known: dict) -> None:
    """Run operations in their order, in NumPy where it can; adds what they give to what is known of their variables."""
    for eqn in eqns:
        known.update(zip(eqn.outvars, _run(eqn, [_value(known, var) for var in eqn.invars])))


def _run(eqn: core.JaxprEqn, values: list[Any]) -> Sequence[Any]:
    name = str(eqn.primitive)
    if name == "optimization_barrier":
        return values
    if name == "jit":
        inner = eqn.params["jaxpr"]
        known = dict(zip([*inner.jaxpr.constvars, *inner.jaxpr.invars], [*inner.consts, *values]))
        evaluate(inner.jaxpr.eqns, known)
        return [_value(known, var) for var in inner.jaxpr.outvars]
    if name in _NUMPY and (found := _NUMPY[name](eqn.params, *values)) is not NotImplemented:
        return [found]
    # Any other operation runs in JAX, which compiles it by itself.
    read, given = _reads(eqn), [value for value, var in zip(values, eqn.invars) if isinstance(var, core.Var)]
    alone = core.ClosedJaxpr(core.Jaxpr((), read, eqn.outvars, [eqn]), ())
    return [np.asarray(value) for value in core.jaxpr_as_fun(alone)(*given)]


def _broadcast(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    shape = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], np.shape(x)):
        shape[axis] = size
    return np.broadcast_to(np.reshape(x, shape), params["shape"])


def _slice(params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    starts, limits = params["start_indices"], params["limit_indices"]
    return x[tuple(map(slice, starts, limits, params["strides"] or [None] * len(starts)))]


def _pad(params: dict[str, Any], x: np.ndarray, value: Any) -> np.ndarray:
    config = np.array(params["padding_config"]).reshape(-1, 3)
    if (config < 0).any() or config[:, 2].any():
        return NotImplemented
    return np.pad(x, config[:, :2], constant_values=value)


def _select(params: dict[str, Any], which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    return np.where(which, cases[1], cases[0]) if len(cases) == 2 else NotImplemented


def _iota(params: dict[str, Any]) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    steps = np.arange(shape[axis], dtype=params["dtype"])
    return np.broadcast_to(steps.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


def _quotient(params: dict[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # Of whole numbers towards zero.
    return a / b if np.issubdtype(np.result_type(a), np.floating) else np.trunc(a / b).astype(np.result_type(a))


def _product(params: dict[str, Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (a_sum, b_sum), (a_batch, b_batch) = params["dimension_numbers"]
    if not a_batch:
        return np.tensordot(a, b, axes=(a_sum, b_sum))
    # An output has the shared axes first, then those of either side.
    names = iter(range(a.ndim + b.ndim))
    of_a = [next(names) for _ in range(a.ndim)]
    shared = dict(zip((*b_batch, *b_sum), (of_a[axis] for axis in (*a_batch, *a_sum))))
    of_b = [shared[axis] if axis in shared else next(names) for axis in range(b.ndim)]
    kept = [name for axis, name in enumerate(of_a) if axis not in (*a_batch, *a_sum)]
    kept += [name for axis, name in enumerate(of_b) if axis not in shared]
    return np.einsum(a, of_a, b, of_b, [of_a[axis] for axis in a_batch] + kept, optimize=True)


_NUMPY: dict[str, Callable[..., Any]] = {
    "add": lambda params, a, b: a + b,
    "sub": lambda params, a, b: a - b,
    "mul": lambda params, a, b: a * b,
    "div": _quotient,
    "rem": lambda params, a, b: np.fmod(a, b),
    "and": lambda params, a, b: a & b,
    "eq": lambda params, a, b: a == b,
    "ne": lambda params, a, b: a != b,
    "lt": lambda params, a, b: a < b,
    "sign": lambda params, x: np.sign(x),
    "rsqrt": lambda params, x: 1 / np.sqrt(x),
    "select_n": _select,
    "convert_element_type": lambda params, x: np.asarray(x, params["new_dtype"]),
    "dot_general": _product,
    "reduce_sum": lambda params, x: np.sum(x, axis=params["axes"]),
    "broadcast_in_dim": _broadcast,
    "squeeze": lambda params, x: np.squeeze(x, params["dimensions"]),
    "reshape": lambda params, x: np.reshape(x, params["new_sizes"]),
    "transpose": lambda params, x: np.transpose(x, params["permutation"]),
    "slice": _slice,
    "pad": _pad,
    "iota": _iota,
    "stack": lambda params, *parts: np.stack(parts, params["axis"]),
    "concatenate": lambda params, *parts: np.concatenate(parts, params["dimension"]),
}
"""Operations that evaluation mode makes kernels and offsets of, by name."""
