"""MAM (Gao et al. 2023), re-implemented from its description: localizes fidgety movements and gives a risk."""

NETWORKS = {"model": ("mam",)}
"""Names of the networks in each module of this folder."""
