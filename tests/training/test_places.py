"""A training whose folder is the copy of a place in a cloud."""

import fsspec
import numpy as np
import pytest
import toy

from infantjax import places
from infantjax.training.loop import TrainOptions

PLACE = "memory://bucket/training"


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "first-machine"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    return fs


class Killed(BaseException):
    """As the process would be: nothing behind it runs."""


def test_a_killed_training_continues_on_another_machine_from_the_last_epoch_at_the_place(cloud, tmp_path, monkeypatch):
    splits = toy.toy_splits(2)
    expected = toy.toy_train(splits)

    def kill(epoch, state):
        if epoch == 3:
            raise Killed

    with pytest.raises(Killed), places.working_copy() as copy:
        toy.toy_train(splits, directory=copy.fetch(PLACE), options=TrainOptions(on_epoch=kill))
    assert {path.split("/")[4] for path in cloud.find("/bucket/training/checkpoints")} == {"1", "2", "3"}

    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "second-machine"))
    began = []
    with places.working_copy() as copy:
        folder = copy.fetch(PLACE)
        again = toy.toy_train(
            splits, directory=folder, options=TrainOptions(on_epoch=lambda epoch, state: began.append(epoch))
        )
        assert places.publish(folder) == 0
    assert began == [4]
    for name, history in expected.history.items():
        np.testing.assert_array_equal(history, again.history[name])
    rows = cloud.cat_file("/bucket/training/history.csv").decode().splitlines()
    assert len(rows) == 1 + 2 * 4


def test_an_epoch_of_which_only_a_part_was_published_gives_way_to_the_one_before(cloud, caplog):
    splits = toy.toy_splits(1)
    with places.working_copy() as copy:
        toy.toy_train(splits, directory=copy.fetch(PLACE))
        newest = "/bucket/training/checkpoints/4"
        files = cloud.find(newest)
        cloud.rm(max(files, key=cloud.size))
        began = []
        toy.toy_train(
            splits,
            directory=copy.fetch(PLACE),
            options=TrainOptions(on_epoch=lambda epoch, state: began.append(epoch)),
        )
    assert began == [4]
    assert "damaged" in caplog.text
    assert len(cloud.find(newest)) == len(files)
