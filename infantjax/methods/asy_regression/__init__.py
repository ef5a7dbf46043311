"""Asy-regression (Migliorelli et al.): keypoints of preterm infants from depth clips, asymmetric 3D convolutions."""

NETWORKS = {"model": ("babypose-detection", "babypose-regression", "asy-regression")}
"""Names of the networks in each module of this folder."""

READS = "depth images"
"""Input of the method, in place of keypoints."""
