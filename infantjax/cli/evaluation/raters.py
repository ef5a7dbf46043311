"""`raters clips` and `raters evaluate`: blinded clips for raters, and what they answered."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from infantjax.assessment.batch import find_recordings
from infantjax.cli.options import common
from infantjax.clinic import blinded_clips
from infantjax.clinic.blinded_clips import ClipOptions
from infantjax.errors import InputError, printable
from infantjax.files import replaced_folder, write_atomically
from infantjax.progress import Progress
from infantjax.video import find_sources

if TYPE_CHECKING:
    import pandas as pd

Key = Annotated[Path | None, arg(metavar="FILE")]


@dataclass(frozen=True)
class Clips(common.Command):
    """Cut assessed videos into blinded clips for raters, with an answer sheet.

    The folder holds what raters may see. Beside it lie the key, and a sheet with the system's values for a reading
    with help.

    Example:
        infantjax raters clips results -o study --videos clinic/*.mp4 --hide-heads
    """

    records: Positional[tuple[Path, ...]]
    """JSON files of `infantjax assess`, or its folders."""
    output: common.Output
    """Folder for clips and answer sheet; must not exist."""
    videos: Annotated[tuple[Path, ...], arg(metavar="FILE ...")] = ()
    """Videos of all recordings; without them skeletons are drawn."""
    keypoints: Annotated[tuple[Path, ...], arg(metavar="FILE ...")] = ()
    """Keypoint files, where assess left none beside the records."""
    key: Key = None
    """Key; DIR-key.csv if not given."""
    clips: Annotated[ClipOptions, common.FLAT] = ClipOptions()

    @property
    def results(self) -> None:
        """Nothing is written beside the clips: the options name the recordings."""
        return None

    def run(self) -> int:
        """Cut the clips."""
        key = self.key or self.output.with_name(f"{self.output.name}-key.csv")
        sheet = self.output.with_name(f"{self.output.name}-answers-with-help.csv")
        if self.output.resolve() in key.resolve().parents:
            raise InputError("--key", "lies in the folder that raters get", "give another place")
        common.require_new(self.output, key, sheet)
        videos = find_sources(self.videos) if self.videos else []
        keypoints = find_recordings(self.keypoints) if self.keypoints else []
        sources = blinded_clips.find_sources(self.records, videos, keypoints)
        options = self.clips
        total = len(sources) * (options.highest + options.lowest + options.random)
        with common.written(self.output), replaced_folder(self.output) as folder:
            with Progress(total, "clips", quiet=self.quiet) as progress:
                tables = blinded_clips.write_clips(sources, folder, options, progress.update)
            write_atomically(folder / "answers.csv", tables["answers"])
            write_atomically(sheet, tables["with_help"])
            write_atomically(key, tables["key"])
        count = tables["key"].count("\n") - 1
        if count < total:
            common.note([f"{count} of {total} clips fit without overlap"], always=True)
        common.note(["what is burned into a picture stays; look at the clips before raters do"], always=True)
        for path in (self.output, key, sheet):
            print(path)
        return 0


@dataclass(frozen=True)
class EvaluateRaters(common.Command):
    """Measure raters of blinded clips: accuracy, agreement, and the gain from help.

    Example:
        infantjax raters evaluate study-key.csv alone/*.csv --with-help helped/*.csv --truth outcomes.csv
    """

    key: Positional[Path]
    """Key of the clips."""
    sheets: Positional[tuple[Path, ...]]
    """Filled answer sheets, named after the raters."""
    with_help: Annotated[tuple[Path, ...], arg(metavar="FILE ...")] = ()
    """Sheets of the reading with help, of the same names in another folder."""
    truth: Annotated[Path | None, arg(metavar="FILE")] = None
    """Table id;outcome of clips or recordings; if not given, highest windows are 1 and lowest 0."""
    scale: int = 2
    """Number of answers, from 0 on."""
    positive_from: int = 1
    """Lowest answer that means outcome 1."""
    weights: Literal["linear", "quadratic"] | None = None
    """Of disagreement, in kappas between raters."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Evaluate."""
        from infantjax.clinic import raters

        if not 0 < self.positive_from < self.scale:
            raise InputError("--positive-from", f"is {self.positive_from}", f"give 1 to {self.scale - 1}, see --scale")
        clips = raters.read_key(self.key)
        alone, helped = self._read(self.sheets, clips), self._read(self.with_help, clips)
        truth = raters.truth_of(clips, self.truth)
        with common.checked("raters evaluate"):
            study = raters.evaluate_raters(clips, truth, alone, helped, self.positive_from, self.weights)
        if (unknown := len(clips) - study.clips) and self.truth is not None:
            common.note([f"{unknown} of {len(clips)} clips have no truth"])
        print(json.dumps(study.to_dict(), indent=2) if self.json else printable("\n".join(study.lines())))
        return 0

    def _read(self, paths: tuple[Path, ...], clips: "pd.DataFrame") -> "dict[str, np.ndarray]":
        from infantjax.clinic.raters import read_answers

        if len({path.stem for path in paths}) < len(paths):
            raise InputError("sheets", "are of one name", "name each sheet after its rater")
        return {path.stem: read_answers(path, clips, self.scale) for path in paths}
