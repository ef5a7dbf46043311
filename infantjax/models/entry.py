"""The registry's entry of a network, and how its parameters and operations are counted."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from infantjax.nn import flops
from infantjax.nn.initializers import shapes
from infantjax.settings import require_one_of

CountingRule = Literal["published", "torchprofile-0.0.4", "torchprofile-0.1"]

COUNTING_RULES: dict[CountingRule, tuple[str, ...]] = {
    "published": ("convolution", "multiplication", "linear", "pooling"),
    "torchprofile-0.0.4": ("convolution", "multiplication", "linear", "pooling", "norm"),
    "torchprofile-0.1": ("convolution", "multiplication", "linear", "pooling", "norm", "adjacency"),
}
"""Kinds of operations that each rule counts.

`published` gives the printed values of all ten graph networks and of ST-GCN: executed convolutions (bias free),
element-wise multiplications, linear layers and mean poolings, as torchprofile counted up to version 0.0.2. Version
0.0.4, which the environment of the reference implementation names, adds one per output of a norm, version 0.1 also the
products with the adjacency.
"""


@dataclass(frozen=True)
class Published:
    """Published values of a network with their source.

    Attributes:
        parameters: number of parameters, as an integer; None where none was printed.
        flops: floating-point operations of one sample as printed, in multiples of `flops_unit`.
        flops_unit: what the printed value is multiples of.
        source: paper and table.
        scores: other published values by name.
        millions: parameters as printed in millions, where no integer was printed.
    """

    parameters: int | None
    flops: str | None
    flops_unit: float
    source: str
    scores: Mapping[str, float] = field(default_factory=dict)
    millions: str | None = None


@dataclass(frozen=True)
class PublicWeights:
    """A public file of weights, which is not part of this project.

    Attributes:
        address: where it can be had.
        git_blob: its git blob id: the SHA-1 of `blob <size>`, a zero byte and its content.
        license: under which it is published.
        trained_on: what data.
        size: bytes; None where it is not known.
        sha256: of the content; None where it is not known, and the git blob id alone is checked.
        scores: what its authors measured, by name.
    """

    address: str
    git_blob: str
    license: str
    trained_on: str
    size: int | None = None
    sha256: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelEntry:
    """A registered network: what is needed to build it and to feed it correctly.

    Attributes:
        name: registry name; names are for ever.
        method: the published method or family that it belongs to.
        task: what it predicts (`risk`, `pose`, `gma`, `score`, `lifting`).
        input_shape: shape of one sample, `[time, joint, channel]` for keypoint networks, `[height, width, channel]` for
            image networks.
        skeleton: name of the skeleton it was published for.
        features: names of the input channels of a keypoint network, in order (`motion.features`).
        published: published values.
        build: `build(skeleton=..., **overrides) -> nn.Module`.
        others: published values for other skeletons by name.
        normalization: how an image network's input is normalized (`pose.images`).
        counted: overrides of `build` that give what the published values count.
        counts: whether the published number is of `trained` parameters, or of all `stored` values with statistics.
        fidelity: `exact`: equal to a reference implementation or to published counts; `published`: follows the text;
            `interpretation`: only the outline is published, the inside is our choice.
        weights: public weights that can be imported.
    """

    name: str
    method: str
    task: str
    input_shape: tuple[int, ...]
    skeleton: str
    features: tuple[str, ...]
    published: Published
    build: Callable[..., nn.Module]
    others: Mapping[str, Published] = field(default_factory=dict)
    normalization: Literal["imagenet", "lite", "vgg"] | None = None
    counted: Mapping[str, Any] = field(default_factory=dict)
    counts: Literal["trained", "stored"] = "trained"
    fidelity: Literal["exact", "published", "interpretation"] = "exact"
    weights: tuple[PublicWeights, ...] = ()

    @property
    def sample(self) -> Literal["image", "clip", "window"]:
        """Kind of one sample: an image, a clip of depth images, or a window of keypoints or of their features."""
        return "image" if self.normalization else "clip" if self.task == "depth-pose" else "window"

    @property
    def skeletons(self) -> tuple[str, ...]:
        """Names of all skeletons that values were published for."""
        return self.skeleton, *self.others


@lru_cache(maxsize=32)
def variable_shapes(module: nn.Module, input_shape: tuple[int, ...]) -> Any:
    """Shapes and dtypes (float32) of a network's variables, from an abstract trace."""
    with jax.enable_x64(False):
        return shapes(module, jax.ShapeDtypeStruct((1, *input_shape), jnp.float32))


def count_parameters(
    module: nn.Module, input_shape: tuple[int, ...], counts: Literal["trained", "stored"] = "trained"
) -> int:
    """Number of trained parameters, from an abstract trace: nothing is computed.

    Args:
        module: a network.
        input_shape: shape of one sample.
        counts: `stored` adds running statistics and constants.
    """
    variables = variable_shapes(module, input_shape)
    counted = variables["params"] if counts == "trained" else variables
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(counted))


def count_operations(module: nn.Module, input_shape: tuple[int, ...], batch: int = 2) -> Counter[str]:
    """Operations of one training-mode pass over `batch` samples by kind, from an abstract trace."""
    x = jnp.zeros((batch, *input_shape), jnp.float32)
    variables = variable_shapes(module, input_shape)
    state = [name for name in variables if name != "params"]

    def forward(variables: Any, x: jax.Array) -> Any:
        return module.apply(variables, x, train=True, mutable=state, rngs={"dropout": jax.random.key(0)})

    with flops.collect() as operations:
        jax.eval_shape(forward, variables, x)
    return operations


def count_flops(module: nn.Module, input_shape: tuple[int, ...], rule: CountingRule = "published") -> int:
    """Floating-point operations of one sample by a named rule.

    The published tool profiles two samples, halves the multiply-accumulates downwards and doubles the rest.

    Raises:
        ValueError: unknown rule.
    """
    require_one_of("counting rule", rule, tuple(COUNTING_RULES))
    return flops_of_two(count_operations(module, input_shape), rule)


def flops_of_two(operations: Mapping[str, int], rule: CountingRule) -> int:
    """Floating-point operations of one sample from the operations of two by kind (`count_operations`)."""
    return sum(operations.get(kind, 0) for kind in COUNTING_RULES[rule]) // 2 * 2


@dataclass(frozen=True)
class ImageCounts:
    """Values and operations of an image network, by the rule that gives the values of the pose papers.

    Attributes:
        stored: values on the way to the last maps: kernels, biases, slopes, scale, offset and moving statistics of
            norms, and the fixed upscaling as dense kernels with biases.
        flops: operations of one image; a multiply-add counts as two, the upscaling as dense.
        executed: the same with the upscaling as it is computed, channel by channel.
    """

    stored: int
    flops: int
    executed: int


def count_image(module: nn.Module, input_shape: tuple[int, ...]) -> ImageCounts:
    """Values and operations of an image network in evaluation mode, from an abstract trace.

    Counted: convolutions 2 * taps * inputs an output, biases 1, Swish 1 and E-swish 2, the product and the residual sum
    1 each, all an output value; the mean of a squeeze-and-excitation 1 an input value, pooling one a pixel of the
    window. Norms, sigmoid, ReLU and padding count nothing.

    Args:
        module: a network.
        input_shape: shape of one image.

    Source: derived. It reproduces the parameters and operations of Paper II (table 1) and thesis table B.1 for the
    networks here, and of Paper I in tables 3, 6 and 8; those of table 7 with `EfficientPose.repeat_features`, and of
    table 9 only the parameters of EfficientPose I.
    """
    with jax.enable_x64(False), flops.collect() as operations:
        variables = shapes(module, jnp.zeros((1, *input_shape)))
    stored = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(variables)) + operations["fixed values"]
    kinds = ("bias", "activation", "multiplication", "sum", "pooling", "shape")
    least = 2 * operations["convolution"] + sum(operations[kind] for kind in kinds)
    return ImageCounts(stored, least + operations["upscaling"], least + operations["depthwise upscaling"])
