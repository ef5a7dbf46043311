"""Asy-regression (Migliorelli et al.): keypoints of preterm infants from depth clips, asymmetric 3D convolutions."""

NETWORKS = {"model": ("babypose-detection", "babypose-regression", "asy-regression")}
"""Names of the networks in each module of this folder."""

DEPTH = {"pipeline": ("DepthTrainingConfig", "train_depth"), "tracker": ("load_depth_tracker",)}
"""Names in each module of this folder by which depth images are trained on and used."""
