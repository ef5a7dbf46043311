"""Weights: import of published ones, saving and loading of the project's own.

What imports published files is loaded when it is first named: it needs the networks, an ensemble does not.
"""

import importlib
from typing import TYPE_CHECKING, Any

from infantjax.weights.ensemble import Ensemble, Member, load_ensemble, save_ensemble

if TYPE_CHECKING:
    from infantjax.pose.backbones import filled, imagenet
    from infantjax.pose.keras_weights import (
        import_efficienthourglass,
        import_efficientpose,
        import_pose,
        is_pose_weights,
    )
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
    "filled": "pose.backbones",
    "imagenet": "pose.backbones",
    "import_efficienthourglass": "pose.keras_weights",
    "import_efficientpose": "pose.keras_weights",
    "import_pose": "pose.keras_weights",
    "is_pose_weights": "pose.keras_weights",
    "import_movement_outcome": "weights.pytorch",
    "import_st_gcn": "weights.pytorch",
    "import_videopose3d": "weights.pytorch",
}


def __getattr__(name: str) -> Any:
    """Load the file that holds a name."""
    if name in _FILE_OF:
        return getattr(importlib.import_module(f"infantjax.{_FILE_OF[name]}"), name)
    raise AttributeError(f"module 'infantjax.weights' has no attribute {name!r}")
