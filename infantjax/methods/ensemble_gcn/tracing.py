"""The program of one network of an ensemble, and how its weights are folded; needed where the cache has neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float

from infantjax import models
from infantjax.assessment.assessor import OTHER_WEIGHTS, require_fit
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.methods.ensemble_gcn.folding import fold
from infantjax.models.entry import ModelEntry, variable_shapes
from infantjax.recording import features, windows
from infantjax.recording.windows import Rotation
from infantjax.skeletons import Skeleton
from infantjax.weights.ensemble import Member

Variables = dict[str, Any]


@dataclass(frozen=True)
class WindowProgram:
    """The program of one network: from its variables and a chunk of standardized windows to their scores.

    Attributes:
        module: a graph network.
        features: names of its input channels.
        rotation: which rotation each window gets (`recording.windows.align_windows`).
        exact: contributions go through the spatial pooling layer; see `explanation.class_activation`.
    """

    module: nn.Module
    features: tuple[str, ...]
    rotation: Rotation = "frame"
    exact: bool = False

    def __call__(
        self, variables: Variables, positions: Float[Array, "window time joint 2"]
    ) -> tuple[Float[Array, " window"], Float[Array, "window joint"]]:
        """Risk and contributions of the windows; pure, to be compiled by `jax.jit`."""
        skeleton = self.module.skeleton
        turned = windows.align_windows(positions, skeleton, self.rotation)
        inputs = features.build_features(turned, skeleton, self.features)
        # Published weights are exact only in full float32; accelerators round products of it by default.
        with jax.default_matmul_precision("highest"):
            logits, aux = self.module.apply(variables, inputs)
            weights = class_weights(variables["params"], exact=self.exact)
            return jax.nn.softmax(logits, -1)[:, 1], contributions(aux["features"], weights)


@dataclass(frozen=True, eq=False)
class FoldedProgram:
    """A `WindowProgram` of folded variables, which go in as the list of their leaves.

    Attributes:
        program: of one network.
        structure: of the folded variables.
        shapes: of their leaves.
    """

    program: WindowProgram
    structure: Any
    shapes: tuple[jax.ShapeDtypeStruct, ...]

    @classmethod
    def create(cls, program: WindowProgram, variables: Variables) -> "FoldedProgram":
        """For variables of these shapes, of one network."""
        leaves, structure = jax.tree.flatten(fold(program.module, variables))
        return cls(program, structure, tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves))

    def fold(self, variables: Variables) -> list[np.ndarray]:
        """Leaves of the folded variables of one network."""
        return jax.tree.leaves(fold(self.program.module, variables))

    def __call__(
        self, leaves: Sequence[Array] | Sequence[np.ndarray], positions: Float[Array, "window time joint 2"]
    ) -> tuple[Float[Array, " window"], Float[Array, "window joint"]]:
        """Risk and contributions of the windows, see `WindowProgram`."""
        return self.program(jax.tree.unflatten(self.structure, leaves), positions)


def folded_program(member: Member, skeleton: Skeleton, rotation: Rotation, exact: bool, window: int) -> FoldedProgram:
    """The program of a member's networks.

    Args:
        member: whose weights are checked.
        skeleton: the joints that the network reads.
        rotation: which rotation each window gets.
        exact: contributions go through the spatial pooling layer.
        window: frames of a window.

    Raises:
        InputError: the weights do not fit the architecture.
    """
    entry = models.get(member.model)
    module = _module_of(member, entry, skeleton)
    require_fit(member, variable_shapes(module, (window, len(skeleton.joints), entry.input_shape[-1])))
    program = WindowProgram(module, entry.features, rotation, exact)
    return FoldedProgram.create(program, jax.tree.map(lambda leaf: np.asarray(leaf[0]), member.variables))


def _module_of(member: Member, entry: ModelEntry, skeleton: Skeleton) -> nn.Module:
    """The network of a member."""
    try:
        return entry.build(skeleton=skeleton, **member.overrides)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        where = f"weights of {member.model}"
        raise InputError(where, f"name settings that the network does not take ({reason})", OTHER_WEIGHTS) from error
