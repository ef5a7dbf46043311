"""SMA CNN: a motor score on the scale of CHOP INTEND from the tracks of hands and feet."""

NETWORKS = {"model": ("sma-cnn",)}
"""Names of the networks in each module of this folder."""
