"""Identify the keypoint set of a file by the names of its joints, in any common spelling."""

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.skeletons import Skeleton

_FACE = {f"face_{number}": name for number, name in enumerate(skeletons.FACE_68)}
_SYNONYMS: Mapping[str, Mapping[str, str]] = {
    # The In-Motion papers and the reference implementation use different names for some points.
    "in-motion-19": {
        "upper_chest": "thorax",
        "mid_pelvis": "pelvis",
        "right_pelvis": "right_hip",
        "left_pelvis": "left_hip",
    },
    "openpose-25": {"hip_mid": "mid_hip", "hip_center": "mid_hip", "hip_centre": "mid_hip"},
    "human36m-17": {"root": "pelvis", "hip": "pelvis", "neck_base": "neck_nose", "nose": "neck_nose"},
    "baby-moves-18": {"left_wrist": "left_hand", "right_wrist": "right_hand"},
    "halpe-26": {"hip": "hip_center"},
    "coco-wholebody-133": _FACE,
    "halpe-136": {"hip": "hip_center", **_FACE},
}
_SIMILAR = 0.85


@dataclass(frozen=True)
class Match:
    """Assignment of the points of a file to the joints of a skeleton.

    Attributes:
        skeleton: the keypoint set.
        columns: for each joint of the skeleton the index of the point in the file, or None if it is missing.
        ignored: names in the file without a joint in the skeleton.
        repeated: a message that two names mean the same joint; empty if there are none.
    """

    skeleton: Skeleton
    columns: tuple[int | None, ...]
    ignored: tuple[str, ...] = ()
    repeated: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Joints of the skeleton that are missing in the file."""
        return tuple(j for j, column in zip(self.skeleton.joints, self.columns) if column is None)

    @property
    def recognized(self) -> int:
        """Number of joints of the skeleton that the file has."""
        return len(self.columns) - len(self.missing)


def identify(
    where: str | Path,
    names: Sequence[str],
    wanted: Skeleton | str | None = None,
    among: Sequence[str] = (),
) -> Match:
    """Find the keypoint set to which the joint names of a file belong.

    Case and separators do not matter, and sides may be written out or as a letter (`RightWrist`, `right-wrist`,
    `R_wrist`, `rwrist`). The set wins that differs least from the file: by joints that the file lacks and by names that
    the set lacks. So a set that is there completely wins over a larger one that is there in part, unless it leaves out
    more names than the larger one lacks joints. At least half of its joints must be present.

    Args:
        where: the file, for messages.
        names: joint names in the file; with `among` only their number counts.
        wanted: the set of the file; then a single recognized joint suffices, and the others are missing.
        among: for formats without names, the possible sets; the number of points decides.

    Raises:
        InputError: no set fits, two joints have one name, a name is nearly that of a missing joint, or the number of
            points does not fit.
        ValueError: `wanted` is unknown.
    """
    wanted = skeletons.get(wanted) if wanted is not None else None
    if among:
        return _by_number(where, len(names), wanted, among)
    candidates = [wanted] if wanted is not None else list(skeletons.SKELETONS.values())
    matches = [_match(names, skeleton) for skeleton in candidates]
    best = min(matches, key=lambda m: (len(m.missing) + len(names) - m.recognized, len(m.missing)))
    found, needed = best.recognized, len(best.columns)
    if found == 0 or (wanted is None and 2 * found < needed):
        raise _no_fit(where, names, best, wanted)
    if best.repeated:
        raise InputError(where, best.repeated, "remove one of them")
    for name in best.ignored:
        if close := difflib.get_close_matches(_plain(name), best.missing, n=1, cutoff=_SIMILAR):
            raise InputError(
                where,
                f'joint "{name}" is not in skeleton {best.skeleton.name}; did you mean "{close[0]}"?',
                "rename the joint, or remove it",
            )
    return best


def _by_number(where: str | Path, points: int, wanted: Skeleton | None, among: Sequence[str]) -> Match:
    known = [wanted] if wanted else [skeletons.get(name) for name in among]
    skeleton = next((s for s in known if len(s.joints) == points), None)
    if skeleton is None:
        sizes = ", ".join(f"{s.name} ({len(s.joints)})" for s in known)
        raise InputError(
            where,
            f"holds {points} points a frame without names, not those of {sizes}",
            "name the right set by --skeleton, of assess or convert",
        )
    return Match(skeleton, tuple(range(points)))


def _match(names: Sequence[str], skeleton: Skeleton) -> Match:
    if tuple(names) == skeleton.joints:
        return Match(skeleton, tuple(range(len(names))))
    own = {_key(joint): joint for joint in skeleton.joints}
    synonyms = {_key(synonym): joint for synonym, joint in _SYNONYMS.get(skeleton.name, {}).items()}
    column: dict[str, int] = {}
    left, repeated = list(range(len(names))), ""
    for table in (own, synonyms):
        unmatched = []
        for position in left:
            found = next((table[key] for key in _meanings(names[position]) if key in table), None)
            if found is None or (table is synonyms and found in column):
                unmatched.append(position)
            elif found in column:
                repeated = f'joint "{found}" occurs twice, as "{names[column[found]]}" and "{names[position]}"'
            else:
                column[found] = position
        left = unmatched
    return Match(skeleton, tuple(column.get(j) for j in skeleton.joints), tuple(names[p] for p in left), repeated)


def _no_fit(where: str | Path, names: Sequence[str], best: Match, wanted: Skeleton | None) -> InputError:
    shown = ", ".join(f'"{n}"' for n in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    found = best.recognized
    what = f"its points ({shown}) are not those of {f'skeleton {wanted.name}' if wanted else 'a known keypoint set'}"
    if found or wanted:
        nearest = "" if wanted else f"; the nearest is {best.skeleton.name}"
        what += f"{nearest}, of which {found} of {len(best.columns)} joints were found"
    return InputError(where, what, "name the points as docs/formats.md lists them")


def _plain(name: str) -> str:
    return re.sub(r"[^\w]+", "_", unicodedata.normalize("NFKC", name)).casefold().strip("_")


def _compact(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _key(joint: str) -> tuple[str, str]:
    for side in ("right", "left"):
        if joint.startswith(f"{side}_"):
            return side, _compact(joint.removeprefix(f"{side}_"))
    return "", _compact(joint)


def _meanings(name: str) -> list[tuple[str, str]]:
    """(side, part) that a name may mean, the most literal first."""
    compact = _compact(name)
    meanings = [("", compact)]
    for side in ("right", "left"):
        if compact.startswith(side):
            meanings.append((side, compact.removeprefix(side)))
        if compact.endswith(side):
            meanings.append((side, compact.removesuffix(side)))
    for letter, side in (("r", "right"), ("l", "left")):
        if compact.startswith(letter):
            meanings.append((side, compact[1:]))
        # A final letter is a side only if it is separate ("wrist_r", "WristR"): "heel" is no left "hee".
        if re.search(rf"(?:[_\W]{letter}|[_\W]{letter.upper()}|(?<=[a-z]){letter.upper()})$", name.strip()):
            meanings.append((side, compact[:-1]))
    return meanings
