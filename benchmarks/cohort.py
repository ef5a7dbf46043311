"""The data of the benchmarks of a search; apart from `common`, which stays light for those that measure memory."""

import numpy as np

from infantjax.methods.ensemble_gcn.training import CohortData
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.search.auc import search_split
from infantjax.simulation import simulate_cohort
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.splits import Split, stratified_splits


def simulated(infants: int, duration: float) -> tuple[CohortData, Split]:
    """Recordings of a simulated cohort, 40 % of them positive, and the published fold of a trial."""
    cohort = simulate_cohort(infants, 1, duration, prevalence=0.4)
    positions = [standardize(recording, REFERENCE).keypoints.astype(np.float32) for recording, _ in cohort]
    outcomes = [outcome for _, outcome in cohort]
    return CohortData.from_recordings(positions, outcomes, IN_MOTION_19), search_split(stratified_splits(outcomes, 7))
