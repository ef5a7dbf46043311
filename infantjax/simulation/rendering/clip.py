"""A simulated infant as a clip: frames that are drawn when they are asked for, with exact keypoints.

    clip = render(7, InfantConfig(duration=10))
    for frame, points, visible in zip(clip.frames(), clip.keypoints, clip.visible):
        ...                                    # uint8 [height, width, 3]; pixels; bool

The body is a set of shaded capsules with a head that has a face side. Contact, folds of cloth, fingers and other
persons are not drawn. What a network learns from these images was not shown to hold for infants.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, UInt8, UInt16
from PIL import Image, ImageFilter

from infantjax.recording.metadata import Metadata
from infantjax.recording.recording import Recording
from infantjax.settings import NonNegative, Range, Share, check_fields
from infantjax.simulation.config import STATEMENT, InfantConfig
from infantjax.simulation.movement import move
from infantjax.simulation.rendering.depth import depth_image
from infantjax.simulation.rendering.figure import PARTS, Figure, build_figure
from infantjax.simulation.rendering.look import Look, draw_floor, draw_look
from infantjax.simulation.rendering.painting import Layer, paint_capsule, paint_head
from infantjax.simulation.signals import Seed, low_pass_noise, seed_entropy, stream
from infantjax.skeletons import IN_MOTION_19, Skeleton
from infantjax.skeletons import get as get_skeleton

_MARGIN = 0.15
"""Part of the floor beyond each side of the image, which shake brings into view."""


@dataclass(frozen=True)
class RenderConfig:
    """How a simulated infant is filmed. All defaults are our choice.

    Attributes:
        width: Width of the frames, pixels.
        height: Height of the frames, pixels.
        fill: Mean share of the image's shorter side that an infant's length fills; varies by up to a quarter.
        out_of_view: Share of infants that lie partly outside of the image.
        shake: Root mean square shift of the camera, share of the shorter side; it turns by as many radians.
        clutter: Mean number of things that lie around.
        blur: Largest radius of the blur, pixels at a shorter side of 224.
        noise: Largest standard deviation of the sensor's noise, gray levels.

    Raises:
        ValueError: a value out of its range.
    """

    width: Annotated[int, Range(32, 4096)] = 224
    height: Annotated[int, Range(32, 4096)] = 224
    fill: Annotated[float, Range(0.1, 2)] = 0.85
    out_of_view: Share = 0.1
    shake: Annotated[float, Range(0, 0.05)] = 0.01
    clutter: NonNegative = 5.0
    blur: Annotated[float, Range(0, 20)] = 1.2
    noise: Annotated[float, Range(0, 100)] = 8.0

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, eq=False)
class Clip:
    """A simulated infant on film.

    Attributes:
        keypoints: `[time, joint, 2]` exact, of in-motion-19, pixels; the center of the first pixel lies at 0.5.
        visible: `[time, joint]` whether the point lies inside the image; a point behind another limb counts as visible.
        fps: frames per second.
        infant: its settings, with the camera that was used.
        config: of the film.
        seed: entropy that the clip was drawn from.
        look: skin, clothes, and light.
    """

    keypoints: Float[np.ndarray, "time joint 2"]
    visible: Bool[np.ndarray, "time joint"]
    fps: float
    infant: InfantConfig
    config: RenderConfig
    seed: tuple[int, ...]
    look: Look
    _figure: Figure
    _shake: Float[np.ndarray, "time 3"]
    _floor: UInt8[np.ndarray, "height width 3"]
    _sensor: tuple[float, np.ndarray]

    def __len__(self) -> int:
        return len(self.keypoints)

    def frames(self) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """The frames from the first, RGB."""
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> UInt8[np.ndarray, "height width 3"]:
        """One frame, RGB; some 6 ms of one core at 224 x 224."""
        config, layer = self.config, self._paint(index)
        image = self._background(index).astype(np.float32)
        image *= ((1 - layer.cover) * (1 - self._shadow(layer.cover)))[..., None]
        image += 255 * layer.color
        blur, grain = self._sensor
        if blur > 0:
            pixels = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
            image = np.asarray(pixels.filter(ImageFilter.BoxBlur(blur)), np.float32)
        # The same grain, moved on from frame to frame, is as good as new noise and takes no time.
        top, left = (37 * index) % (len(grain) - config.height + 1), (61 * index) % (grain.shape[1] - config.width + 1)
        image = image + grain[top : top + config.height, left : left + config.width]
        return np.clip(image, 0, 255).astype(np.uint8)

    def depth(self, index: int) -> UInt16[np.ndarray, "height width"]:
        """One frame of a depth camera at the same place, millimeters; see `depth_image`."""
        rng = stream((*self.seed, index), "depth")
        return depth_image(self._figure, index, self.infant, (self.config.height, self.config.width), rng)

    def recording(self, skeleton: str | Skeleton = IN_MOTION_19, name: str = "rendered") -> Recording:
        """The exact keypoints; points outside of the image are missing.

        Args:
            skeleton: in-motion-19, or a set whose joints are all in it, such as mpii-16.
            name: of the recording.

        Raises:
            ValueError: the skeleton has other joints.
        """
        skeleton = get_skeleton(skeleton)
        rows = [IN_MOTION_19.index(joint) for joint in skeleton.joints]
        points = np.where(self.visible[..., None], self.keypoints, np.nan)[:, rows]
        return Recording(
            keypoints=points,
            fps=self.fps,
            skeleton=skeleton,
            name=name,
            metadata=Metadata(columns={"simulated": True, "statement": STATEMENT, "seed": list(self.seed)}),
            history=("exact keypoints of a rendered clip",),
            notes=(STATEMENT,),
        )

    def _background(self, index: int) -> np.ndarray:
        """The floor as the shaken camera sees it."""
        width, height = self.config.width, self.config.height
        margins = np.array(self._floor.shape[1::-1]) / 2 - (width / 2, height / 2)
        dx, dy, roll = self._shake[index]
        cos, sin = np.cos(roll), np.sin(roll)
        middle = np.array([width / 2, height / 2])
        # From a pixel of the frame back to the floor.
        start = middle + margins - np.array([[cos, sin], [-sin, cos]]) @ (middle + np.array([dx, dy]))
        matrix = (cos, sin, start[0], -sin, cos, start[1])
        floor = Image.fromarray(self._floor)
        moved = floor.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        return np.asarray(moved)

    def _paint(self, index: int) -> Layer:
        figure, look = self._figure, self.look
        layer = Layer(self.config.width, self.config.height)
        materials = [look.materials[part[4]] for part in PARTS.values()]
        for part in np.argsort(figure.nearness[index], kind="stable"):
            if part < len(materials):
                paint_capsule(layer, figure.ends[index, part], figure.radii[index, part], materials[part], look.light)
            else:
                paint_head(
                    layer,
                    figure.head[index],
                    figure.head_axes[index],
                    figure.head_radii[index],
                    look.head,
                    look.light,
                )
        return layer

    def _shadow(self, cover: np.ndarray) -> np.ndarray:
        """The infant's soft shadow on the floor, away from the light, 0 to 1."""
        light, side = self.look.light, min(cover.shape)
        small = Image.fromarray((255 * cover).astype(np.uint8)).reduce(4).filter(ImageFilter.BoxBlur(side / 90))
        dx, dy = 0.05 * side / 4 * light.direction[:2]
        moved = small.transform(small.size, Image.Transform.AFFINE, (1, 0, dx, 0, 1, dy), Image.Resampling.BILINEAR)
        full = np.asarray(moved.resize(cover.shape[::-1], Image.Resampling.BILINEAR), np.float32)
        return full * ((1 - light.ambient) * 0.8 / 255)


def render(seed: Seed, infant: InfantConfig | None = None, config: RenderConfig | None = None) -> Clip:
    """A simulated infant as a clip.

    The movement is that of `simulate` with the same seed and settings; of the infant's camera its rotation, tilt and
    height in relation to the focal length are taken. The same seed and settings give the same bytes (of one version of
    NumPy and Pillow on one kind of processor). Memory grows by about 2 KB a frame.

    Args:
        seed: any integer from 0, or a sequence of such (as `(seed, infant)`).
        infant: None is `InfantConfig()`.
        config: of the film; None is `RenderConfig()`.

    Raises:
        ValueError: a seed below 0.
    """
    infant, config = infant or InfantConfig(), config or RenderConfig()
    entropy = seed_entropy(seed)
    positions = move(entropy, infant).positions
    look_rng, view = stream(entropy, "look"), stream(entropy, "view")
    look = draw_look(look_rng)
    side = min(config.width, config.height)
    length = config.fill * side * view.uniform(0.75, 1.25)
    camera = replace(
        infant, image_size=(config.width, config.height), focal_length=length * infant.camera_height / infant.length
    )
    figure = build_figure(positions, camera, look.stoutness)
    shake = low_pass_noise(stream(entropy, "shake"), infant, 3, 0.5) * config.shake * np.array([side, side, 1.0])
    figure = figure.moved(
        _placement(view, figure.keypoints, config), shake, np.array([config.width, config.height]) / 2
    )
    floor_size = (round((1 + 2 * _MARGIN) * config.width), round((1 + 2 * _MARGIN) * config.height))
    floor = draw_floor(look_rng, *floor_size, config.clutter, look.light)
    blur = config.blur * look_rng.random() ** 2 * side / 224
    grain = look_rng.random() * config.noise * look_rng.standard_normal((config.height + 64, config.width + 64, 1))
    inside = (figure.keypoints >= 0) & (figure.keypoints < (config.width, config.height))
    return Clip(
        keypoints=figure.keypoints,
        visible=np.asarray(inside.all(-1)),
        fps=float(infant.fps),
        infant=camera,
        config=config,
        seed=entropy,
        _figure=figure,
        look=look,
        _shake=shake,
        _floor=floor,
        _sensor=(float(blur), grain.astype(np.float32)),
    )


def _placement(rng: np.random.Generator, keypoints: np.ndarray, config: RenderConfig) -> np.ndarray:
    """Shift that brings the middle of the body near the middle of the image, or near its border."""
    middle = (np.median(keypoints.min(1), axis=0) + np.median(keypoints.max(1), axis=0)) / 2
    size = np.array([config.width, config.height])
    cut, offset = rng.random() < config.out_of_view, rng.uniform(-1, 1, 2)
    return size / 2 - middle + offset * size * (0.45 if cut else 0.08)
