"""Import of weights of VideoPose3D, the network that lifts keypoints to 3D."""

from pathlib import Path

from infantjax.errors import InputError
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.weights.placement import (
    CONV_1D,
    POINTWISE_1D,
    REMEDY,
    Places,
    State,
    Variables,
    arrays_of,
    conv,
    place,
    shorten,
)
from infantjax.weights.pytorch import read_checkpoint

ENTRY = "model_pos"
"""Name of the state dict in a published file."""


def import_videopose3d(state: State | str | Path, *, causal: bool = False) -> tuple[LiftingNetwork, Variables]:
    """The lifting network and its variables from a state dict of the public VideoPose3D program.

    The published files hold the state dict under the name `model_pos` among other things. Nothing in them is executed.

    Args:
        state: mapping from PyTorch names to arrays, or a path to `.npz` (names as keys), `.pth`, or a published `.bin`.
        causal: whether it was trained in the causal form, which the weights do not show.

    Returns:
        The network, its sizes read from the arrays, and `{"params", "batch_stats"}`.

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    where = str(state) if isinstance(state, str | Path) else "state dict"
    arrays = arrays_of(_state_of(state))
    shapes = {name: array.shape for name, array in arrays.items() if array.ndim == 3}
    stages = sum(name.startswith("layers_conv.") for name in shapes) // 2
    kernels = ["expand_conv.weight", *(f"layers_conv.{2 * i}.weight" for i in range(stages))]
    if absent := [name for name in (*kernels, "shrink.weight") if name not in shapes]:
        raise InputError(where, f"no kernel over time is named {shorten(absent)}", "is it a VideoPose3D model?")
    channels, inputs, _ = shapes["expand_conv.weight"]
    network = LiftingNetwork(
        inputs=inputs // 2,
        outputs=shapes["shrink.weight"][0] // 3,
        widths=tuple(shapes[name][2] for name in kernels),
        channels=channels,
        causal=causal,
    )
    if inputs % 2 or shapes["shrink.weight"][0] % 3 or not all(width % 2 for width in network.widths):
        raise InputError(where, f"has layers that do not fit together: {dict(shapes)}"[:200], REMEDY)
    input_shape = (network.receptive_field, network.inputs, 2)
    return network, place(arrays, dict(places(stages)), network, input_shape, where)


def _state_of(state: State | str | Path) -> State | str | Path:
    """The state dict in a published file; anything else as it is."""
    if not isinstance(state, str | Path) or Path(state).suffix.lower() == ".npz":
        return state
    return read_checkpoint(state, (ENTRY,)).get(ENTRY) or state


def places(stages: int) -> Places:
    """Where the arrays of a state dict of so many stages go."""
    yield from conv("expand_conv", "expand_bn", "expand", bias=False, axes=CONV_1D)
    for i in range(stages):
        for layer, name in ((2 * i, "conv"), (2 * i + 1, "mix")):
            torch = f"layers_conv.{layer}", f"layers_bn.{layer}"
            yield from conv(*torch, f"block{i + 1}_{name}", bias=False, axes=CONV_1D)
    yield from conv("shrink", None, "shrink", axes=POINTWISE_1D)
