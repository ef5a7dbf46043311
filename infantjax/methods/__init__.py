"""The published methods, one folder each, and the registry that names them."""

PREDICTORS = {"window_networks": ("cp-gcn-29", "ensemble-gcn", "")}
"""Methods by the module of this folder that has their `predict_fn`; the empty name is that of ensembles without one."""
