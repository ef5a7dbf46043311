"""The tables of EfficientPose: published beside ours, and PCKh of given weights on given images."""

import efficientpose_tables as tables
import numpy as np
import pytest
import train_rendered_pose
from PIL import Image

from infantjax.errors import InputError
from infantjax.pose import load_pose_network, metrics
from infantjax.pose.annotations import Annotations
from infantjax.skeletons import IN_MOTION_19, MPII_16
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


def test_all_tables_are_printed_without_images(monkeypatch, capsys):
    monkeypatch.setattr(tables, "ABLATIONS", {"Table 8: detection passes": ("1-pass", "3-passes")})
    tables.main(tables.Options())
    printed = capsys.readouterr().out
    titles = [line.split(":")[0].split(",")[0] for line in printed.splitlines() if line.startswith("## ")]
    assert titles == ["## Table 3", "## Table 4", "## Table 5", "## Table 8"]


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
        tables.measure(tables.Options(dataset=tmp_path, weights=((name, str(bundled.pose_path())),)))


def test_images_without_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="belong together"):
        tables.measure(tables.Options(dataset=tmp_path))


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
    annotations = Annotations(names, points, IN_MOTION_19, paths)
    found = tables.pckh(network, annotations, tables.Options(unit="head", scales=(1.0,), flip=False))
    assert 1 >= found.at_50.mean > found.at_10.mean >= 0
    averaged = tables.pckh(network, annotations, tables.Options(unit="head"))
    assert averaged.at_50.mean > 0.5


def test_parts_of_the_body_are_means_of_their_keypoints():
    """Keypoints of the trunk belong to no part."""
    right = [float(joint.startswith("right_")) for joint in MPII_16.joints]
    share = metrics.Share(np.array(right), float(np.mean(right)))
    text = tables.table_4({"openpose": tables.Found(share, share, MPII_16)})
    assert cells(text, "openpose, published") == "25.94 97.7 94.7 89.5 84.7 88.4 83.6 79.3 88.8"
    assert cells(text, "openpose, ours") == "- 0.0 50.0 50.0 50.0 50.0 50.0 50.0 42.9"


def test_figure_5_has_a_line_for_each_training(tmp_path):
    histories = {}
    for name, errors in (("openpose", (0.2, 0.1)), ("efficientpose-ii", (0.1, 0.05))):
        histories[name] = tmp_path / f"{name}.csv"
        rows = [f"0,{epoch},1,1,{error}" for epoch, error in enumerate(errors, 1)]
        histories[name].write_text("\n".join(["run,epoch,training_loss,validation_loss,mean_error", *rows]))
    lines = tables.figure_5(histories).axes[0].lines
    assert [line.get_label() for line in lines] == ["openpose", "efficientpose-ii"]
    np.testing.assert_allclose(lines[1].get_ydata(), [10, 5])
