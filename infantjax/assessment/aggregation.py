"""From the risks of instances and windows to one risk of the infant.

Source: Groos et al., Paper III; the order of the medians is that of the released program (instances first).
"""

import numpy as np
from jaxtyping import Float


def window_risk(risks: Float[np.ndarray, "instance window"]) -> Float[np.ndarray, " window"]:
    """Risk of each window: median over the instances."""
    return np.median(risks, axis=0)


def infant_risk(risks: Float[np.ndarray, "instance window"]) -> float:
    """Risk of the infant: median over the windows of the median over the instances."""
    return float(np.median(window_risk(risks)))


def instance_risks(risks: Float[np.ndarray, "instance window"]) -> Float[np.ndarray, " instance"]:
    """Risk that each instance gives: median over the windows."""
    return np.median(risks, axis=1)


def infant_contributions(contributions: Float[np.ndarray, "instance window joint"]) -> Float[np.ndarray, " joint"]:
    """Contribution of each joint: median over the instances of each window, then over the windows."""
    return np.median(np.median(contributions, axis=0), axis=0)
