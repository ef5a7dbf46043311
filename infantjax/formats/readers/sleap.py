"""SLEAP analysis files: HDF5 with `tracks [track, xy, node, frame]`, `node_names` and `point_scores`.

The order of the axes is taken from the attribute `dims` where the file has it. It has no frame rate. Project
files of SLEAP (.slp) are not read; SLEAP exports them as analysis files.
"""

import json
from pathlib import Path

import numpy as np

from infantjax.errors import InputError
from infantjax.formats import hdf5
from infantjax.formats.checks import check_shape
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks

_TRACKS = ("track", "xy", "node", "frame")
_SCORES = ("track", "node", "frame")


def recognizes(source: Source) -> bool:
    """Whether an HDF5 file has the data sets of an analysis file."""
    return source.hdf5 is not None and {"tracks", "node_names"} <= set(source.hdf5.names)


def read(source: Source, individual: str | None) -> Tracks:
    """Read an analysis file.

    Raises:
        InputError: damaged, a data set is missing or has another shape, or there is no such track.
    """
    path, content = source.path, source.hdf5
    if content is None:
        raise InputError(path, "is not an HDF5 file", "export an analysis file from SLEAP")
    nodes = content.texts("node_names")
    labels = content.texts("track_names") if "track_names" in content.arrays else []
    tracks = _ordered(content, "tracks", _TRACKS)
    scores = _ordered(content, "point_scores", _SCORES) if "point_scores" in content.arrays else None
    count, xy, points, frames = tracks.shape
    if xy not in (2, 3) or points != len(nodes) or count == 0:
        raise InputError(
            path, f"tracks have shape {tracks.shape}, expected (tracks, 2, {len(nodes)}, frames)", "export it again"
        )
    check_shape(path, frames, points, xy)
    if scores is not None and scores.shape != (count, points, frames):
        raise InputError(
            path, f"point_scores have shape {scores.shape}, expected {(count, points, frames)}", "export it again"
        )
    chosen, notes = _choose(path, tracks, labels, individual)
    return Tracks(
        joints=nodes,
        keypoints=np.asarray(tracks[chosen], dtype=np.float64).transpose(2, 1, 0),
        confidence=None if scores is None else np.asarray(scores[chosen], dtype=np.float64).T,
        notes=notes,
    )


def _ordered(content: hdf5.Content, name: str, wanted: tuple[str, ...]) -> np.ndarray:
    values = content.array(name)
    if values.ndim != len(wanted):
        raise InputError(content.path, f"{name} have {values.ndim} axes, expected {len(wanted)}", "export it again")
    stated = content.attribute(name, "dims")
    try:
        dims = tuple(json.loads(stated)) if isinstance(stated, (str, bytes)) else wanted
        return values.transpose([dims.index(axis) for axis in wanted])
    except (ValueError, TypeError):
        raise InputError(content.path, f"the axes of {name} are named {str(stated)[:80]}", "export it again") from None


def _choose(path: Path, tracks: np.ndarray, labels: list[str], individual: str | None) -> tuple[int, tuple[str, ...]]:
    count = len(tracks)
    labels = labels if len(labels) == count else [str(i) for i in range(count)]
    if individual is not None:
        if individual not in labels:
            raise InputError(
                path,
                f'has no track "{individual}" ({", ".join(labels[:10])})',
                "choose one with --individual, of assess or convert",
            )
        return labels.index(individual), (f'track "{individual}" of {count} was taken',) if count > 1 else ()
    present = [int((~np.isnan(track)).sum()) for track in tracks.astype(np.float64, copy=False)]
    best = int(np.argmax(present))
    if count == 1:
        return best, ()
    chosen = f'of {count} tracks the most complete, "{labels[best]}", was taken'
    return best, (f"{chosen}; --individual, of assess or convert, chooses another",)
