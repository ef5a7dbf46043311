"""Import of published pose weights: Keras files, ImageNet backbones, and PyTorch files of the lifting network."""

IMPORTERS = {
    "keras": ("import_pose", "is_pose_weights"),
    "imagenet": ("filled", "imagenet"),
    "videopose3d": ("import_videopose3d",),
}
"""Names of the importers of weights in each module of this folder; `infantjax.weights` offers them."""
