"""Files of the package, all simulated: a demonstration ensemble, a recording, a clip, and a pose network for the clip.

The ensemble was trained by `experiments/demonstration_ensemble.py` on simulated infants; its statement, printed with
every risk, says so. The pose network was trained by `experiments/train_rendered_pose.py` on rendered infants.
"""

import json
from functools import cache
from pathlib import Path

from infantjax.errors import one_line
from infantjax.weights.ensemble import INDEX, Ensemble, load_ensemble

_FOLDER = Path(__file__).parent / "bundled_data"


def ensemble() -> Ensemble:
    """The demonstration ensemble: two published architectures with seven training runs each.

    Never validated on infants: trained on simulated movement.
    """
    return load_ensemble(_FOLDER / "ensemble")


@cache
def digest() -> str:
    """Digest of the demonstration ensemble."""
    return json.loads((_FOLDER / "ensemble" / INDEX).read_text("utf-8"))["sha256"]


def statement_of(ensemble: Ensemble) -> str:
    """The caveat to print with every value of an ensemble."""
    text = one_line(ensemble.info.statement)
    if not text and ensemble.info.validated:
        text = "validated on infants."
    return attributed(text, ensemble)


def attributed(text: str, ensemble: Ensemble) -> str:
    """Words that rest on what an ensemble says of itself, marked as its author's.

    Those of the bundled ensemble are not: of others the digests show damage, but nothing signs them.
    """
    return f"Stated by its author: {text}" if text and ensemble.digest != digest() else text


def recording_path() -> Path:
    """A simulated recording of 60 s as a coordinate table."""
    return _FOLDER / "demo_infant.csv"


def clip_path() -> Path:
    """A rendered clip of a simulated infant that neither network was trained on."""
    return _FOLDER / "demo_clip.mp4"


def pose_path() -> Path:
    """Folder of a pose network for `pose.load_pose_network`.

    Trained on rendered infants only: never a default for real videos.
    """
    return _FOLDER / "pose"
