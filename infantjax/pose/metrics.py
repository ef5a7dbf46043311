"""Distances of found keypoints from annotated ones, in units of the body.

Positions are `[image, keypoint, 2]`, NaN where missing, in pixels or any unit in which x and y are alike. A keypoint
without annotation is left out, as in `missing="exclude"`, or counts as found, as in the training framework
(`missing="correct"`, for comparison with its numbers); an annotated one that was not found is wrong. Means are taken
over the images of a keypoint first, then over the keypoints, with equal weights.

Source: Groos et al., Paper I (Section 4), Paper II (Section 2.5).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from einops import rearrange
from jaxtyping import Float

from infantjax.skeletons import Skeleton, limbs

Points = Float[np.ndarray, "image keypoint 2"]
Unit = Literal["head", "mpii_head", "head_box", "nose_to_neck", "trunk", "pixel"]

UNITS: dict[str, str] = {
    "head": "head top to upper neck: In-Motion, Paper II",
    "mpii_head": "0.75 times head top to upper neck: the framework on MPII without head boxes",
    "head_box": "0.6 times the diagonal of the head's box: MPII's own, for annotations that have such boxes",
    "nose_to_neck": "twice nose to upper neck, for keypoint sets without the head top: MINI-RGBD, Paper II",
    "trunk": "middle of the shoulders to middle of the hips",
    "pixel": "one pixel of the image: Baby Moves",
}
"""Units of length of a body, and where they come from."""

THRESHOLDS: dict[str, tuple[float, ...]] = {"mpii-16": (0.5, 0.1), "in-motion-19": (1.0, 0.5, 0.3, 0.2, 0.1)}
"""Thresholds that the papers print, by keypoint set."""


class Share(NamedTuple):
    """A share of keypoints.

    Attributes:
        keypoints: `[keypoint]`, NaN where none was annotated.
        mean: over the keypoints.
    """

    keypoints: Float[np.ndarray, " keypoint"]
    mean: float


def body_length(
    annotated: Points, skeleton: Skeleton, unit: Unit, heads: Float[np.ndarray, "image 4"] | None = None
) -> Float[np.ndarray, " image"]:
    """The unit of length of each image, NaN where a point of it is missing.

    Args:
        annotated: positions.
        skeleton: their names.
        unit: a name of `UNITS`.
        heads: boxes x1, y1, x2, y2 of the heads, for `head_box`.

    Raises:
        ValueError: unknown unit, a skeleton without its points, or no boxes.
    """

    def point(joint: str) -> np.ndarray:
        return annotated[:, skeleton.index(joint)]

    def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.hypot(*(a - b).T)

    match unit:
        case "head":
            return distance(point("head_top"), point("upper_neck"))
        case "mpii_head":
            return 0.75 * distance(point("head_top"), point("upper_neck"))
        case "head_box":
            if heads is None:
                raise ValueError("is head_box, but the annotations have no boxes of heads")
            return 0.6 * np.hypot(heads[:, 2] - heads[:, 0], heads[:, 3] - heads[:, 1])
        case "nose_to_neck":
            return 2 * distance(point("nose"), point("upper_neck"))
        case "trunk":
            shoulders, hips = ((point(f"right_{p}") + point(f"left_{p}")) / 2 for p in ("shoulder", "hip"))
            return distance(shoulders, hips)
        case "pixel":
            return np.ones(len(annotated))
    raise ValueError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")


def errors(found: Points, annotated: Points, length: Float[np.ndarray, " image"]) -> np.ndarray:
    """Distances in units of the body, `[image, keypoint]`; NaN where not annotated, infinite where not found.

    Raises:
        ValueError: shapes differ.
    """
    if found.shape != annotated.shape or len(length) != len(found):
        raise ValueError(f"shapes {found.shape}, {annotated.shape} and {length.shape} do not fit")
    distance = np.hypot(*rearrange(found - annotated, "... coordinate -> coordinate ...")) / length[:, None]
    distance = np.where(np.isnan(found).any(-1) & np.isfinite(length)[:, None], np.inf, distance)
    return np.where(np.isnan(annotated).any(-1), np.nan, distance)


def pck(
    error: Float[np.ndarray, "image keypoint"],
    threshold: float | Float[np.ndarray, " keypoint"],
    missing: Literal["exclude", "correct"] = "exclude",
) -> Share:
    """Percentage of correct keypoints: the share of errors up to a threshold, 0..1.

    Args:
        error: `errors`.
        threshold: in units of the body; one a keypoint for PCKh@Human.
        missing: what a keypoint without annotation counts as.
    """
    annotated = ~np.isnan(error)
    correct = np.where(annotated, error <= threshold, missing == "correct")
    counted = annotated if missing == "exclude" else np.ones_like(annotated)
    return _share(correct & counted, counted)


def mean_error(error: Float[np.ndarray, "image keypoint"]) -> Share:
    """Mean error (ME) of the keypoints that were found, in units of the body."""
    counted = np.isfinite(error)
    return _share(np.where(counted, error, 0), counted)


class Spread(NamedTuple):
    """Spread among annotators, `[keypoint]` each; NaN where no image has two annotations of the keypoint.

    Attributes:
        mean: distance of an annotation to the mean of all annotators, averaged.
        p95: 95th percentile of these distances, the threshold of PCKh@Human^0.95.
        rmsd: root mean square distance between two annotators, over all pairs.
        deviation: standard deviation of the distances between two annotators.
        number: distances to the mean.
    """

    mean: Float[np.ndarray, " keypoint"]
    p95: Float[np.ndarray, " keypoint"]
    rmsd: Float[np.ndarray, " keypoint"]
    deviation: Float[np.ndarray, " keypoint"]
    number: Float[np.ndarray, " keypoint"]


def annotator_spread(
    annotated: Float[np.ndarray, "annotator image keypoint 2"], length: Float[np.ndarray, " image"]
) -> Spread:
    """How far annotators of the same images differ, in units of the body.

    Args:
        annotated: positions by each; a keypoint of an image counts where at least two annotated it.
        length: of each image; images without one are left out.

    Raises:
        ValueError: fewer than two annotators.

    Source: Groos et al., Paper II, table 2 (`mean`, `p95`); Baby Moves (`rmsd` of two annotators).
    """
    if len(annotated) < 2:
        raise ValueError(f"a spread needs at least two annotators, got {len(annotated)}")
    given = np.isfinite(annotated).all(-1)
    points = np.where(given[..., None], annotated, 0) / length[:, None, None]
    number = given.sum(0)
    center = points.sum(0) / np.maximum(number, 1)[..., None]
    counted = given & (number >= 2) & np.isfinite(length)[:, None]
    to_mean = np.where(counted, np.hypot(*np.moveaxis(points - center, -1, 0)), np.nan)
    first, second = np.triu_indices(len(annotated), 1)
    both = counted[first] & counted[second]
    apart = np.where(both, np.hypot(*np.moveaxis(points[first] - points[second], -1, 0)), np.nan)
    return Spread(
        _by_keypoint(np.mean, to_mean),
        _by_keypoint(lambda values: np.percentile(values, 95), to_mean),
        _by_keypoint(lambda values: np.sqrt(np.square(values).mean()), apart),
        _by_keypoint(lambda values: values.std(ddof=1) if len(values) > 1 else np.nan, apart),
        np.isfinite(to_mean).sum((0, 1)).astype(float),
    )


def mean_position(annotated: Float[np.ndarray, "annotator image keypoint 2"]) -> Points:
    """Mean over the annotators who marked a keypoint, NaN where none did."""
    number = np.isfinite(annotated).all(-1, keepdims=True).sum(0)
    return np.where(number > 0, np.nansum(annotated, axis=0) / np.maximum(number, 1), np.nan)


def _by_keypoint(
    statistic: Callable[[np.ndarray], float], values: Float[np.ndarray, "annotator image keypoint"]
) -> np.ndarray:
    """A statistic of the known values of each keypoint, NaN without any."""
    known = [of_one[np.isfinite(of_one)] for of_one in np.moveaxis(values, -1, 0)]
    return np.array([statistic(found) if len(found) else np.nan for found in known])


def _share(values: np.ndarray, counted: np.ndarray) -> Share:
    number = counted.sum(0)
    keypoints = np.where(number > 0, values.sum(0) / np.maximum(number, 1), np.nan)
    seen = keypoints[number > 0]
    return Share(keypoints, float(seen.mean()) if len(seen) else float("nan"))


def rmsd(found: Points, annotated: Points) -> Float[np.ndarray, " image"]:
    """Root mean square distance over the joints that are found and annotated, in the unit of the positions.

    Source: Migliorelli et al.; that n counts joints and not coordinates is our choice, the paper does not say.
    """
    square = np.square(found - annotated).sum(-1)
    number = np.isfinite(square).sum(1)
    return np.where(number > 0, np.sqrt(np.nansum(square, 1) / np.maximum(number, 1)), np.nan)


class LimbError(NamedTuple):
    """RMSD of one limb over clips, or images.

    Attributes:
        median: of the clips that have a joint of it, in the unit of the positions.
        iqr: interquartile range.
        found: share of its annotated joints that were found; the others do not count.
    """

    median: float
    iqr: float
    found: float

    def scaled(self, factor: float) -> "LimbError":
        """In another unit."""
        return self._replace(median=self.median * factor, iqr=self.iqr * factor)


def limb_errors(
    found: Float[np.ndarray, "clip time keypoint 2"],
    annotated: Float[np.ndarray, "clip time keypoint 2"],
    skeleton: Skeleton,
) -> dict[str, LimbError]:
    """RMSD of each arm and leg: of shoulder, elbow and wrist, or hip, knee and ankle, over the frames of a clip.

    Args:
        found: positions, NaN where missing; images are clips of one frame.
        annotated: the same.
        skeleton: their names; a limb without joints is left out.

    Source: Migliorelli et al. 2021, table II.
    """
    errors = {}
    for limb, ends in limbs(skeleton).items():
        joints = sorted({*ends, *(skeleton.parent_indices[end] for end in ends)})
        of_limb = [
            rearrange(p[..., joints, :], "clip time joint xy -> clip (time joint) xy") for p in (found, annotated)
        ]
        values = rmsd(*of_limb)
        values = values[np.isfinite(values)]
        seen, marked = (np.isfinite(points).all(-1) for points in of_limb)
        if not marked.any():
            continue
        low, middle, high = np.percentile(values, [25, 50, 75]) if len(values) else (np.nan,) * 3
        errors[limb] = LimbError(float(middle), float(high - low), float((seen & marked).sum() / marked.sum()))
    return errors
