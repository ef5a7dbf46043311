"""The assessment as JSON, and the words in which every report speaks of it.

`assessment.schema.json` beside this file describes the record of the graph networks (JSON Schema, draft 2020-12),
`finding.schema.json` that of the other systems. The CSV and the page are made of the same record, so that no two
reports can show different figures.
"""

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from infantjax import files
from infantjax.assessment.result import Assessed, Assessment, Finding

SCHEMA_VERSION = "1.1"
"""Version of the record. The second number grows when a field is added, the first when one changes or goes."""

WORDS = {
    "red": "CP, certain",
    "orange": "CP, uncertain",
    "yellow": "no CP, uncertain",
    "green": "no CP, certain",
}
"""What each certainty color means."""

REASONS = {
    "fraction": {
        "red": "more than 75 % of the instances predict CP",
        "orange": "the risk is on the CP side, but no more than 75 % of the instances predict CP",
        "yellow": "the risk is not on the CP side, but at least 25 % of the instances predict CP",
        "green": "fewer than 25 % of the instances predict CP",
    },
    "quartile": {
        "red": "the lower quartile of the instance risks is above the threshold",
        "orange": "the lower quartile of the instance risks is not above the threshold",
        "yellow": "the upper quartile of the instance risks is not below the threshold",
        "green": "the upper quartile of the instance risks is below the threshold",
    },
}
"""Why a color was given: certainty rule -> color -> its inequality in words."""

UNVALIDATED = (
    "The weights behind this figure were never validated on infants. "
    "It must not be used for any decision about a child."
)
"""The caveat where the weights are not validated and bring no words of their own."""


def rounded(value: float) -> float | None:
    """A float as every report writes it: six significant decimals; None (JSON null) for NaN and infinities.

    Rounding keeps the bytes of a report the same where backends differ in the last bits of a float32.
    """
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0


def plain(value: Any, where: str = "value") -> Any:
    """A value as JSON types: floats by `rounded`, NumPy scalars and arrays as their contents, keys as text.

    Halves of surrogate pairs, which UTF-8 cannot hold and odd file names bring, become U+FFFD.

    Args:
        value: None, text, numbers, NumPy scalars and arrays; mappings and sequences of these.
        where: how an error names the value.

    Raises:
        TypeError: any other type; the message says where.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return rounded(float(value))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        return plain(value.item(), where)
    raise TypeError(f"{where}: JSON cannot hold a {type(value).__name__}")


def statement_of(assessment: Assessed) -> str:
    """The caveat to print with every figure; never empty where the weights are not validated."""
    return assessment.statement.strip() or ("" if assessment.validated else UNVALIDATED)


def to_record(assessed: Assessed) -> dict[str, Any]:
    """An assessment as JSON types, all of it but the movement.

    Returns:
        What the system's schema describes; floats by `rounded`, NaN as None, times in seconds.

    Raises:
        TypeError: metadata or provenance hold something that is not JSON-compatible, or no known kind of assessment.
    """
    if isinstance(assessed, Assessment):
        own = _of_assessment(assessed)
    elif isinstance(assessed, Finding):
        own = _of_finding(assessed)
    else:
        raise TypeError(f"there is no record of a {type(assessed).__name__}")
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plain(assessed.name),
        "skeleton": plain(assessed.skeleton),
        "fps": plain(assessed.fps),
        "duration": plain(assessed.duration),
        "missing": plain(assessed.missing, "missing"),
        "approximated": plain(assessed.approximated, "approximated"),
        "notes": plain(assessed.notes, "notes"),
        "metadata": plain(assessed.metadata, "metadata"),
        "provenance": plain(assessed.provenance, "provenance"),
        "validated": bool(assessed.validated),
        "statement": plain(statement_of(assessed)),
        **own,
    }


def _of_assessment(assessment: Assessment) -> dict[str, Any]:
    windows = assessment.windows
    courses = (windows.start, windows.median, windows.q1, windows.q3, windows.color)
    return {
        "system": "groos",
        "risk": plain(assessment.risk),
        "threshold": plain(assessment.threshold),
        "decision": "CP" if assessment.positive else "no CP",
        "certainty": {
            "color": assessment.color,
            "words": WORDS[assessment.color],
            "rule": assessment.certainty_rule,
            "reason": REASONS[assessment.certainty_rule][assessment.color],
            "fraction_positive": plain(assessment.fraction_positive),
            "q1": plain(assessment.quartiles[0]),
            "q3": plain(assessment.quartiles[1]),
        },
        "window_length": plain(windows.length),
        "windows": [
            {"start": plain(start), "median": plain(median), "q1": plain(q1), "q3": plain(q3), "color": color}
            for start, median, q1, q3, color in zip(*courses, strict=True)
        ],
        "instances": [
            {"model": plain(i.model), "instance": plain(i.instance), "risk": plain(i.risk)}
            for i in assessment.instances
        ],
        "contributions": plain(assessment.contributions, "contributions"),
    }


def _of_finding(finding: Finding) -> dict[str, Any]:
    course = finding.course
    columns = (course.start, course.median, course.q1, course.q3)
    return {
        "system": plain(finding.system),
        "title": plain(finding.title),
        "source": plain(finding.source),
        "reading": plain(finding.reading),
        "decision": plain(finding.decision) or None,
        "quantities": {
            quantity.name: {
                "words": plain(quantity.words),
                "value": plain(quantity.value),
                "low": plain(quantity.low),
                "high": plain(quantity.high),
                "around": plain(quantity.around),
                "unit": plain(quantity.unit),
            }
            for quantity in finding.quantities
        },
        "instances": plain(finding.instances),
        "window_length": plain(course.length),
        "course": {"words": plain(course.words), "limits": plain(course.limits), "threshold": plain(course.threshold)},
        "windows": [
            {"start": plain(start), "median": plain(median), "q1": plain(q1), "q3": plain(q3)}
            for start, median, q1, q3 in zip(*columns, strict=True)
        ],
        "intervals": plain(finding.intervals),
    }


def to_json(assessment: Assessed) -> str:
    """The record as canonical JSON text: equal assessments give equal bytes.

    Raises:
        TypeError: as `to_record`.
    """
    return files.canonical_json(to_record(assessment))


def schema(system: str = "groos") -> dict[str, Any]:
    """The published JSON Schema of the record of a system."""
    name = "assessment.schema.json" if system == "groos" else "finding.schema.json"
    return json.loads(resources.files("infantjax.report").joinpath(name).read_text("utf-8"))
