"""How frames become keypoints: the settings of a tracker."""

from dataclasses import dataclass
from typing import Annotated, Literal

from infantjax.pose.codec import linking
from infantjax.pose.codec.heatmap import HeatmapCodec
from infantjax.pose.estimation.multi_scale import MAX_SCALE, MIN_SCALE
from infantjax.pose.images import Resizing
from infantjax.recording import cleaning
from infantjax.settings import Range, Share, check_fields

Runtime = Literal["jax", "onnx"]


@dataclass(frozen=True)
class PoseConfig:
    """How frames become keypoints.

    Attributes:
        decoder: a name of `pose.DECODERS`; None takes the network's own.
        resizing: `reference`, or `fast` by the decoder's own scaler.
        flip: average the maps of the image and of its mirror image, with left and right exchanged.
        min_confidence: a point below is missing (NaN); 0.1 is our choice: the reference for videos has no threshold.
        batch_size: frames that a device computes in a call; None lets the backend decide.
        dtype: of the network's activations; `bfloat16` is for accelerators.
        scales: average the maps of the image at these scales (`multi_scale.at_scale`).
        person: which of several persons, `central` or `largest`, told apart by affinity fields; None takes the maximum
            of each map, whoever it belongs to.
        smoothing: filter over time of the recording, `median5` or `butterworth`; None leaves it unfiltered.
        two_stage: crop each frame around the points of a first pass (`crop.refine_crop`) and find them again, as the
            training framework can where the infant does not fill the frame; twice the work.
        follow: crop each frame around where the infant was (`following`), and keep sides consistent
            (`following.consistent_sides`); a third more work.
        runtime: what computes the maps, `jax` or `onnx` (`export.exported_maps`), which is for CPUs and takes neither
            `scales` nor `person` nor `bfloat16`.

    Raises:
        ValueError: unknown decoder, resizing, dtype, person, smoothing or runtime, a number out of its range,
            `two_stage` and `follow`, or what the runtime does not take.
    """

    decoder: str | None = None
    resizing: Resizing = "fast"
    flip: bool = False
    min_confidence: Share = 0.1
    batch_size: Annotated[int, Range(1, 1024)] | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    scales: tuple[Annotated[float, Range(MIN_SCALE, MAX_SCALE)], ...] = (1.0,)
    person: linking.Choice | None = None
    smoothing: cleaning.Filter | None = None
    two_stage: bool = False
    follow: bool = False
    runtime: Runtime = "jax"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.two_stage and self.follow:
            raise ValueError("two_stage and follow each crop in their own way; choose one")
        HeatmapCodec(self.decoder or "smoothed")
        if not self.scales:
            raise ValueError("scales must have at least one")
        if self.runtime == "onnx" and self.needs_jax:
            raise ValueError(f"{self.needs_jax} needs the runtime jax, not onnx")

    @property
    def needs_jax(self) -> str:
        """The field that only JAX knows; empty if there is none."""
        fields = {"scales": self.scales != (1.0,), "person": self.person is not None, "dtype": self.dtype != "float32"}
        return next((name for name, needed in fields.items() if needed), "")

    def describe(self) -> str:
        """Settings in words, for the history of a recording."""
        parts = [f"decoding {self.decoder}", f"resizing {self.resizing}"]
        parts += ["mean over mirror images"] if self.flip else []
        parts += [f"mean over scales {' '.join(f'{s:g}' for s in self.scales)}"] if self.scales != (1.0,) else []
        parts += [f"the {self.person} person"] if self.person else []
        parts += ["in a second crop around the points of a first one"] if self.two_stage else []
        parts += ["in a crop that follows the infant"] if self.follow else []
        parts += ["maps by ONNX Runtime"] if self.runtime == "onnx" else []
        parts += [self.dtype, f"points of confidence below {self.min_confidence:g} left out"]
        return ", ".join(parts)


DEFAULT = PoseConfig()
"""Settings that are used where nothing else is asked for."""
