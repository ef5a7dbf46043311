"""`simulate`: cohorts whose truth is known."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import arg

from infantjax.cli.options import common
from infantjax.cli.options.methods import DEFAULT, MethodName
from infantjax.methods import registry
from infantjax.progress import Progress
from infantjax.simulation import RenderConfig, write_cohort


@dataclass(frozen=True)
class Simulate(common.Command):
    """Write a cohort of simulated infants: recordings, outcomes, and the truth of every second.

    Example:
        infantjax simulate -n 60 -o cohort
        infantjax simulate -n 2 --duration 10 --video -o clips
        infantjax simulate -n 8 --duration 10 --fps 6 --depth --film.width 320 --film.height 240 -o clips
    """

    output: common.Output
    """Folder for the cohort."""
    n: Annotated[int, arg(aliases=["-n"])] = 60
    """Number of infants (three recordings each for `sma-cnn`)."""
    method: MethodName = DEFAULT
    """Method to write for: decides keypoints, metadata, camera and outcomes."""
    first: int = 0
    """Number of the first infant; other numbers give other infants."""
    seed: int = 0
    """Seed; infant i of a seed is the same in every cohort."""
    duration: float = 60.0
    """Seconds of each recording."""
    prevalence: float = 0.15
    """Fraction of infants with absent fidgety movements (outcome 1)."""
    fps: Annotated[float, arg(metavar="HZ")] = 30.0
    """Frames per second."""
    video: bool = False
    """Also write the infants as clips with their exact keypoints, in the folder videos."""
    depth: bool = False
    """Also write the infants before a depth camera with the joints of their limbs, in the folder depth."""
    film: RenderConfig = field(default_factory=RenderConfig)
    """How clips are filmed."""
    overwrite: bool = False
    """Replace an earlier simulated cohort."""

    def run(self) -> int:
        """Simulate the cohort."""
        with (
            common.written(self.output, "make room"),
            common.checked("simulate"),
            Progress(self.n, "simulating", quiet=self.quiet) as progress,
        ):
            write_cohort(
                self.output,
                self.n,
                self.seed,
                self.duration,
                method=registry.get(self.method),
                progress=progress.update,
                film=self.film if self.video else None,
                depth=self.film if self.depth else None,
                overwrite=self.overwrite,
                prevalence=self.prevalence,
                fps=self.fps,
                first=self.first,
            )
        print(self.output)
        return 0
