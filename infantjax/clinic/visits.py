"""The visits of an infant in numbers, for the page of an assessment: the last change, and the trend.

Both are our choice (the paper of the SMA CNN follows no infant over time) and were not validated on infants.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infantjax.evaluation.agreement import RELIABLE_CHANGE
from infantjax.report.glance import Glance


def describe(record: Mapping[str, Any], earlier: Sequence[Glance], now: Glance) -> list[str]:
    """Sentences on the change since the visit before and on the trend; empty for a risk, which is no quantity.

    Only assessable visits by the same ensemble are compared. The trend, of three visits or more at different ages, is
    by least squares with a 95 % t interval, which takes deviations from a line as independent.

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
    if len(ages) == len(values) > 2 and max(ages) > min(ages):
        from statsmodels.regression.linear_model import OLS

        fit = OLS(values, [[1.0, age] for age in ages]).fit()
        low, high = fit.conf_int()[1]
        steady = "" if low > 0 or high < 0 else "; it may be none"
        sentences.append(
            f"Trend over {len(values)} visits: {fit.params[1]:+.1f} {unit} per month, 95 % interval {low:+.1f} to "
            f"{high:+.1f}{steady}."
        )
    return [*sentences, "These numbers were not validated on infants."]
