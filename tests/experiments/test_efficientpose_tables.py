"""The tables of EfficientPose: published beside ours, and PCKh of given weights on given images."""

import efficientpose_tables as tables
import pytest
import train_rendered_pose
from PIL import Image

from infantjax.errors import InputError
from infantjax.pose import load_pose_network
from infantjax.pose.annotations import Annotations
from infantjax.skeletons import IN_MOTION_19
from infantjax.weights import bundled


def cells(text, label):
    """What stands in a row behind its label."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} |")]
    return " ".join(line.replace("|", "").removeprefix(f" {label} ").split())


def test_published_sizes_stand_beside_ours():
    measured = {"efficientpose-i-1-pass": ("80.00", "20.00")}
    text = tables.table("Table 8", tables.ablation(("1-pass", "3-passes")), measured)
    assert cells(text, "I, 1-pass") == "0.52 0.52 1.33 1.33 81.85 80.00 24.51 20.00 yes"
    assert cells(text, "II, 3-passes") == "2.22 2.22 9.49 9.49 87.55 - 29.61 - yes"


def test_what_is_not_met_is_told():
    row = tables.Row("I", ("0.71", "1.52", "82.42", "14.02"), "efficientpose-i-no-upscaling")
    assert cells(tables.table("Table 9", [row], {}), "I") == "0.71 0.71 1.52 1.50 82.42 - 14.02 - no"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("efficientpose-rt", "is not efficientpose-rt"),
        ("efficientpose-i-no-upscaling", "has no row efficientpose-i-no-upscaling"),
    ],
)
def test_weights_of_another_network_are_refused(name, what, tmp_path):
    with pytest.raises(InputError, match=what):
        tables.measure(tables.Options(tmp_path, ((name, str(bundled.pose_path())),)))


def test_images_without_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="belong together"):
        tables.measure(tables.Options(tmp_path))


@pytest.mark.slow
def test_the_bundled_network_finds_rendered_infants(tmp_path):
    options = train_rendered_pose.Options(tmp_path, frames=2)
    images, points = train_rendered_pose.pictures(options, options.seed + 1, 2)
    names = tuple(f"image{number}" for number in range(len(images)))
    paths = tuple(tmp_path / f"{name}.png" for name in names)
    for path, image in zip(paths, images):
        Image.fromarray(image).save(path)
    network = load_pose_network(bundled.pose_path())
    tables.require_same("efficientpose-rt-lite", network)
    at_50, at_10 = map(float, tables.pckh(network, Annotations(names, points, IN_MOTION_19, paths), "head"))
    assert 100 >= at_50 > at_10 >= 0
