"""The 20 choices of an architecture of Ensemble-NAS-GCN, and the ten published architectures.

Source: Groos et al., Paper III with supplement; thesis Appendix A, Tables A.2 to A.5.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Residual = Literal["null", "block", "module", "dense"]
BlockType = Literal["basic", "bottleneck", "mbconv"]


@dataclass(frozen=True)
class Architecture:
    """One candidate of the search space: 20 choices, each with its alternatives.

    Attributes:
        graph: adjacency of input and main branch (`dis42`: four matrices in the input branches, two in the main one).
        input_width: width of the input branches before the bottleneck factor.
        num_input_modules: modules of each of the three input branches.
        initial_block_type: block of the first module of each input branch.
        initial_residual: residual of the first module of each input branch.
        input_temporal_scales: parallel dilations in the input branches; `linear` grows per module.
        initial_main_width: width of the first main level before the bottleneck factor.
        num_main_levels: levels of the main branch; each halves time, each after the first doubles the width.
        num_main_level_modules: modules of each main level.
        block_type: block of all other modules.
        bottleneck_factor: ratio of outer to inner width (of inner to outer for mbconv).
        residual: residual of all other modules.
        main_temporal_scales: parallel dilations in the main branch; `linear` grows per level.
        temporal_kernel_size: frames of the temporal convolutions.
        se: where squeeze-and-excitation stands.
        se_ratio: its reduction.
        se_type: `relative` doubles the reduction with each main level.
        nonlinearity: of the whole network.
        attention: at the end of every module.
        pool: before the classifier.

    Raises:
        ValueError: an alternative outside the search space; the message lists the allowed ones.

    Source: Groos et al., Paper III, supplement (search space); thesis Appendix A.
    """

    graph: Literal["spatial", "dis2", "dis4", "dis42"]
    input_width: Literal[6, 8, 10, 12]
    num_input_modules: Literal[1, 2, 3]
    initial_block_type: BlockType
    initial_residual: Residual
    input_temporal_scales: Literal[1, 2, 3, "linear"]
    initial_main_width: Literal[6, 8, 10, 12]
    num_main_levels: Literal[1, 2]
    num_main_level_modules: Literal[1, 2, 3]
    block_type: BlockType
    bottleneck_factor: Literal[2, 4]
    residual: Residual
    main_temporal_scales: Literal[1, 2, 3, "linear"]
    temporal_kernel_size: Literal[3, 5, 7, 9]
    se: Literal["null", "inner", "outer", "both"]
    se_ratio: Literal[2, 4]
    se_type: Literal["relative", "absolute"]
    nonlinearity: Literal["relu", "swish"]
    attention: Literal["null", "channel", "frame", "joint"]
    pool: Literal["global", "spatial"]

    def __post_init__(self) -> None:
        for choice, allowed in ALTERNATIVES.items():
            value = getattr(self, choice)
            if value not in allowed or isinstance(value, bool):
                listed = ", ".join(str(a) for a in allowed)
                raise ValueError(f"architecture: {choice} is {value!r}; allowed: {listed}")

    @classmethod
    def from_choices(cls, choices: Mapping[str, Any]) -> "Architecture":
        """An architecture from choice names and alternatives, as in search tables and saved weights.

        Numbers may come as text, and None stands for `null`. Without squeeze-and-excitation its ratio and type may be
        missing and then are 4 and `absolute`, the convention of the published table.

        Raises:
            ValueError: a choice is unknown or missing, or an alternative is outside the search space.
        """
        given: dict[str, Any] = {"se_ratio": 4, "se_type": "absolute"} if choices.get("se") in (None, "null") else {}
        given |= {name: _parsed(value) for name, value in choices.items()}
        if unknown := sorted(set(given) - set(ALTERNATIVES)):
            raise ValueError(f"architecture: unknown choices {', '.join(unknown)}; known: {', '.join(ALTERNATIVES)}")
        if missing := [name for name in ALTERNATIVES if name not in given]:
            raise ValueError(f"architecture: missing choices {', '.join(missing)}")
        return cls(**given)

    def to_choices(self) -> dict[str, str | int]:
        """The choices as plain data."""
        return asdict(self)

    @property
    def label(self) -> str:
        """The candidate's text form: `choice-alternative` pairs joined by `+`, in the order of the search space."""
        return "+".join(f"{f.name}-{getattr(self, f.name)}" for f in fields(self))


ALTERNATIVES: dict[str, tuple[str | int, ...]] = {
    choice: get_args(annotation) for choice, annotation in Architecture.__annotations__.items()
}
"""The published search space: 20 choices in the order in which seeded candidates are drawn."""


def _parsed(value: Any) -> Any:
    if value is None:
        return "null"
    return int(value) if isinstance(value, str) and value.isdigit() else value


_PUBLISHED_CHOICES: dict[str, tuple[str | int, ...]] = {
    "graph": ("dis2", "dis42", "spatial", "dis4", "dis4", "dis2", "dis2", "dis4", "dis2", "spatial"),
    "input_width": (10, 10, 12, 10, 10, 12, 8, 6, 6, 12),
    "num_input_modules": (3, 2, 3, 3, 2, 3, 1, 2, 3, 2),
    "initial_block_type": (
        *("bottleneck", "basic", "basic", "basic", "bottleneck"),
        *("basic", "basic", "mbconv", "bottleneck", "basic"),
    ),
    "initial_residual": ("null", "dense", "null", "block", "dense", "dense", "module", "block", "dense", "dense"),
    "input_temporal_scales": (1, 3, 2, 2, 3, 1, 3, 2, 1, 2),
    "initial_main_width": (12, 12, 8, 8, 6, 10, 12, 12, 12, 10),
    "num_main_levels": (1, 1, 1, 1, 2, 2, 2, 2, 2, 1),
    "num_main_level_modules": (1, 3, 2, 1, 1, 3, 3, 2, 1, 3),
    "block_type": ("basic", "mbconv", "basic", "basic", "basic", "bottleneck", "basic", "basic", "basic", "basic"),
    "bottleneck_factor": (4, 2, 2, 4, 2, 4, 4, 4, 4, 4),
    "residual": ("null", "block", "module", "dense", "null", "block", "null", "dense", "null", "null"),
    "main_temporal_scales": (1, 2, 2, "linear", 3, "linear", 3, 1, "linear", 3),
    "temporal_kernel_size": (9, 7, 7, 7, 7, 3, 9, 5, 9, 7),
    "se": ("null", "outer", "inner", "null", "outer", "null", "null", "outer", "outer", "null"),
    "se_ratio": (4, 4, 2, 4, 2, 4, 4, 4, 4, 4),
    "se_type": ("absolute",) * 10,
    "nonlinearity": ("relu", "swish", "relu", "swish", "relu", "swish", "swish", "relu", "relu", "swish"),
    "attention": (
        *("channel", "channel", "null", "channel", "channel"),
        *("channel", "null", "null", "channel", "channel"),
    ),
    "pool": ("global", "global", "global", "spatial", "global", "global", "spatial", "global", "spatial", "spatial"),
}

KBEST: tuple[Architecture, ...] = tuple(
    Architecture.from_choices({name: values[i] for name, values in _PUBLISHED_CHOICES.items()}) for i in range(10)
)
"""The ten published architectures, in the paper's order (`kbest-gcn-1` is `KBEST[0]`)."""
