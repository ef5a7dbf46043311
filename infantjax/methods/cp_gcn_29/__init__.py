"""CP-GCN-29: the 29-point graph network whose weights, trained on infants by others, are public (ShapGCN)."""

NETWORKS = {"model": ("cp-gcn-29",)}
"""Names of the networks in each module of this folder."""

IMPORTERS = {"weights": ("import_cp_gcn_29",)}
"""Names of the importers of weights in each module of this folder."""

CHECKPOINTS = {"weights": ("51b9cf17a1249bd07eaff7e300b51b5a67e580eb",)}
"""Git blob ids of the public checkpoints that `import_ensemble` of each module of this folder reads."""
