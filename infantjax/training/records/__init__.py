"""Files of a training: checkpoints, logs, history, record."""
