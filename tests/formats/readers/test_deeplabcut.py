"""DeepLabCut files as pandas writes them, and files that were crafted to do harm."""

import pickle

import h5py
import numpy as np
import pandas as pd
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.skeletons import BABY_MOVES_18

PARTS = ["LEye", "REye", "Crown", "Chin"]
PARTS += [side + part for side in "LR" for part in ("Shoulder", "Elbow", "Hand", "Hip", "Knee", "Heel", "Toe")]


def frame(individuals=(), frames=20, index=None):
    levels = [["DLC_resnet50"], *([list(individuals)] if individuals else []), PARTS, ["x", "y", "likelihood"]]
    names = ["scorer", *(["individuals"] if individuals else []), "bodyparts", "coords"]
    columns = pd.MultiIndex.from_product(levels, names=names)
    values = np.random.default_rng(3).random((frames, len(columns)))
    values[:, 0::3] *= 640
    values[:, 1::3] *= 480
    values[2, :6] = np.nan
    return pd.DataFrame(values, columns=columns, index=index)


def save(data, path):
    """The file that DeepLabCut writes of this name: `table.h5`, `fixed.h5` or `a.csv`."""
    if path.suffix == ".h5":
        data.to_hdf(path, key="df_with_missing", format=path.stem, mode="w")
    else:
        data.to_csv(path)
    return path


def points(data, individual=None):
    data = data.droplevel("scorer", axis=1)
    data = data[individual] if individual else data
    names = {p: f"{'left' if p[0] == 'L' else 'right'}_{p[1:].lower()}" for p in PARTS}
    names |= {"Crown": "crown", "Chin": "chin"}
    order = sorted(PARTS, key=lambda p: BABY_MOVES_18.index(names[p]))
    return np.stack([data.xs(axis, level="coords", axis=1)[order] for axis in ("x", "y")], axis=-1)


FILES = ["table.h5", "a.csv"]


@pytest.mark.parametrize("name", FILES)
def test_one_animal_is_read_in_every_layout(name, tmp_path):
    data = frame()
    recording = readers.read(save(data, tmp_path / name), fps=30)
    assert recording.skeleton is BABY_MOVES_18
    np.testing.assert_array_equal(recording.keypoints, points(data))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("individual", ["infant", "nurse"])
def test_of_several_animals_the_one_that_is_named_is_read(name, individual, tmp_path):
    data = frame(["infant", "nurse"])
    recording = readers.read(save(data, tmp_path / name), fps=30, individual=individual)
    np.testing.assert_array_equal(recording.keypoints, points(data, individual))
    assert f'individual "{individual}" of 2 was taken' in recording.notes


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of movement and what it imports
@pytest.mark.parametrize("name", FILES)
def test_the_result_is_that_of_movement(name, tmp_path):
    load_poses = pytest.importorskip("movement.io.load_poses", reason='pip install "infantjax[peers]"')
    path = save(frame(), tmp_path / name)
    theirs = load_poses.from_dlc_file(path, fps=30)
    ours = readers.read(path, fps=30)
    order = [str(k) for k in theirs.coords[next(d for d in theirs.position.dims if d.startswith("keypoint"))].values]
    index = [ours.skeleton.joints.index(j) for j in map(canonical, order)]
    position = theirs.position.squeeze().values  # [time, space, keypoint]
    np.testing.assert_array_equal(ours.keypoints[:, index], position.transpose(0, 2, 1))
    np.testing.assert_array_equal(ours.confidence[:, index], theirs.confidence.squeeze().values)


def canonical(part):
    return part.lower() if part in ("Crown", "Chin") else f"{'left' if part[0] == 'L' else 'right'}_{part[1:].lower()}"


@pytest.mark.parametrize("name", FILES)
def test_several_animals_without_a_choice_are_listed(name, tmp_path):
    path = save(frame(["infant", "nurse"]), tmp_path / name)
    with pytest.raises(InputError, match=r"holds 2 individuals \(infant, nurse\); choose one with --individual"):
        readers.read(path, fps=30)
    with pytest.raises(InputError, match='has no individual "cat"'):
        readers.read(path, fps=30, individual="cat")


# pandas cannot write three index levels in the table layout.
@pytest.mark.parametrize(
    ("name", "levels"), [("a.csv", 1), ("a.csv", 3), ("table.h5", 1), ("fixed.h5", 1), ("fixed.h5", 3)]
)
def test_labeled_training_frames_are_refused_with_the_reason(name, levels, tmp_path):
    images = [f"img{i:03d}.png" for i in range(20)]
    index = (
        pd.MultiIndex.from_tuples([("labeled-data", "video", i) for i in images])
        if levels == 3
        else pd.Index([f"labeled-data/video/{i}" for i in images])
    )
    path = save(frame(index=index), tmp_path / name)
    with pytest.raises(InputError, match="holds labeled training frames"):
        readers.read(path, fps=30)


class Harmful:
    """Unpickling it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize(
    "attribute", ["table/values_block_0_kind", "info", "non_index_axes", "index_cols", "values_cols", "data_columns"]
)
@pytest.mark.parametrize("protocol", [0, 4])
def test_a_pickle_in_any_attribute_runs_no_code(attribute, protocol, tmp_path):
    marker = tmp_path / "marker"
    frame().to_hdf(tmp_path / "a.h5", key="df_with_missing", format="table", mode="w")
    payload = pickle.dumps(Harmful(marker), protocol=protocol)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        group = file["df_with_missing"]
        item, name = (group["table"], "values_block_0_kind") if "/" in attribute else (group, attribute)
        item.attrs[name] = np.bytes_(payload) if b"\0" not in payload else np.void(payload)
    if attribute.startswith("table/"):
        with pytest.raises(InputError, match=r"it asks for .*open.*do not use the file|are not where pandas puts them"):
            readers.read(tmp_path / "a.h5", fps=30)
    else:
        assert readers.read(tmp_path / "a.h5", fps=30).frames == 20
    assert not marker.exists()


def test_the_crafted_pickle_does_work_where_it_is_unpickled(tmp_path):
    # Otherwise the tests above would pass for any harmless payload.
    pickle.loads(pickle.dumps(Harmful(tmp_path / "marker"), protocol=0)).close()
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("names", [[("DLC", "nose")], ["nose_x"], ("a", "b"), [("DLC", "nose", 3)], {"a": 1}])
def test_column_names_of_another_shape_are_refused(names, tmp_path):
    frame().to_hdf(tmp_path / "a.h5", key="df_with_missing", format="table", mode="w")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, protocol=0))
    with pytest.raises(InputError, match="its column names are no plain list of names"):
        readers.read(tmp_path / "a.h5", fps=30)


def test_two_tables_in_one_file_are_refused(tmp_path):
    for key in ("first", "second"):
        frame().to_hdf(tmp_path / "a.h5", key=key, format="table", mode="a")
    with pytest.raises(InputError, match="holds 2 tables of DeepLabCut, expected one"):
        readers.read(tmp_path / "a.h5", fps=30)


def test_two_scorers_in_one_file_are_refused(tmp_path):
    data = frame()
    both = pd.concat([data, data.rename(columns={"DLC_resnet50": "someone"}, level="scorer")], axis=1)
    both.to_csv(tmp_path / "a.csv")
    with pytest.raises(InputError, match='joint "LEye" has two columns "x"'):
        readers.read(tmp_path / "a.csv", fps=30)
