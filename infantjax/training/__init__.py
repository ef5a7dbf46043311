"""Training: stacks of runs as one compiled program, folds, checkpoints and logs."""
