"""Architecture search: spaces as data, K-Best as a rule, and studies that many workers join.

What needs Optuna (`sampler`, `pruning`, `study`, `worker`) is imported by name; this package itself is light.
"""

from infantjax.search.kbest import FAILED, KBest, RandomSearch, State, Trial, draw
from infantjax.search.space import PUBLISHED, SearchSpace, build_published

__all__ = [
    "FAILED",
    "PUBLISHED",
    "KBest",
    "RandomSearch",
    "SearchSpace",
    "State",
    "Trial",
    "build_published",
    "draw",
]
