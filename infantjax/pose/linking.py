"""From maps of joints and connections to limbs: local maxima, scores along segments, bipartite matching.

Source: Migliorelli et al. 2021. Chosen, because the paper does not say: threshold 0.3, at most five candidates, eleven
samples along a segment, read between the pixels.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

RADIUS, THRESHOLD, CANDIDATES, SAMPLES = 6.0, 0.3, 5, 11


class Candidates(NamedTuple):
    """Places where a joint may be, the surest first.

    Attributes:
        positions: `[candidate, 2]`, x and y in pixels of the map.
        values: of the map there.
    """

    positions: Float[np.ndarray, "candidate 2"]
    values: Float[np.ndarray, "candidate"]


def find_candidates(
    joint_map: Float[np.ndarray, "row column"],
    radius: float = RADIUS,
    threshold: float = THRESHOLD,
    most: int = CANDIDATES,
) -> Candidates:
    """Local maxima of a map, none within the radius of a surer one (non-maximum suppression).

    Args:
        joint_map: one joint.
        radius: pixels.
        threshold: smallest value.
        most: how many at most.
    """
    left = np.where(np.isfinite(joint_map), joint_map, -np.inf)
    rows, columns = np.indices(left.shape)
    positions: list[tuple[float, float]] = []
    values: list[float] = []
    while len(values) < most:
        row, column = np.unravel_index(left.argmax(), left.shape)
        if left[row, column] < threshold:
            break
        positions.append((float(column), float(row)))
        values.append(float(left[row, column]))
        left[np.hypot(rows - row, columns - column) <= radius] = -np.inf
    return Candidates(np.array(positions).reshape(-1, 2), np.array(values))


def connection_scores(
    connection_map: Float[np.ndarray, "row column"], starts: Candidates, ends: Candidates, samples: int = SAMPLES
) -> Float[np.ndarray, "start end"]:
    """Mean of a connection's map along the segment between any two candidates."""
    from scipy.ndimage import map_coordinates

    share = np.linspace(0, 1, samples)
    a, b = starts.positions[:, None, None], ends.positions[None, :, None]
    points = a + (b - a) * share[:, None]  # [start, end, sample, 2]
    coordinates = np.moveaxis(points[..., ::-1], -1, 0)
    return map_coordinates(connection_map, coordinates, order=1, mode="nearest").mean(-1)


def match(scores: Float[np.ndarray, "start end"]) -> list[tuple[int, int]]:
    """The pairs, each candidate in one at most, whose scores have the largest sum."""
    from scipy.optimize import linear_sum_assignment

    starts, ends = linear_sum_assignment(np.nan_to_num(scores, nan=-1e6), maximize=True)
    return [(int(i), int(j)) for i, j in zip(starts, ends)]


def link(
    joint_maps: Float[np.ndarray, "row column joint"],
    connection_maps: Float[np.ndarray, "row column connection"],
    connections: tuple[tuple[int, int], ...],
    radius: float = RADIUS,
    threshold: float = THRESHOLD,
    most: int = CANDIDATES,
) -> Float[np.ndarray, "joint 2"]:
    """The joints of one infant: the chain of matched candidates with the largest score for each limb.

    Args:
        joint_maps: one a joint.
        connection_maps: one a connection.
        connections: (from, to) by index; those of a chain in its order.
        radius: of `find_candidates`.
        threshold: of `find_candidates`.
        most: of `find_candidates`.

    Returns:
        x and y in pixels of the maps; NaN where a joint has no candidate.
    """
    found = [find_candidates(joint_maps[..., j], radius, threshold, most) for j in range(joint_maps.shape[-1])]
    pairs = []
    for number, (a, b) in enumerate(connections):
        if len(found[a].values) and len(found[b].values):
            scores = connection_scores(connection_maps[..., number], found[a], found[b])
            pairs.append({i: (j, float(scores[i, j])) for i, j in match(scores)})
        else:
            pairs.append({})
    result = np.full((len(found), 2), np.nan)
    for chain in _chains(connections):
        best, score = {}, -np.inf
        for first in range(max(len(found[connections[chain[0]][0]].values), 1)):
            chosen, total = _follow(first, chain, connections, found, pairs)
            if total > score:
                best, score = chosen, total
        for joint, candidate in best.items():
            result[joint] = found[joint].positions[candidate]
    for joint, candidates in enumerate(found):  # joints of no connection
        if np.isnan(result[joint]).any() and len(candidates.values) and not any(joint in c for c in connections):
            result[joint] = candidates.positions[0]
    return result


def _chains(connections: tuple[tuple[int, int], ...]) -> list[list[int]]:
    """Connections in a row: each begins where the one before ended."""
    chains: list[list[int]] = []
    for number, (a, _) in enumerate(connections):
        if chains and connections[chains[-1][-1]][1] == a:
            chains[-1].append(number)
        else:
            chains.append([number])
    return chains


def _follow(
    first: int,
    chain: list[int],
    connections: tuple[tuple[int, int], ...],
    found: list[Candidates],
    pairs: list[dict[int, tuple[int, float]]],
) -> tuple[dict[int, int], float]:
    """Joints along a chain from one candidate of its first; where a link is missing, the surest goes on."""
    chosen: dict[int, int] = {}
    start = connections[chain[0]][0]
    total = 0.0
    current: int | None = first if len(found[start].values) else None
    if current is not None:
        chosen[start] = current
        total += float(found[start].values[current])
    for number in chain:
        end = connections[number][1]
        if current is not None and current in pairs[number]:
            current, score = pairs[number][current]
            total += score
        else:
            current = 0 if len(found[end].values) else None
        if current is not None:
            chosen[end] = current
            total += float(found[end].values[current])
    return chosen, total
