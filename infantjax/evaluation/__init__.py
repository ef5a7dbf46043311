"""Evaluation of methods on infants whose outcome is known: metrics with intervals, comparisons, plots. On the host."""
