"""What the page says of the visits of an infant in numbers: the last change, and the trend."""

from collections.abc import Mapping, Sequence
from typing import Any

from infantjax.evaluation.visits import trend
from infantjax.report.glance import Glance

RELIABLE_CHANGE = "reliable_change"
"""Name of the quantity of a record that a change between visits is compared with."""


def describe(record: Mapping[str, Any], earlier: Sequence[Glance], now: Glance) -> list[str]:
    """Sentences on the change since the visit before and on the trend; empty for a risk, which is no quantity.

    Only assessable visits by the same ensemble are compared.

    Args:
        record: of this visit.
        earlier: visits, in order.
        now: this visit.
    """
    if not now.row.unit or not now.visit[0]:
        return []
    comparable = [visit for visit in (*earlier, now) if visit.ensemble == now.ensemble and visit.row.assessable]
    known = [(visit, visit.row.value) for visit in comparable if visit.row.value is not None]
    if len(known) < 2 or known[-1][0] is not now:
        return []
    values = [value for _, value in known]
    unit, change = now.row.unit, values[-1] - values[-2]
    sentence = f"Since the visit before: {change:+.1f} {unit}"
    limit = next((q["value"] for q in record["quantities"] if q["name"] == RELIABLE_CHANGE), None)
    if limit is not None:
        within = "more than" if abs(change) > limit else "within"
        sentence += f", {within} the {limit:.1f} {unit} by which two visits can differ by error alone (95 %)"
    sentences = [f"{sentence}."]
    months = [visit.months for visit, _ in known]
    ages = [month for month in months if month is not None]
    found = trend(ages, values) if len(ages) == len(values) else None
    if found is not None:
        steady = "" if found.low > 0 or found.high < 0 else "; it may be none"
        sentences.append(
            f"Trend over {found.visits} visits: {found.slope:+.1f} {unit} per month, 95 % interval {found.low:+.1f} to "
            f"{found.high:+.1f}{steady}."
        )
    return [*sentences, "These figures were not validated on infants."]
