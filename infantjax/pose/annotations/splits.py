"""Splits of annotated images: by infant or video, or as the format has it."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from infantjax.errors import InputError
from infantjax.pose.annotations.data import Annotations
from infantjax.training.splits import Split

PAPER_SHARES: Mapping[str, float] = MappingProxyType({"train": 14_483, "validation": 1_493, "test": 4_024})
"""Images of In-Motion Poses in each part (Paper II), split by video."""

_FORMAT_NAMES = {"train": "train", "validation": "val", "test": "test"}


def split_by_group(
    annotations: Annotations, shares: Mapping[str, float] = PAPER_SHARES, seed: int = 0
) -> tuple[Split, tuple[str, ...]]:
    """Split so that no two parts have images of one infant or video.

    Groups come in random order, the large ones first, and each goes to the part that misses most images. Where no
    groups are known each image is its own, and a note says that parts may share infants.

    Args:
        annotations: what to split.
        shares: of the images, by part (`train`, `validation`, `test`); they are divided by their sum.
        seed: of the random order.

    Returns:
        Rows of each part, and notes for a reader of the results.

    Raises:
        ValueError: no parts, an unknown part, or a share that is not a number above 0.
        InputError: fewer groups than parts.

    Source: Groos et al., Paper II, section 2.2, splits by video.
    """
    if not shares or not shares.keys() <= _FORMAT_NAMES.keys():
        raise ValueError(f"parts must be among {', '.join(_FORMAT_NAMES)}, got {', '.join(shares) or 'none'}")
    if not all(np.isfinite(s) and s > 0 for s in shares.values()):
        raise ValueError(f"shares must be numbers above 0, got {dict(shares)}")
    groups, notes = annotations.groups, tuple[str, ...]()
    if groups is None:
        groups = tuple(str(row) for row in range(len(annotations)))
        notes = (
            "which images are of one infant is unknown: split by image, so that parts may share infants and the metrics"
            " may be too good",
        )
    names, members = np.unique(np.array(groups), return_inverse=True)
    if len(names) < len(shares):
        remedy = "add infants"
        raise InputError("annotations", f"needs at least {len(shares)} groups, found {len(names)}", remedy)
    sizes = np.bincount(members)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    missing = {part: len(annotations) * share / sum(shares.values()) for part, share in shares.items()}
    groups_of: dict[str, list[int]] = {part: [] for part in shares}
    for place, group in enumerate(order):
        # The last groups go to parts that are still empty.
        empty = [part for part in shares if not groups_of[part]]
        candidates = empty if len(order) - place <= len(empty) else list(shares)
        part = max(candidates, key=lambda part: missing[part])
        groups_of[part].append(int(group))
        missing[part] -= sizes[group]
    return _split({part: np.flatnonzero(np.isin(members, found)) for part, found in groups_of.items()}), notes


def split_as_given(annotations: Annotations) -> tuple[Split, tuple[str, ...]]:
    """The split that the format itself has.

    Returns:
        As `split_by_group`.

    Raises:
        InputError: the format has none.
    """
    given = np.array(annotations.splits or ("",))
    if not given.astype(bool).any():
        raise InputError("annotations", "do not say what trains and what tests", "split them by group")
    left_out = int((given == "").sum())
    notes = (f"{left_out} images are in no part",) if left_out else ()
    return _split({part: np.flatnonzero(given == name) for part, name in _FORMAT_NAMES.items()}), notes


def _split(parts: Mapping[str, np.ndarray]) -> Split:
    rows = {part: tuple(sorted(int(row) for row in found)) for part, found in parts.items()}
    return Split(**({"validation": ()} | rows))
