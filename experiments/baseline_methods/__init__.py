"""Methods of single studies that `baselines.py` compares: features of recordings or videos, and linear classifiers."""
