"""Golden vectors of pose networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest


@pytest.fixture
def assert_golden(shared: Path) -> Callable[[Any, Any, str], None]:
    """Compares every array inside a network with those of a golden file, to 1e-5 of their scale.

    Vectors of random input are compared in double precision: their maps are far smaller than what is summed up in them,
    so that in float32 the order of sums, and with it the processor, decides in the fifth digit. In double only the
    rounding of the reference itself is left, 7e-6 at most. Vectors of a photograph are compared in float32: 2e-6.
    """

    def compare(network: Any, variables: Any, name: str) -> None:
        double = name.endswith("_random")
        with jax.enable_x64(double), np.load(shared / "golden" / "pose" / f"{name}.npz") as expected:
            dtype = np.float64 if double else np.float32
            variables = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), variables)
            upscaled, aux = jax.jit(network.apply)(variables, expected["input"].astype(dtype))
            found = aux | {"upscaled": upscaled}
            keys = set(expected.files) - {"input", "image_uint8"}
            assert "upscaled" in keys
            for key in keys:
                scale = np.abs(expected[key]).max()
                np.testing.assert_allclose(found[key], expected[key], rtol=0, atol=1e-5 * scale, err_msg=key)

    return compare
