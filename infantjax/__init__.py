"""Video-based infant movement analysis, compiled with JAX.

The flow, and the package that holds each step::

    video -> pose -> motion -> networks (with their explanation) -> assessment -> report

`video` reads frames; `pose` finds keypoints in them; `motion` reads keypoint files into a `Recording` and makes windows
of it; `models` holds the published networks; `training` trains stacks of them as one compiled program; `search` looks
for better ones; `assessment` turns a recording into a risk with its uncertainty; `systems` names every published
system and trains and uses it; `report` writes down what it finds; `evaluation` judges methods; `simulation` makes
infants of known movement.

Importing this module is light: subpackages load on first use, and no JAX backend starts.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = frozenset(
    {
        "assessment",
        "errors",
        "evaluation",
        "explanation",
        "files",
        "models",
        "formats",
        "nn",
        "pose",
        "recording",
        "cli",
        "report",
        "search",
        "simulation",
        "skeletons",
        "methods",
        "training",
        "video",
        "weights",
    }
)


def __getattr__(name: str) -> ModuleType:
    """Load a subpackage when it is first named (`infantjax.models` without importing Flax at start-up)."""
    if name in _SUBMODULES:
        return importlib.import_module(f"infantjax.{name}")
    raise AttributeError(f"module 'infantjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
