"""CP-GCN-29: the 20 choices of the network's builder, and the layers that follow from them.

The public weights have the default choices. Three points look unintended and are kept, since weights were trained
with them: of the `depth_main` temporal layers of a main block one is left; `stride_main` acts only where there is one
of them; and the graph divides by the number of points within three hops also where it reaches one hop only.

Source: the public code of ShapGCN (Tempel et al. 2025), and the log of AutoCP (Tempel et al. 2024).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple

ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "init_lay": (16, 32, 48, 64, 96),
    "act": ("relu", "relu6", "hardswish", "swish"),
    "att_lay": ("stja", "ca", "fa", "ja", "pa"),
    "conv_lay": ("Basic", "Bottleneck", "Sep", "SG", "V3", "Shuffle"),
    "drop_prob": (0, 0.025, 0.05, 0.1),
    "multi": (False,),
    "expand_ratio": (1, 1.5, 2),
    "reduct_ratio": (1, 1.5, 2),
    "blocks_in": (1, 2, 3),
    "depth_in": (1, 2, 3),
    "stride_in": (1, 2, 3),
    "scale_in": (0.8, 0.9, 1, 1.1, 1.2),
    "temp_win_in": (3, 5, 7),
    "graph_dist_in": (1, 2, 3),
    "blocks_main": (1, 2, 3, 4),
    "depth_main": (1, 2, 3, 4),
    "stride_main": (1, 2, 3),
    "scale_main": (0.95, 1, 1.1, 1.2, 1.3),
    "temp_win_main": (3, 5, 7),
    "graph_dist_main": (1, 2, 3),
}
"""The published search space of AutoCP, in the order of its action lists: 56,687,040,000 candidates."""

LAST = 48
"""Channels of the last main block, which the classifier reads."""


@dataclass(frozen=True)
class Architecture:
    """The 20 choices under their published names; the defaults are those of the public weights.

    Attributes:
        init_lay: channels of the stem of each input stream.
        act: nonlinearity.
        att_lay: attention at the end of each block: over points and frames together (`stja`), channels (`ca`), frames
            (`fa`), points (`ja`) or parts of the body (`pa`).
        conv_lay: temporal layers of the streams.
        drop_prob: fraction of units that training drops before the classifier.
        multi: always false.
        expand_ratio: widening inside of `Sep` and `V3`.
        reduct_ratio: narrowing inside of `Bottleneck`, `SG`, `Shuffle`, `stja` and `pa`.
        blocks_in: blocks of each stream.
        depth_in: temporal layers of each of them.
        stride_in: frames between outputs of the first of these.
        scale_in: widening from block to block, in steps of 16 channels.
        temp_win_in: kernel length of the streams' temporal layers.
        graph_dist_in: hops that the streams' graph layers reach.
        blocks_main: blocks of the main part.
        depth_main: see the module.
        stride_main: see the module.
        scale_main: as `scale_in`, for the main part.
        temp_win_main: as `temp_win_in`.
        graph_dist_main: as `graph_dist_in`.

    Raises:
        ValueError: a value outside of `ALTERNATIVES`.
    """

    init_lay: int = 64
    act: str = "swish"
    att_lay: str = "fa"
    conv_lay: str = "Sep"
    drop_prob: float = 0.05
    multi: bool = False
    expand_ratio: float = 1.5
    reduct_ratio: float = 1.5
    blocks_in: int = 2
    depth_in: int = 2
    stride_in: int = 3
    scale_in: float = 1
    temp_win_in: int = 3
    graph_dist_in: int = 1
    blocks_main: int = 2
    depth_main: int = 2
    stride_main: int = 1
    scale_main: float = 1
    temp_win_main: int = 7
    graph_dist_main: int = 1

    def __post_init__(self) -> None:
        for name, allowed in ALTERNATIVES.items():
            value = getattr(self, name)
            if value not in allowed or isinstance(value, bool) != (name == "multi"):
                listed = ", ".join(map(str, allowed))
                raise ValueError(f"architecture: {name} is {value!r}; allowed: {listed}")

    @classmethod
    def from_choices(cls, choices: Mapping[str, Any]) -> "Architecture":
        """An architecture from choices by name; missing ones are the defaults, and `silu` is another name of `swish`.

        Raises:
            ValueError: an unknown name, or a value outside of `ALTERNATIVES`.
        """
        if unknown := sorted(set(choices) - {field.name for field in fields(cls)}):
            raise ValueError(f"architecture: unknown choices {', '.join(unknown)}; known: {', '.join(ALTERNATIVES)}")
        given = dict(choices)
        if given.get("act") == "silu":
            given["act"] = "swish"
        return cls(**given)

    def to_choices(self) -> dict[str, Any]:
        """The choices as plain data."""
        return asdict(self)


RELEASED = Architecture()
"""The architecture of the public weights."""


def canonical(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices that differ from the defaults, without those that have no effect beside the others.

    Raises:
        ValueError: see `Architecture.from_choices`.
    """
    a, default = Architecture.from_choices(choices), RELEASED.to_choices()
    unused: list[str] = []
    if a.conv_lay not in ("Sep", "V3"):
        unused.append("expand_ratio")
    if a.conv_lay not in ("Bottleneck", "SG", "Shuffle") and a.att_lay not in ("stja", "pa"):
        unused.append("reduct_ratio")
    if a.depth_main > 1 or a.stride_main == 1:
        unused += ["depth_main", "stride_main"]
    if a.blocks_main == 1:
        unused.append("scale_main")
    return {name: value for name, value in a.to_choices().items() if name not in unused and value != default[name]}


class Layer(NamedTuple):
    """A layer of the network.

    Attributes:
        kind: `graph`, `attention`, or a temporal layer, one of the alternatives of `conv_lay`.
        name: in the network.
        torch: in the reference implementation.
        inputs: channels.
        features: output channels.
        kernel_size: of temporal layers.
        stride: frames between outputs of temporal layers.
        matrices: of graph layers.
    """

    kind: Literal["graph", "attention", "Basic", "Bottleneck", "Sep", "SG", "V3", "Shuffle"]
    name: str
    torch: str
    inputs: int
    features: int
    kernel_size: int = 1
    stride: int = 1
    matrices: int = 1


def plan(a: Architecture, channels: int = 4, streams: int = 4) -> tuple[list[Layer], list[Layer]]:
    """The layers of each input stream, and those of the main part."""
    near, width, kernel = a.graph_dist_in + 1, a.init_lay, a.temp_win_in
    stream = [
        Layer("graph", "stem_graph", "stem_scn", channels, width, matrices=near),
        Layer("Basic", "stem_temporal", "stem_tcn", width, width, kernel),
    ]
    for block in range(a.blocks_in):
        before, width = width, max(16 * round(width * a.scale_in / 16), 32)
        name, torch = f"block_{block}", f"block-{block}"
        stream.append(Layer("graph", f"{name}_graph", f"{torch}_scn", before, width, matrices=near))
        for depth in range(a.depth_in):
            names = f"{name}_temporal_{depth}", f"{torch}_tcn-{depth}"
            stream.append(Layer(a.conv_lay, *names, width, width, kernel, 1 if depth else a.stride_in))  # type: ignore[arg-type]
        stream.append(Layer("attention", f"{name}_attention", f"{torch}_att", width, width))
    main, width, far = [], streams * width, a.graph_dist_main + 1
    stride = a.stride_main if a.depth_main == 1 else 1
    for block in range(a.blocks_main):
        last = block == a.blocks_main - 1
        before, width = width, LAST if last else min(16 * round(width * a.scale_main / 16), 128)
        name, torch = f"main_{block}", f"block-{block}"
        main += [
            Layer("graph", f"{name}_graph", f"{torch}_scn_main", before, width, matrices=far),
            Layer("Basic", f"{name}_temporal", f"{torch}_tcn_main", width, width, a.temp_win_main, stride),
            Layer("attention", f"{name}_attention", f"{torch}_att_main", width, width),
        ]
    return stream, main
