"""Networks of depth images: what trains and uses them, imported from the method that declares it in `DEPTH`."""

from typing import Any

from infantjax.lazy import discover, lazy_attributes


def __getattr__(name: str) -> Any:
    """Load the module that defines a name."""
    return lazy_attributes(__name__, discover("DEPTH"))[0](name)


def __dir__() -> list[str]:
    return sorted(discover("DEPTH"))
