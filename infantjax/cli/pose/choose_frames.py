"""`choose-frames`: images of videos to annotate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.errors import InputError
from infantjax.files import refuse_inputs, safe_stem, unique_names, write_together
from infantjax.pose.annotations import coco, labelme
from infantjax.progress import Progress
from infantjax.skeletons import SKELETONS
from infantjax.video import Frames, choose_frames, encode_image, find_sources, open_frames, read_frames


@dataclass(frozen=True)
class ChooseFrames(common.Command):
    """Choose frames of videos to annotate by k-means, and write them as PNG with annotation files to fill in.

    `infantjax train pose` reads the folder once it is annotated.

    Example:
        infantjax choose-frames clips/*.mp4 -o annotations --frames 20
    """

    inputs: Positional[tuple[str, ...]]
    """Videos, folders, glob patterns, or a folder of images."""
    output: common.Output
    """Folder for the images and annotation files."""
    frames: int = 20
    """Frames of each video, at most."""
    interval: Annotated[float, arg(metavar="SECONDS")] = 0.1
    """Time between the frames that are compared."""
    format: Literal["labelme", "coco"] = "labelme"
    """LabelMe files with `labels.txt`, or one `annotations.json` of COCO."""
    skeleton: Annotated[str, arg(metavar="NAME")] = "in-motion-19"
    """Keypoint set to annotate."""
    seed: int = 0
    """Seed of k-means."""
    fps: common.Fps = None
    """Frames per second, where the input does not say."""

    def run(self) -> int:
        """Choose and write."""
        common.require_fps(self.fps)
        common.require_known("--skeleton", self.skeleton, SKELETONS)
        if self.frames < 1 or not self.interval > 0:
            raise InputError("--frames", f"is {self.frames} every {self.interval} s", "give numbers above 0")
        skeleton = SKELETONS[self.skeleton]
        table = self.output / ("annotations.json" if self.format == "coco" else "labels.txt")
        sources = find_sources(self.inputs)
        refuse_inputs([self.output, table], sources)
        if self.format == "coco":
            common.require_new(table)
        stems = unique_names(safe_stem(source.stem) for source in sources)
        sizes: dict[str, tuple[str, int, int]] = {}
        with common.written(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            for source, stem in zip(sources, stems):
                contents, found = self._chosen(open_frames(source, self.fps), stem)
                common.require_new(*contents)
                write_together(contents)
                sizes |= found
                if len(found) < self.frames:
                    common.note([f"{source}: {len(found)} frames, since no more look different"], always=True)
            labels = coco.blank(sizes, skeleton) if self.format == "coco" else "\n".join(skeleton.joints) + "\n"
            if not table.exists():
                write_together({table: labels})
        common.say(f"{len(sizes)} frames of {len(sources)} videos; annotate them, then: infantjax train pose")
        print(self.output if self.format == "labelme" else table)
        return 0

    def _chosen(self, frames: "Frames", stem: str) -> tuple[dict[Path, str | bytes], dict[str, tuple[str, int, int]]]:
        """The files of a video, and of each image its video, height and width."""
        with Progress(frames.expected, f"frames of {stem}", quiet=self.quiet) as progress:
            numbers = choose_frames(frames, self.frames, self.interval, self.seed, progress.update)
        contents: dict[Path, str | bytes] = {}
        sizes = {}
        for frame, number in zip(read_frames(frames.path, numbers).frames, numbers):
            image = self.output / f"{stem}_{number:06d}.png"
            contents[image] = encode_image(frame.pixels())
            sizes[image.name] = stem, frame.height, frame.width
            if self.format == "labelme":
                contents[image.with_suffix(".json")] = labelme.blank(image.name, frame.height, frame.width)
        return contents, sizes
