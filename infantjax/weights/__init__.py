"""Weights: import of published ones, saving and loading of the project's own.

What imports published files is loaded when it is first named: it needs the networks, an ensemble does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

from infantjax.weights.store import Ensemble, Member, load_ensemble, save_ensemble

if TYPE_CHECKING:
    from infantjax.weights.backbones import filled, imagenet
    from infantjax.weights.keras import import_efficienthourglass, import_efficientpose, import_pose, is_pose_weights
    from infantjax.weights.pytorch import import_movement_outcome, import_st_gcn, import_videopose3d

__all__ = [
    "Ensemble",
    "Member",
    "filled",
    "imagenet",
    "import_efficienthourglass",
    "import_efficientpose",
    "import_movement_outcome",
    "import_pose",
    "import_st_gcn",
    "import_videopose3d",
    "is_pose_weights",
    "load_ensemble",
    "save_ensemble",
]

_FILE_OF = {
    "filled": "backbones",
    "imagenet": "backbones",
    "import_efficienthourglass": "keras",
    "import_efficientpose": "keras",
    "import_pose": "keras",
    "is_pose_weights": "keras",
    "import_movement_outcome": "pytorch",
    "import_st_gcn": "pytorch",
    "import_videopose3d": "pytorch",
}


def __getattr__(name: str) -> Any:
    """Load the file that holds a name."""
    if name in _FILE_OF:
        return getattr(importlib.import_module(f"infantjax.weights.{_FILE_OF[name]}"), name)
    raise AttributeError(f"module 'infantjax.weights' has no attribute {name!r}")
