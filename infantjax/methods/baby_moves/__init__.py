"""Baby Moves (Passmore et al. 2024): convolutions over the clips of a phone video and attention over the clips."""

NETWORKS = {"model": ("baby-moves",)}
"""Names of the networks in each module of this folder."""
