"""Ensemble-NAS-GCN (Groos et al. 2022): an ensemble of searched graph networks gives a risk of cerebral palsy."""

NETWORKS = {"st_gcn": ("st-gcn",), "model": tuple(f"kbest-gcn-{i}" for i in range(1, 11))}
"""Names of the networks in each module of this folder."""

IMPORTERS = {"weights": ("import_movement_outcome", "import_st_gcn")}
"""Names of the importers of weights in each module of this folder."""
