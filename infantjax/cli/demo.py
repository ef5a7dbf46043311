"""`demo`: a first result without any data of one's own."""

from dataclasses import dataclass
from pathlib import Path

from infantjax.cli import common
from infantjax.cli.assess import Assess


@dataclass(frozen=True)
class Demo(common.Command):
    """Assess a bundled recording with the bundled ensemble, and print where the report is.

    Both are simulated: the risk means nothing for an infant.

    Example:
        infantjax demo -o demo
    """

    output: common.Output = Path("infantjax-demo")
    """Folder for the report."""

    def run(self) -> int:
        """Assess the bundled recording."""
        from infantjax.weights import bundled

        recording = bundled.recording_path()
        common.say(f"assessing the bundled simulated recording {recording.name}")
        status = Assess((str(recording),), self.output, overwrite=True, common=self.common).run()
        print(f"report: {(self.output / recording.stem).with_suffix('.html').resolve()}")
        return status
