"""catch22 of series: the reference's values, and series without any variance."""

import sys

import numpy as np
import pytest
from baseline_methods import catch22

# Where version 1.0 of the library and the older one of the reference agree: ours -> column of the reference. The others
# changed: counts by one, bins, and what is taken as the time scale.
SAME = {0: 0, 1: 1, 2: 13, 3: 14, 4: 2, 5: 3, 6: 15, 7: 20, 8: 21, 10: 6, 13: 17, 15: 5}


def test_values_that_no_version_changed_are_those_of_the_reference(shared):
    pytest.importorskip("pycatch22")
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / "catch24.npz") as z, np.load(folder / "model_input.npz") as given:
        found = catch22.catch22(given["timeseries"][:, z["series_columns"]])
        # Series are standardized in another way: by n and by n - 1.
        np.testing.assert_allclose(found[:, list(SAME)], z["values"][:, list(SAME.values())], rtol=3e-4, atol=5e-5)


def test_series_without_variance_or_with_gaps_are_zero():
    pytest.importorskip("pycatch22")
    series = np.random.default_rng(0).standard_normal((200, 3))
    series[:, 1], series[5, 2] = 3.0, np.nan
    found = catch22.catch22(series)
    assert found.shape == (3, 22)
    assert (found[1:] == 0).all()
    assert np.isfinite(found[0]).all()
    assert (found[0] != 0).any()
    with pytest.raises(ValueError, match="at least 3 frames"):
        catch22.catch22(series[:2])


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycatch22", None)
    with pytest.raises(ImportError, match="this needs pycatch22: pip install"):
        catch22.catch22(np.zeros((5, 1)))
