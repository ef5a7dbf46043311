"""Evaluation of methods on infants whose outcome is known: metrics with intervals, comparisons, plots. On the host."""

from infantjax.lazy import lazy_attributes

_MODULES = (
    "agreement",
    "associations",
    "calibration",
    "checklist",
    "columns",
    "comparison",
    "cross_fitting",
    "decision",
    "discrimination",
    "intervals",
    "later_scores",
    "plots",
    "raters",
    "risk",
    "risk_calibration",
    "sample_size",
    "tables",
    "visits",
)

__all__ = [*_MODULES]

__getattr__, __dir__ = lazy_attributes(__name__, {name: f"infantjax.evaluation.{name}" for name in _MODULES})
