"""The published networks, one file each, and the registry that names them.

A file is loaded when one of its networks is first asked for: an assessment whose programs are compiled needs none.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infantjax.models import gcn
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
    "require_known",
    "variable_shapes",
]

FILES: dict[str, tuple[str, ...]] = {
    "gcn": ("st-gcn", *(f"kbest-gcn-{i}" for i in range(1, 11))),
    "efficientpose": (
        *(f"efficientpose-{variant}" for variant in ("rt", "i", "ii", "iii", "iv")),
        *(f"efficientpose-{variant}-lite" for variant in ("rt", "i", "ii")),
    ),
    "efficienthourglass": (
        "efficienthourglass-b4",
        *(f"efficienthourglass-b{i}" for i in range(4)),
        *(f"efficienthourglass-l{i}" for i in range(5)),
        *(f"efficienthourglass-h{i}" for i in range(5)),
    ),
    "cima_pose": ("cima-pose",),
    "openpose": ("openpose",),
    "babypose": ("babypose-detection", "babypose-regression", "asy-regression"),
    "baby_moves": ("baby-moves",),
    "mam": ("mam",),
    "sma_cnn": ("sma-cnn",),
    "stam": ("stam",),
    "videopose3d": ("videopose3d",),
}
"""Names of the networks in each file, in the order of its entries."""

_FILE_OF = {name: file for file, names in FILES.items() for name in names}


def names() -> list[str]:
    """Names of all registered networks."""
    return list(_FILE_OF)


def require_known(name: str) -> None:
    """Refuse a name that no network has; loads none.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in _FILE_OF:
        raise ValueError(f'unknown model "{name}"; known: {", ".join(_FILE_OF)}')


def get(name: str) -> "Entry":
    """The entry of a network.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    require_known(name)
    entries = importlib.import_module(f"infantjax.models.{_FILE_OF[name]}").ENTRIES
    return next(entry for entry in entries if entry.name == name)


def __getattr__(name: str) -> Any:
    """Load a file of networks, or what all of them share, when it is first named."""
    if name in FILES:
        return importlib.import_module(f"infantjax.models.{name}")
    if name in __all__:
        return getattr(importlib.import_module("infantjax.models.entry"), name)
    raise AttributeError(f"module 'infantjax.models' has no attribute {name!r}")
