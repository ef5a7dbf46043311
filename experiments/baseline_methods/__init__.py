"""Methods of single studies that `comparators.py` compares: features with classifiers, and networks."""
