"""From annotated images to a pose network in a folder."""

import json
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from PIL import Image

from infantjax import cli, models
from infantjax.errors import InputError
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn.image import ImageConv
from infantjax.pose import load_pose_network
from infantjax.pose.annotations import Annotations
from infantjax.pose.networks.cima_pose import CimaPose
from infantjax.pose.training.dataset import CropConfig, read_crops, split_images
from infantjax.pose.training.training import PoseTrainingConfig, train_pose, transferable
from infantjax.skeletons import MPII_16

CONFIG = PoseTrainingConfig(epochs=2, batch_size=4, augmentation=None, evaluation_batch=2)


class Eye(nn.Module):
    """Maps of a quarter of the side."""

    keypoints: int = 16
    upscale: bool = True

    @nn.compact
    def __call__(self, x, train=False):
        y = nn.relu(ImageConv(3, 8, 3, 4, name="first")(x, train))
        maps = ImageConv(8, self.keypoints, use_bias=True, norm=False, name="confs")(y, train)
        return maps, {"features": y, "confs": maps}


def build(skeleton="mpii-16", **overrides):
    from infantjax import skeletons

    return Eye(**({"keypoints": len(skeletons.get(skeleton).joints)} | overrides))


@pytest.fixture(scope="module", autouse=True)
def eye():
    """A small network in the registry."""
    entry = ModelEntry(
        "eye", "test", "pose", (32, 32, 3), "mpii-16", (), Published(None, None, 1, "test"), build, normalization="lite"
    )
    known = models.get
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get", lambda name: entry if name == "eye" else known(name))
        patch.setattr(models, "names", partial(list, ["eye", "st-gcn"]))
        yield


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> Annotations:
    """Ten images of five infants."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    names = [f"infant{number // 2}_{number % 2:03d}" for number in range(10)]
    paths = tuple(folder / f"{name}.png" for name in names)
    points = rng.uniform([10, 5], [40, 35], (10, 16, 2))
    points[0, 3] = np.nan
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    groups = tuple(name.partition("_")[0] for name in names)
    return Annotations(tuple(names), points, MPII_16, paths, groups=groups, sizes=np.tile([40.0, 50.0], (10, 1)))


@pytest.fixture(scope="module")
def trained(annotations, tmp_path_factory):
    """A finished training with its folder."""
    folder = tmp_path_factory.mktemp("trained")
    return train_pose(annotations, model="eye", directory=folder, config=CONFIG, validation=0.2), folder


def test_the_folder_of_a_training_is_the_network_of_its_best_epoch(trained, annotations):
    result, folder = trained
    network = load_pose_network(folder)
    assert (network.side, network.skeleton, network.normalization) == (32, MPII_16, "lite")
    for a, b in zip(jax.tree.leaves(network.variables), jax.tree.leaves(result.network.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    record = json.loads((folder / "training.json").read_text())
    assert record["mean_error"] == result.mean_error
    assert (record["epochs"], record["status"]) == (2, "finished")
    held = {annotations.groups[annotations.names.index(name)] for name in record["validation_images"]}
    assert len(record["validation_images"]) == 2 * len(held) == 2


def test_names_of_images_do_not_travel_with_the_weights(trained):
    assert "infant" not in (trained[1] / "ensemble.json").read_text().replace("infantjax", "").replace("infants", "")


def test_a_finished_training_is_not_done_again(trained, annotations):
    result, folder = trained
    again = train_pose(annotations, model="eye", directory=folder, config=CONFIG, validation=0.2)
    assert again.network.digest == result.network.digest


def test_other_crops_are_another_training(trained, annotations):
    with pytest.raises(InputError, match="holds another training"):
        train_pose(
            annotations,
            model="eye",
            directory=trained[1],
            config=CONFIG,
            validation=0.2,
            crop=CropConfig(around_keypoints=False),
        )


def test_parts_that_the_annotations_name_are_kept(annotations):
    named = replace(annotations, splits=(*["train"] * 6, *["val"] * 2, *["test"] * 2))
    split, _ = split_images(named, 0.2, 1)
    assert (split.train, split.validation) == (tuple(range(6)), (6, 7))


def test_training_starts_from_the_weights_of_a_folder(trained, annotations, tmp_path):
    start = load_pose_network(trained[1], early_heads=True)
    module = build()
    assert jax.tree.structure(transferable(module, 32, start, True)) == jax.tree.structure(start.variables)
    assert set(transferable(module, 32, start, False)["params"]) == {"first"}
    again = train_pose(
        annotations, model=None, directory=tmp_path / "again", config=CONFIG, start=start, validation=0.2
    )
    assert again.history["training_loss"][0] < trained[0].history["training_loss"][0]


def test_weights_of_another_network_are_refused(trained):
    start = load_pose_network(trained[1])
    other = CimaPose()
    with pytest.raises(InputError, match="are not of this network"):
        transferable(other, 64, start, True)


def test_all_images_that_cannot_be_read_are_named(annotations, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    paths = (broken, *annotations.paths[1:9], tmp_path / "absent.png")
    with pytest.raises(InputError, match=r"2 of 10 cannot be used: .*broken\.png.*absent\.png"):
        read_crops(replace(annotations, paths=paths), 32)


def test_crops_hold_the_surroundings_of_the_points(annotations):
    images, points = read_crops(annotations, 32)
    whole, inside = read_crops(annotations, 32, CropConfig(around_keypoints=False))
    assert images.shape == whole.shape == (10, 32, 32, 3)
    assert np.isnan(points[0, 3]).all()
    assert np.nanmin(points) >= 0
    assert np.nanmax(points) <= 1
    assert np.nanmax(np.ptp(points[1:], axis=1)) > np.nanmax(np.ptp(inside[1:], axis=1))


def test_the_command_trains_on_a_table_of_annotations(annotations, tmp_path, capsys):
    folder = tmp_path / "raw" / "annotations"
    folder.mkdir(parents=True)
    lines = [["number", "image", *annotations.skeleton.joints]]
    for number, (path, points) in enumerate(zip(annotations.paths, np.nan_to_num(annotations.points / (50, 40)))):
        lines.append([str(number), path.name, *(f'"({x:.6f}, {y:.6f})"' for x, y in points)])
    (folder / "annotations.csv").write_text("\n".join(map(",".join, lines)))
    arguments = ["train", "pose", str(folder), "-o", str(tmp_path / "net"), "--model", "eye"]
    arguments += ["--image-dir", str(annotations.paths[0].parent), "--skeleton", "mpii-16", "--quiet"]
    assert cli.run([*arguments, "--epochs", "1", "--batch-size", "4"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("mean error ")
    assert "in epoch 1  (finished after 1 of 1 epochs)" in said.out
    assert load_pose_network(tmp_path / "net").skeleton == MPII_16
    assert cli.run([*arguments, "--epochs", "0"]) == 2
    assert "epochs must be at least 1" in capsys.readouterr().err
    assert cli.run([*arguments[:-2], "nonsense"]) == 2


@pytest.mark.slow
def test_streamed_crops_do_not_stay_in_the_folder(trained, annotations, tmp_path):
    pytest.importorskip("grain")
    streamed = train_pose(annotations, model="eye", directory=tmp_path / "s", config=CONFIG, validation=0.2, prefetch=1)
    # Another program, which adds in another order.
    np.testing.assert_allclose(streamed.mean_error, trained[0].mean_error, rtol=1e-4)
    assert not list((tmp_path / "s").rglob("*crops*"))


def test_a_network_for_risk_is_refused(annotations, tmp_path):
    with pytest.raises(ValueError, match="is a network for risk"):
        train_pose(annotations, model="st-gcn", directory=tmp_path)


def test_training_starts_from_backbones_or_from_a_network(trained, annotations, tmp_path):
    options = {"directory": tmp_path / "b", "config": CONFIG, "imagenet_files": {}}
    with pytest.raises(ValueError, match="not from both"):
        train_pose(annotations, model=None, start=load_pose_network(trained[1]), **options)
    with pytest.raises(ValueError, match="Eye has no backbone"):
        train_pose(annotations, model="eye", **options)


def test_a_model_or_weights_are_needed(annotations, tmp_path):
    with pytest.raises(ValueError, match="needs a model, or weights"):
        train_pose(annotations, model=None, directory=tmp_path)
