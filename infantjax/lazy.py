"""Names of a package that are imported when they are first used, so that importing the package stays light."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

_ROOTS = ("infantjax.methods", "infantjax.pose")


def lazy_attributes(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose public names live in its modules.

    Args:
        package: name of the package.
        places: public name -> the module that defines it; the name of a module itself where the two are equal.

    Returns:
        The two functions, to be assigned in the package: `__getattr__, __dir__ = lazy_attributes(__name__, {...})`.
        A name that does not exist raises an `AttributeError` that names the nearest ones.
    """

    def __getattr__(name: str) -> Any:
        if name in places:
            module = importlib.import_module(places[name])
            return module if places[name].rpartition(".")[2] == name else getattr(module, name)
        hint = did_you_mean(name, places)
        raise AttributeError(f"module {package!r} has no attribute {name!r}" + (f"; {hint}" if hint else ""))

    def __dir__() -> list[str]:
        return sorted(places)

    return __getattr__, __dir__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the names nearest to a wrong one; empty if none is near."""
    nearest = difflib.get_close_matches(name, list(known), 3)
    return f"did you mean {' or '.join(nearest)}?" if nearest else ""


@cache
def discover(attribute: str) -> Mapping[str, str]:
    """Names that the packages of methods and of image networks declare, each with the module that defines it.

    A package lists them in its light `__init__` by module, for example `NETWORKS = {"model": ("st-gcn",)}`. Shared
    folders find them here, so that they need not name any method. No module but the `__init__` files is imported.

    Args:
        attribute: the declaration, for example `NETWORKS` or `IMPORTERS`.

    Returns:
        Name -> module, in the order of the packages.
    """
    found: dict[str, str] = {}
    for root in map(importlib.import_module, _ROOTS):
        folders = [f"{root.__name__}.{info.name}" for info in pkgutil.iter_modules(root.__path__) if info.ispkg]
        for package in [root, *map(importlib.import_module, folders)]:
            for module, names in getattr(package, attribute, {}).items():
                found |= dict.fromkeys(names, f"{package.__name__}.{module}")
    return found
