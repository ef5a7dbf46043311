"""EfficientNet backbones B0 to B7 and Lite 0 to 4, up to any of their seven blocks.

Source: Tan and Le 2019; Groos et al., Paper I; behavior of the published weights.
"""

from dataclasses import dataclass
from math import ceil, floor

import flax.linen as nn

from infantjax.nn.image import Image, ImageConv, InvertedResidual, add, relu6, swish

_CHANNELS = (16, 24, 40, 80, 112, 192, 320)
_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_TAPS = (3, 3, 5, 3, 5, 5, 3)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_SCALING = {
    **{"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8), "b5": (1.6, 2.2)},
    **{"b6": (1.8, 2.6), "b7": (2.0, 3.1)},
}
VERSIONS = (*_SCALING, *(f"l{size}" for size in range(5)))
"""Names of the sizes: B0 to B7 and Lite 0 to 4."""
BRANCH_DROPOUT = 0.2
"""Published rate at which whole residual branches are dropped after the last block of the full network."""


@dataclass(frozen=True)
class Block:
    """One of the seven blocks: `repeats` inverted residuals of which the first has the stride."""

    inputs: int
    features: int
    repeats: int
    kernel_size: int
    stride: int
    expansion: int


def plan(version: str) -> tuple[int, tuple[Block, ...]]:
    """Channels of the stem, and the seven blocks.

    Args:
        version: `b0` to `b7`, or `l0` to `l4` for Lite.

    Raises:
        ValueError: unknown version.
    """
    if version not in VERSIONS:
        raise ValueError(f"unknown backbone {version!r}; known: {', '.join(VERSIONS)}")
    lite = version.startswith("l")
    width, depth = _SCALING[version.replace("l", "b")]
    stem = 32 if lite else _rounded(32 * width)
    blocks, inputs = [], stem
    for i in range(7):
        features = _rounded(_CHANNELS[i] * width)
        repeats = 1 if lite and i in (0, 6) else ceil(_REPEATS[i] * depth)
        blocks.append(Block(inputs, features, repeats, _TAPS[i], _STRIDES[i], 6 if i else 1))
        inputs = features
    return stem, tuple(blocks)


def _rounded(filters: float) -> int:
    """To a multiple of 8 that loses no more than a tenth."""
    rounded = max(8, floor(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


class Backbone(nn.Module):
    """Stem and the first blocks of an EfficientNet.

    Variables: `params` and `batch_stats` of `stem` and of `block{i}{a, b, ...}`.

    Attributes:
        version: `b0` to `b7`, or `l0` to `l4`.
        blocks: how many of the seven.
        branch_dropout: rate at which whole residual branches are dropped in training; it grows from 0 to this over the
            full network. Lite backbones drop none.
    """

    version: str
    blocks: int = 7
    branch_dropout: float = BRANCH_DROPOUT

    @nn.compact
    def __call__(self, x: Image, train: bool = False) -> dict[str, Image]:
        """Activations after the stem and every block.

        Args:
            x: normalized images.
            train: normalize by the batch, and drop residual branches; needs the random stream `dropout`.

        Returns:
            `stem`, and `block1`, `block2`, ... after their last residual sum, `block2_branch` and so on before it.
        """
        lite = self.version.startswith("l")
        act, momentum = (relu6, 0.9) if lite else (swish, 0.99)
        stem, blocks = plan(self.version)
        total, index = sum(block.repeats for block in blocks), 0
        x = act(ImageConv(x.shape[-1], stem, 3, 2, momentum=momentum, name="stem")(x, train))
        found = {"stem": x}
        for number, block in enumerate(blocks[: self.blocks], 1):
            for repeat in range(block.repeats):
                inputs = block.features if repeat else block.inputs
                y = InvertedResidual(
                    inputs,
                    inputs * block.expansion,
                    block.features,
                    block.kernel_size,
                    1 if repeat else block.stride,
                    0 if lite else max(1, inputs // 4),
                    act,
                    expand=block.expansion > 1,
                    momentum=momentum,
                    name=f"block{number}{chr(ord('a') + repeat)}",
                )(x, train)
                found[f"block{number}_branch"] = y
                if inputs == block.features and (repeat or block.stride == 1):
                    if train and not lite:
                        rate = self.branch_dropout * index / total
                        y = nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=False)(y)
                    y = add(y, x)
                x, index = y, index + 1
            found[f"block{number}"] = x
        return found
