"""A graph as an ONNX model. Inside, channels come before rows and columns, as the runtimes of ONNX want them."""

from typing import Any

import numpy as np

from infantjax.errors import MissingExtraError
from infantjax.pose.runtime import graph
from infantjax.pose.runtime.graph import Graph, Node

_OPSET, _IR_VERSION = 17, 8
INPUT, OUTPUT = "pixels", "maps"


def onnx_model(wanted: Graph) -> bytes:
    """An ONNX model from images to the result, for any number of images.

    Raises:
        MissingExtraError: the library onnx is not installed.
    """
    try:
        from onnx import checker, helper
    except ImportError:
        raise MissingExtraError("onnx", "onnx") from None
    writer = _Writer(helper)
    for node in wanted.nodes:
        writer.add(node)
    writer.node("Transpose", (writer.names[wanted.result],), OUTPUT, perm=(0, 2, 3, 1))
    ends = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(np.float32)), ("images", *shape))
        for name, shape in ((INPUT, wanted.image.shape[1:]), (OUTPUT, wanted.result.shape[1:]))
    ]
    made = helper.make_graph(writer.nodes, "infantjax", ends[:1], ends[1:], writer.constants)
    versions = {"opset_imports": [helper.make_opsetid("", _OPSET)], "ir_version": _IR_VERSION}
    model = helper.make_model(made, producer_name="infantjax", **versions)
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """Collects nodes and constants; `names` are those of the results."""

    def __init__(self, helper: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names: dict[Node, str] = {}
        self._helper = helper

    def add(self, node: Node) -> None:
        """Write what gives the result of a node."""
        given, name = [self.names[x] for x in node.inputs], f"v{len(self.names)}"
        self.names[node] = name
        match node:
            case graph.Conv(kernel=kernel, bias=bias, padding=padding):
                given += [self._constant(kernel.transpose(3, 2, 0, 1)), self._constant(bias)]
                how = {"strides": node.strides, "dilations": node.dilations, "group": node.groups}
                self.node("Conv", given, name, kernel_shape=kernel.shape[:2], pads=_pads(padding), **how)
            case graph.Transposed(kernel=kernel, bias=bias):
                given += [self._constant(kernel.transpose(2, 3, 0, 1)), self._constant(bias)]
                cut = [(taps - 2) // 2 for taps in kernel.shape[:2]]
                self.node("ConvTranspose", given, name, kernel_shape=kernel.shape[:2], pads=cut + cut, strides=(2, 2))
            case graph.Affine(multiplier=multiplier, offset=offset):
                self._affine(given[0], multiplier, offset, name)
            case graph.Clip(low=0.0, high=np.inf):
                self.node("Relu", given, name)
            case graph.Clip(low=low, high=high):
                self.node("Clip", [*given, self._constant(np.array(low)), self._constant(np.array(high))], name)
            case graph.PRelu(slope=slope):
                self.node("PRelu", [*given, self._constant(slope[:, None, None])], name)
            case graph.Pool(kind=kind, side=side, stride=stride):
                operation = "MaxPool" if kind == "max" else "AveragePool"
                self.node(operation, given, name, kernel_shape=(side, side), strides=(stride, stride))
            case graph.Pad(padding=((top, bottom), (left, right))):
                pads = self._constant(np.array([0, 0, top, left, 0, 0, bottom, right]), np.int64)
                self.node("Pad", [*given, pads], name)
            case graph.Binary(op=op):
                self.node({"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}[op], given, name)
            case graph.Concat():
                self.node("Concat", given, name, axis=1)
            case graph.Mean():
                self.node("GlobalAveragePool", given, name)
            case graph.Sigmoid():
                self.node("Sigmoid", given, name)
            case _:
                self.node("Transpose", (INPUT,), name, perm=(0, 3, 1, 2))

    def _affine(self, given: str, multiplier: np.ndarray, offset: np.ndarray, name: str) -> None:
        if offset.any():
            self.node("Mul", (given, self._constant(multiplier[:, None, None])), f"{name}_scaled")
            self.node("Add", (f"{name}_scaled", self._constant(offset[:, None, None])), name)
        else:
            self.node("Mul", (given, self._constant(multiplier[:, None, None])), name)

    def node(self, operation: str, given: Any, name: str, **attributes: Any) -> None:
        """Write one operation of ONNX."""
        self.nodes.append(self._helper.make_node(operation, list(given), [name], name=name, **attributes))

    def _constant(self, value: np.ndarray, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name


def _pads(padding: graph.Padding) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]
