"""The trained pair of networks, detection and regression, as one: its maps and its joints."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax import models, skeletons
from infantjax.errors import InputError, one_line
from infantjax.methods.asy_regression.model import DetectionNetwork, RegressionNetwork, connections
from infantjax.pose.codec import linking
from infantjax.skeletons import Skeleton
from infantjax.weights.ensemble import Ensemble

DETECTION = "babypose-detection"
TASK = "depth-pose"


class Joints(NamedTuple):
    """Joints of clips.

    Attributes:
        positions: `[clip, time, joint, 2]`, pixels of the frame; NaN where none was found.
        confidence: `[clip, time, joint]`, of the map there, 0..1.
    """

    positions: Float[np.ndarray, "clip time joint 2"]
    confidence: Float[np.ndarray, "clip time joint"]


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    """A detection network and the regression network that reads its maps, with their weights.

    Attributes:
        kind: registry name of the regression network.
        detector: the detection network.
        regressor: the regression network.
        variables: of both, in this order.
        skeleton: keypoints of the maps.
        height: of the frames, pixels.
        width: of the frames, pixels.
        radius: of the discs that were trained, pixels; within it one candidate suppresses others.
        digest: SHA-256 of the saved networks; empty before.
        statement: what they were trained on.
    """

    kind: str
    detector: DetectionNetwork
    regressor: RegressionNetwork
    variables: tuple[Any, Any]
    skeleton: Skeleton
    height: int
    width: int
    radius: float
    digest: str = ""
    statement: str = ""

    @classmethod
    def of(cls, ensemble: Ensemble) -> "DepthNetwork":
        """The networks of an ensemble that `infantjax train depth` wrote.

        Raises:
            InputError: it was written by another version.
        """
        info = ensemble.info
        try:
            skeleton = skeletons.get(info.skeleton)
            detector, regressor = (
                models.get(m.model).build(skeleton=skeleton, **m.overrides) for m in ensemble.members
            )
            sizes = int(info.extra["height"]), int(info.extra["width"]), float(info.extra["radius"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("ensemble", f"was written by another version ({error})", "train it again") from None
        first, second = (jax.tree.map(lambda leaf: leaf[0], member.variables) for member in ensemble.members)
        return cls(
            ensemble.members[1].model,
            detector,  # type: ignore[arg-type]  # as the registry builds it
            regressor,  # type: ignore[arg-type]
            (first, second),
            skeleton,
            *sizes,
            digest=ensemble.digest,
            statement=one_line(info.statement),
        )

    def maps(self, variables: tuple[Any, Any], frames: Array) -> Array:
        """Maps `[clip, time, row, column, map]` of clips without their last axis, see `find`."""
        x = frames[..., None]
        detected = self.detector.apply(variables[0], x)[1]["maps"]
        return self.regressor.apply(variables[1], jnp.concatenate([x, detected], -1))[0]

    @cached_property
    def _program(self) -> Any:
        return jax.jit(self.maps)

    def find(self, frames: Float[np.ndarray, "clip time row column"], threshold: float = linking.THRESHOLD) -> Joints:
        """Joints of the infant in clips.

        Candidates are linked to limbs as published. Our choice: a joint lies at the mean of the pixels within the
        radius of its candidate, weighted by their values, since the trained discs are nearly flat.

        Args:
            frames: each minus its mean, see `babypose.prepare_depth`.
            threshold: smallest value of a map at a joint.
        """
        maps = np.asarray(self._program(self.variables, jnp.asarray(frames, jnp.float32)))
        count, limbs = len(self.skeleton.joints), connections(self.skeleton)
        positions = np.full((*frames.shape[:2], count, 2), np.nan)
        confidence = np.zeros((*frames.shape[:2], count))
        for at in np.ndindex(*frames.shape[:2]):
            joints, linked = maps[at][..., :count], maps[at][..., count:]
            found = linking.link(joints, linked, limbs, self.radius, threshold)
            for joint in np.flatnonzero(np.isfinite(found).all(-1)):
                x, y = found[joint].astype(int)
                positions[(*at, joint)] = _center(joints[..., joint], x, y, self.radius)
                confidence[(*at, joint)] = np.clip(joints[y, x, joint], 0, 1)
        return Joints(positions, confidence)


def _center(values: np.ndarray, x: float, y: float, radius: float) -> tuple[float, float]:
    """The middle of a disc from a pixel in it: mean place of the pixels within the radius, shifted until it stays.

    Pixels are weighted by their values above half of the value at the start, in three steps.
    """
    reach, least = int(np.ceil(radius)) + 1, values[int(y), int(x)] / 2
    for _ in range(3):
        top, left = max(int(y) - reach, 0), max(int(x) - reach, 0)
        part = values[top : int(y) + reach + 1, left : int(x) + reach + 1]
        rows, columns = np.indices(part.shape)
        weights = np.maximum(part - least, 0) * (np.hypot(rows + top - y, columns + left - x) <= radius)
        if not (total := weights.sum()):
            break
        x, y = (weights * columns).sum() / total + left, (weights * rows).sum() / total + top
    return float(x), float(y)
