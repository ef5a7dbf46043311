"""The registry of networks: their names, published values, and how they are built.

A network is registered where it is defined: the packages below `infantjax.methods` and `infantjax.pose` list in
`NETWORKS` the names in each of their modules, and a module lists its `ENTRIES`. A module is imported when one of its
networks is first asked for, so listing names imports neither JAX nor Flax.
"""

import importlib
from typing import TYPE_CHECKING, Any

from infantjax.lazy import did_you_mean, discover, lazy_attributes

if TYPE_CHECKING:
    from infantjax.models.entry import ModelEntry

_OF_ENTRIES = ("ModelEntry", "Published", "count_flops", "count_image", "count_parameters", "variable_shapes")
"""Names of `models.entry`, which needs Flax."""


def names() -> list[str]:
    """Names of all registered networks."""
    return list(discover("NETWORKS"))


def require_known(name: str) -> None:
    """Refuse a name that no network has; loads none.

    Raises:
        ValueError: unknown name; the message has the nearest ones, or all.
    """
    if name not in (known := names()):
        raise ValueError(f'unknown model "{name}"; ' + (did_you_mean(name, known) or f"known: {', '.join(known)}"))


def get(name: str) -> "ModelEntry":
    """The entry of a network.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    require_known(name)
    entries = importlib.import_module(discover("NETWORKS")[name]).ENTRIES
    return next(entry for entry in entries if entry.name == name)


def __getattr__(name: str) -> Any:
    """Load what all entries share when it is first named."""
    return lazy_attributes(__name__, dict.fromkeys(_OF_ENTRIES, "infantjax.models.entry"))[0](name)
