"""The program that reads HDF5: whatever it does, the process that asked goes on."""

import sys

import h5py
import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.formats import hdf5

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def analysis(tmp_path):
    """An analysis file of SLEAP whose tracks can be replaced."""

    def write(**options):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["node_names"] = np.array([b"nose"])
            file.create_dataset("tracks", **({"data": np.ones((1, 2, 1, 12))} | options))
        return tmp_path / "a.h5"

    return write


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("while true; do sleep 0.1; done", "reading it takes too long"),
        ("kill -SEGV $$", "the HDF5 library crashes on it"),
        ("exit 3", "the HDF5 library crashes on it"),
        ("exit 0", "the HDF5 library crashes on it"),
    ],
)
def test_a_library_that_hangs_or_crashes_is_one_error(program, message, analysis, tmp_path, monkeypatch):
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(hdf5, "TIME_LIMIT", 0.5)
    with pytest.raises(InputError, match=message):
        readers.read(analysis(), fps=30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        # Numbers count with their size as float64.
        (
            {"shape": (1, 2, 1, 200_000_000), "dtype": "i1", "chunks": True, "data": None},
            r"tracks declares 3.2e\+09 bytes; at most 5.37e\+08 are read",
        ),
        (
            {"shape": (1, 2, 1, 500_000_000_000), "dtype": "f8", "chunks": True, "data": None},
            r"tracks declares 8e\+12 bytes; at most",
        ),
        ({"data": np.zeros((1, 2, 1, 1_000_000)), "compression": "gzip"}, r"tracks unpacks to \d+ times its size; 100"),
    ],
)
def test_a_declared_size_over_a_limit_is_refused_before_it_is_allocated(options, message, analysis):
    with pytest.raises(InputError, match=message):
        readers.read(analysis(**options), fps=30)


def test_a_compressed_file_is_read_also_by_a_name_that_looks_like_an_option(analysis, monkeypatch):
    points = np.random.default_rng(0).normal(300, 60, (1, 2, 1, 3000))
    path = analysis(data=points, compression="gzip")
    odd = path.rename(path.with_name("-c.h5"))
    monkeypatch.chdir(odd.parent)
    read = readers.read("-c.h5", fps=30, skeleton="in-motion-19")
    np.testing.assert_array_equal(read.keypoints[:, 1], points[0, :, 0].T)


def test_a_small_file_of_gigabytes_takes_no_memory(analysis):
    """20 MB that unpack to 2 GB, below the ratio: their size alone is refused."""
    path, rows = analysis(shape=(1, 2, 1, 120_000_000), dtype="f8", chunks=(1, 1, 1, 1_000_000), data=None), 2_600_000
    with h5py.File(path, "a") as file:
        file["tracks"][0, 0, 0, :rows] = 1.0
    assert 20e6 < path.stat().st_size < 40e6
    with pytest.raises(InputError, match=r"tracks declares 1.92e\+09 bytes; at most 5.37e\+08 are read"):
        readers.read(path, fps=30)
