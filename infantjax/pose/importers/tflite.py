"""Arrays of a TFLite file by the names of their Keras layers. Its operators are not read, and nothing of it is run."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from einops import rearrange
from flatbuffers import encode
from flatbuffers.number_types import Int8Flags, Int32Flags, Uint32Flags, UOffsetTFlags
from flatbuffers.table import Table

from infantjax.files import MAX_FILE_BYTES

_IDENTIFIER = b"TFL3"
_DTYPES: dict[int, np.dtype] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
"""Floating-point types of tensors by their number in the schema of TFLite."""
_SUBGRAPHS, _BUFFERS = 2, 4
_TENSORS, _SHAPE, _TYPE, _BUFFER, _NAME, _DATA = 0, 0, 1, 2, 3, 0
"""Numbers of the fields of a model, a subgraph, a tensor and a buffer in the schema of TFLite."""

_ARRAY = re.compile(
    r"(?P<layer>.+)/(?:(?P<bias>(?:convolution|depthwise)_bias)"
    r"|(?P<depthwise>depthwise_kernel|depthwise/ReadVariableOp)|kernel|convolution/ReadVariableOp)"
)
"""Names of kernels and biases as the converter of TensorFlow writes them."""


def read_tflite(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The kernels and biases of a converted Keras network, with the batch norms folded into them by the converter.

    Args:
        path: a file whose tensors are floating-point numbers of 32 or 16 bits; quantized ones are not read.

    Returns:
        Layer -> `kernel` and `bias`, float32, in the axes of Keras.

    Raises:
        ValueError: another kind of file, or a larger one than is read.
        IndexError, struct.error, TypeError: a damaged file.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    content = bytearray(path.read_bytes())
    if content[4:8] != _IDENTIFIER:
        raise ValueError("no model of TFLite")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, values in _tensors(content):
        if found := _ARRAY.fullmatch(name):
            kind = "bias" if found["bias"] else "kernel"
            if kind == "kernel":
                axes = "channel h w inputs -> h w inputs channel"
                values = rearrange(values, "1 h w channel -> h w channel 1" if found["depthwise"] else axes)
            layers.setdefault(found["layer"], {})[kind] = values.astype(np.float32)
    return layers


def _tensors(content: bytearray) -> Iterator[tuple[str, np.ndarray]]:
    """Names and values of the stored floating-point tensors of the first subgraph."""
    model, total = Table(content, encode.Get(UOffsetTFlags.packer_type, content, 0)), 0
    buffers = _tables(model, _BUFFERS)
    for tensor in _tables(_tables(model, _SUBGRAPHS)[0], _TENSORS):
        kind = tensor.Get(Int8Flags, tensor.Pos + at) if (at := _offset(tensor, _TYPE)) else 0
        number = tensor.Get(Uint32Flags, tensor.Pos + at) if (at := _offset(tensor, _BUFFER)) else 0
        data = _offset(buffers[number], _DATA)
        if kind not in _DTYPES or not data or not _offset(tensor, _NAME):
            continue
        start, length = buffers[number].Vector(data), buffers[number].VectorLen(data)
        if (total := total + length) > len(content):
            raise ValueError("its tensors are larger than the file")
        shape = tensor.GetVectorAsNumpy(Int32Flags, at) if (at := _offset(tensor, _SHAPE)) else ()
        name = tensor.String(tensor.Pos + _offset(tensor, _NAME)).decode()
        yield name, np.frombuffer(bytes(content[start : start + length]), _DTYPES[kind]).reshape(shape)


def _offset(table: Table, field: int) -> int:
    """Where a field stands behind the start of its table; 0 if it has its default."""
    return table.Offset(4 + 2 * field)


def _tables(table: Table, field: int) -> list[Table]:
    """The tables of a vector."""
    at = _offset(table, field)
    if not at:
        return []
    start, size = table.Vector(at), 4
    return [Table(table.Bytes, table.Indirect(start + size * i)) for i in range(table.VectorLen(at))]
