"""The published systems, each one concept: how it is trained on a cohort, and what it finds in a recording.

    system = systems.get("mam").configured({"folds": 5})
    ensemble = system.crossval(cohort, "ensemble", annotated=annotated)
    assessment = systems.assessor(ensemble).assess(recording)

An ensemble says which system it belongs to, so the name is needed once.
"""

import importlib
from typing import Any

from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.methods.base import System
from infantjax.weights.ensemble import Ensemble

__all__ = ["DEFAULT", "Assessor", "System", "assessor", "get", "name_of", "names"]

_CLASSES = {
    "groos": "ensemble_gcn.method:Groos",
    "mam": "mam.method:Mam",
    "baby-moves": "baby_moves.method:BabyMoves",
    "sma": "sma_cnn.method:Sma",
}

DEFAULT = "groos"
"""The system of ensembles that name none."""


def names() -> list[str]:
    """Names of all systems."""
    return list(_CLASSES)


def get(name: str) -> type[System]:
    """The class of a system.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in _CLASSES:
        raise ValueError(f'unknown system "{name}"; known: {", ".join(_CLASSES)}')
    module, attribute = _CLASSES[name].split(":")
    return getattr(importlib.import_module(f"infantjax.methods.{module}"), attribute)


def name_of(ensemble: Ensemble) -> str:
    """Which system an ensemble belongs to.

    Raises:
        InputError: it names one that is not known.
    """
    name = str(ensemble.info.get("system", DEFAULT))
    if name not in _CLASSES:
        raise InputError("ensemble", f'belongs to a system "{name[:40]}"', f"known are {', '.join(_CLASSES)}")
    return name


def assessor(ensemble: Ensemble, system: str | None = None, **options: Any) -> Assessor:
    """What assesses recordings with an ensemble.

    Args:
        ensemble: of any system.
        system: that it must belong to; None takes any.
        options: of the system's `assessor`.

    Raises:
        InputError: it belongs to another system, or its content does not fit together.
        ValueError: an option that the system does not have, or one out of range.
    """
    found = name_of(ensemble)
    if system is not None and system != found:
        raise InputError("--method", f"is {system}, the ensemble belongs to {found}", "give another ensemble or system")
    return get(found).assessor(ensemble, **options)
