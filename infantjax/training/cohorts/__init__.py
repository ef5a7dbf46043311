"""Training on a cohort of infants: splits, cross-validation, out-of-fold values."""
