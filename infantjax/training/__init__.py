"""Training: stacks of runs as one compiled program, folds, checkpoints, logs, and the protocols that use them."""

from infantjax.training.annotated import Squares, TrainedPose, train_pose
from infantjax.training.folds import Fold, Split, released_split, stratified_folds
from infantjax.training.pose import PoseTrainingConfig
from infantjax.training.protocols import crossval, prepare, train_single
from infantjax.training.stack import Result, train
from infantjax.training.state import CohortData, Status, TrainingConfig

__all__ = [
    "CohortData",
    "Fold",
    "PoseTrainingConfig",
    "Result",
    "Split",
    "Squares",
    "Status",
    "TrainedPose",
    "TrainingConfig",
    "crossval",
    "prepare",
    "released_split",
    "stratified_folds",
    "train",
    "train_pose",
    "train_single",
]
