"""Medians over the networks of an ensemble and over the windows of a recording.

Source: Groos et al., Paper III. The order of the medians is that of the reference implementation: networks first.
"""

import numpy as np
from jaxtyping import Float


def window_risk(risks: Float[np.ndarray, "network window"]) -> Float[np.ndarray, " window"]:
    """Risk of each window: median over the networks."""
    return np.median(risks, axis=0)


def infant_risk(risks: Float[np.ndarray, "network window"]) -> float:
    """Risk of the infant: median over the windows of the median over the networks."""
    return float(np.median(window_risk(risks)))


def network_risks(risks: Float[np.ndarray, "network window"]) -> Float[np.ndarray, " network"]:
    """Risk of the infant by each network: median over the windows."""
    return np.median(risks, axis=1)


def infant_contributions(contributions: Float[np.ndarray, "network window joint"]) -> Float[np.ndarray, " joint"]:
    """Contribution of each joint: median over the networks for each window, then over the windows."""
    return np.median(np.median(contributions, axis=0), axis=0)
