"""Input features of a graph network: positions, velocities and bones, two channels each.

Pure JAX over `[..., time, joint, 2]` with any leading axes. A feature is NaN where a point that it needs is NaN.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax.recording.windows import AnyArray
from infantjax.skeletons import Skeleton

Positions = Float[Array, "*batch time joint 2"]

RELATIVE_JOINT = 1
"""Index of the joint that `relative` is relative to: the nose in in-motion-19. The reference implementation has this
index fixed, for every skeleton."""


def build_features(
    positions: Float[AnyArray, "..."],
    skeleton: Skeleton,
    names: Sequence[str] = ("position", "velocity", "bone"),
) -> Float[Array, "*batch time joint channel"]:
    """Compute features of standardized positions and concatenate them along channels in the order of `names`.

    | name | channels | definition |
    | --- | --- | --- |
    | `position` | x, y | `p[t]` |
    | `relative` | x, y | `p[t]` relative to joint 1 (`RELATIVE_JOINT`) |
    | `velocity` | x, y | `p[t+1] - p[t]`, per frame; zero in the last two frames |
    | `velocity2` | x, y | `p[t+2] - p[t]`; zero in the last two frames |
    | `bone` | x, y | `p[joint] - p[parent]`; zero at the root |
    | `bone_angle` | x, y | `arccos(bone / (length + 1e-4))`, radians; pi / 2 at the root |

    The published networks use `position`, `velocity`, `bone` (K-Best) or `position` (ST-GCN). The reference
    implementation computes all six in the order of the table. Features are computed of each window, so that every
    window ends with the zero frames; the reference implementation has two of them for `velocity` as well.

    Args:
        positions: `[..., time, joint, 2]`, any float, standardized units; NaN is missing.
        skeleton: gives the parents; its number of joints must fit.
        names: the features, in the order of the output channels.

    Returns:
        `[..., time, joint, 2 * len(names)]`, same dtype as the positions.

    Raises:
        ValueError: an unknown or no name, or positions that do not fit the skeleton.

    Source: Groos et al., Paper III with supplement; reference implementation of movement outcome.
    """
    joints = len(skeleton.joints)
    positions = jnp.asarray(positions)
    if positions.ndim < 3 or positions.shape[-2:] != (joints, 2):
        raise ValueError(
            f"positions must be [..., time, {joints}, 2] for skeleton {skeleton.name}, got {positions.shape}"
        )
    if unknown := [n for n in names if n not in _FEATURES]:
        raise ValueError(f"unknown features {', '.join(unknown)}; known: {', '.join(_FEATURES)}")
    if not names:
        raise ValueError(f"at least one feature is needed; known: {', '.join(_FEATURES)}")
    return jnp.concatenate([_FEATURES[name](positions, skeleton) for name in names], axis=-1)


def _position(positions: Positions, skeleton: Skeleton) -> Positions:
    return positions


def _relative(positions: Positions, skeleton: Skeleton) -> Positions:
    if len(skeleton.joints) <= RELATIVE_JOINT:
        raise ValueError(f"skeleton {skeleton.name} has no joint {RELATIVE_JOINT}, which `relative` needs")
    return positions - positions[..., RELATIVE_JOINT, None, :]


def _velocity(positions: Positions, skeleton: Skeleton) -> Positions:
    return _zero_at_end(positions[..., 1:-1, :, :] - positions[..., :-2, :, :], positions)


def _velocity2(positions: Positions, skeleton: Skeleton) -> Positions:
    return _zero_at_end(positions[..., 2:, :, :] - positions[..., :-2, :, :], positions)


def _zero_at_end(differences: Float[Array, "*batch steps joint 2"], positions: Positions) -> Positions:
    missing = positions.shape[-3] - differences.shape[-3]
    return jnp.pad(differences, [(0, 0)] * (positions.ndim - 3) + [(0, missing), (0, 0), (0, 0)])


def _bone(positions: Positions, skeleton: Skeleton) -> Positions:
    return positions - positions[..., np.array(skeleton.parent_indices), :]


def _bone_angle(positions: Positions, skeleton: Skeleton) -> Positions:
    bone = _bone(positions, skeleton)
    # The reference implementation adds 1e-4 for bones of length zero; it also keeps the cosine inside [-1, 1].
    return jnp.arccos(bone / (jnp.sqrt(jnp.sum(bone**2, axis=-1, keepdims=True)) + 1e-4))


_FEATURES: dict[str, Callable[[Positions, Skeleton], Positions]] = {
    "position": _position,
    "relative": _relative,
    "velocity": _velocity,
    "velocity2": _velocity2,
    "bone": _bone,
    "bone_angle": _bone_angle,
}

CHANNELS: dict[str, int] = dict.fromkeys(_FEATURES, 2)
"""Number of channels of every feature by its name."""
