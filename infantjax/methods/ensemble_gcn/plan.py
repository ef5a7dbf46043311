"""The sizes of the modules that an architecture consists of.

Points that look unintended but are real, and are kept because parameter counts and outputs need them:

1. `bottleneck_factor` widens basic blocks too;
2. the first module of every main level has stride 2, the first level included;
3. linear temporal scales grow per level in the main branch, though the paper says per module.

Source: Groos et al., Paper III with supplement; the reference implementation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from infantjax.methods.ensemble_gcn.architecture import Architecture, BlockType, Residual
from infantjax.nn.attention import AttentionKind
from infantjax.nn.kernels.convolution import equally_spaced

MATRICES: dict[str, tuple[int, int]] = {"spatial": (3, 3), "dis2": (2, 2), "dis4": (4, 4), "dis42": (4, 2)}
"""Adjacency matrices of each graph, in the input branches and in the main branch."""


@dataclass(frozen=True)
class ModuleSpec:
    """Sizes of one module; see `plan`. Modules are alike whose sizes are equal, whatever their names."""

    name: str = field(compare=False)
    inputs: int
    features: int
    block_type: BlockType
    residual: Residual
    scales: int
    stride: int
    se_inner: int
    se_outer: int
    matrices: int
    factor: int
    kernel_size: int
    attention: AttentionKind | Literal["null"]

    @property
    def block_residual(self) -> bool:
        """Whether there are residuals within the spatial and within the temporal block."""
        return self.residual in ("block", "dense")

    @property
    def module_residual(self) -> bool:
        """Whether there is a residual around both blocks."""
        return self.residual in ("module", "dense")

    @property
    def inner(self) -> int:
        """Channels within a scale of the temporal block."""
        return self.features // self.factor if self.block_type == "bottleneck" else self.features * self.factor

    @property
    def composable(self) -> bool:
        """Whether the last convolutions of several scales and their fusion are one affine map."""
        return self.scales > 1 and (not self.se_inner or self.block_type == "mbconv")

    @property
    def frames(self) -> list[range]:
        """Frames that the scales of a basic block read together, relative to the output's."""
        reach = self.kernel_size // 2
        read = {(i + 1) * frame for i in range(self.scales) for frame in range(-reach, reach + 1)}
        return equally_spaced(read, self.features)

    @property
    def outer_ratio(self) -> int:
        """Reduction of the squeeze-and-excitation behind the fused scales; 0 is none."""
        return max(1, self.se_outer // self.factor) if self.block_type == "mbconv" else self.se_outer


def plan(architecture: Architecture) -> tuple[tuple[tuple[ModuleSpec, ...], ...], int, tuple[ModuleSpec, ...]]:
    """The modules of an architecture with their sizes.

    Returns:
        Three input branches (position, velocity, bone), the width after their fusion, and the main modules in order.
    """
    a = architecture
    input_matrices, main_matrices = MATRICES[a.graph]

    def width(base: int, block_type: BlockType) -> int:
        return base if block_type == "mbconv" else base * a.bottleneck_factor

    sizes = partial(ModuleSpec, factor=a.bottleneck_factor, kernel_size=a.temporal_kernel_size, attention=a.attention)

    def branch(number: int) -> Iterator[ModuleSpec]:
        inputs = 2
        for i in range(a.num_input_modules):
            block_type, residual = (a.block_type, a.residual) if i else (a.initial_block_type, a.initial_residual)
            yield sizes(
                name=f"branch_{number}_{i}",
                inputs=inputs,
                features=width(a.input_width, block_type),
                block_type=block_type,
                residual=residual,
                scales=i + 1 if a.input_temporal_scales == "linear" else a.input_temporal_scales,
                stride=1,
                se_inner=a.se_ratio if a.se in ("inner", "both") else 0,
                se_outer=a.se_ratio if a.se in ("outer", "both") else 0,
                matrices=input_matrices,
            )
            inputs = width(a.input_width, block_type)

    fused = width(a.initial_main_width, a.block_type)

    def main() -> Iterator[ModuleSpec]:
        inputs = fused
        for i in range(a.num_main_levels * a.num_main_level_modules):
            level, place = divmod(i, a.num_main_level_modules)
            ratio = a.se_ratio * (2**level if a.se_type == "relative" else 1)
            yield sizes(
                name=f"main_{i}",
                inputs=inputs,
                features=fused * 2**level,
                block_type=a.block_type,
                residual=a.residual,
                scales=level + 1 if a.main_temporal_scales == "linear" else a.main_temporal_scales,
                stride=1 if place else 2,
                se_inner=ratio if a.se in ("inner", "both") else 0,
                se_outer=ratio if a.se in ("outer", "both") else 0,
                matrices=main_matrices,
            )
            inputs = fused * 2**level

    return tuple(tuple(branch(number)) for number in range(3)), fused, tuple(main())
