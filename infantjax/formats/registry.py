"""The registry of formats, and the functions that read and write any of them.

A file that cannot be used raises one `InputError` that names the file, what is wrong and what to do. Nothing in a file
is executed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infantjax.errors import InputError
from infantjax.formats import checks
from infantjax.formats.readers import coco, deeplabcut, mmpose, npz, openpose, sleap, table, trc, ultralytics
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks, to_recording
from infantjax.recording.recording import Recording
from infantjax.settings import require_one_of
from infantjax.skeletons import Skeleton


@dataclass(frozen=True)
class Format:
    """A keypoint file format.

    Attributes:
        name: name in `FORMATS` and for `--format`.
        suffixes: common endings of such files; `/` is a folder.
        recognizes: whether a file has this format, by its content.
        read: reads a file; the second argument selects one of several individuals.
        write: writes a recording; None if the format is only read.
        individuals: whether such a file names its individuals.
    """

    name: str
    suffixes: tuple[str, ...]
    recognizes: Callable[[Source], bool]
    read: Callable[[Source, str | None], Tracks]
    write: Callable[[Recording, Path], None] | None = None
    individuals: bool = False


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("orgcoords-csv", (".csv",), table.recognizes_orgcoords, table.read_wide, table.write_orgcoords),
        Format("wide-csv", (".csv", ".tsv", ".txt"), table.recognizes_wide, table.read_wide, table.write_wide),
        Format("long-csv", (".csv", ".tsv", ".txt"), table.recognizes_long, table.read_long, table.write_long),
        Format("deeplabcut-csv", (".csv",), deeplabcut.recognizes_csv, deeplabcut.read_csv, deeplabcut.write_csv, True),
        Format("deeplabcut-h5", (".h5", ".hdf5"), deeplabcut.recognizes_h5, deeplabcut.read_h5, individuals=True),
        Format("openpose", ("/",), openpose.recognizes, openpose.read, openpose.write),
        Format("coco", (".json",), coco.recognizes, coco.read, coco.write, individuals=True),
        Format("mmpose", (".json",), mmpose.recognizes, mmpose.read),
        Format("sleap-h5", (".h5", ".hdf5"), sleap.recognizes, sleap.read, individuals=True),
        Format("ultralytics", (".json",), ultralytics.recognizes, ultralytics.read),
        Format("trc", (".trc",), trc.recognizes, trc.read),
        Format("npz", (".npz",), npz.recognizes, npz.read, npz.write),
    )
}
"""The formats by name."""


def read(
    path: str | Path,
    *,
    fps: float | None = None,
    format: str | None = None,
    skeleton: Skeleton | str | None = None,
    individual: str | None = None,
) -> Recording:
    """Read a keypoint file.

    Args:
        path: a file, or the folder of an OpenPose export.
        fps: frame rate in hertz; required if the file states none, and overrules that of the file.
        format: a name of `FORMATS`; None finds it from the content.
        skeleton: the keypoint set of the file; None finds it by the joint names.
        individual: selects one of several individuals.

    Returns:
        The recording in the keypoint set of the file, joints and frames in order. `notes` list points that were ignored
        or are missing, and values that look wrong.

    Raises:
        InputError: the file cannot be used; one line with the file, what is wrong and what to do.
        ValueError: unknown `format` or `skeleton`.
    """
    if format is not None:
        require_one_of("format", format, tuple(FORMATS))
    path = checks.check_readable(path)
    source = Source(path, trust_suffix=format is None)
    chosen = _recognize(source) if format is None else FORMATS[format]
    if chosen is None:
        raise InputError(path, _describe(source), f"known formats are {', '.join(FORMATS)}; docs/formats.md shows them")
    if individual is not None and not chosen.individuals:
        raise InputError(path, f"is read as {chosen.name}, which does not name individuals", "leave out --individual")
    try:
        return to_recording(path, chosen.read(source, individual), chosen.name, fps, skeleton)
    except MemoryError:
        raise InputError(path, "needs more memory than there is", "split the recording") from None


def format_of(path: str | Path) -> str | None:
    """Find the format of a file or folder by its content; None if it has none of `FORMATS`.

    Raises:
        InputError: it cannot be opened, is damaged, is of another kind of file, or fits several formats.
    """
    found = _recognize(Source(checks.check_readable(path)))
    return found.name if found else None


def write(recording: Recording, path: str | Path, format: str | None = None) -> None:
    """Write a recording as a keypoint file, whole or not at all.

    Args:
        recording: any recording.
        path: the file, or for `openpose` the folder; it is replaced if it exists (a folder is not).
        format: a name of `FORMATS`; None finds it by the ending: `.npz`, or `.csv` for the wide table.

    Raises:
        ValueError: the format is unknown, only read, or cannot hold the recording; or the ending names none.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if format is None:
        format = {".npz": "npz", ".csv": "orgcoords-csv" if path.name.startswith("orgcoords_") else "wide-csv"}.get(
            path.suffix.lower()
        )
    writers = {name: f.write for name, f in FORMATS.items() if f.write is not None}
    if format not in writers:
        raise ValueError(f'cannot write "{path.name}" as {format}; name a format of: {", ".join(writers)}')
    writers[format](recording, path)


def _recognize(source: Source) -> Format | None:
    found = [f for f in FORMATS.values() if f.recognizes(source)]
    if len(found) > 1:
        raise InputError(
            source.path,
            f"may be read as {' or as '.join(f.name for f in found)}",
            f"choose with --format {' or --format '.join(f.name for f in found)}, of assess or convert",
        )
    return found[0] if found else None


def _describe(source: Source) -> str:
    if source.kind == "text":
        cells = ", ".join(f'"{c.strip()[:30]}"' for c in source.first_cells[:4])
        return f"is a text table without columns like nose_x and nose_y (it begins with {cells})"
    if source.kind == "folder":
        return "is a folder without .json files of OpenPose: give a file, or such a folder"
    if source.kind == "json" and isinstance(source.document, dict) and "people" in source.document:
        return "is a single frame of OpenPose: give the folder that holds all of them"
    if source.hdf5 is not None and {"metadata", "instances", "points"} & set(source.hdf5.names):
        return (
            "is a project of SLEAP (.slp), not an analysis file: export it in SLEAP as Analysis HDF5, or with sleap-io "
            "(pip install sleap-io)"
        )
    return f"is {checks.WORDS[source.kind]} without keypoints of a known format"
