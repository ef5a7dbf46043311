"""Recordings with their outcomes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton

if TYPE_CHECKING:
    import pandas as pd

ScoreRange = tuple[float, float]
"""Lowest and highest value of a score."""
ANY_SCORE: ScoreRange = (-1e6, 1e6)
"""Where the scale of a score is not known."""
T = TypeVar("T")


def is_outcome(value: float, score_range: ScoreRange | None) -> bool:
    """Whether a value is 0 or 1, or within the range of scores if there is one."""
    return value in (0, 1) if score_range is None else score_range[0] <= value <= score_range[1]


def describe_outcomes(score_range: ScoreRange | None) -> str:
    """The allowed outcomes in words."""
    return "0 or 1" if score_range is None else f"a number from {score_range[0]:g} to {score_range[1]:g}"


@dataclass(frozen=True, eq=False)
class Cohort:
    """Recordings with outcomes.

    Attributes:
        recordings: each named by its id, in the order of the table.
        outcomes: 0 or 1 for each; with `score_range`, a score.
        groups: a name for each, or None; recordings of one group stay together when data are split.
        problems: what was skipped or looks odd, one line each.
        score_range: of the outcomes if they are scores; None if they are classes.

    Raises:
        ValueError: lengths differ, an outcome is neither 0 nor 1 or out of range, or two recordings have one name.
    """

    recordings: tuple[Recording, ...]
    outcomes: tuple[float, ...]
    groups: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()
    score_range: ScoreRange | None = None

    def __post_init__(self) -> None:
        if len(self.outcomes) != len(self.recordings) or len(self.groups or self.outcomes) != len(self.recordings):
            raise ValueError(f"{len(self.recordings)} recordings need as many outcomes and groups")
        if not all(is_outcome(outcome, self.score_range) for outcome in self.outcomes):
            raise ValueError(f"outcomes must be {describe_outcomes(self.score_range)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two recordings of a cohort have one name")

    @classmethod
    def from_frame(
        cls,
        recordings: Mapping[str, Recording | np.ndarray],
        table: "pd.DataFrame",
        *,
        fps: float | None = None,
        skeleton: Skeleton | str | None = None,
        score_range: ScoreRange | None = None,
    ) -> "Cohort":
        """Join recordings with a table of their outcomes.

        Args:
            recordings: by id, in the order of the cohort: recordings, or arrays `[time, joint, 2|3]` in pixels, y
                downwards, NaN where a point is missing.
            table: a row an infant with the id as index; column `outcome`, optionally `group` (recordings of one group
                stay together when data are split), and others, which become metadata. Further rows are ignored.
            fps: frames per second of arrays.
            skeleton: keypoint set of arrays.
            score_range: of outcomes that are scores; None for 0 or 1.

        Raises:
            ValueError: an id without a row or with two, an outcome that is missing or not allowed, or arrays without
                `fps` and `skeleton`.
        """
        rows = table.set_axis(table.index.map(str), axis=0)
        if "outcome" not in rows:
            raise ValueError(f"the table has no column outcome, only {', '.join(map(str, rows.columns))}")
        if repeated := sorted(set(rows.index[rows.index.duplicated()]) & set(recordings)):
            raise ValueError(f"the table has two rows of {', '.join(repeated)}")
        if absent := [name for name in recordings if name not in rows.index or rows["outcome"].isna()[name]]:
            raise ValueError(f"the table has no outcome of {', '.join(absent)}")
        joined, outcomes, groups = [], [], []
        known = rows.loc[list(recordings)].to_dict("index")
        for name, recording in recordings.items():
            row = {str(column): value for column, value in known[name].items() if value is not None and value == value}
            outcomes.append(row.pop("outcome"))
            groups.append(str(row.get("group", name)))
            if not isinstance(recording, Recording):
                if fps is None or skeleton is None:
                    raise ValueError("arrays need fps and skeleton")
                recording = Recording(recording, fps, skeletons.get(skeleton))
            joined.append(replace(recording, name=name, metadata=recording.metadata.with_columns(row)))
        return cls(tuple(joined), tuple(outcomes), tuple(groups) if "group" in rows else None, score_range=score_range)

    def __len__(self) -> int:
        return len(self.recordings)

    @property
    def names(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(r.name for r in self.recordings)

    @property
    def digest(self) -> str:
        """SHA-256 of all keypoints and outcomes."""
        return sha256(*(r.keypoints for r in self.recordings), np.asarray(self.outcomes, np.float64))

    def columns(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """For each recording its entries in columns of the table, as text.

        Raises:
            ValueError: no recording has such a column.
        """
        for name in names:
            if all(name not in recording.metadata for recording in self.recordings):
                raise ValueError(f'no recording has a column "{name}"')
        return [tuple(str(recording.metadata.get(name)) for name in names) for recording in self.recordings]

    def subset(self, rows: Iterable[int]) -> "Cohort":
        """The recordings at these positions, in this order, without `problems`."""
        rows = list(rows)
        return replace(
            self,
            recordings=tuple(self.recordings[row] for row in rows),
            outcomes=tuple(self.outcomes[row] for row in rows),
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            problems=(),
        )

    def map(self, prepare: Callable[[Recording], T], skip_invalid: bool = False) -> tuple["Cohort", list[T]]:
        """Apply a function to every recording.

        Args:
            prepare: raises an `InputError` for a recording that cannot be used.
            skip_invalid: skip such recordings and name them in `problems`.

        Returns:
            The cohort of the usable recordings, and what `prepare` gave for each.

        Raises:
            InputError: some recordings cannot be used, all named in one line; or none can.
        """
        prepared, kept, invalid = [], [], []
        for row, recording in enumerate(self.recordings):
            try:
                prepared.append(prepare(recording))
                kept.append(row)
            except InputError as error:
                invalid.append(f"{error.where} {error.what}")
        if invalid and not (skip_invalid and kept):
            listed = "; ".join(invalid[:10]) + (f"; and {len(invalid) - 10} more" if len(invalid) > 10 else "")
            what = f"{len(invalid)} of {len(self)} recordings cannot be used: {listed}"
            raise InputError(
                "cohort", what, "correct them or take them out of the table; crossval and train have --skip-invalid"
            )
        skipped = tuple(f"skipped: {problem}" for problem in invalid)
        return replace(self.subset(kept), problems=(*self.problems, *skipped)), prepared
