"""Medians over the networks of an ensemble and over the windows of a recording.

Source: Groos et al., Paper III. The order of the medians is that of the reference implementation: networks first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


def window_risk(risks: Float[np.ndarray, "network window"]) -> Float[np.ndarray, " window"]:
    """Risk of each window: median over the networks."""
    return np.median(risks, axis=0)


def infant_risk(risks: Float[np.ndarray, "network window"]) -> float:
    """Risk of the infant: median over the windows of the median over the networks."""
    return float(np.median(window_risk(risks)))


def network_risks(risks: Float[np.ndarray, "network window"]) -> Float[np.ndarray, " network"]:
    """Risk of the infant by each network: median over the windows."""
    return np.median(risks, axis=1)


def window_contributions(
    contributions: Float[np.ndarray, "network kept joint"], keep: Bool[np.ndarray, " window"]
) -> Float[np.ndarray, "window joint"]:
    """Contribution of each joint in each window: median over the networks; NaN in windows that are left out."""
    values = np.full((len(keep), contributions.shape[2]), np.nan)
    values[keep] = np.median(contributions, axis=0)
    return values


def infant_contributions(contributions: Float[np.ndarray, "network window joint"]) -> Float[np.ndarray, " joint"]:
    """Contribution of each joint: median over the networks for each window, then over the windows."""
    return np.median(np.median(contributions, axis=0), axis=0)


def named_contributions(
    contributions: Float[np.ndarray, "network kept joint"], keep: Bool[np.ndarray, " window"], joints: Sequence[str]
) -> dict[str, Any]:
    """The fields `contributions` and `window_contributions` of a `Prediction`."""
    by_window = window_contributions(contributions, keep).round(3)
    return {
        "contributions": dict(zip(joints, infant_contributions(contributions).tolist(), strict=True)),
        "window_contributions": dict(zip(joints, by_window.T, strict=True)),
    }
