"""From maps to people: local maxima, scores along segments, bipartite matching.

`link` joins the limbs of one infant by the connection maps of babyPose (Migliorelli et al. 2021; our choice, as the
paper does not say: threshold 0.3, at most five candidates, eleven samples along a segment, read between the pixels).
`find_people` tells several persons apart by affinity fields (Cao et al. 2017). Both share candidates and matching.
"""

from typing import Literal, NamedTuple

import numpy as np
from einops import rearrange
from jaxtyping import Float

from infantjax.skeletons import Skeleton, segments

RADIUS, THRESHOLD, CANDIDATES, SAMPLES = 6.0, 0.3, 5, 11


class Candidates(NamedTuple):
    """Places where a joint may be, in decreasing order of the map there.

    Attributes:
        positions: `[candidate, 2]`, x and y in pixels of the map.
        values: of the map there.
    """

    positions: Float[np.ndarray, "candidate 2"]
    values: Float[np.ndarray, " candidate"]


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
    padded = np.pad(left, 1, constant_values=-np.inf)
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).max((2, 3))
    # A slope beyond the radius of its peak is not a maximum.
    left = np.where(left >= around, left, -np.inf)
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
    return _along(connection_map, starts, ends, samples).mean(-1)


def _along(
    values: Float[np.ndarray, "row column"], starts: Candidates, ends: Candidates, samples: int
) -> Float[np.ndarray, "start end sample"]:
    """Values of a map along the segments between any two candidates, read between the pixels."""
    from scipy.ndimage import map_coordinates

    share = np.linspace(0, 1, samples)
    a, b = starts.positions[:, None, None], ends.positions[None, :, None]
    points = a + (b - a) * share[:, None]  # [start, end, sample, 2]
    coordinates = rearrange(points[..., ::-1], "start end sample coordinate -> coordinate start end sample")
    return map_coordinates(values, coordinates, order=1, mode="nearest")


def match_candidates(scores: Float[np.ndarray, "start end"]) -> list[tuple[int, int]]:
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
            pairs.append({i: (j, float(scores[i, j])) for i, j in match_candidates(scores)})
        else:
            pairs.append({})
    result = np.full((len(found), 2), np.nan)
    for chain in _chains(connections):
        best, score = {}, -np.inf
        for first in range(max(len(found[connections[chain[0]][0]].values), 1)):
            path, total = _follow(first, chain, connections, found, pairs)
            if total > score:
                best, score = path, total
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
    """Joints along a chain from one candidate of its first; where a link is missing, the best candidate continues."""
    path: dict[int, int] = {}
    start = connections[chain[0]][0]
    total = 0.0
    current: int | None = first if len(found[start].values) else None
    if current is not None:
        path[start] = current
        total += float(found[start].values[current])
    for number in chain:
        end = connections[number][1]
        if current is not None and current in pairs[number]:
            current, score = pairs[number][current]
            total += score
        else:
            current = 0 if len(found[end].values) else None
        if current is not None:
            path[end] = current
            total += float(found[end].values[current])
    return path, total


# --- several persons -------------------------------------------------------------------------------------------------

Choice = Literal["central", "largest"]

PEAK, ALIGNED, SHARE = 0.1, 0.05, 0.8
"""Smallest value of a candidate; smallest agreement of a field with a limb, which this share of its samples must
reach (our choice, those of the public OpenPose program; the thesis prints none)."""
PEOPLE = 20
"""Most candidates of a joint."""
LEAST_JOINTS = 3
"""Fewest joints of a person; our choice."""


class Person(NamedTuple):
    """Joints that fields link.

    Attributes:
        positions: `[joint, 2]`, x and y in pixels of the maps; NaN where the person has no candidate.
        values: `[joint]`, of the maps there; NaN where there is none.
    """

    positions: Float[np.ndarray, "joint 2"]
    values: Float[np.ndarray, " joint"]


class Crowd(NamedTuple):
    """Persons and candidates of an image.

    Attributes:
        persons: those of at least three joints, the one with the largest sum of values first.
        candidates: of each joint, linked or not.
    """

    persons: list[Person]
    candidates: list[Candidates]


def field_scores(
    field: Float[np.ndarray, "row column 2"], starts: Candidates, ends: Candidates, samples: int = SAMPLES
) -> Float[np.ndarray, "start end"]:
    """Line integral of an affinity field: its mean along the segment between two candidates, in their direction.

    Returns:
        1 where the field is the limb's unit vector all along; minus infinity where fewer than 80 % of the samples
        agree with the direction. Candidates in one pixel have no direction: there it is the length of the field.

    Source: Cao et al. 2017, equation 10.
    """
    difference = ends.positions[None] - starts.positions[:, None]
    length = np.hypot(*rearrange(difference, "start end coordinate -> coordinate start end"))
    direction = difference / np.where(length > 0, length, 1)[..., None]
    x, y = (_along(field[..., axis], starts, ends, samples) for axis in (0, 1))
    along = x * direction[..., 0, None] + y * direction[..., 1, None]
    agreement = np.where(length[..., None] > 0, along, np.hypot(x, y))
    return np.where((agreement > ALIGNED).mean(-1) >= SHARE, agreement.mean(-1), -np.inf)


def find_people(
    joint_maps: Float[np.ndarray, "row column joint"],
    fields: Float[np.ndarray, "row column field"],
    skeleton: Skeleton,
    radius: float | None = None,
    threshold: float = PEAK,
) -> Crowd:
    """All persons of an image: candidates of all joints, linked along the limbs that have a field.

    A joint in no limb (the pelvis of `mpii-16`) goes to the person whose neighboring joints it is nearest to.

    Args:
        joint_maps: one a joint.
        fields: x and y of each limb, in the order of `skeletons.segments`.
        skeleton: of the maps.
        radius: within which a surer candidate suppresses another, pixels of the maps; None is 1/16 of their width,
            our choice.
        threshold: smallest value of a candidate.

    Source: Cao et al. 2017.
    """
    radius = joint_maps.shape[1] / 16 if radius is None else radius
    joints = range(joint_maps.shape[-1])
    found = [find_candidates(joint_maps[..., j], radius, threshold, PEOPLE) for j in joints]
    limbs = segments(skeleton)
    # Limbs are a tree and a match takes a candidate once, so what hangs together has one candidate a joint at most.
    person_of: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for number, (a, b) in enumerate(limbs):
        if not (len(found[a].values) and len(found[b].values)):
            continue
        scores = field_scores(fields[..., 2 * number : 2 * number + 2], found[a], found[b])
        for i, j in match_candidates(np.maximum(scores, -1e6)):
            if np.isfinite(scores[i, j]):
                both = person_of.get((a, i), {(a, i)}) | person_of.get((b, j), {(b, j)})
                person_of |= dict.fromkeys(both, both)
    persons = []
    for members in {frozenset(members) for members in person_of.values() if len(members) >= LEAST_JOINTS}:
        positions, values = np.full((len(found), 2), np.nan), np.full(len(found), np.nan)
        for joint, candidate in members:
            positions[joint], values[joint] = found[joint].positions[candidate], found[joint].values[candidate]
        persons.append(Person(positions, values))
    persons.sort(key=lambda person: -np.nansum(person.values))
    for joint in set(joints) - {joint for limb in limbs for joint in limb}:
        _assign(joint, found[joint], persons, skeleton)
    return Crowd(persons, found)


def _assign(joint: int, candidates: Candidates, persons: list[Person], skeleton: Skeleton) -> None:
    """Give the candidates of a joint without limb to the persons; none farther away than the person is large."""
    neighbors = [a if b == joint else b for a, b in skeleton.edges if joint in (a, b)]
    if not persons or not len(candidates.values):
        return
    around = [person.positions[neighbors] for person in persons]
    seen = [np.isfinite(points).all(-1) for points in around]
    expected = np.array([p[s].mean(0) if s.any() else (np.nan, np.nan) for p, s in zip(around, seen)])
    distance = np.linalg.norm(expected[:, None] - candidates.positions[None], axis=-1)
    for number, candidate in match_candidates(-distance):
        size = np.nanmax(np.nanmax(persons[number].positions, 0) - np.nanmin(persons[number].positions, 0))
        if distance[number, candidate] <= size / 2:
            persons[number].positions[joint] = candidates.positions[candidate]
            persons[number].values[joint] = candidates.values[candidate]


def select_person(persons: list[Person], by: Choice, height: int, width: int) -> Person | None:
    """One of several persons, or None of none.

    Args:
        persons: `Crowd.persons`.
        by: `central`: the middle of the person's box is nearest to that of the maps; `largest`: the largest box.
        height: of the maps.
        width: of the maps.

    Raises:
        ValueError: unknown rule.
    """
    if by not in ("central", "largest"):
        raise ValueError(f"unknown choice {by!r}; known: central, largest")

    def rank(person: Person) -> float:
        low, high = np.nanmin(person.positions, 0), np.nanmax(person.positions, 0)
        if by == "largest":
            return float(np.prod(high - low))
        return -float(np.hypot(*((low + high) / 2 - ((width - 1) / 2, (height - 1) / 2))))

    return max(persons, key=rank, default=None)


def mask_to_person(
    joint_maps: Float[np.ndarray, "row column joint"], person: Person | None, candidates: list[Candidates]
) -> Float[np.ndarray, "row column joint"]:
    """Maps of one person: zero where another candidate is nearer, and everywhere for joints without a position."""
    if person is None:
        return np.zeros_like(joint_maps)
    rows, columns = np.indices(joint_maps.shape[:2])

    def distance(x: float, y: float) -> np.ndarray:
        return np.hypot(rows - y, columns - x)

    result = np.zeros_like(joint_maps)
    for joint in np.flatnonzero(np.isfinite(person.values)):
        others = [distance(x, y) for x, y in candidates[joint].positions]
        nearest = np.minimum.reduce(others)
        own = distance(*person.positions[joint]) <= nearest
        result[..., joint] = np.where(own, joint_maps[..., joint], 0)
    return result
