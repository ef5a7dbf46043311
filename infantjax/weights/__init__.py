"""Weights: import of published ones, saving and loading of the project's own."""

from infantjax.weights.backbones import filled, imagenet
from infantjax.weights.keras import import_efficienthourglass, import_efficientpose, import_pose, is_pose_weights
from infantjax.weights.pytorch import import_movement_outcome, import_st_gcn, import_videopose3d
from infantjax.weights.store import Ensemble, Member, load_ensemble, save_ensemble

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
