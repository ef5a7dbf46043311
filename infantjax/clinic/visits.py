"""The visits of an infant in numbers, for the page of an assessment and beside it: the last change, and the trend.

Both are our choice (the paper of the SMA CNN follows no infant over time) and were not validated on infants.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from infantjax.assessment.batch import VISITS
from infantjax.evaluation.agreement import RELIABLE_CHANGE
from infantjax.evaluation.intervals import UNDEFINED, Estimate
from infantjax.files import canonical_json, csv_text
from infantjax.report.glance import Glance
from infantjax.report.record import plain

STATEMENT = "These numbers were not validated on infants."


def describe(record: Mapping[str, Any], earlier: Sequence[Glance], now: Glance) -> tuple[list[str], dict[str, str]]:
    """Sentences on the change since the visit before and on the trend, and the visits as CSV and as JSON.

    Only assessable visits by the same ensemble are compared. The trend, of three visits or more at different ages, is
    by least squares with a 95 % t interval, which takes deviations from a line as independent. A risk is no quantity:
    it has visits, but no sentences, change or trend.

    Args:
        record: of this visit.
        earlier: visits, in order.
        now: this visit.

    Returns:
        The sentences, and the contents of files by ending; none without an earlier visit or a value.
    """
    comparable = [visit for visit in (*earlier, now) if visit.ensemble == now.ensemble and visit.row.assessable]
    known = [visit for visit in comparable if visit.row.value is not None]
    change, trend = math.nan, UNDEFINED
    if now.row.unit and now.visit[0] and len(known) > 1 and known[-1] is now:
        values = [float(visit.row.value) for visit in known]  # type: ignore[arg-type]
        change, trend = values[-1] - values[-2], _trend([visit.months for visit in known], values)
    limit = next((q["value"] for q in record["quantities"] if q["name"] == RELIABLE_CHANGE), None)
    numbers = {"change": change, "reliable_change": limit, "trend_per_month": trend.value}
    numbers = plain(numbers | {"trend_low": trend.low, "trend_high": trend.high})
    files = _files([*earlier, now], known, numbers) if earlier and record["headline"] else {}
    return _sentences(now.row.unit, change, limit, trend, len(known)), files


def _trend(months: Sequence[float | None], values: Sequence[float]) -> Estimate:
    """Slope per month; not defined of fewer than three visits or unknown ages."""
    ages = [month for month in months if month is not None]
    if not len(ages) == len(values) > 2 or max(ages) == min(ages):
        return UNDEFINED
    from statsmodels.regression.linear_model import OLS

    fit = OLS(values, [[1.0, age] for age in ages]).fit()
    return Estimate(float(fit.params[1]), *map(float, fit.conf_int()[1]))


def _sentences(unit: str, change: float, limit: float | None, trend: Estimate, visits: int) -> list[str]:
    if math.isnan(change):
        return []
    sentence = f"Since the visit before: {change:+.1f} {unit}"
    if limit is not None:
        within = "more than" if abs(change) > limit else "within"
        sentence += f", {within} the {limit:.1f} {unit} by which two visits can differ by error alone (95 %)"
    sentences = [f"{sentence}."]
    if not math.isnan(trend.value):
        steady = "" if trend.low > 0 or trend.high < 0 else "; it may be none"
        sentences.append(
            f"Trend over {visits} visits: {trend.value:+.1f} {unit} per month, 95 % interval {trend.low:+.1f} to "
            f"{trend.high:+.1f}{steady}."
        )
    return [*sentences, STATEMENT]


def _files(visits: Sequence[Glance], known: Sequence[Glance], numbers: Mapping[str, float | None]) -> dict[str, str]:
    """A row a visit; change and trend are in the row of the last one."""
    rows = [
        {
            "id": visit.row.id,
            visit.visit[0] or "visit": visit.visit[1],
            "months": visit.months,
            **{name: getattr(visit.row, name) for name in ("value_name", "value", "low", "high", "unit")},
            "compared": visit in known,
            "page": visit.row.page,
        }
        for visit in visits
    ]
    table = [[*row.values(), *(numbers.values() if row is rows[-1] else [None] * len(numbers))] for row in rows]
    return {
        f"{VISITS}.csv": csv_text([*rows[-1], *numbers], table),
        f"{VISITS}.json": canonical_json(
            {"infant": visits[-1].infant, "visits": rows, **numbers, "statement": STATEMENT}
        ),
    }
