"""ST-GCN on positions alone, the network that the searched ones were compared with.

Source: Yan et al. 2018; Groos et al., Paper III (comparison method).
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.ensemble_gcn.head import classify, global_mean
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.graph import Graph, GraphConv, Map, joints_first
from infantjax.nn.initializers import Constant, parameter, variable
from infantjax.nn.layers import BatchNorm, TemporalConv
from infantjax.skeletons import IN_MOTION_19, Skeleton

_SQRT2 = 2.0**0.5


class StGcnLayer(nn.Module):
    """One layer of ST-GCN: graph convolution, norm, ReLU, temporal convolution, norm, dropout, residual, ReLU.

    Attributes:
        inputs: input channels.
        features: output channels.
        stride: of the temporal convolution.
        residual: whether there is one.
        dropout: rate.
        kernel_size: of the temporal convolution.
        importance: whether every edge of the graph has a trained weight.
    """

    inputs: int
    features: int
    stride: int
    residual: bool
    dropout: float
    kernel_size: int = 9
    importance: bool = True

    @nn.compact
    def __call__(self, x: Map, adjacency: Graph, train: bool) -> Map:
        """Apply the layer."""
        if self.importance:
            adjacency = adjacency * parameter(self, "edge_importance", Constant(1), adjacency.shape)
            flops.record("multiplication", adjacency.size)
        y = GraphConv(self.inputs, self.features, adjacency.shape[0], name="graph")(x, adjacency, train)
        temporal = TemporalConv(self.features, self.features, self.kernel_size, self.stride, gain=_SQRT2, name="conv")
        y = temporal(jax.nn.relu(y), train)
        if self.dropout:
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
        if self.residual:
            same = self.stride == 1 and self.inputs == self.features
            y = y + (
                x if same else TemporalConv(self.inputs, self.features, stride=self.stride, name="residual")(x, train)
            )
        return jax.nn.relu(y)


class StGcn(nn.Module):
    """ST-GCN as used for comparison: ten layers on positions alone.

    Attributes:
        skeleton: joints, tree and center.
        dropout: rate behind every temporal convolution but the first (the original leaves layer 1 out). The paper does
            not state the rate; 0 is the choice here.
        widths: channels of the layers; time halves where the width doubles.
        classes: number of scores.

    Source: Yan et al. 2018; Groos et al., Paper III (3 075 740 parameters, which only two input channels give).
    """

    skeleton: Skeleton = IN_MOTION_19
    dropout: float = 0.0
    widths: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
    classes: int = 2

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 2"], train: bool = False
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        """Scores of windows; see `GraphNetwork`, with positions as the only input."""
        make = partial(skeletons.adjacency, self.skeleton, "spatial")
        adjacency = variable(self, "constants", "adjacency", make).value
        x = joints_first(x, self.skeleton, 2)
        y = BatchNorm((x.shape[0], 1, 1, 2), (1, 2), name="data_norm")(x, train)
        inputs = 2
        for i, features in enumerate(self.widths):
            stride = 2 if i and features > inputs else 1
            dropout = self.dropout if i else 0.0
            y = StGcnLayer(inputs, features, stride, i > 0, dropout, name=f"layer_{i}")(y, adjacency, train)
            inputs = features
        return classify(y, global_mean(y), self.classes)


def build_st_gcn(skeleton: Skeleton | str = IN_MOTION_19, **overrides: Any) -> StGcn:
    """ST-GCN as a module; its fields may be overridden by name (`widths` also as a list, which is what JSON holds)."""
    settings = overrides | ({"widths": tuple(overrides["widths"])} if "widths" in overrides else {})
    return StGcn(skeletons.get(skeleton), **settings)


ENTRIES = (
    ModelEntry(
        name="st-gcn",
        method="ensemble-gcn",
        task="risk",
        input_shape=(150, 19, 2),
        skeleton="in-motion-19",
        features=("position",),
        published=Published(3_075_740, "6.21", 1e9, "Groos et al., Paper III (comparison method)", {"test AUC": 0.851}),
        build=build_st_gcn,
    ),
)
