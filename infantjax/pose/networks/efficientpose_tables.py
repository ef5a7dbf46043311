"""The networks of the ablation tables of EfficientPose: each leaves out or adds one part.

Source: Groos et al., Paper I, appendix A, tables 6 to 9. Printed values are for MPII's keypoints.
"""

from functools import partial
from typing import Any, NamedTuple

from infantjax.models.entry import ModelEntry, Published
from infantjax.pose.networks.efficientpose import VARIANTS, build


class Change(NamedTuple):
    """A change of the network, and the table that measures it."""

    table: int
    overrides: dict[str, Any]


CHANGES: dict[str, Change] = {
    "single-resolution": Change(6, {"cross_resolution": False}),
    "no-skeleton": Change(7, {"skeleton_pass": False, "repeat_features": True}),
    "1-pass": Change(8, {"passes": 1}),
    "3-passes": Change(8, {"passes": 3}),
    "no-upscaling": Change(9, {"upscale": False}),
}
"""Arguments of `efficientpose.build`. `repeat_features` is derived: the printed sizes are met with it alone."""

_PRINTED: dict[str, dict[str, tuple[str, str, float, float]]] = {
    "i": {
        "single-resolution": ("0.68", "1.58", 83.64, 25.79),
        "no-skeleton": ("0.54", "1.37", 81.13, 25.00),
        "1-pass": ("0.52", "1.33", 81.85, 24.51),
        "3-passes": ("0.92", "2.02", 84.35, 26.42),
        "no-upscaling": ("0.71", "1.52", 82.42, 14.02),
    },
    "ii": {
        "single-resolution": ("1.69", "7.50", 86.93, 29.16),
        "no-skeleton": ("1.27", "6.03", 85.75, 29.67),
        "1-pass": ("1.24", "5.92", 85.42, 28.01),
        "3-passes": ("2.22", "9.49", 87.55, 29.61),
        "no-upscaling": ("1.73", "7.37", 86.56, 20.66),
    },
}
"""Parameters in millions, operations in billions, PCKh@50 and PCKh@10 on MPII's validation images after 100 epochs."""


def _entry(variant: str, name: str) -> ModelEntry:
    table, overrides = CHANGES[name]
    millions, flops, at_50, at_10 = _PRINTED[variant][name]
    scores = {"MPII validation PCKh@50": at_50, "MPII validation PCKh@10": at_10}
    side = VARIANTS[variant].side
    return ModelEntry(
        name=f"efficientpose-{variant}-{name}",
        method="efficientpose",
        task="pose",
        input_shape=(side, side, 3),
        skeleton="mpii-16",
        features=(),
        published=Published(None, flops, 1e9, f"Groos et al., Paper I table {table}", scores, millions),
        build=partial(build, variant, **overrides),
        normalization="imagenet",
        counted={"early_heads": False, "low_level_tap": "sum"},
        fidelity="published",
    )


ENTRIES = tuple(_entry(variant, name) for variant, printed in _PRINTED.items() for name in printed)
