"""Shared parts of the commands that write a keypoint file for each source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infantjax.assessment.assessor import attempt
from infantjax.cli.options import common
from infantjax.errors import InputError
from infantjax.files import refuse_inputs, safe_stem, unique_names
from infantjax.pose.estimation.writing import SUFFIXES, KeypointTracker, overlay_of, write_keypoints
from infantjax.progress import LOGGER
from infantjax.recording.quality import measure_quality
from infantjax.video import Frames


def targets_of(output: Path, sources: Sequence[Path], suffix: str) -> list[Path]:
    """The keypoint file of each source.

    Args:
        output: a folder, or for one source the file itself.
        sources: files or folders.
        suffix: of the files in a folder, without its dot.

    Raises:
        InputError: one file is named for several sources.
    """
    if (ending := output.suffix.lower()) and not output.is_dir():
        if ending not in SUFFIXES:
            raise InputError(output, "has a suffix that cannot be written", "use .csv or .npz, or a folder")
        if len(sources) > 1:
            raise InputError(output, f"is one file for {len(sources)} inputs", "give a folder")
        return [output]
    stems = unique_names(safe_stem(source.stem) for source in sources)
    return [output / f"{stem}.{suffix}" for stem in stems]


@dataclass(frozen=True)
class KeypointFiles:
    """Keypoint files of some sources, and overlays; of several sources those of earlier calls are kept.

    Attributes:
        sources: files or folders.
        targets: the keypoint file of each.
        overlay: write a video or image of each source with its keypoints.
        overwrite: replace files that exist.
        quiet: show no progress.
        hide_heads: blur the head in the overlays.
    """

    sources: Sequence[Path]
    targets: Sequence[Path]
    overlay: bool
    overwrite: bool
    quiet: bool
    hide_heads: bool = False

    def write(self, opened: Sequence["Frames | Exception"], tracker_of: "Callable[[Frames], KeypointTracker]") -> int:
        """Find and write the keypoints of every source that could be opened, and return the exit status.

        Args:
            opened: each source, or why it could not be opened.
            tracker_of: what finds the keypoints of a source.

        Raises:
            InputError: the only source cannot be used.
        """
        failed = 0
        for frames, target in zip(opened, self.targets):
            error = frames
            if not isinstance(frames, Exception):
                error = attempt(self._write, frames, tracker_of(frames), target)
            if error is None:
                continue
            if len(self.sources) == 1 or not isinstance(error, InputError):
                raise error
            LOGGER.error("%s", error)
            failed += 1
        return common.status_of(failed, len(self.sources))

    def _write(self, frames: "Frames", tracker: "KeypointTracker", target: Path) -> None:
        """Write the keypoints of one of the sources, and its overlay."""
        overlay = overlay_of(frames, target) if self.overlay else None
        written = [path for path in (target, overlay) if path is not None]
        refuse_inputs(written, self.sources)
        if not self.overwrite and (there := [path for path in written if path.exists()]):
            if len(self.sources) == 1:
                raise InputError(there[0], "exists", "use --overwrite or another name")
            if there == written:
                LOGGER.warning("%s: exists and is kept; --overwrite replaces it", target)
                return
        recording = write_keypoints(frames, tracker, target, overlay, hide_heads=self.hide_heads, quiet=self.quiet)
        common.note((*recording.history, *recording.notes))
        common.note_noise([measure_quality(recording).summary.get("noise")])
        for path in written:
            print(path)
