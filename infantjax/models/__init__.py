"""The published networks, one file each, and the registry that names them."""

from infantjax.models import (
    baby_moves,
    babypose,
    cima_pose,
    efficienthourglass,
    efficientpose,
    gcn,
    mam,
    openpose,
    sma_cnn,
    stam,
    videopose3d,
)
from infantjax.models.entry import (
    COUNTING_RULES,
    CountingRule,
    Entry,
    Published,
    count_flops,
    count_image,
    count_operations,
    count_parameters,
    variable_shapes,
)

__all__ = [
    "COUNTING_RULES",
    "CountingRule",
    "Entry",
    "Published",
    "count_flops",
    "count_image",
    "count_operations",
    "count_parameters",
    "gcn",
    "get",
    "names",
    "variable_shapes",
]

_ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        *gcn.ENTRIES,
        *efficientpose.ENTRIES,
        *efficienthourglass.ENTRIES,
        *cima_pose.ENTRIES,
        *openpose.ENTRIES,
        *babypose.ENTRIES,
        *baby_moves.ENTRIES,
        *mam.ENTRIES,
        *sma_cnn.ENTRIES,
        *stam.ENTRIES,
        *videopose3d.ENTRIES,
    )
}


def names() -> list[str]:
    """Names of all registered networks."""
    return list(_ENTRIES)


def get(name: str) -> Entry:
    """The entry of a network.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    try:
        return _ENTRIES[name]
    except KeyError:
        raise ValueError(f'unknown model "{name}"; known: {", ".join(_ENTRIES)}') from None
