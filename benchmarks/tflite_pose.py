"""EfficientPose as a TensorFlow Lite file, norms folded, built of the variables of `infantjax.models.efficientpose`."""

from typing import Any

import numpy as np
import tensorflow as tf

from infantjax.models.efficientnet import plan
from infantjax.models.efficientpose import PASSES, EfficientPose

_EPSILON = 1e-3


def convert(network: EfficientPose, variables: Any, batch: int = 1) -> bytes:
    """A `.tflite` file that gives confidence maps before upscaling of `[batch, side, side, 3]` normalised pictures."""
    side = network.variant.side

    @tf.function(input_signature=[tf.TensorSpec((batch, side, side, 3), tf.float32)], autograph=False)
    def maps(x: tf.Tensor) -> tf.Tensor:
        return _maps(network, variables["params"], variables["batch_stats"], x)

    return tf.lite.TFLiteConverter.from_concrete_functions([maps.get_concrete_function()]).convert()


def _maps(network: EfficientPose, params: Any, statistics: Any, x: tf.Tensor) -> tf.Tensor:
    variant = network.variant
    act = tf.nn.relu6 if variant.lite else tf.nn.silu
    read = _features(params["high"], statistics["high"], variant.high, 3, x, act, True)
    if variant.low:
        halved = tf.nn.avg_pool2d(x, 2, 2, "VALID")
        added = network.low_level_tap != "branch"
        read = tf.concat([read, _features(params["low"], statistics["low"], variant.low, 2, halved, act, added)], -1)
    act = tf.nn.relu6 if variant.lite else lambda x: 1.25 * tf.nn.silu(x)
    y = read
    for number, kind in PASSES:
        if number != "pass1":
            y = tf.concat([y, read], -1)
        for net in range(1, variant.dense_nets + 1):
            blocks = [f"{number}_{kind}_{net}_{i}" for i in (1, 2, 3)]
            a = _block(params[blocks[0]], statistics[blocks[0]], y, 1, act)
            b = tf.concat([_block(params[blocks[1]], statistics[blocks[1]], a, 1, act), a], -1)
            c = tf.concat([_block(params[blocks[2]], statistics[blocks[2]], b, 1, act), b], -1)
            y = c + y if net > 1 else c
    return _conv(params["pass3_confs"], {}, y)


def _features(params: Any, statistics: Any, version: str, blocks: int, x: tf.Tensor, act: Any, last: bool) -> tf.Tensor:
    """Behind the last block; `last` says whether its residual sum is included."""
    x = act(_conv(params["stem"], statistics["stem"], x, 2))
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            name = f"block{number}{chr(ord('a') + repeat)}"
            y = _block(params[name], statistics[name], x, 1 if repeat else block.stride, act)
            final = number == blocks and repeat == block.repeats - 1
            x = y + x if y.shape == x.shape and (last or not final) else y
    return x


def _block(params: Any, statistics: Any, x: tf.Tensor, stride: int, act: Any) -> tf.Tensor:
    if "expand" in params:
        x = act(_conv(params["expand"], statistics["expand"], x))
    x = act(_conv(params["depthwise"], statistics["depthwise"], x, stride))
    if "se" in params:
        y = act(_conv(params["se"]["squeeze"], {}, tf.reduce_mean(x, (1, 2), keepdims=True)))
        x *= tf.sigmoid(_conv(params["se"]["excite"], {}, y))
    return _conv(params["project"], statistics["project"], x)


def _conv(params: Any, statistics: Any, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    kernel = np.asarray(params["kernel"], np.float64)
    bias = np.asarray(params.get("bias", np.zeros(kernel.shape[-1])), np.float64)
    if "norm" in params:
        norm, moving = params["norm"], statistics["norm"]
        multiplier = np.asarray(norm["scale"]) / np.sqrt(np.asarray(moving["var"], np.float64) + _EPSILON)
        kernel, bias = kernel * multiplier, np.asarray(norm["bias"]) + (bias - np.asarray(moving["mean"])) * multiplier
    if kernel.ndim == 3:
        y = tf.nn.depthwise_conv2d(x, kernel.astype(np.float32)[..., None], (1, stride, stride, 1), "SAME")
    else:
        y = tf.nn.conv2d(x, kernel.astype(np.float32), stride, "SAME")
    return y + np.float32(bias)
