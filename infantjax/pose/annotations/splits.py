"""Which annotated pictures train, which choose the epoch, and which test."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from infantjax.errors import InputError
from infantjax.pose.annotations.data import Annotations

PAPER_SHARES: Mapping[str, float] = MappingProxyType({"train": 14_483, "val": 1_493, "test": 4_024})
"""Pictures of In-Motion Poses in each part (Paper II), split by video."""


class Split(NamedTuple):
    """Rows of each part.

    Attributes:
        rows: sorted row numbers by part.
        notes: what a reader of the results should know.
    """

    rows: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def split_by_group(annotations: Annotations, shares: Mapping[str, float] = PAPER_SHARES, seed: int = 0) -> Split:
    """Parts of which no two have pictures of one infant or video.

    Groups are drawn in random order, the large ones first, and each goes to the part that lacks most pictures.
    Where no groups are known each picture is its own, and a note says that parts may share infants.

    Args:
        annotations: what to split.
        shares: of the pictures, by part; they are divided by their sum.
        seed: of the draw.

    Raises:
        ValueError: no parts, or a share that is not a number above 0.
        InputError: fewer groups than parts.

    Source: Groos et al., Paper II, section 2.2, splits by video.
    """
    if not shares or not all(np.isfinite(s) and s > 0 for s in shares.values()):
        raise ValueError(f"shares must be numbers above 0, got {dict(shares)}")
    groups, notes = annotations.groups, tuple[str, ...]()
    if groups is None:
        groups = tuple(str(row) for row in range(len(annotations)))
        notes = (
            "which pictures are of one infant is unknown: split by picture, so that parts may share infants and figures"
            " may be too good",
        )
    names, members = np.unique(np.array(groups), return_inverse=True)
    if len(names) < len(shares):
        raise InputError("annotations", f"are of {len(names)} groups, {len(shares)} parts need as many", "add infants")
    sizes = np.bincount(members)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    lacking = {part: len(annotations) * share / sum(shares.values()) for part, share in shares.items()}
    chosen: dict[str, list[int]] = {part: [] for part in shares}
    for place, group in enumerate(order):
        # The last groups go to parts that are still empty.
        empty = [part for part in shares if not chosen[part]]
        among = empty if len(order) - place <= len(empty) else list(shares)
        part = max(among, key=lambda part: lacking[part])
        chosen[part].append(int(group))
        lacking[part] -= sizes[group]
    return Split({part: np.flatnonzero(np.isin(members, found)) for part, found in chosen.items()}, notes)


def split_as_released(annotations: Annotations, seed: int = 0) -> Split:
    """Parts by picture with the shares of the training framework: 80 % for training and validation, 91 % of it trains.

    For comparison only: pictures of one infant are in several parts. The draw is ours; that of the framework depends on
    its own generator.

    Args:
        annotations: what to split.
        seed: of the draw.
    """
    rows = np.random.default_rng(seed).permutation(len(annotations))
    development = int(0.8 * len(rows))
    training = int(0.91 * development)
    parts = {"train": rows[:training], "val": rows[training:development], "test": rows[development:]}
    note = "split by picture, as in the training framework: parts share infants, and figures may be too good"
    return Split({part: np.sort(found) for part, found in parts.items()}, (note,))


def split_as_given(annotations: Annotations) -> Split:
    """The parts that the format itself names.

    Raises:
        InputError: it names none.
    """
    splits = annotations.splits or ()
    parts = [part for part in ("train", "val", "test") if part in splits]
    if not parts:
        raise InputError("annotations", "do not say what trains and what tests", "split them by group")
    left_out = sum(not split for split in splits)
    notes = (f"{left_out} pictures are in no part",) if left_out else ()
    return Split({part: np.flatnonzero(np.array(splits) == part) for part in parts}, notes)
