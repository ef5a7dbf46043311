"""Video-based infant movement analysis, compiled with JAX.

    import infantjax as ij

    recording = ij.read("infant.csv", fps=30)
    assessment = ij.assess(recording, ensemble="results/ensemble")
    assessment.save("infant.html")

The flow, and the package that holds each step::

    video -> pose -> recording -> method (network, explanation) -> assessment -> report;  evaluation compares methods

Importing this module is light: subpackages load on first use, and no JAX backend starts.
"""

from collections.abc import Sequence
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, overload

from infantjax.lazy import lazy_attributes
from infantjax.version import __version__ as __version__

if TYPE_CHECKING:
    import flax.linen as nn
    import numpy as np

    from infantjax.assessment.assessment import Assessment
    from infantjax.assessment.assessor import Assessor
    from infantjax.recording.recording import Recording
    from infantjax.skeletons import Skeleton
    from infantjax.weights.ensemble import Ensemble

    Source = str | Path | Recording | np.ndarray

DEMO = "demo"
"""Name of the demonstration ensemble that comes with the package. It is trained on simulated movement."""

_TYPES = {
    "Assessment": "infantjax.assessment.assessment",
    "Cohort": "infantjax.recording.cohort",
    "Ensemble": "infantjax.weights.ensemble",
    "InputError": "infantjax.errors",
    "Recording": "infantjax.recording.recording",
}
_FUNCTIONS = ("assess", "create_model", "list_models", "load_ensemble", "read", "simulate")

_LAZY = {part.name: f"infantjax.{part.name}" for part in iter_modules(__path__)} | _TYPES
__getattr__, _ = lazy_attributes(__name__, {**_LAZY, **dict.fromkeys(_FUNCTIONS, __name__)})


def __dir__() -> list[str]:
    return sorted({*_LAZY, *_FUNCTIONS, "DEMO", "__version__"})


def read(
    path: str | Path, fps: float | None = None, *, format: str | None = None, skeleton: "Skeleton | str | None" = None
) -> "Recording":
    """Read a keypoint file; see `infantjax.formats.read`.

    Args:
        path: a file, or the folder of an OpenPose export.
        fps: frames per second; needed where the file states none.
        format: name of the format; None finds it from the content.
        skeleton: keypoint set of the file; None finds it from the names of the joints.

    Raises:
        InputError: the file cannot be used; one line with the file, what is wrong and what to do.
        ValueError: unknown format or skeleton.
    """
    from infantjax import formats

    return formats.read(path, fps=fps, format=format, skeleton=skeleton)


@overload
def assess(source: "Source", *, ensemble: "str | Path | Ensemble" = ..., **options: Any) -> "Assessment": ...
@overload
def assess(
    source: "Sequence[Source]", *, ensemble: "str | Path | Ensemble" = ..., **options: Any
) -> "list[Assessment]": ...
def assess(
    source: Any,
    *,
    ensemble: "str | Path | Ensemble" = DEMO,
    fps: float | None = None,
    skeleton: "Skeleton | str | None" = None,
    quality: bool = True,
    force: bool = False,
    repair: bool = False,
    error: float = 0.1,
    prevalence: float | None = None,
    **options: Any,
) -> Any:
    """Assess one recording or several with an ensemble of any method.

    Args:
        source: a keypoint file, a `Recording`, or an array `[time, joint, 2|3]` in pixels, y downwards, NaN where a
            point is missing; or a list of these.
        ensemble: folder of an ensemble, an ensemble, or `"demo"`, which is trained on simulated movement: its risks
            mean nothing for an infant.
        fps: frames per second; needed for arrays, and for files that state none.
        skeleton: keypoint set; needed for arrays.
        quality: measure the quality of the keypoints first, leave out windows with tracking faults, and give no value
            where too little is left (`Assessment.assessable`). False is exactly the published pipeline.
        force: give a value for recordings that are not assessable all the same.
        repair: undo exchanged sides and single jumps of points first.
        error: chance that the conformal set of a risk may miss the true outcome (`Assessment.calibration`).
        prevalence: share of infants with the outcome to which a calibrated risk is moved; None leaves it as it is.
        options: of the method's assessor, for example `threshold` or `strict`.

    Returns:
        An `Assessment`, or a list of them for a list.

    Raises:
        InputError: a file or recording that cannot be used; one line with what is wrong and what to do.
        ValueError: an array without `fps` and `skeleton`, an unknown option, `force` without `quality`, or an error or
            prevalence that is not above 0 and below 1.
    """
    from infantjax.assessment.gate import QualityOptions
    from infantjax.evaluation.risk_calibration import RiskOptions
    from infantjax.methods import registry

    gate, meaning = QualityOptions(quality, force, repair), RiskOptions(error, prevalence)
    networks = load_ensemble(ensemble) if isinstance(ensemble, (str, Path)) else ensemble
    # A digest is that of what was read; an ensemble that a program made or changed is known by its identity.
    known = networks.digest if isinstance(ensemble, (str, Path)) else networks
    listed = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    key = (known, *sorted((name, type(value), value) for name, value in listed.items()))
    assessor = _assessors.get(key) or registry.assessor(networks, **options)
    _assessors[key] = assessor
    while len(_assessors) > _MOST_ASSESSORS:
        del _assessors[next(iter(_assessors))]
    assessor = assessor.with_risk_options(meaning)
    sources = source if isinstance(source, (list, tuple)) else [source]
    assessments = [assessor.assess(*_recording(each, fps, skeleton), gate) for each in sources]
    return assessments if isinstance(source, (list, tuple)) else assessments[0]


_assessors: "dict[Any, Assessor]" = {}
"""Those of the last calls of `assess`, by ensemble and options: each is compiled once."""
_MOST_ASSESSORS = 4


def _recording(source: Any, fps: float | None, skeleton: "Skeleton | str | None") -> "tuple[Recording, str]":
    """A source as a recording, with the digest of its file."""
    from infantjax import skeletons
    from infantjax.assessment.batch import digest_of
    from infantjax.recording.recording import Recording

    if isinstance(source, (str, Path)):
        return read(source, fps, skeleton=skeleton), digest_of(Path(source))
    if isinstance(source, Recording):
        return source, ""
    if fps is None or skeleton is None:
        raise ValueError("an array needs fps and skeleton")
    known = skeletons.get(skeleton) if isinstance(skeleton, str) else skeleton
    return Recording(source, fps, known), ""


def load_ensemble(name: str | Path) -> "Ensemble":
    """Load an ensemble and check its digests.

    Args:
        name: folder that `infantjax crossval` or `train` wrote, or `"demo"`.

    Raises:
        InputError: the folder holds no ensemble, or a damaged one.
    """
    from infantjax.weights import bundled, ensemble

    return bundled.ensemble() if name == DEMO else ensemble.load_ensemble(name)


def list_models(pattern: str = "*") -> list[str]:
    """Names of the registered networks.

    Args:
        pattern: wildcards as in a shell, for example `kbest*`.
    """
    from fnmatch import filter

    from infantjax import models

    return filter(models.names(), pattern)


def create_model(name: str, **overrides: Any) -> "nn.Module":
    """Build a registered network as a Flax Linen module.

    Args:
        name: one of `list_models()`.
        overrides: settings of the network other than the published ones.

    Raises:
        ValueError: unknown name; the message has the nearest ones.
    """
    from infantjax import models

    return models.get(name).build(**overrides)


def simulate(seed: int = 0, **settings: Any) -> "Recording":
    """Simulate one infant whose movement is known.

    Args:
        seed: same seed and settings, same bytes.
        settings: fields of `infantjax.simulation.InfantConfig`, for example `duration` or `fidgety`.

    Raises:
        ValueError: a value out of range.
    """
    from infantjax.simulation import InfantConfig
    from infantjax.simulation import simulate as simulate_infant

    return simulate_infant(seed, InfantConfig(**settings))
