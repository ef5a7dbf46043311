"""Screening of a cohort: recordings that are not assessable are named, listed in a table, and left out on request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, get_args

from infantjax.files import csv_text
from infantjax.recording.cohort import Cohort
from infantjax.recording.quality import Quality, measure_quality
from infantjax.report.record import rounded

Screening = Literal["warn", "exclude", "off"]
"""Treatment of recordings that are not assessable: they are named, named and left out, or not looked for."""


def screen(cohort: Cohort, screening: Screening = "warn") -> tuple[Cohort, dict[str, Quality]]:
    """Measure the quality of a cohort's recordings.

    Args:
        cohort: recordings with outcomes.
        screening: what happens to those that are not assessable.

    Returns:
        The cohort, with a line in its `problems` for each recording that is not assessable; and the quality of each
        recording by name, empty for `off`.

    Raises:
        ValueError: an unknown `screening`, or no recording is left.
    """
    if screening not in get_args(Screening):
        raise ValueError(f'unknown screening "{screening}"; known: {", ".join(get_args(Screening))}')
    if screening == "off":
        return cohort, {}
    found = {recording.name: measure_quality(recording) for recording in cohort.recordings}
    done = "left out" if screening == "exclude" else "used all the same"
    problems = tuple(
        f"{name}: not assessable, {done}: {', '.join(quality.reasons)}"
        for name, quality in found.items()
        if not quality.assessable
    )
    if screening == "exclude":
        rows = [row for row, quality in enumerate(found.values()) if quality.assessable]
        if not rows:
            raise ValueError(f"none of the {len(cohort)} recordings is assessable")
        return replace(cohort.subset(rows), problems=(*cohort.problems, *problems)), found
    return replace(cohort, problems=(*cohort.problems, *problems)), found


def quality_csv(qualities: Mapping[str, Quality]) -> str:
    """The quality of recordings as CSV text: `id`, `assessable`, `reasons`, `doubts`, and the measures of each."""
    measures = dict.fromkeys(name for quality in qualities.values() for name in quality.summary)
    rows = []
    for name, quality in qualities.items():
        words = [name, str(quality.assessable).lower(), "; ".join(quality.reasons), "; ".join(quality.doubts)]
        values = [rounded(quality.summary[measure]) if measure in quality.summary else None for measure in measures]
        rows.append((*words, *values))
    return csv_text(("id", "assessable", "reasons", "doubts", *measures), rows)
