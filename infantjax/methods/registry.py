"""The published methods by name. They register themselves: a folder below `methods` holds one method in `method.py`.

    method = registry.get("mam").from_settings({"folds": 5})
    ensemble = method.crossval(cohort, "ensemble", annotated=annotated)
    assessment = registry.assessor(ensemble).assess(recording)

An ensemble names its method, so the name is needed once.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.methods.base import Method
from infantjax.weights.ensemble import Ensemble

__all__ = ["DEFAULT", "Method", "assessor", "get", "name_of", "names", "register"]

DEFAULT = "ensemble-gcn"
"""The method of commands that name none."""

MethodT = TypeVar("MethodT", bound=Method)

_classes: dict[str, type[Method]] = {}


def register(name: str) -> Callable[[type[MethodT]], type[MethodT]]:
    """Class decorator: enter a method under its name, which is that of its folder with `-` in place of `_`."""

    def enter(cls: type[MethodT]) -> type[MethodT]:
        cls.name = name
        _classes[name] = cls
        return cls

    return enter


@cache
def names(reads: str | None = None) -> tuple[str, ...]:
    """Names of the methods: folders with a `method.py`. Imports none of them.

    Args:
        reads: "keypoints" for the methods that assess recordings, "depth images" for those that find keypoints; None
            for all. A folder that reads no keypoints says so as `READS` in its `__init__.py`.
    """
    folder = Path(__file__).parent
    found = [module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg]
    found = [name for name in found if (folder / name / "method.py").exists()]
    if reads is not None:
        packages = {name: importlib.import_module(f"infantjax.methods.{name}") for name in found}
        found = [name for name, package in packages.items() if getattr(package, "READS", "keypoints") == reads]
    return tuple(sorted(name.replace("_", "-") for name in found))


def get(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in names():
        raise ValueError(f'unknown method "{name}"; known: {", ".join(names())}')
    if name not in _classes:
        importlib.import_module(f"infantjax.methods.{name.replace('-', '_')}.method")
    return _classes[name]


def name_of(ensemble: Ensemble) -> str:
    """Name of the method that an ensemble belongs to.

    Raises:
        InputError: it names none, or one that is not known.
    """
    name = ensemble.info.method or DEFAULT
    if name not in names():
        raise InputError("ensemble", f'belongs to the method "{name[:40]}"', f"known: {', '.join(names())}")
    return name


def assessor(ensemble: Ensemble, method: str | None = None, **options: Any) -> Assessor:
    """An object that assesses recordings with an ensemble.

    Args:
        ensemble: of any method.
        method: that the ensemble must belong to; None accepts any.
        options: of the method's `assessor`.

    Raises:
        InputError: it belongs to another method, or its content does not fit together.
        ValueError: an option that the method does not have, or one out of range.
    """
    found = name_of(ensemble)
    if method is not None and method != found:
        raise InputError("--method", f"is {method}, the ensemble belongs to {found}", "give another ensemble or method")
    return get(found).assessor(ensemble, **options)
