"""RTMPose through rtmlib: a detector of persons, then keypoints in the box of one of them, from ONNX files of the user.

rtmlib fetches files that it does not find; here both files must be there, so nothing is ever fetched.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from infantjax import skeletons
from infantjax.errors import InputError, MissingExtraError
from infantjax.files import sha256
from infantjax.formats.readers import mmpose
from infantjax.pose.codec.heatmap import Points
from infantjax.pose.estimation.batches import crop_batches
from infantjax.pose.estimation.config import DEFAULT, PoseConfig
from infantjax.pose.estimation.estimator import PoseEstimator
from infantjax.pose.estimation.track import Track
from infantjax.pose.estimation.tracker import Tracker
from infantjax.video.frames import MIN_SIDE, Frames

_BLOCK = 8
"""Frames that are finished together."""
_KNOWN = ("person", "min_confidence", "smoothing", "resizing", "batch_size")
"""Fields of a configuration that apply; the others are of our own networks."""


class RTMPoseTracker(Tracker):
    """Finds a person in every frame, and the keypoints in its box.

    Of several persons the largest, or by the configuration the most central one. A frame without a person has no
    points. Scores of SimCC are taken as confidences, limited to 1.

    Args:
        pose_model: ONNX file of RTMPose, with 17, 26, 133 or 136 keypoints.
        detector_model: ONNX file of YOLOX, with or without its suppression of overlaps.
        config: `person`, `min_confidence` and `smoothing` apply.
        name: of the model, for the provenance.

    Raises:
        InputError: a file is missing, damaged or another model.
        MissingExtraError: rtmlib is not installed.
        ValueError: a field of the configuration that is of our own networks.
    """

    def __init__(
        self, pose_model: Path, detector_model: Path, config: PoseConfig = DEFAULT, name: str = "rtmpose-m"
    ) -> None:
        other = replace(config, **{field: getattr(DEFAULT, field) for field in _KNOWN})
        if wrong := [f.name for f in fields(other) if getattr(other, f.name) != getattr(DEFAULT, f.name)]:
            raise ValueError(f"{wrong[0]} is not for {name}")
        try:
            import onnxruntime  # noqa: F401
            from rtmlib import YOLOX, RTMPose
        except ImportError:
            raise MissingExtraError("rtmlib", "rtmlib") from None
        height, width = _input_size(pose_model, "pose model", ([3, 3],))
        box_size = _input_size(detector_model, "detector", ([3], [3, 2]))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            self._pose = RTMPose(str(pose_model), model_input_size=(width, height))
            self._detector = YOLOX(str(detector_model), model_input_size=box_size)
        self.config = config
        points = self._pose(np.zeros((height, width, 3), np.uint8))[0].shape[1]
        sets = {len(each.joints): each for each in map(skeletons.get, mmpose.SETS)}
        if points not in sets:
            raise InputError(pose_model, f"has {points} keypoints", f"known are {', '.join(map(str, sets))}")
        digest = sha256(f"{sha256(pose_model)} {sha256(detector_model)}".encode())
        named = f"{name} by rtmlib {version('rtmlib')}, {pose_model.name} with {detector_model.name}"
        side = max(height, width)
        # Nothing of it is computed here: it names the keypoints and the files, for results.
        self.network = PoseEstimator(None, {}, sets[points], side, "imagenet", named, digest)  # type: ignore[arg-type]

    def find(self, crops: UInt8[np.ndarray, "frame side side 3"]) -> Points:
        """Keypoints of a person that fills each image; positions are fractions of its side."""
        found = [self._points(image, np.array([0, 0, *image.shape[1::-1]])) for image in crops]
        positions, confidence = map(np.stack, zip(*found))
        return Points(positions / crops.shape[1], confidence)  # type: ignore[arg-type]

    def _compute(self, frames: Frames, finished: Sequence[Track]) -> Iterator[Track]:
        """Tracks of blocks of frames, after those that are finished."""
        skip = sum(len(part.times) for part in finished)
        # The crops are not read: boxes are found in the whole frames.
        for batch in crop_batches(frames, _BLOCK, MIN_SIDE, "fast", skip=skip, keep_frames=True):
            found = [self._person(frame.pixels()) for frame in batch.frames]
            positions, confidence = map(np.stack, zip(*found))
            yield Track.of(batch.times, batch.sizes, positions, confidence)

    def _person(self, image: UInt8[np.ndarray, "height width 3"]) -> tuple[np.ndarray, np.ndarray]:
        """Positions, pixels, and confidences of the points of one person; NaN and 0 where there is none."""
        boxes = np.asarray(self._detector(image[..., ::-1].copy()), np.float64).reshape(-1, 4)
        if not len(boxes):
            count = len(self.network.skeleton.joints)
            return np.full((count, 2), np.nan), np.zeros(count)
        if self.config.person == "central":
            middle = np.array(image.shape[1::-1]) / 2
            chosen = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1).argmin()
        else:
            chosen = (boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()
        return self._points(image, boxes[chosen])

    def _points(self, image: np.ndarray, box: Float[np.ndarray, "4"]) -> tuple[np.ndarray, np.ndarray]:
        positions, scores = self._pose(image[..., ::-1].copy(), [box])  # rtmlib takes images as OpenCV reads them
        return np.asarray(positions[0], np.float64), np.clip(np.asarray(scores[0], np.float64), 0, 1)

    def describe(self) -> str:
        """Settings in words, for the history of a recording."""
        chosen = self.config.person or "largest"
        limit = f"points of confidence below {self.config.min_confidence:g} left out"
        return f"{self.network.name} (SHA-256 {self.network.digest[:16]}), the {chosen} person, {limit}"


def _input_size(path: Path, kind: str, outputs: Sequence[list[int]]) -> tuple[int, int]:
    """Height and width of the images that an ONNX model reads.

    Args:
        path: of the model.
        kind: what it should be.
        outputs: numbers of axes that its outputs may have.

    Raises:
        InputError: no file, or no such model.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    if not path.is_file():
        raise InputError(path, "is not a file", "download the ONNX model yourself: nothing is fetched")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.Fail, errors.NotImplemented):
        raise InputError(path, "is no ONNX model that ONNX Runtime opens", "download it again") from None
    shape = session.get_inputs()[0].shape
    axes = [len(found.shape) for found in session.get_outputs()]
    if axes not in outputs or len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        what = f"is no {kind} that rtmlib reads: input {shape}, outputs of {axes} axes"
        raise InputError(path, what, "give --pose-model an RTMPose and --detector-model a YOLOX of fixed image size")
    return shape[2], shape[3]
