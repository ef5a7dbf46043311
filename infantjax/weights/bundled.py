"""Files of the package: a demonstration ensemble and a recording, both simulated.

The ensemble was trained by `experiments/demonstration_ensemble.py` on simulated infants; its statement, printed with
every risk, says so.
"""

from pathlib import Path

from infantjax.weights.ensemble import Ensemble, load_ensemble

_FOLDER = Path(__file__).parent / "bundled_data"


def ensemble() -> Ensemble:
    """The demonstration ensemble: two published architectures with seven training runs each.

    Never validated on infants: trained on simulated movement.
    """
    return load_ensemble(_FOLDER / "ensemble")


def recording_path() -> Path:
    """A simulated recording of 60 s as a coordinate table."""
    return _FOLDER / "demo_infant.csv"
