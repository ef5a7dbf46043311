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
def analysis(make_recording, tmp_path):
    readers.write(make_recording(), tmp_path / "a.h5", "sleap-h5")
    return tmp_path / "a.h5"


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
        readers.read(analysis, fps=30)


def test_numbers_count_with_their_size_as_float64(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node_names"] = np.array([b"nose"])
        file.create_dataset("tracks", (1, 2, 1, 200_000_000), dtype="i1", chunks=True)
    with pytest.raises(InputError, match=r"tracks declares 3.2e\+09 bytes; at most 2.15e\+09 are read"):
        readers.read(tmp_path / "a.h5", fps=30)


@pytest.mark.parametrize("chunks", [None, True])
def test_a_declared_size_over_the_limit_is_refused_before_it_is_allocated(chunks, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node_names"] = np.array([b"nose"])
        file.create_dataset("tracks", (1, 2, 1, 500_000_000_000), dtype="f8", chunks=chunks)
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    with pytest.raises(InputError, match=r"tracks declares 8e\+12 bytes; at most 2.15e\+09 are read"):
        readers.read(tmp_path / "a.h5", fps=30)


def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node_names"] = np.array([b"nose"])
        file.create_dataset("tracks", data=np.zeros((1, 2, 1, 1_000_000)), compression="gzip")
    with pytest.raises(InputError, match=r"tracks unpacks to \d+ times its size; 100 are allowed"):
        readers.read(tmp_path / "a.h5", fps=30)


def test_a_compressed_file_is_read(tmp_path, make_recording):
    recording = make_recording(frames=3000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["node_names"] = np.array([j.encode() for j in recording.skeleton.joints])
        file.create_dataset("tracks", data=recording.keypoints.transpose(2, 1, 0)[None], compression="gzip")
    np.testing.assert_array_equal(readers.read(tmp_path / "a.h5", fps=30).keypoints, recording.keypoints)


def test_names_that_look_like_options_are_files(analysis, monkeypatch):
    odd = analysis.with_name("-c.h5")
    analysis.rename(odd)
    monkeypatch.chdir(odd.parent)
    assert readers.read("-c.h5", fps=30).frames == 12
