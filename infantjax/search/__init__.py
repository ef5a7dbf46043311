"""Architecture search: spaces as data, K-Best as a pure rule, and studies in Optuna that many workers join.

`sampler`, `pruning`, `study`, `worker`, `analysis` and `report` need Optuna (the extra `search`). What is searched
comes from a method, see `objective.SearchProblem`.
"""

from infantjax.lazy import lazy_attributes

_PLACES = {
    **dict.fromkeys(("FAILED", "KBest", "Observation", "RandomSearch", "State", "Strategy", "draw"), "kbest"),
    **dict.fromkeys(("Objective", "SearchProblem", "TrialResult"), "objective"),
    **dict.fromkeys(("SearchTask", "run_worker"), "worker"),
    **dict.fromkeys(("Snapshot", "read_study"), "study"),
    "SearchSpace": "space",
    "run_search": "launcher",
    "StrategySampler": "sampler",
    "CheckpointPruner": "pruning",
}
__getattr__, __dir__ = lazy_attributes(
    __name__, {name: f"infantjax.search.{module}" for name, module in _PLACES.items()}
)
