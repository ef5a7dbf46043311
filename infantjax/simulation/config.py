"""Settings of a simulated infant, its camera and its keypoint detector."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infantjax.files import MAX_FRAMES

STATEMENT = "Simulated movement, not an infant: for demonstration, tests and benchmarks only."
"""Stands in everything that the simulator writes."""

OUTCOME_SHARE = 0.3
"""An infant with fidgety movements in a smaller share of time has outcome 1 (absent or sporadic). Our choice, between
the published quartiles 0.215 (upper, at risk) and 0.412 (lower, normal)."""

MAX_SECONDS = 24 * 3600.0
"""Longest recording that is simulated."""

_RANGES = {
    "fidgety": (0, 1, ""),
    "fidgety_amplitude": (0, 5, "cm"),
    "fidgety_bout": (1, 600, "seconds"),
    "restlessness": (0, 5, "cm"),
    "activity": (0, 10, ""),
    "monotony": (0, 1, ""),
    "coupling": (0, 1, ""),
    "length": (40, 90, "cm"),
    "camera_height": (60, 1000, "cm"),
    "camera_tilt": (-30, 30, "degrees"),
    "focal_length": (10, 100_000, "pixels"),
    "camera_jitter": (0, 100, "pixels"),
    "camera_drift": (0, 100, "pixels"),
    "camera_roll": (0, 45, "degrees"),
    "noise": (0, 100, "pixels"),
    "noise_seconds": (0.001, 10, "seconds"),
    "dropout_rate": (0, 600, "per minute"),
    "dropout_seconds": (0, 60, "seconds"),
}


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

    duration: float = 60.0
    fps: float = 30.0
    fidgety: float = 0.6
    fidgety_amplitude: float = 0.75
    fidgety_band: tuple[float, float] = (1.0, 3.0)
    fidgety_bout: float = 4.0
    restlessness: float = 1.4
    activity: float = 1.0
    monotony: float = 0.0
    coupling: float = 0.0
    length: float = 60.6
    camera_height: float = 110.0
    camera_rotation: float = 0.0
    camera_tilt: float = 0.0
    focal_length: float = 1000.0
    image_size: tuple[int, int] = (1280, 720)
    camera_jitter: float = 0.5
    camera_drift: float = 0.0
    camera_roll: float = 0.0
    noise: float = 0.7
    noise_seconds: float = 0.1
    dropout_rate: float = 0.5
    dropout_seconds: float = 0.2
    confidence: bool = True

    def __post_init__(self) -> None:
        for name, (low, high, unit) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low:g} to {high:g} {unit}".rstrip())
        slowest, fastest = self.fidgety_band
        for valid, rule in (
            (0 < self.duration <= MAX_SECONDS, f"duration must be above 0 and at most {MAX_SECONDS:g} seconds"),
            (0 < self.fps <= 1000, "fps must be above 0 and at most 1000 hertz"),
            (0.5 < self.duration * self.fps <= MAX_FRAMES, f"duration times fps must be from 1 to {MAX_FRAMES} frames"),
            (0.1 <= slowest < fastest <= 15, "fidgety_band must be two rising frequencies from 0.1 to 15 hertz"),
            (math.isfinite(self.camera_rotation), "camera_rotation must be a finite number of degrees"),
            (min(self.image_size) >= 1, "image_size must be two positive numbers of pixels"),
        ):
            if not valid:
                raise ValueError(rule)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return round(self.duration * self.fps)

    @property
    def outcome(self) -> int:
        """1 where fidgety movements are absent or sporadic (`fidgety` below `OUTCOME_SHARE`), else 0."""
        return int(self.fidgety < OUTCOME_SHARE)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-compatible values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InfantConfig":
        """The configuration that `to_dict` gave.

        Raises:
            ValueError: a value is outside its range.
            TypeError: an unknown field.
        """
        fields: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls(**fields)
