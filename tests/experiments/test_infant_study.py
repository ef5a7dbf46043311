"""The infant study: trainings of a small network on rendered infants, and published rows beside ours."""

from dataclasses import replace

import flax.linen as nn
import infant_study as study
import infant_study_tables as tables
import numpy as np
import pytest
from PIL import Image
from train_rendered_pose import write_in_motion

from infantjax import models
from infantjax.errors import InputError
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn.image import ImageConv
from infantjax.pose.annotations import Annotations
from infantjax.pose.training.training import PoseTrainingConfig
from infantjax.skeletons import IN_MOTION_19

JOINTS = len(IN_MOTION_19.joints)


class Eye(nn.Module):
    """Maps of a quarter of the side."""

    keypoints: int = JOINTS
    upscale: bool = True

    @nn.compact
    def __call__(self, x, train=False):
        maps = ImageConv(3, self.keypoints, 3, 4, use_bias=True, norm=False, name="confs")(x, train)
        return maps, {"confs": maps}


@pytest.fixture(scope="module")
def eye():
    """A small network in the registry."""
    entry = ModelEntry(
        "eye",
        "test",
        "pose",
        (32, 32, 3),
        "in-motion-19",
        (),
        Published(None, None, 1, "test"),
        lambda skeleton=None, **fields: Eye(**fields),
        normalization="lite",
    )
    known, names = models.get, models.names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get", lambda name: entry if name == "eye" else known(name))
        patch.setattr(models, "names", lambda: ["eye", *names()])
        yield


@pytest.fixture(scope="module")
def printed(eye, tmp_path_factory):
    """The tables of a study of ten rendered infants."""
    output = tmp_path_factory.mktemp("study")
    config = PoseTrainingConfig(epochs=1, batch_size=4, augmentation=None, evaluation_batch=2)
    options = study.Options(
        output, simulate=10, frames=1, side=32, networks=("eye",), sizes=(0,), latency_batch=0, training=config
    )
    study.main(replace(options, batch_sizes=(4,)))
    return (output / "tables.md").read_text("utf-8"), output


def rows_of(text, table, label):
    part = text.partition(f"## {table}")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.split("|")[2:-1]] for line in part.splitlines() if f"| {label} |" in line]


def test_a_study_prints_our_row_beside_the_published_ones(printed):
    text, output = printed
    (published,) = rows_of(text, "Table 1", "EfficientPose RT, published")
    assert published[:2] + published[6:] == ["99.96", "99.69", "481336", "955490248", "5.06"]
    (ours,) = rows_of(text, "Table 1", "eye, ours")
    assert 0 <= float(ours[4]) <= float(ours[0]) <= 100
    assert len(rows_of(text, "Table 6: other images", "eye, ours")) == 1
    sizes = [row[0] for row in rows_of(text, "Figure 5: training images", "eye")]
    assert sizes == ["7"], "of ten infants one selects the epoch and two test; there are no weights to begin with"
    assert (output / "figure_5_ME.png").stat().st_size > 1000
    rows = [line.split(",")[:4] for line in (output / "scores.csv").read_text("utf-8").splitlines()[1:]]
    assert rows == [["eye", "4", "7", "test"], ["eye", "4", "7", "transfer"]]


def test_the_first_images_keep_the_shares_of_infants():
    groups = ("anna",) * 40 + ("ben",) * 20
    names = tuple(str(row) for row in range(60))
    annotations = Annotations(names, np.zeros((60, JOINTS, 2)), IN_MOTION_19, groups=groups)
    rows = study.in_shares(annotations, tuple(range(60)), 0)
    assert sorted(rows) == list(range(60))
    for count in (15, 30, 45):
        assert abs(sum(groups[row] == "anna" for row in rows[:count]) - 2 * count / 3) <= 1


def test_the_spread_is_that_of_the_given_annotators(tmp_path):
    """Two annotators 2 pixels apart: each is 1 pixel from their mean, in head lengths."""
    points = np.tile(np.random.default_rng(0).uniform(20, 80, (1, JOINTS, 2)), (3, 1, 1))
    names = tuple(f"image{row}" for row in range(3))
    paths = tuple(tmp_path / "images" / f"{name}.png" for name in names)
    (tmp_path / "images").mkdir()
    for path in paths:
        Image.new("RGB", (100, 100)).save(path)
    files = tuple(tmp_path / "annotations" / f"annotator{number}.csv" for number in (0, 1))
    files[0].parent.mkdir()
    for file, shift in zip(files, (-1.0, 1.0)):
        moved = Annotations(names, points + np.array([shift, 0]), IN_MOTION_19, paths, sizes=np.full((3, 2), 100.0))
        write_in_motion(moved, file)
    spread = study.read_spread(study.Options(tmp_path, annotators=files))
    head = np.hypot(*(points[0, IN_MOTION_19.index("head_top")] - points[0, IN_MOTION_19.index("upper_neck")]))
    assert spread.measured
    np.testing.assert_allclose(spread.mean, 1 / head, rtol=1e-4)
    assert "H, given" in tables.table_2({}, spread)


def test_pck_within_the_spread_counts_each_keypoint_by_its_own():
    spread = tables.published_spread()
    within = np.tile(spread.p95 * np.where(np.arange(JOINTS) < 10, 0.99, 1.01), (4, 1))
    text = tables.table_2({"openpose": within}, spread)
    (head,) = rows_of(text, "Table 2", "head_top")
    assert head == ["0.0554", "0.1158", "60.39", "100.00", "57.60", "81.59", "89.31"]
    (mean,) = rows_of(text, "Table 2", "all")
    assert float(mean[3]) == pytest.approx(100 * 10 / JOINTS, abs=0.01)


def test_published_rows_of_table_2_have_the_published_means():
    spread = tables.published_spread()
    assert (round(float(spread.mean.mean()), 4), round(float(spread.p95.mean()), 4)) == (0.0534, 0.1161)
    for name, row in tables.TABLE_2.items():
        mean = np.mean([float(value) for value in row.split()])
        expected = 83.69 if name == "efficientpose-iii" else float(tables.TABLE_2_MEANS[name])
        assert mean == pytest.approx(expected, abs=0.006)


def test_errors_like_the_spread_are_consistent_with_it():
    spread = tables.published_spread()
    text = tables.table_3({"eye": np.tile(spread.mean + 0.5, (3, 1))}, spread)
    ((agreement, consistency),) = rows_of(text, "Table 3", "eye, ours")
    assert consistency.startswith("1.00")
    assert float(agreement.split()[0]) < 0.1


def test_the_difference_to_table_1_is_the_published_one():
    text = tables.score_table("Table 5", tables.TABLE_5, {}, {})
    differences = rows_of(text, "Table 5", "difference to table 1")[0]
    assert differences == ["-0.16", "-0.37", "-5.22", "-19.65", "-30.83", "+0.0695"]


def test_bad_options_are_named_before_anything_is_rendered(tmp_path):
    data = study.Data(*[Annotations(("a",), np.zeros((1, JOINTS, 2)), IN_MOTION_19)] * 3, None)
    with pytest.raises(InputError, match="not both"):
        study.read_data(study.Options(tmp_path))
    with pytest.raises(InputError, match="has hrnet, which is no network"):
        study.main(study.Options(tmp_path, simulate=10, networks=("hrnet",)))
    with pytest.raises(InputError, match="give numbers up to 1"):
        study.efficiency(study.Options(tmp_path, sizes=(2,)), data, "eye")
    assert not list(tmp_path.iterdir())
