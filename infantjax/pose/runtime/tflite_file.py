"""A graph as a file of TFLite, by the schema that comes with LiteRT."""

from typing import Any

import numpy as np

from infantjax.errors import MissingExtraError
from infantjax.nn.kernels.depthwise import same_padding
from infantjax.pose.runtime import graph
from infantjax.pose.runtime.graph import Graph, Node

_IDENTIFIER, _VERSION = b"TFL3", 3


def tflite_model(wanted: Graph) -> bytes:
    """A file of TFLite from images to the result, for as many images as the graph was traced for.

    Raises:
        MissingExtraError: LiteRT is not installed.
        NotImplementedError: the graph has an operation that TFLite lacks.
    """
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise MissingExtraError("ai-edge-litert", "litert") from None
    writer = _Writer(schema)
    for node in wanted.nodes:
        writer.add(node)
    part = schema.SubGraphT()
    part.tensors, part.operators = writer.tensors, writer.operators
    part.inputs, part.outputs = [writer.results[wanted.image]], [writer.results[wanted.result]]
    model = schema.ModelT()
    model.version, model.description = _VERSION, "infantjax"
    model.operatorCodes, model.subgraphs, model.buffers = writer.codes, [part], writer.buffers
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _Writer:
    """Collects operators, tensors and their buffers; `results` are the numbers of the tensors of nodes."""

    def __init__(self, schema: Any) -> None:
        self.operators: list[Any] = []
        self.tensors: list[Any] = []
        self.codes: list[Any] = []
        self.buffers: list[Any] = [schema.BufferT()]  # of all that is computed
        self.results: dict[Node, int] = {}
        self._schema = schema
        self._numbers: dict[int, int] = {}

    def add(self, node: Node) -> None:
        """Write what gives the result of a node."""
        schema = self._schema
        given = [self.results[x] for x in node.inputs]
        match node:
            case graph.Conv():
                found = self._conv(node, given[0])
            case graph.Transposed(kernel=kernel, bias=bias):
                size, weights = self._constant(np.array(node.shape), np.int32), kernel.transpose(3, 0, 1, 2)
                how = {"padding": schema.Padding.SAME, "strideH": 2, "strideW": 2}
                given = [size, self._constant(weights), given[0], self._constant(bias)]
                found = self._operator("TRANSPOSE_CONV", given, node.shape, "TransposeConv", version=3, **how)
            case graph.Affine(multiplier=multiplier, offset=offset):
                found = self._operator("MUL", [given[0], self._constant(multiplier)], node.shape, "Mul")
                if offset.any():
                    found = self._operator("ADD", [found, self._constant(offset)], node.shape, "Add")
            case graph.Clip(low=0.0, high=np.inf):
                found = self._operator("RELU", given, node.shape)
            case graph.Clip(low=0.0, high=6.0):
                found = self._operator("RELU6", given, node.shape)
            case graph.PRelu(slope=slope):
                found = self._operator("PRELU", [*given, self._constant(slope[None, None])], node.shape)
            case graph.Pool(kind=kind, side=side, stride=stride):
                how = {"padding": schema.Padding.VALID, "strideH": stride, "strideW": stride}
                how |= {"filterHeight": side, "filterWidth": side}
                operation = "MAX_POOL_2D" if kind == "max" else "AVERAGE_POOL_2D"
                found = self._operator(operation, given, node.shape, "Pool2D", **how)
            case graph.Pad(padding=padding):
                found = self._pad(given[0], padding, node.shape)
            case graph.Binary(op=op):
                operation = {"add": "ADD", "mul": "MUL", "max": "MAXIMUM", "min": "MINIMUM"}[op]
                options = {"add": "Add", "mul": "Mul"}.get(op, "MaximumMinimum")
                found = self._operator(operation, given, node.shape, options)
            case graph.Concat():
                found = self._operator("CONCATENATION", given, node.shape, "Concatenation", axis=3)
            case graph.Mean():
                axes = self._constant(np.array([1, 2]), np.int32)
                found = self._operator("MEAN", [*given, axes], node.shape, "Reducer", keepDims=True)
            case graph.Sigmoid():
                found = self._operator("LOGISTIC", given, node.shape)
            case Node(inputs=()):
                found = self._tensor(node.shape)
            case _:
                raise NotImplementedError(f"no {type(node).__name__} in TFLite")
        self.results[node] = found

    def _conv(self, node: graph.Conv, x: int) -> int:
        schema, kernel, (batch, *sides, channels) = self._schema, node.kernel, node.inputs[0].shape
        reaches = [d * (taps - 1) + 1 for d, taps in zip(node.dilations, kernel.shape)]
        same = tuple(same_padding(*each) for each in zip(sides, reaches, node.strides))
        padding = schema.Padding.SAME if node.padding == same else schema.Padding.VALID
        if node.padding != same and np.any(node.padding):
            rows, columns = (side + sum(zeros) for side, zeros in zip(sides, node.padding))
            x = self._pad(x, node.padding, (batch, rows, columns, channels))
        (rows, columns), (down, right) = node.strides, node.dilations
        how = {"padding": padding, "strideH": rows, "strideW": columns}
        how |= {"dilationHFactor": down, "dilationWFactor": right}
        bias = self._constant(node.bias)
        if node.groups == 1:
            weights = self._constant(kernel.transpose(3, 0, 1, 2))
            return self._operator("CONV_2D", [x, weights, bias], node.shape, "Conv2D", **how)
        if node.groups != channels:
            raise NotImplementedError("no groups of several channels in TFLite")
        weights, how["depthMultiplier"] = self._constant(kernel.transpose(2, 0, 1, 3)), node.shape[3] // channels
        return self._operator("DEPTHWISE_CONV_2D", [x, weights, bias], node.shape, "DepthwiseConv2D", **how)

    def _pad(self, x: int, padding: graph.Padding, shape: graph.Shape) -> int:
        zeros = self._constant(np.array([(0, 0), *padding, (0, 0)]), np.int32)
        return self._operator("PAD", [x, zeros], shape, "Pad")

    def _operator(
        self, operation: str, given: list[int], shape: graph.Shape, kind: str = "", version: int = 1, **options: Any
    ) -> int:
        """Write an operation with the options of a kind; the number of the tensor that it gives."""
        schema, made = self._schema, self._schema.OperatorT()
        made.opcodeIndex = self._code(getattr(schema.BuiltinOperator, operation), version)
        made.inputs, made.outputs = given, [self._tensor(shape)]
        if kind:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
            made.builtinOptions = getattr(schema, f"{kind}OptionsT")()
            for name, value in options.items():
                setattr(made.builtinOptions, name, value)
        self.operators.append(made)
        number: int = made.outputs[0]
        return number

    def _code(self, operation: int, version: int) -> int:
        if operation not in self._numbers:
            code = self._schema.OperatorCodeT()
            code.builtinCode, code.version = operation, version
            code.deprecatedBuiltinCode = min(operation, 127)
            self._numbers[operation] = len(self.codes)
            self.codes.append(code)
        return self._numbers[operation]

    def _tensor(self, shape: graph.Shape, dtype: Any = np.float32, buffer: int = 0) -> int:
        types, made = self._schema.TensorType, self._schema.TensorT()
        made.shape, made.buffer, made.name = list(map(int, shape)), buffer, f"t{len(self.tensors)}"
        made.type = {np.float32: types.FLOAT32, np.int32: types.INT32}[dtype]
        self.tensors.append(made)
        return len(self.tensors) - 1

    def _constant(self, value: np.ndarray, dtype: Any = np.float32) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value, dtype).tobytes(), np.uint8)
        self.buffers.append(buffer)
        return self._tensor(value.shape, dtype, len(self.buffers) - 1)
