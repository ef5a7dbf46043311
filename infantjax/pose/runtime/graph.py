"""A pose network as the few operations that other runtimes have, read from what JAX traces of it.

Everything that depends on the weights alone is computed here, and factors and offsets of channels go into the
convolutions before and after them, so that norms and biases cost nothing. Images are `[batch, row, column, channel]`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jax.extend.core import Literal as Constant

from infantjax.devices import traced_for
from infantjax.nn.kernels.lowering import use_lowering

Shape = tuple[int, ...]
Padding = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above, below, left and right."""


@dataclass(frozen=True, eq=False)
class Node:
    """An operation and its result; this class itself stands for the images.

    Attributes:
        inputs: what it reads.
        shape: of the result.
    """

    inputs: "tuple[Node, ...]"
    shape: Shape


@dataclass(frozen=True, eq=False)
class Conv(Node):
    """A convolution.

    Attributes:
        kernel: `[row, column, in / groups, out]`.
        bias: `[out]`.
        strides: between outputs.
        dilations: between the taps of the kernel.
        padding: of the input.
        groups: of channels; as many as channels where it is depthwise.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Padding
    groups: int


@dataclass(frozen=True, eq=False)
class Transposed(Node):
    """A transposed convolution of stride 2 to twice the height and width, as much cut off on all sides.

    Attributes:
        kernel: `[row, column, in, out]`.
        bias: `[out]`.
    """

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """Channels times `multiplier` plus `offset`, both `[channel]`."""

    multiplier: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True, eq=False)
class Clip(Node):
    """Values between `low` and `high`."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Binary(Node):
    """`add`, `mul`, `max` or `min` of two results; the second may have one row and column."""

    op: Literal["add", "mul", "max", "min"]


@dataclass(frozen=True, eq=False)
class Sigmoid(Node):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, eq=False)
class Positive(Node):
    """Whether a value is above 0; only ever read by what becomes a `PRelu`."""


@dataclass(frozen=True, eq=False)
class PRelu(Node):
    """Negative values times the `slope` of their channel."""

    slope: np.ndarray


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Channels side by side."""


@dataclass(frozen=True, eq=False)
class Mean(Node):
    """Over rows and columns, which become one."""


@dataclass(frozen=True, eq=False)
class Pool(Node):
    """`max` or `mean` of squares of a `side`, `stride` pixels apart."""

    kind: Literal["max", "mean"]
    side: int
    stride: int


@dataclass(frozen=True, eq=False)
class Pad(Node):
    """Zeros around images."""

    padding: Padding


@dataclass(frozen=True)
class Graph:
    """Operations in an order in which they can be computed: the images first, the result last."""

    nodes: tuple[Node, ...]

    @property
    def image(self) -> Node:
        """The images."""
        return self.nodes[0]

    @property
    def result(self) -> Node:
        """What is wanted."""
        return self.nodes[-1]


def trace(function: Callable, shape: Shape) -> Graph:
    """The operations of a function of images.

    Args:
        function: traceable by JAX, of float32 images, with the weights inside.
        shape: of the images.

    Raises:
        NotImplementedError: the function has an operation that is not known here.
    """
    with use_lowering("convolution"), traced_for("tpu"):  # as a TPU has them: no detours for the speed of XLA on a CPU
        closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, np.float32))
    reader = _Reader(Node((), shape))
    (result,) = reader.read(closed.jaxpr, closed.consts, tuple(reader.nodes))
    return _pruned(*_folded(tuple(reader.nodes), result))


class _Reader:
    """Reads traced programs; `nodes` are all operations so far, in order.

    A value of the program has the shape of its node, or one with rows, columns and images in fewer axes.
    """

    def __init__(self, image: Node) -> None:
        self.nodes: dict[Node, None] = {image: None}

    def read(self, jaxpr: Any, constants: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        """The results of a program: nodes, or arrays where they depend on no image."""
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, constants)) | dict(zip(jaxpr.invars, given))

        def value(atom: Any) -> Any:
            return np.asarray(atom.val) if isinstance(atom, Constant) else known[atom]

        for equation in jaxpr.eqns:
            arguments = [value(atom) for atom in equation.invars]
            known.update(zip(equation.outvars, self._results(equation, arguments)))
        return [value(atom) for atom in jaxpr.outvars]

    def _results(self, equation: Any, arguments: list[Any]) -> list[Any]:
        inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if inner is not None:
            return self.read(inner.jaxpr, inner.consts, arguments)
        if not any(isinstance(argument, Node) for argument in arguments):
            return _constants(equation, [np.asarray(argument) for argument in arguments])
        name = equation.primitive.name
        if name not in _READERS:
            raise NotImplementedError(f"no {name} outside of JAX")
        shape = equation.outvars[0].aval.shape
        node = _READERS[name](arguments, equation.params, shape)
        if len(shape) == 4 and shape != node.shape:  # rows and columns were divided anew
            raise NotImplementedError(f"no such {name} outside of JAX")
        for new in (*node.inputs, node):
            self.nodes.setdefault(new)
        return [node]


def _constants(equation: Any, arguments: list[np.ndarray]) -> list[np.ndarray]:
    """The results of an operation on constants; by NumPy where it has it, as JAX compiles each shape."""
    name, params = equation.primitive.name, equation.params
    if name in _BY_NUMPY:
        return [_BY_NUMPY[name](*arguments)]
    if name in ("reshape", "squeeze", "broadcast_in_dim"):
        shape, axes = equation.outvars[0].aval.shape, params.get("broadcast_dimensions")
        if axes is None:
            return [arguments[0].reshape(shape)]
        sizes = iter(arguments[0].shape)
        spread = [next(sizes) if axis in axes else 1 for axis in range(len(shape))]
        return [np.broadcast_to(arguments[0].reshape(spread), shape)]
    found = equation.primitive.bind(*arguments, **params)
    return [*map(np.asarray, found)] if equation.primitive.multiple_results else [np.asarray(found)]


_BY_NUMPY: dict[str, Callable[..., np.ndarray]] = {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide},
    "rsqrt": lambda x: 1 / np.sqrt(x),
}


def _channels(value: np.ndarray) -> np.ndarray:
    """A constant that depends on the channel at most, as `[channel]` or `[]`.

    Raises:
        NotImplementedError: it depends on more.
    """
    rows = value.reshape(-1, value.shape[-1] if value.ndim else 1).astype(np.float64)
    if (rows != rows[0]).any():
        raise NotImplementedError("no constant images outside of JAX")
    return rows[0]


def _affine(x: Node, multiplier: Any = 1.0, offset: Any = 0.0) -> Node:
    spread = (np.broadcast_to(np.asarray(value, np.float64), x.shape[-1:]) for value in (multiplier, offset))
    return Affine((x,), x.shape, *spread)


def _binary(op: str, arguments: list[Any], _: Any, shape: Shape) -> Node:
    a, b = arguments
    if isinstance(a, Node) and isinstance(b, Node):
        if op in ("sub", "div"):
            raise NotImplementedError(f"no {op} of two images outside of JAX")
        whole, other = (a, b) if np.prod(a.shape) >= np.prod(b.shape) else (b, a)
        return Binary((whole, other), whole.shape, op)  # type: ignore[arg-type]
    x, value = (a, _channels(b)) if isinstance(a, Node) else (b, _channels(a))
    if op in ("max", "min"):
        bound = float(value[0])
        if (value != bound).any():
            raise NotImplementedError("no bounds of channels outside of JAX")
        return Clip((x,), x.shape, *((bound, np.inf) if op == "max" else (-np.inf, bound)))
    if op in ("sub", "div") and x is b:
        raise NotImplementedError(f"no {op} from a constant outside of JAX")
    return {
        "add": lambda: _affine(x, offset=value),
        "sub": lambda: _affine(x, offset=-value),
        "mul": lambda: _affine(x, value),
        "div": lambda: _affine(x, 1 / value),
    }[op]()


def _conv(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    x, kernel = arguments
    order = params["dimension_numbers"]
    if (order.lhs_spec, order.rhs_spec, order.out_spec) != ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)):
        raise NotImplementedError("no other order of the axes of images outside of JAX")
    kernel, bias, padding = np.asarray(kernel, np.float64), np.zeros(shape[-1]), tuple(map(tuple, params["padding"]))
    if tuple(params["lhs_dilation"]) == (2, 2):
        cut = [2 * taps - 2 - sum(sides) for taps, sides in zip(kernel.shape, padding)]
        if any(a != b for a, b in padding) or cut != [taps - 2 for taps in kernel.shape[:2]]:
            raise NotImplementedError("no such transposed convolution outside of JAX")
        return Transposed((x,), shape, kernel[::-1, ::-1], bias)
    strides, dilations = tuple(params["window_strides"]), tuple(params["rhs_dilation"])
    return Conv((x,), shape, kernel, bias, strides, dilations, padding, params["feature_group_count"])  # type: ignore[arg-type]


def _product(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    x, kernel = arguments
    contracted, batched = params["dimension_numbers"]
    if not isinstance(x, Node) or batched != ((), ()) or contracted != ((1,), (0,)):
        raise NotImplementedError("no such matrix product outside of JAX")
    none, size = ((0, 0), (0, 0)), (*x.shape[:3], shape[-1])
    values = np.asarray(kernel, np.float64)[None, None]
    return Conv((x,), size, values, np.zeros(shape[-1]), (1, 1), (1, 1), none, 1)


def _same(arguments: list[Any], _: Any, shape: Shape) -> Node:
    """The same values with other axes for rows and columns."""
    x: Node = arguments[0]
    if np.prod(shape) != np.prod(x.shape) or shape[-1] != x.shape[-1]:
        raise NotImplementedError("no such change of shape outside of JAX")
    return x


def _sum(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    x: Node = arguments[0]
    if tuple(params["axes"]) != (1, 2):
        raise NotImplementedError("no such sum outside of JAX")
    return _affine(Mean((x,), (x.shape[0], 1, 1, x.shape[3])), x.shape[1] * x.shape[2])


def _pool(kind: Literal["max", "mean"], arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    side, stride = params["window_dimensions"][1], params["window_strides"][1]
    square = (1, side, side, 1) == tuple(params["window_dimensions"])
    if not square or np.any(params["padding"]) or {*params["base_dilation"], *params["window_dilation"]} != {1}:
        raise NotImplementedError("no such window outside of JAX")
    pooled = Pool((arguments[0],), shape, kind, side, stride)
    return pooled if kind == "max" else _affine(pooled, side**2)


def _pad(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    x, value = arguments
    (none, *padding, channels) = [tuple(sides) for sides in params["padding_config"]]
    if float(value) or any(none) or any(channels) or any(inner for *_, inner in padding):
        raise NotImplementedError("no such padding outside of JAX")
    (top, bottom, _), (left, right, _) = padding
    return Pad((x,), shape, ((top, bottom), (left, right)))


def _concat(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node:
    if params["dimension"] != len(shape) - 1:
        raise NotImplementedError("no such concatenation outside of JAX")
    return Concat(tuple(arguments), (*arguments[0].shape[:3], shape[-1]))


def _positive(arguments: list[Any], _: Any, shape: Shape) -> Node:
    x, bound = arguments
    if np.any(bound):
        raise NotImplementedError("no such comparison outside of JAX")
    return Positive((x,), x.shape)


def _select(arguments: list[Any], _: Any, shape: Shape) -> Node:
    which, below, above = arguments
    match which, below:
        case Positive(inputs=(x,)), Affine(inputs=(y,)) if x is y is above and not below.offset.any():
            return PRelu((x,), x.shape, below.multiplier)
    raise NotImplementedError("no such choice outside of JAX")


def _sigmoid(arguments: list[Any], _: Any, shape: Shape) -> Node:
    return Sigmoid((arguments[0],), arguments[0].shape)


_READERS: dict[str, Callable[[list[Any], Any, Shape], Node]] = {
    **{name: partial(_binary, name) for name in ("add", "sub", "mul", "div", "max", "min")},
    **dict.fromkeys(("reshape", "broadcast_in_dim", "squeeze", "convert_element_type", "copy"), _same),
    "conv_general_dilated": _conv,
    "dot_general": _product,
    "reduce_sum": _sum,
    "reduce_window_sum": partial(_pool, "mean"),
    "reduce_window_max": partial(_pool, "max"),
    "pad": _pad,
    "concatenate": _concat,
    "logistic": _sigmoid,
    "gt": _positive,
    "select_n": _select,
}
"""By the name of JAX's operation: from its arguments, parameters and the shape of its result to a node."""


def _folded(nodes: Sequence[Node], result: Node) -> tuple[list[Node], Node]:
    """The operations, with those that a neighbor can do left to it."""
    new: dict[Node, Node] = {}
    for node in nodes:
        new[node] = _fold(replace(node, inputs=tuple(new[x] for x in node.inputs)))
    return list(dict.fromkeys(new.values())), new[result]


def _fold(node: Node) -> Node:
    match node:
        case Affine(inputs=(Affine() as x,)):
            offset = x.offset * node.multiplier + node.offset
            return _fold(replace(node, inputs=x.inputs, multiplier=x.multiplier * node.multiplier, offset=offset))
        case Affine(inputs=(Conv() | Transposed() as x,)):
            return replace(x, kernel=x.kernel * node.multiplier, bias=x.bias * node.multiplier + node.offset)
        case Affine() if np.allclose(node.multiplier, 1, rtol=1e-9) and not node.offset.any():
            return node.inputs[0]
        case Clip(inputs=(Clip() as x,)) if x.low <= node.high:
            return replace(node, inputs=x.inputs, low=max(x.low, node.low), high=min(x.high, node.high))
        case Conv(inputs=(Affine() as x,)) if not x.offset.any():
            axis = 3 if node.groups > 1 else 2
            factor = x.multiplier.reshape([-1 if i == axis else 1 for i in range(4)])
            return replace(node, inputs=x.inputs, kernel=node.kernel * factor)
    return node


def _pruned(nodes: Sequence[Node], result: Node) -> Graph:
    """Only what the result needs."""
    needed = {result}
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.inputs)
    kept = [node for node in nodes if node in needed]
    kept.remove(result)
    return Graph((*kept, result))
