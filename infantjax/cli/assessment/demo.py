"""`demo`: a first result without any data of one's own."""

from dataclasses import dataclass
from pathlib import Path

from infantjax.cli.assessment.assess import Assess
from infantjax.cli.options import common
from infantjax.cli.options.video import VideoOptions
from infantjax.weights import bundled


@dataclass(frozen=True)
class Demo(common.Command):
    """Assess a bundled recording or video with the bundled networks, and print where the report is.

    All are simulated: the risk means nothing for an infant.

    Example:
        infantjax demo -o demo
        infantjax demo --video
    """

    output: common.Output = Path("infantjax-demo")
    """Folder for the report."""
    video: bool = False
    """Begin with a rendered clip, whose keypoints a network finds that was trained on rendered infants only."""

    def run(self) -> int:
        """Assess the bundled recording or clip."""
        path = bundled.clip_path() if self.video else bundled.recording_path()
        common.say(f"assessing the bundled simulated {'clip' if self.video else 'recording'} {path.name}")
        video = VideoOptions(weights=bundled.pose_path(), overlay=self.video)
        status = Assess((str(path),), self.output, video=video, overwrite=True, common=self.common).run()
        print(f"report: {(self.output / path.stem).with_suffix('.html').resolve()}")
        return status
