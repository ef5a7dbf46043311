"""TFLite files: tensors by name, in the axes of Keras."""

import contextlib

import flatbuffers
import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.importers.keras import import_pose, is_pose_weights

FLOAT32, FLOAT16, INT32 = 0, 1, 2


def write(path, tensors, shared=False):
    """A model of TFLite that holds nothing but tensors.

    Args:
        path: the file.
        tensors: name, array and number of its type.
        shared: all tensors name the values of the first.
    """
    builder = flatbuffers.Builder(1 << 20)

    def vector(offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def table(*slots):
        """Fields: number, kind, value, in the order of the schema."""
        builder.StartObject(8)
        for slot, kind, value in slots:
            if kind == "offset":
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                getattr(builder, f"Prepend{kind}Slot")(slot, value, 0)
        return builder.EndObject()

    buffers, entries = [table()], []
    for name, values, kind in tensors:
        if not shared or len(buffers) == 1:
            data = builder.CreateByteVector(np.ascontiguousarray(values).tobytes())
            buffers.append(table((0, "offset", data)))
        shape = builder.CreateNumpyVector(np.array(values.shape, np.int32))
        label = builder.CreateString(name)
        number = len(buffers) - 1
        entries.append(table((0, "offset", shape), (1, "Int8", kind), (2, "Uint32", number), (3, "offset", label)))
    graph = table((0, "offset", vector(entries)))
    model = table((2, "offset", vector([graph])), (4, "offset", vector(buffers)))
    builder.Finish(model, file_identifier=b"TFL3")
    path.write_bytes(builder.Output())
    return path


@pytest.fixture
def converted(pose_weights, tmp_path):
    """The random network as the converter of TensorFlow would write it, and the tensors."""
    tensors = [("pass1/reshape/shape", np.array([1, 2], np.int32), INT32)]
    for name, values in np.load(pose_weights).items():
        layer, _, kind = name.rpartition("/")
        depthwise = kind == "kernel" and values.shape[-1] == 1
        if kind == "bias":
            name = f"{layer}/convolution_bias"
        else:
            axes = (3, 0, 1, 2)
            values = values.transpose(axes)
            name = f"{layer}/{'depthwise' if depthwise else 'convolution'}/ReadVariableOp"
        tensors.append((name, values, FLOAT32))
    return write(tmp_path / "random.tflite", tensors), tensors


def test_a_converted_network_is_the_network(converted, pose_weights):
    path, _ = converted
    assert is_pose_weights(path)
    network, variables = import_pose(path)
    expected, same = import_pose(pose_weights)
    assert network == expected
    jax.tree.map(np.testing.assert_array_equal, variables, same)


def test_half_precision_is_read(converted, pose_weights, tmp_path):
    halved = [(n, v.astype(np.float16), FLOAT16) if k == FLOAT32 else (n, v, k) for n, v, k in converted[1]]
    path = write(tmp_path / "half.tflite", halved)
    variables, whole = (import_pose(p)[1] for p in (path, pose_weights))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), variables, whole)
    assert path.stat().st_size < 0.6 * converted[0].stat().st_size


def test_a_file_whose_tensors_are_larger_than_itself_is_refused(tmp_path):
    tensors = [(f"tensor{i}", np.zeros(1000, np.float32), FLOAT32) for i in range(100)]
    path = write(tmp_path / "swollen.tflite", tensors, shared=True)
    with pytest.raises(InputError, match="its tensors are larger than the file"):
        import_pose(path)


def test_damaged_files_are_refused_with_one_line(converted, tmp_path):
    content = converted[0].read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.tflite"
    for cut in (4, 9, 60, 5000, len(content) - 5000):
        path.write_bytes(content[:cut])
        assert not is_pose_weights(path)
        with pytest.raises(InputError, match=r"damaged\.tflite: "):
            import_pose(path)
    for _ in range(10):
        spoiled = bytearray(content)
        for at in rng.integers(0, 400, 8):
            spoiled[at] = rng.integers(256)
        path.write_bytes(spoiled)
        with contextlib.suppress(InputError):  # no other error, and it may still be readable
            import_pose(path)
