"""CP-GCN-29: the network of four input streams, its variants by the 20 choices of its builder, and its registry entry.

Variables: `params` (trained), `batch_stats` (running statistics, changed by training mode), `constants` (the adjacency
matrices of every graph layer, kept with the weights, never trained).

Source: Tempel et al. 2025, "Explaining human activity recognition with SHAP", Computers in Biology and Medicine 188,
and its public code, ShapGCN.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.cp_gcn_29 import CHECKPOINTS
from infantjax.methods.cp_gcn_29.architecture import LAST, RELEASED, Architecture, plan
from infantjax.methods.cp_gcn_29.blocks import ACTIVATIONS, AttentionLayer, GraphLayer, TemporalLayer
from infantjax.models.entry import ModelEntry, PublicWeights, Published
from infantjax.nn import flops
from infantjax.nn.graph import joints_first
from infantjax.nn.initializers import Normal
from infantjax.nn.layers import BatchNorm, Dense
from infantjax.skeletons import IN_MOTION_29, Skeleton

STREAMS = ("position", "velocity", "bone", "acceleration")
"""Input streams in their order; four channels each."""
CHANNELS = 4


class CpGcn29Network(nn.Module):
    """Four streams of graph and temporal layers, a main part, and the mean over time and joints.

    Attributes:
        architecture: the 20 choices.
        skeleton: joints and tree.
    """

    architecture: Architecture = RELEASED
    skeleton: Skeleton = IN_MOTION_29

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 16"], train: bool = False
    ) -> tuple[Float[Array, "batch 2"], dict[str, Array]]:
        """Scores of windows.

        Args:
            x: the four streams (`preprocessing.build_inputs`) of windows of any length.
            train: normalize by the batch, update `batch_stats`, and drop units (key `dropout`).

        Returns:
            Scores (index 1: CP), and a dict with `features [batch, time', joint, channel]` before pooling and
            `pooled [batch, channel]`, the classifier's input.

        Raises:
            ValueError: another shape.
        """
        x = joints_first(x, self.skeleton, len(STREAMS) * CHANNELS)
        _, main = plan(self.architecture)
        outputs = [
            Stream(self.architecture, self.skeleton, name=name)(part, train)
            for name, part in zip(STREAMS, jnp.split(x, len(STREAMS), axis=-1))
        ]
        y = jnp.concatenate(outputs, -1)
        for layer in main:
            y = apply_layer(layer, self.architecture, self.skeleton)(y, train)
        pooled = y.mean((0, 2))
        flops.record("pooling", pooled.size)
        dropped = nn.Dropout(self.architecture.drop_prob)(pooled, deterministic=not train)
        logits = Dense(LAST, 2, Normal(0.001), name="classifier")(dropped)
        return logits, {"features": rearrange(y, "joint batch time c -> batch time joint c"), "pooled": pooled}


class Stream(nn.Module):
    """One input stream."""

    architecture: Architecture
    skeleton: Skeleton

    @nn.compact
    def __call__(
        self, x: Float[Array, "joint batch time 4"], train: bool
    ) -> Float[Array, "joint batch time_out channel"]:
        """Norm, stem and blocks."""
        x = BatchNorm((CHANNELS,), name="norm")(x, train)
        for layer in plan(self.architecture)[0]:
            x = apply_layer(layer, self.architecture, self.skeleton)(x, train)
        return x


def apply_layer(layer: Any, architecture: Architecture, skeleton: Skeleton) -> nn.Module:
    """The module of a layer; called within the module that owns it."""
    activation = ACTIVATIONS[architecture.act]
    if layer.kind == "graph":
        return GraphLayer(layer, activation, skeleton, name=layer.name)
    kind = AttentionLayer if layer.kind == "attention" else TemporalLayer
    return kind(layer, activation, architecture, name=layer.name)


def build(skeleton: Skeleton | str = IN_MOTION_29, **choices: Any) -> CpGcn29Network:
    """The network; choices of `Architecture` may be overridden by name.

    Raises:
        ValueError: an unknown choice, or one outside of the search space.
    """
    return CpGcn29Network(Architecture.from_choices(choices), skeletons.get(skeleton))


_FIGURES = {
    "validation accuracy": 0.883,
    "validation AUC": 0.946,
    "validation sensitivity": 0.944,
    "validation specificity": 0.873,
    "validation PPV": 0.567,
    "validation NPV": 0.989,
    "validation F1": 0.708,
    "validation balanced accuracy": 0.908,
}

ENTRIES = (
    ModelEntry(
        name="cp-gcn-29",
        method="cp-gcn-29",
        task="risk",
        input_shape=(225, 29, len(STREAMS) * CHANNELS),
        skeleton="in-motion-29",
        features=STREAMS,
        # Printed without the 23,548 values of the masks, which are trained too: 621.184 K.
        published=Published(621_184 + 23_548, None, 1e9, "Tempel et al., log of AutoCP, and the masks", _FIGURES),
        build=build,
        weights=(
            PublicWeights(
                address="https://raw.githubusercontent.com/DeepInMotion/ShapGCN/"
                "d5360ec0354bef5c761ca186ea59cffc1ffaddca/"
                "logs/xai/argmax_silu_cp29/student_model_9999.pth.tar",
                git_blob=CHECKPOINTS["weights"][0],
                license="Apache-2.0",
                trained_on="private keypoints of infants",
                scores=_FIGURES,
            ),
        ),
    ),
)
