"""Pose networks as TensorFlow Lite files, norms folded."""

from typing import Any

import flax.linen as nn
import tensorflow as tf

from benchmarks.pose_twins import Weights, folded, twin


def convert(network: nn.Module, variables: Any, side: int, batch: int = 1) -> bytes:
    """A `.tflite` file that gives confidence maps before upscaling of `[batch, side, side, 3]` normalized images.

    Raises:
        NotImplementedError: the network has no twin.
    """
    maps, weights = twin(network), folded(network, variables)

    @tf.function(input_signature=[tf.TensorSpec((batch, side, side, 3), tf.float32)], autograph=False)
    def found(x: tf.Tensor) -> tf.Tensor:
        return maps(TensorFlow(), network, weights, x)

    return tf.lite.TFLiteConverter.from_concrete_functions([found.get_concrete_function()]).convert()


class TensorFlow:
    """The operations of `pose_twins.Framework`; images `[batch, row, column, channel]`."""

    relu, relu6, silu, sigmoid = (staticmethod(f) for f in (tf.nn.relu, tf.nn.relu6, tf.nn.silu, tf.sigmoid))

    def conv(
        self, x: tf.Tensor, weights: Weights, stride: int = 1, dilation: int = 1, padding: int | None = None
    ) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        kernel = weights["kernel"]
        if kernel.ndim == 3:
            return tf.nn.depthwise_conv2d(x, kernel[..., None], (1, stride, stride, 1), "SAME") + weights["bias"]
        x, name = (x, "SAME") if padding is None else (_padded(x, padding), "VALID")
        return tf.nn.conv2d(x, kernel, stride, name, dilations=dilation) + weights["bias"]

    def transposed(self, x: tf.Tensor, weights: Weights) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        kernel = weights["kernel"].transpose(0, 1, 3, 2)
        batch, height, width, _ = x.shape
        shape = (batch, 2 * height, 2 * width, kernel.shape[2])
        return tf.nn.conv2d_transpose(x, kernel, shape, 2, "SAME") + weights["bias"]

    def affine(self, x: tf.Tensor, weights: Weights) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        return x * weights["multiplier"] + weights["offset"]

    def prelu(self, x: tf.Tensor, weights: Weights) -> tf.Tensor:
        """In the form in which the converter knows a PReLU."""
        return tf.nn.relu(x) + -weights["slope"] * tf.nn.relu(-x)

    def pool(self, x: tf.Tensor, kind: str, side: int, stride: int, padding: int = 0) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        pool = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
        return pool(_padded(x, padding), side, stride, "VALID")

    def mean(self, x: tf.Tensor) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        return tf.reduce_mean(x, (1, 2), keepdims=True)

    def concat(self, parts: list[tf.Tensor]) -> tf.Tensor:
        """See `pose_twins.Framework`."""
        return tf.concat(parts, -1)


def _padded(x: tf.Tensor, padding: int) -> tf.Tensor:
    return tf.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0))) if padding else x
