"""The program of one instance of an ensemble, traced: what is done where it lies in no compilation cache yet."""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from infantjax import models
from infantjax.assessment.assessor import OTHER_WEIGHTS, require_fit
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.models.entry import Entry, variable_shapes
from infantjax.nn.folding import Split, split
from infantjax.recording import features, windows
from infantjax.recording.windows import Rotation
from infantjax.skeletons import Skeleton
from infantjax.weights.ensemble import Member

Variables = dict[str, Any]


@dataclass(frozen=True)
class WindowProgram:
    """The program of one instance: its variables and a chunk of standardized windows to their scores.

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


def traced(
    member: Member, skeleton: Skeleton, rotation: Rotation, exact: bool, positions: jax.ShapeDtypeStruct
) -> Split:
    """The program of one instance of a member, divided by what depends on its weights alone.

    Args:
        member: whose weights are checked.
        skeleton: the joints that the network reads.
        rotation: which rotation each window gets.
        exact: contributions go through the spatial pooling layer.
        positions: shape of the windows of a call, `[window, time, joint, 2]`.

    Raises:
        InputError: the weights do not fit the architecture.
    """
    entry = models.get(member.model)
    module = _module_of(member, entry, skeleton)
    program = WindowProgram(module, entry.features, rotation, exact)
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), member.variables)
    shape = (positions.shape[1], len(skeleton.joints), entry.input_shape[-1])
    try:
        found = split(program, one, positions)
    except Exception:
        require_fit(member, variable_shapes(module, shape))
        raise
    # The layers compare the shapes of what they read. What none reads may be another network's.
    if not found.reads_all:
        require_fit(member, variable_shapes(module, shape))
    return found


def _module_of(member: Member, entry: Entry, skeleton: Skeleton) -> nn.Module:
    """The network of a member."""
    try:
        return entry.build(skeleton=skeleton, **member.overrides)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        where = f"weights of {member.model}"
        raise InputError(where, f"name settings that the network does not take ({reason})", OTHER_WEIGHTS) from error
