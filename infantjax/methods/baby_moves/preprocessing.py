"""Baby Moves: from tracked points of a phone video to the 46 series that its network reads.

    quality -> align -> remove_outliers -> fill -> scale -> cleaning.stretch -> features -> clips

Each step is a function on the host, in float64; `prepare` runs them on a recording. Two published variants exist by
name, see `Preprocessing`: what the reference implementation does, and what the paper describes.

The infant lies along the image's x axis with the head at small x, as in the published videos; lengths named `long` and
`short` are the sides of the image in pixels.

Source: Passmore et al., "Automated identification of abnormal infant movements from smart phone videos", and its
reference implementation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from einops import rearrange
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.methods import common
from infantjax.methods.baby_moves import cleaning
from infantjax.methods.baby_moves.model import METADATA, Entry
from infantjax.recording.recording import Recording
from infantjax.settings import check_fields
from infantjax.skeletons import BABY_MOVES_18

Keypoints = Float[np.ndarray, "time 18 2"]
Variant = Literal["reference", "paper"]

FRAMES = 4500
"""Frames of every recording afterwards: three minutes at 25 Hz, whatever its true length."""
CLIP = 128
"""Frames of a clip."""
STEP = 8
"""Frames between the starts of two clips."""
FEATURES = 46
"""Series of a recording: x and y of 18 points, ten angles."""
COHORTS = {"term": 0.0, "preterm": 1.0}
"""Groups of birth that the network knows."""

_CROWN = BABY_MOVES_18.index("crown")
_SHOULDERS = [BABY_MOVES_18.index(f"{side}_shoulder") for side in ("left", "right")]
_HIPS = [BABY_MOVES_18.index(f"{side}_hip") for side in ("left", "right")]
_TORSO = [BABY_MOVES_18.index(name) for name in ("left_shoulder", "left_hip", "right_shoulder", "right_hip")]


def _triplets(side: str, other: str) -> dict[str, tuple[str, str, str]]:
    return {
        f"{side}_shoulder": (f"{other}_shoulder", f"{side}_shoulder", f"{side}_elbow"),
        f"{side}_elbow": (f"{side}_shoulder", f"{side}_elbow", f"{side}_hand"),
        f"{side}_hip": (f"{side}_shoulder", f"{side}_hip", f"{side}_knee"),
        f"{side}_knee": (f"{side}_hip", f"{side}_knee", f"{side}_heel"),
        f"{side}_ankle": (f"{side}_knee", f"{side}_heel", f"{side}_toe"),
    }


ANGLES = _triplets("left", "right") | _triplets("right", "left")
"""The ten joint angles in the order of their columns: the three points of each, the vertex in the middle."""


@dataclass(frozen=True)
class Preprocessing:
    """How a recording is prepared; the defaults are those of the reference implementation.

    | step | `reference` | `paper` |
    | --- | --- | --- |
    | order | quality, alignment, outliers, gaps, size | quality, outliers, gaps, alignment, size |
    | missing point | confidence at or below `min_confidence` | below it |
    | enough points | share of at least `min_share` | above it |
    | alignment | rigid fit of four torso points to one frame's | mid-line turned onto x, frame by frame |
    | body ellipse | about the middle of the hips | about the middle of hips and shoulders |
    | point ellipse | a share of the image's sides | unit lengths; the paper gives no values (our choice) |
    | short gaps | linear, then smoothed | linear |
    | long gaps | the first five frames as short ones | imputed |

    The last step centers each frame on the middle of the hips; the paper does not say where its origin is (our choice).

    Attributes:
        variant: follow the paper, or the reference implementation.
        min_confidence: points of lower confidence are missing.
        min_share: mean fraction of points that must be there.
        body: semi-axes of the ellipse beyond which points are outliers, unit lengths.
        point: the same for one point over time; fractions of the image's sides for `reference`, else unit lengths.
        rotation: `ordinary`, or `transposed` with a mistake of the reference implementation (one noisy frame in 250).
        smooth: standard deviation in frames of a Gaussian filter before angles are computed; 0 for none.

    Raises:
        ValueError: an unknown name.
    """

    variant: Variant = "reference"
    min_confidence: float = 0.2
    min_share: float = 0.7
    body: tuple[float, float] = (1.5, 1.0)
    point: tuple[float, float] = (0.2, 0.3)
    rotation: Literal["ordinary", "transposed"] = "ordinary"
    smooth: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


REFERENCE = Preprocessing()
"""As the public program does."""
PAPER = Preprocessing(variant="paper", point=(0.5, 0.5))
"""As the paper describes it; its point ellipse is our choice."""


class Image(NamedTuple):
    """Sides of the video in pixels, whichever way it was held."""

    long: float
    short: float


def prepare(recording: Recording, image: Image | tuple[float, float], settings: Preprocessing = REFERENCE) -> Recording:
    """A recording of 4500 frames, upright, centered and of unit length.

    Args:
        recording: keypoints of `baby-moves-18` in pixels; NaN is missing. Without confidence all given points count.
        image: sides of its video, pixels.
        settings: how.

    Returns:
        A recording of `FRAMES` frames whose unit of length is the distance from crown to mid-hip. No NaN but in points
        that were never seen.

    Raises:
        InputError: too few points are seen, a point of the torso or the crown never is, or there are too few frames.
        ValueError: another skeleton, three coordinates, or an image without size.
    """
    if recording.skeleton.name != BABY_MOVES_18.name or recording.keypoints.shape[-1] != 2:
        raise ValueError(f"Baby Moves needs two coordinates of {BABY_MOVES_18.name}, got {recording.skeleton.name}")
    image = Image(max(image), min(image))
    if not image.short > 0:
        raise ValueError(f"the sides of the image must be above 0, got {image}")
    if recording.frames < CLIP:
        raise InputError(recording.name, f"has {recording.frames} frames, fewer than a clip's {CLIP}")
    keypoints, shares = quality(recording.keypoints, recording.confidence, settings)
    share = float(shares.mean())
    if not enough(share, settings):
        raise InputError(
            recording.name,
            f"only {share:.1%} of its {len(shares)} points are seen, {(shares == 0).sum()} of them never, fewer than "
            f"{settings.min_share:.0%}",
            "it would have been excluded from the published study",
        )
    _require_torso(keypoints, recording.name)
    if settings.variant == "reference":
        keypoints = align(keypoints, recording.fps, image, settings)
    kept = remove_outliers(keypoints, image, settings)
    removed = np.isnan(kept).any(axis=-1).mean() - np.isnan(keypoints).any(axis=-1).mean()
    _require_torso(kept, recording.name)
    keypoints = fill(kept, recording.fps, settings)
    if settings.variant == "paper":
        keypoints = turn_upright(keypoints)
    keypoints = cleaning.stretch(scale(keypoints), FRAMES)
    notes = [f"{share:.1%} of the points were seen", f"{removed:.1%} removed as outliers"]
    if never := [name for name, x in zip(BABY_MOVES_18.joints, keypoints[0, :, 0]) if np.isnan(x)]:
        notes.append("never seen: " + ", ".join(never))
    return recording.with_step(
        f"prepared for Baby Moves ({settings.variant}), {FRAMES} frames",
        keypoints=keypoints,
        fps=FRAMES / recording.duration,
        confidence=None,
        notes=(*recording.notes, *notes),
    )


def quality(
    keypoints: Keypoints, confidence: Float[np.ndarray, "time 18"] | None, settings: Preprocessing = REFERENCE
) -> tuple[Keypoints, Float[np.ndarray, "18"]]:
    """Points of low confidence become missing; the share of frames in which each point is seen.

    Args:
        keypoints: `[time, 18, 2]`, NaN is missing.
        confidence: `[time, 18]`, or None to keep all points.
        settings: gives the threshold and whether a confidence at it is kept.
    """
    keypoints = np.array(keypoints, dtype=np.float64)
    if confidence is not None:
        least = settings.min_confidence
        keep = confidence > least if settings.variant == "reference" else confidence >= least
        keypoints[~keep] = np.nan
    return keypoints, 1 - np.isnan(keypoints).any(axis=-1).mean(axis=0)


def enough(share: float, settings: Preprocessing = REFERENCE) -> bool:
    """Whether so many points are enough: from the smallest share on, in the paper above it."""
    return share >= settings.min_share if settings.variant == "reference" else share > settings.min_share


def align(keypoints: Keypoints, fps: float, image: Image, settings: Preprocessing = REFERENCE) -> Keypoints:
    """Take out the camera's movement: each frame's torso is fitted to that of one frame.

    Rotation and translation, no scale, that map the four points of the torso best onto the template's; the template is
    turned so that the infant's head points to small x, and centered. Frames whose torso is incomplete are fitted by a
    smoothed and imputed torso.

    Args:
        keypoints: `[time, 18, 2]` pixels; NaN is missing and stays so.
        fps: frame rate, hertz.
        image: sides of the image.
        settings: of the fit.
    """
    torso = keypoints[:, _TORSO]
    incomplete = np.isnan(torso).any(axis=(1, 2))
    if incomplete.all():
        raise ValueError("no frame has a whole torso to align to")
    torso = np.where(incomplete[:, None, None], np.nan, torso)
    median = np.nanmedian(torso, axis=0)
    # The frame of the smallest distance to the median; with its sign, as in the reference implementation.
    template = torso[np.nanargmin(np.where(incomplete, np.nan, (torso - median).sum(axis=(1, 2))))]
    # Left shoulder, left hip, right shoulder, right hip.
    template = _turned(template, template[::2].mean(axis=0) - template[1::2].mean(axis=0))
    template = template - template.mean(axis=0)
    if incomplete.any():
        robust = cleaning.remove_outside(torso, median, (0.07 * image.short, 0.10 * image.long))
        robust = cleaning.interpolate_forwards(_smoothed(robust, fps))
        torso = np.where(incomplete[:, None, None], cleaning.impute(robust), torso)
    center = torso.mean(axis=1, keepdims=True)
    rotation = _rotations(torso - center, template, settings.rotation)
    return np.einsum("tij,tpj->tpi", rotation, keypoints - center)


def _rotations(
    points: Float[np.ndarray, "time point 2"], template: Float[np.ndarray, "point 2"], rotation: str
) -> Float[np.ndarray, "time 2 2"]:
    """The rotation of each frame that brings centered points nearest to a template, in the sense of least squares."""
    covariance = np.einsum("tpi,pj->tij", points, template)
    left, _, right = np.linalg.svd(covariance)
    factor = right if rotation == "transposed" else right.swapaxes(1, 2)
    flip = np.linalg.det(factor @ left.swapaxes(1, 2)) < 0
    factor[flip, :, 1] *= -1
    return factor @ left.swapaxes(1, 2)


def turn_upright(keypoints: Keypoints) -> Keypoints:
    """Turn each frame about its mid-hip so that the mid-line, hips to shoulders, points to small x, as in the paper.

    Args:
        keypoints: `[time, 18, 2]`; a frame without both hips and shoulders, or whose mid-line has no length, is
            missing afterwards.
    """
    hips, shoulders = (keypoints[:, pair].mean(axis=1) for pair in (_HIPS, _SHOULDERS))
    return _turned(keypoints - hips[:, None], shoulders - hips)


def _turned(
    points: Float[np.ndarray, "*batch point 2"], axis: Float[np.ndarray, "*batch 2"]
) -> Float[np.ndarray, "*batch point 2"]:
    """Points turned about the origin by the angle that turns an axis onto (-1, 0)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine, sine = np.moveaxis(-axis / np.linalg.norm(axis, axis=-1, keepdims=True), -1, 0)[..., None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=-1)


def unit_length(keypoints: Keypoints) -> float:
    """Median over the frames of the distance from the crown to the middle of the hips.

    Raises:
        ValueError: no frame has the three points, or they coincide.
    """
    length = np.linalg.norm(keypoints[:, _CROWN] - keypoints[:, _HIPS].mean(axis=1), axis=-1)
    median = float(np.nanmedian(length)) if np.isfinite(length).any() else 0.0
    if not median > 0:
        raise ValueError("crown and hips are never apart in a frame, so there is no unit of length")
    return median


def remove_outliers(keypoints: Keypoints, image: Image, settings: Preprocessing = REFERENCE) -> Keypoints:
    """Points become missing that lie outside the body's ellipse, then those far from their own median.

    Args:
        keypoints: `[time, 18, 2]` pixels; NaN is missing. Frames without the middle of the ellipse lose nothing to it.
        image: sides of the image.
        settings: the ellipses and their middle.
    """
    unit = unit_length(keypoints)
    middle = keypoints[:, _HIPS if settings.variant == "reference" else _TORSO].mean(axis=1, keepdims=True)
    keypoints = cleaning.remove_outside(keypoints, middle, (settings.body[0] * unit, settings.body[1] * unit))
    x, y = settings.point
    axes = (x * image.long, y * image.short) if settings.variant == "reference" else (x * unit, y * unit)
    seen = ~np.isnan(keypoints).all(axis=(0, 2))
    median = np.full(keypoints.shape[1:], np.nan)
    median[seen] = np.nanmedian(keypoints[:, seen], axis=0)
    return cleaning.remove_outside(keypoints, median, axes)


def fill(keypoints: Keypoints, fps: float, settings: Preprocessing = REFERENCE) -> Keypoints:
    """Fill all gaps: short ones linearly, the rest from all other coordinates; present values stay as they are.

    Args:
        keypoints: `[time, 18, 2]`; NaN is missing. Points that were never seen stay so.
        fps: frame rate, hertz: gaps of `reference` are smoothed over one second.
        settings: the variant.
    """
    missing = np.isnan(keypoints)
    if settings.variant == "reference":
        filled = cleaning.impute(_smoothed(cleaning.interpolate_forwards(keypoints), fps))
    else:
        filled = cleaning.impute(cleaning.fill_short_gaps(keypoints))
    return np.where(missing, filled, keypoints)


def _smoothed(series: Float[np.ndarray, " time *series"], fps: float) -> Float[np.ndarray, " time *series"]:
    """Mean over a second with Blackman weights, of at least five values."""
    return cleaning.blackman_mean(series, max(int(fps), 1))


def scale(keypoints: Keypoints) -> Keypoints:
    """Each frame's mid-hip at the origin, the recording's unit length one."""
    return (keypoints - keypoints[:, _HIPS].mean(axis=1, keepdims=True)) / unit_length(keypoints)


def features(keypoints: Keypoints, smooth: float = 0.0) -> Float[np.ndarray, "time 46"]:
    """The 46 standardized series of a prepared recording.

    Columns are x, y of each point, then the angles of `ANGLES` in radians, 0 to pi. Every column has mean 0 and
    standard deviation 1 over the recording and is cut at -4 and 4; one that does not vary is all zero, as is what is
    missing.

    Args:
        keypoints: `[time, 18, 2]`; a scale common to all changes nothing.
        smooth: standard deviation of a Gaussian low-pass over time, frames; 0 for none.

    Returns:
        `[time, 46]` float32.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    if smooth > 0:
        from scipy.ndimage import gaussian_filter1d

        keypoints = gaussian_filter1d(keypoints, smooth, axis=0)
    columns = np.concatenate(
        [rearrange(keypoints, "time joint coordinate -> time (joint coordinate)"), joint_angles(keypoints)], axis=1
    )
    seen = ~np.isnan(columns)
    count = np.maximum(seen.sum(axis=0), 1)
    centered = np.where(seen, columns - np.where(seen, columns, 0).sum(axis=0) / count, 0)
    deviation = centered.std(axis=0)
    # Rounding leaves a constant column with a deviation of its last bits.
    varies = deviation > 1e-9 * np.abs(np.where(seen, columns, 0)).max(axis=0)
    return np.clip(np.where(varies, centered / np.where(varies, deviation, 1), 0), -4, 4).astype(np.float32)


def joint_angles(keypoints: Keypoints) -> Float[np.ndarray, "time 10"]:
    """The angles of `ANGLES`, radians, 0 to pi; NaN where a point is missing, 0 where two coincide."""
    first, vertex, last = (keypoints[:, [BABY_MOVES_18.index(t[i]) for t in ANGLES.values()]] for i in range(3))
    a, b = first - vertex, last - vertex
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.arctan2(np.abs(cross), (a * b).sum(axis=-1))


def clip_starts(frames: int = FRAMES, clip: int = CLIP, step: int = STEP) -> np.ndarray:
    """First frame of every clip: 547 of them in 4500 frames.

    Raises:
        ValueError: fewer frames than a clip has.
    """
    if frames < clip:
        raise ValueError(f"{frames} frames are fewer than a clip's {clip}")
    return np.arange(0, frames - clip + 1, step, dtype=np.int32)


def _require_torso(keypoints: Keypoints, where: str) -> None:
    needed = {BABY_MOVES_18.joints[i]: keypoints[:, i] for i in (_CROWN, *_TORSO)}
    for name, points in needed.items():
        if np.isnan(points).any(axis=-1).all():
            raise InputError(where, f'joint "{name}" is never seen', "crown, shoulders and hips are needed")
    if np.isnan(keypoints[:, [_CROWN, *_TORSO]]).any(axis=(1, 2)).all():
        raise InputError(where, "crown, shoulders and hips are never seen together", "check the tracking")


def read_metadata(recording: Recording, entries: Sequence[Entry] = METADATA) -> np.ndarray:
    """The entries in their order, float32: of `age` the weeks, of `cohort` 1 for preterm or 0 for term.

    Raises:
        InputError: one is missing, or the cohort is unknown.
    """
    readers = {
        "age": lambda: common.read_number(recording, "age", "weeks"),
        "cohort": lambda: common.read_class(recording, "cohort", COHORTS),
    }
    return np.array([readers[entry]() for entry in entries], np.float32)
