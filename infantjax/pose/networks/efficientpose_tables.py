"""The networks of the ablation tables of EfficientPose: each leaves out or adds one part.

Source: Groos et al., Paper I, appendix A, tables 6 to 9. Printed values are for MPII's keypoints.
"""

from functools import partial
from typing import Any

from infantjax.models.entry import ModelEntry, Published
from infantjax.pose.networks.efficientpose import VARIANTS, build

_CHANGES: dict[str, tuple[int, dict[str, Any]]] = {
    "single-resolution": (6, {"cross_resolution": False}),
    "no-skeleton": (7, {"skeleton_pass": False, "repeat_features": True}),
    "1-pass": (8, {"passes": 1}),
    "3-passes": (8, {"passes": 3}),
    "no-upscaling": (9, {"upscale": False}),
}
"""Number of the table, and arguments of `efficientpose.build`.

`repeat_features` is derived: the printed sizes are met with it alone."""

_PRINTED: dict[str, tuple[tuple[str, str, float, float], ...]] = {
    "i": (
        ("0.68", "1.58", 83.64, 25.79),
        ("0.54", "1.37", 81.13, 25.00),
        ("0.52", "1.33", 81.85, 24.51),
        ("0.92", "2.02", 84.35, 26.42),
        ("0.71", "1.52", 82.42, 14.02),
    ),
    "ii": (
        ("1.69", "7.50", 86.93, 29.16),
        ("1.27", "6.03", 85.75, 29.67),
        ("1.24", "5.92", 85.42, 28.01),
        ("2.22", "9.49", 87.55, 29.61),
        ("1.73", "7.37", 86.56, 20.66),
    ),
}
"""In the order of the changes: parameters in millions, operations in billions, PCKh@50 and PCKh@10 on MPII's validation
images after 100 epochs."""


ENTRIES = tuple(
    ModelEntry(
        name=f"efficientpose-{variant}-{name}",
        method="efficientpose",
        task="pose",
        input_shape=(VARIANTS[variant].side, VARIANTS[variant].side, 3),
        skeleton="mpii-16",
        features=(),
        published=Published(
            None,
            flops,
            1e9,
            f"Groos et al., Paper I table {table}",
            {"MPII validation PCKh@50": at_50, "MPII validation PCKh@10": at_10},
            millions,
        ),
        build=partial(build, variant, **overrides),
        normalization="imagenet",
        counted={"early_heads": False, "low_level_tap": "sum"},
        fidelity="published",
    )
    for variant, printed in _PRINTED.items()
    for (name, (table, overrides)), (millions, flops, at_50, at_10) in zip(_CHANGES.items(), printed, strict=True)
)
