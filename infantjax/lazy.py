"""Names of a package that are imported when they are first used, so that importing the package stays light."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any


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
        nearest = difflib.get_close_matches(name, places, 3)
        hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
        raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")

    def __dir__() -> list[str]:
        return sorted(places)

    return __getattr__, __dir__
