"""Training: stacks of runs as one compiled program, splits, optimizers, checkpoints and logs."""
