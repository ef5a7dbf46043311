"""Settings of a simulated infant, its camera and its keypoint detector."""

from dataclasses import dataclass
from typing import Annotated

from infantjax.files import MAX_FRAMES
from infantjax.settings import Count, Range, Share, check_fields

STATEMENT = "Simulated movement, not an infant: for demonstration, tests and benchmarks only."
"""Stands in everything that the simulator writes."""

OUTCOME_SHARE = 0.3
"""An infant with fidgety movements in a smaller share of time has outcome 1 (absent or sporadic). Our choice, between
the published quartiles 0.215 (upper, at risk) and 0.412 (lower, normal)."""

MAX_SECONDS = 24 * 3600.0
"""Longest recording that is simulated."""

Scale = Annotated[float, Range(0, 5)]
Pixels = Annotated[float, Range(0, 100)]


@dataclass(frozen=True)
class InfantConfig:
    """One infant, its camera and its keypoint detector.

    Attributes:
        duration: seconds. An hour at 30 Hz takes about 3 s and 250 MB to simulate.
        fps: frames per second, hertz. The movement itself does not depend on it (up to the frames' Nyquist limit).
        fidgety: share of seconds with fidgety movements, 0 (absent) to 1.
        fidgety_amplitude: root mean square displacement of wrists and ankles in a bout, about; centimeters.
        fidgety_band: lowest and highest frequency of the fidgety oscillation, hertz.
        fidgety_bout: mean length of a bout, seconds.
        restlessness: root mean square displacement of wrists and ankles by slow irregular movement (0.1 to 0.9 Hz) of
            the whole body, which every infant has at all times, with varying strength, about; centimeters.
        activity: scales how often events of the repertoire happen (proportionally) and how large they are (by its
            square root); 1 is average, 0 is an infant without kicks, sweeps and turns.
        monotony: 0 every event differs in size, direction and duration, 1 all repeat one pattern.
        coupling: share of the restlessness that all limbs have in common: 0 each moves on its own, 1 all turn alike.
        length: crown to heel, centimeters; all segments scale with it.
        camera_height: centimeters above the surface.
        camera_rotation: about the view axis, degrees; 0 shows the head at the top.
        camera_tilt: of the view axis against the vertical, degrees.
        focal_length: pixels.
        image_size: width and height, pixels. Points outside the image keep their coordinates.
        camera_jitter: root mean square shift of the whole image by a hand-held camera, pixels (each axis).
        camera_drift: root mean square of its slow shift (over some 3 s), pixels (each axis).
        camera_roll: root mean square of its slow turning about the center of the image, degrees.
        noise: root mean square error of a keypoint, pixels (each axis); wrists, ankles and head top have 1.5 times it.
        noise_seconds: correlation time of that error, seconds.
        dropout_rate: runs of missing points per minute and joint.
        dropout_seconds: mean length of such a run, seconds.
        confidence: whether the recording has a confidence per point.

    Raises:
        ValueError: a value is outside its range.
    """

    duration: Annotated[float, Range(above=0, at_most=MAX_SECONDS)] = 60.0
    fps: Annotated[float, Range(above=0, at_most=1000)] = 30.0
    fidgety: Share = 0.6
    fidgety_amplitude: Scale = 0.75
    fidgety_band: tuple[Annotated[float, Range(0.1)], Annotated[float, Range(at_most=15)]] = (1.0, 3.0)
    fidgety_bout: Annotated[float, Range(1, 600)] = 4.0
    restlessness: Scale = 1.4
    activity: Annotated[float, Range(0, 10)] = 1.0
    monotony: Share = 0.0
    coupling: Share = 0.0
    length: Annotated[float, Range(40, 90)] = 60.6
    camera_height: Annotated[float, Range(60, 1000)] = 110.0
    camera_rotation: Annotated[float, Range()] = 0.0
    camera_tilt: Annotated[float, Range(-30, 30)] = 0.0
    focal_length: Annotated[float, Range(10, 100_000)] = 1000.0
    image_size: tuple[Count, Count] = (1280, 720)
    camera_jitter: Pixels = 0.5
    camera_drift: Pixels = 0.0
    camera_roll: Annotated[float, Range(0, 45)] = 0.0
    noise: Pixels = 0.7
    noise_seconds: Annotated[float, Range(0.001, 10)] = 0.1
    dropout_rate: Annotated[float, Range(0, 600)] = 0.5
    dropout_seconds: Annotated[float, Range(0, 60)] = 0.2
    confidence: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0.5 < self.duration * self.fps <= MAX_FRAMES:
            raise ValueError(f"duration times fps must be from 1 to {MAX_FRAMES} frames")
        if not self.fidgety_band[0] < self.fidgety_band[1]:
            raise ValueError("fidgety_band must be two rising frequencies")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.duration * self.fps)

    @property
    def outcome(self) -> int:
        """1 where fidgety movements are absent or sporadic (`fidgety` below `OUTCOME_SHARE`), else 0."""
        return int(self.fidgety < OUTCOME_SHARE)
