"""Weights: import of published ones, saving and loading of the project's own."""

from infantjax.weights.pytorch import import_movement_outcome, import_st_gcn

__all__ = ["import_movement_outcome", "import_st_gcn"]
