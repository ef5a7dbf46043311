"""A pose network as an ONNX model, written from what JAX traces of it.

Constants are computed here, and factors and offsets of channels go into the convolutions before and after them, so
that norms and biases cost nothing. Images are `[batch, row, column, channel]`; inside ONNX channels come first.

Our own because jax2onnx (0.17) needs an Orbax below 0.11.37, and this library 0.12.8 or later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal as Constant

from infantjax.devices import for_platform
from infantjax.errors import MissingExtraError

Shape = tuple[int, ...]

INPUT, OUTPUT = "pixels", "maps"
_OPSET, _IR_VERSION = 17, 8


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of ONNX and its result.

    Attributes:
        op: its name; empty for the images, `Affine` for channels times a multiplier plus an offset.
        inputs: results that it reads.
        shape: of the result, `[batch, row, column, channel]`.
        constants: arrays that it reads after the inputs, in ONNX's order of axes.
        attributes: of the operation.
    """

    op: str
    inputs: "tuple[Node, ...]"
    shape: Shape
    constants: tuple[np.ndarray, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


def onnx_model(function: Callable, shape: Shape) -> bytes:
    """An ONNX model of a function of images, for any number of images.

    Args:
        function: traceable by JAX, of float32 images, with the weights inside.
        shape: of the images.

    Raises:
        MissingExtraError: the library onnx is not installed.
        NotImplementedError: the function has an operation that is not known here.
    """
    try:
        from onnx import checker, helper, numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    nodes = trace(function, shape)
    names = {node: f"v{number}" for number, node in enumerate(nodes)}
    written = [helper.make_node("Transpose", [INPUT], [names[nodes[0]]], perm=(0, 3, 1, 2))]
    constants: list[Any] = []
    for node in nodes[1:]:
        given, values, op, how = [names[x] for x in node.inputs], node.constants, node.op, node.attributes
        if op == "Affine":
            multiplier, offset = values
            values = (multiplier, offset, np.zeros_like(offset), np.ones_like(offset))  # its mean and variance
            op, how = "BatchNormalization", {"epsilon": 0.0}
        for value in values:
            value = np.ascontiguousarray(value, np.float32 if value.dtype.kind == "f" else None)
            constants.append(numpy_helper.from_array(value, f"c{len(constants)}"))
            given.append(constants[-1].name)
        written.append(helper.make_node(op, given, [names[node]], name=names[node], **how))
    written.append(helper.make_node("Transpose", [names[nodes[-1]]], [OUTPUT], perm=(0, 2, 3, 1)))
    ends = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)), ("images", *sides))
        for name, sides in ((INPUT, shape[1:]), (OUTPUT, nodes[-1].shape[1:]))
    ]
    made = helper.make_graph(written, "infantjax", ends[:1], ends[1:], constants)
    versions = {"opset_imports": [helper.make_opsetid("", _OPSET)], "ir_version": _IR_VERSION}
    model = helper.make_model(made, producer_name="infantjax", **versions)
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def trace(function: Callable, shape: Shape) -> list[Node]:
    """The operations that the result of a function of images needs: the images first, the result last.

    Args:
        function: traceable by JAX, of float32 images, with the weights inside.
        shape: of the images.

    Raises:
        NotImplementedError: the function has an operation that is not known here.
    """
    closed = jax.make_jaxpr(for_platform(function, "plain"))(jax.ShapeDtypeStruct(shape, np.float32))
    (result,) = _read(closed.jaxpr, closed.consts, [Node("", (), shape)])
    new: dict[Node, Node] = {}
    for node in _in_order(result):
        new[node] = _fold(replace(node, inputs=tuple(new[x] for x in node.inputs)))
    return _in_order(new[result])


def _in_order(result: Node) -> list[Node]:
    """Equations that a result needs, each after its inputs."""
    ordered, waiting = dict[Node, None](), [result]
    while waiting:
        if missing := [x for x in waiting[-1].inputs if x not in ordered]:
            waiting += missing
        else:
            ordered.setdefault(waiting.pop())
    return list(ordered)


def _fold(node: Node) -> Node:
    """An operation, or the neighbor that does it as well."""
    if not node.inputs:
        return node
    x = node.inputs[0]
    match node.op, x.op:
        case "Affine", "Affine":
            (factor, added), (multiplier, offset) = x.constants, node.constants
            return _fold(replace(node, inputs=x.inputs, constants=(factor * multiplier, added * multiplier + offset)))
        case "Affine", "Conv" | "ConvTranspose":
            (kernel, bias), (multiplier, offset) = x.constants, node.constants
            factor = multiplier.reshape((-1, 1, 1, 1) if x.op == "Conv" else (-1, 1, 1))
            return replace(x, constants=(kernel * factor, bias * multiplier + offset))
        case "Affine", _ if np.allclose(node.constants[0], 1, rtol=1e-9) and not node.constants[1].any():
            return x
        case "Clip", "Clip" if x.constants[0] <= node.constants[1]:
            (low, high), (least, most) = x.constants, node.constants
            return replace(node, inputs=x.inputs, constants=(np.maximum(low, least), np.minimum(high, most)))
        case "Conv", "Affine" if not x.constants[1].any():
            kernel, bias = node.constants
            factor = x.constants[0].reshape((-1, 1, 1, 1) if node.attributes["group"] > 1 else (1, -1, 1, 1))
            return replace(node, inputs=x.inputs, constants=(kernel * factor, bias))
    return node


def _read(jaxpr: Any, constants: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """The results of a traced program: nodes, or arrays where they depend on no image.

    A value of the program has the shape of its node, or one with rows, columns and images in fewer axes.
    """
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, constants)) | dict(zip(jaxpr.invars, given))

    def value(atom: Any) -> Any:
        return np.asarray(atom.val) if isinstance(atom, Constant) else known[atom]

    for equation in jaxpr.eqns:
        arguments = [value(atom) for atom in equation.invars]
        known.update(zip(equation.outvars, _results(equation, arguments)))
    return [value(atom) for atom in jaxpr.outvars]


def _results(equation: Any, arguments: list[Any]) -> list[Any]:
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if inner is not None:
        return _read(inner.jaxpr, inner.consts, arguments)
    if not any(isinstance(argument, Node) for argument in arguments):
        return _constants(equation, [np.asarray(argument) for argument in arguments])
    name = equation.primitive.name
    shape = equation.outvars[0].aval.shape
    node = _READERS[name](arguments, equation.params, shape) if name in _READERS else None
    # Of an unknown kind, or rows and columns were divided anew.
    if node is None or (len(shape) == 4 and shape != node.shape):
        raise NotImplementedError(f"no such {name} outside of JAX")
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
    """A constant that depends on the channel at most, as `[channel]` or `[1]`.

    Raises:
        NotImplementedError: it depends on more.
    """
    rows = value.reshape(-1, value.shape[-1] if value.ndim else 1).astype(np.float64)
    if (rows != rows[0]).any():
        raise NotImplementedError("no constant images outside of JAX")
    return rows[0]


def _affine(x: Node, multiplier: Any = 1.0, offset: Any = 0.0) -> Node:
    """Channels times a multiplier plus an offset."""
    one = np.ones(x.shape[-1])
    return Node("Affine", (x,), x.shape, (one * multiplier, one * offset))


def _binary(op: str, arguments: list[Any], _: Any, shape: Shape) -> Node | None:
    a, b = arguments
    if isinstance(a, Node) and isinstance(b, Node):
        if op in ("sub", "div"):
            return None
        whole, other = (a, b) if np.prod(a.shape) >= np.prod(b.shape) else (b, a)
        return Node(op.title(), (whole, other), whole.shape)
    x, value = (a, _channels(b)) if isinstance(a, Node) else (b, _channels(a))
    if op in ("max", "min"):
        bound = float(value[0])
        if (value != bound).any():
            return None
        bounds = (bound, np.inf) if op == "max" else (-np.inf, bound)
        return Node("Clip", (x,), x.shape, tuple(map(np.array, bounds)))
    if op in ("sub", "div") and x is b:
        return None
    if op in ("add", "sub"):
        return _affine(x, offset=value if op == "add" else -value)
    return _affine(x, value if op == "mul" else 1 / value)


def _conv(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    x, kernel = arguments
    order = params["dimension_numbers"]
    if (order.lhs_spec, order.rhs_spec, order.out_spec) != ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)):
        return None
    kernel, bias, padding = np.asarray(kernel, np.float64), np.zeros(shape[-1]), np.array(params["padding"])
    sides = kernel.shape[:2]
    if tuple(params["lhs_dilation"]) == (2, 2):
        cut = [2 * taps - 2 - sum(both) for taps, both in zip(sides, padding)]
        if (padding[:, 0] != padding[:, 1]).any() or cut != [taps - 2 for taps in sides]:
            return None
        pads = [(taps - 2) // 2 for taps in sides]
        how = {"kernel_shape": sides, "pads": pads + pads, "strides": (2, 2)}
        return Node("ConvTranspose", (x,), shape, (kernel[::-1, ::-1].transpose(2, 3, 0, 1), bias), how)
    groups = params["feature_group_count"]
    how = {"strides": params["window_strides"], "dilations": params["rhs_dilation"], "group": groups}
    how |= {"kernel_shape": sides, "pads": padding.T.ravel().tolist()}
    return Node("Conv", (x,), shape, (kernel.transpose(3, 2, 0, 1), bias), how)


def _product(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    x, kernel = arguments
    contracted, batched = params["dimension_numbers"]
    if not isinstance(x, Node) or batched != ((), ()) or contracted != ((1,), (0,)):
        return None
    values = np.asarray(kernel, np.float64).T[..., None, None]
    return Node("Conv", (x,), (*x.shape[:3], shape[-1]), (values, np.zeros(shape[-1])), {"group": 1})


def _same(arguments: list[Any], _: Any, shape: Shape) -> Node | None:
    """The same values with other axes for rows and columns."""
    x: Node = arguments[0]
    return x if np.prod(shape) == np.prod(x.shape) and shape[-1] == x.shape[-1] else None


def _sum(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    x: Node = arguments[0]
    if tuple(params["axes"]) != (1, 2):
        return None
    mean = Node("GlobalAveragePool", (x,), (x.shape[0], 1, 1, x.shape[3]))
    return _affine(mean, x.shape[1] * x.shape[2])


def _pool(op: str, arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    side, stride = params["window_dimensions"][1], params["window_strides"][1]
    square = (1, side, side, 1) == tuple(params["window_dimensions"])
    if not square or np.any(params["padding"]) or {*params["base_dilation"], *params["window_dilation"]} != {1}:
        return None
    how = {"kernel_shape": (side, side), "strides": (stride, stride)}
    pooled = Node(op, (arguments[0],), shape, attributes=how)
    return pooled if op == "MaxPool" else _affine(pooled, side**2)


def _pad(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    x, value = arguments
    (none, rows, columns, channels) = [tuple(sides) for sides in params["padding_config"]]
    if float(value) or any(none) or any(channels) or rows[2] or columns[2]:
        return None
    return Node("Pad", (x,), shape, (np.array([0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]]),))


def _concat(arguments: list[Any], params: dict[str, Any], shape: Shape) -> Node | None:
    if params["dimension"] != len(shape) - 1:
        return None
    return Node("Concat", tuple(arguments), (*arguments[0].shape[:3], shape[-1]), attributes={"axis": 1})


def _positive(arguments: list[Any], _: Any, shape: Shape) -> Node | None:
    """Whether a value is above 0; only ever read by `_select`."""
    x, bound = arguments
    return None if np.any(bound) else Node("Positive", (x,), x.shape)


def _select(arguments: list[Any], _: Any, shape: Shape) -> Node | None:
    """Negative values times the slope of their channel."""
    match arguments:
        case [Node(op="Positive", inputs=(x,)), Node(op="Affine", inputs=(y,)) as below, Node() as above]:
            slope, offset = below.constants
            if x is y is above and not offset.any():
                return Node("PRelu", (x,), x.shape, (slope[:, None, None],))
    return None


def _sigmoid(arguments: list[Any], _: Any, shape: Shape) -> Node | None:
    return Node("Sigmoid", (arguments[0],), arguments[0].shape)


_READERS: dict[str, Callable[[list[Any], Any, Shape], Node | None]] = {
    **{name: partial(_binary, name) for name in ("add", "sub", "mul", "div", "max", "min")},
    **dict.fromkeys(("reshape", "broadcast_in_dim", "squeeze", "convert_element_type", "copy"), _same),
    "conv_general_dilated": _conv,
    "dot_general": _product,
    "reduce_sum": _sum,
    "reduce_window_sum": partial(_pool, "AveragePool"),
    "reduce_window_max": partial(_pool, "MaxPool"),
    "pad": _pad,
    "concatenate": _concat,
    "logistic": _sigmoid,
    "gt": _positive,
    "select_n": _select,
}
"""By the name of JAX's operation: from its arguments, parameters and the shape of its result to a node, or
None where ONNX has none for it."""
