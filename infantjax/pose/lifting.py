"""From keypoints in an image to positions in space.

Source: Pavllo et al. 2019 (VideoPose3D), which was trained on adults. Nothing here was validated on infants.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.pose.importers.videopose3d import import_videopose3d
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.recording import cleaning
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.skeletons import HUMAN36M_17, Skeleton

BLOCK = 1024
"""Recordings are padded to a multiple of so many frames."""
STATEMENT = "lifted to 3D by VideoPose3D; not validated on infants: its public weights were trained on adults"
"""Note on every lifted recording."""


def screen(
    pixels: Float[np.ndarray, "*time keypoint 2"], width: float, height: float
) -> Float[np.ndarray, "*time keypoint 2"]:
    """Pixels as the network reads them: the image's width becomes -1..1, and y has the same unit and its middle at 0.

    Args:
        pixels: `[..., keypoint, 2]`; NaN stays.
        width: of the image, pixels.
        height: of the image, pixels.

    Raises:
        ValueError: an image without size.
    """
    if not min(width, height) > 0:
        raise ValueError(f"an image has a width and a height above 0, got {width} and {height}")
    return np.asarray(pixels, np.float64) / width * 2 - np.array([1, height / width])


@partial(jax.jit, static_argnums=0)
def _positions(network: LiftingNetwork, variables: Mapping[str, Any], x: Array) -> Array:
    return network.apply(variables, x[None])[0][0]


def lift(
    network: LiftingNetwork,
    variables: Mapping[str, Any],
    keypoints: Float[Array, "time keypoint 2"],
    skeleton: Skeleton | None = None,
    joints: Skeleton | None = None,
) -> Float[Array, "time joint 3"]:
    """Positions of a whole recording: its first and last frames are repeated as far as the network sees.

    Args:
        network: the lifting network; a causal one sees repeated frames in front only.
        variables: its weights.
        keypoints: `screen` coordinates, no NaN.
        skeleton: of the keypoints; with it the result is the mean with that of the mirrored recording. None does
            without.
        joints: of the positions; None is that of the keypoints.

    Returns:
        As many frames, relative to the root.
    """
    reach, frames = network.receptive_field - 1, len(keypoints)
    before = reach if network.causal else reach // 2
    behind = reach - before + -frames % BLOCK  # one program for recordings of about the same length

    def positions(x: Array) -> Array:
        padded = jnp.pad(x, ((before, behind), (0, 0), (0, 0)), mode="edge")
        return _positions(network, variables, padded)[:frames]

    keypoints = jnp.asarray(keypoints, jnp.float32)
    straight = positions(keypoints)
    if skeleton is None:
        return straight
    return (straight + _mirrored(positions(_mirrored(keypoints, skeleton)), joints or skeleton)) / 2


@dataclass(frozen=True, eq=False)
class Lifter:
    """Lifts recordings to 3D: positions in human36m-17, in the unit of the weights (meters), from the pelvis.

    A joint is missing in 3D where it is missing in 2D: the network reads interpolated points there.

    Attributes:
        network: with 17 joints out.
        variables: its weights.
        skeleton: keypoint set that it reads.
        image_size: width and height in pixels of the images of the training recipe; None takes a square about the
            infant of twice its extent (our choice), so that no image has to be known.
        digest: SHA-256 of the file of the weights.
    """

    network: LiftingNetwork
    variables: Mapping[str, Any]
    skeleton: Skeleton = HUMAN36M_17
    image_size: tuple[float, float] | None = None
    digest: str = ""

    @classmethod
    def load(
        cls,
        path: str | Path,
        skeleton: str | Skeleton = HUMAN36M_17,
        image_size: tuple[float, float] | None = None,
        *,
        causal: bool = False,
    ) -> Self:
        """The lifter with the weights of a file.

        Args:
            path: see `pose.importers.videopose3d.import_videopose3d`.
            skeleton: keypoint set that the weights read; they do not show it.
            image_size: see the attributes.
            causal: whether they were trained in the causal form.

        Raises:
            InputError: the file cannot be read, or its network has other numbers of joints.
            ValueError: unknown skeleton.
        """
        network, variables = import_videopose3d(path, causal=causal)
        read, given = skeletons.get(skeleton), (network.inputs, network.outputs)
        if given != (wanted := (len(read.joints), len(HUMAN36M_17.joints))):
            what = f"lifts {given[0]} keypoints to {given[1]} joints, not {wanted[0]} to {wanted[1]}"
            raise InputError(path, what, "give weights for human36m-17, or name the keypoint set that they read")
        return cls(network, variables, read, image_size, sha256(Path(path)))

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the result depends on, for the provenance."""
        size = None if self.image_size is None else list(self.image_size)
        return {"weights": self.digest, "reads": self.skeleton.name, "image_size": size, "causal": self.network.causal}

    def __call__(self, recording: Recording) -> Recording:
        """The recording in 3D.

        Raises:
            InputError: it has three coordinates already, no frame, or never shows a joint that the network reads.
        """
        if recording.keypoints.shape[2] != 2:
            raise InputError(recording.name, "has three coordinates already", "give keypoints in the image")
        read, shown = convert(recording, self.skeleton), convert(recording, HUMAN36M_17)
        unseen = np.flatnonzero(read.missing.all(axis=0))
        if len(unseen):
            what = f"has no {self.skeleton.joints[unseen[0]].replace('_', ' ')} in any frame"
            raise InputError(recording.name, what, f"lifting needs all joints of {self.skeleton.name}")
        points = cleaning.fill_gaps(read.keypoints)
        if self.image_size is None:
            on_screen = about_the_infant(points)
        else:
            on_screen = screen(points, *self.image_size)
        found = lift(self.network, self.variables, jnp.asarray(on_screen), self.skeleton, HUMAN36M_17)
        positions = np.where(shown.missing[..., None], np.nan, np.asarray(found, np.float64))
        return shown.with_step(
            f"lifted to 3D by VideoPose3D (weights SHA-256 {self.digest[:16]})",
            keypoints=positions,
            notes=(*shown.notes, STATEMENT),
        )


def about_the_infant(points: Float[np.ndarray, "time keypoint 2"]) -> Float[np.ndarray, "time keypoint 2"]:
    """`screen` of a square of twice the infant's median extent, about the middle of all points.

    Raises:
        InputError: all points lie in one place.
    """
    side = 2 * float(np.median(np.ptp(points, axis=1).max(axis=-1)))
    if not side > 0:
        raise InputError("keypoints", "lie all in one place", "check the tracking")
    middle = np.median(points, axis=(0, 1))
    return screen(points - middle + side / 2, side, side)


def _mirrored(points: Float[Array, "time joint axis"], skeleton: Skeleton) -> Float[Array, "time joint axis"]:
    return points[:, np.array(skeleton.mirror)].at[..., 0].multiply(-1)
