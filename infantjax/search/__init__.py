"""Search a space of choices for the best one: `run` with any space and objective.

Spaces are data, K-Best is a pure rule, and trials are kept as a study of Optuna (the extra `search`). What is searched
by a command comes from a method, see `objective.SearchProblem`.
"""

from infantjax.lazy import lazy_attributes

_PLACES = {
    **dict.fromkeys(("FAILED", "KBest", "Observation", "RandomSearch", "State", "Strategy", "draw"), "kbest"),
    **dict.fromkeys(("Objective", "Report", "SearchProblem", "TrialResult"), "objective"),
    **dict.fromkeys(("SearchResult", "read_study"), "study"),
    "SearchSpace": "space",
    "run": "driver",
}
__getattr__, __dir__ = lazy_attributes(
    __name__, {name: f"infantjax.search.{module}" for name, module in _PLACES.items()}
)
