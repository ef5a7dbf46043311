"""Layers of image networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.nn import image


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(3, 2, 1), (3, 1, 2), (7, 2, 1), (5, 1, 1)])
@pytest.mark.parametrize("side", [8, 9])
def test_same_padding_is_that_of_jax(kernel_size, stride, dilation, side):
    x = jnp.ones((1, side, side, 2))
    kernel = jnp.ones((kernel_size, kernel_size, 2, 3))
    conv = image.ImageConv(2, 3, kernel_size, stride, norm=False, dilation=dilation)
    for train in (False, True):
        y = conv.apply({"params": {"kernel": kernel}}, x, train)
        expected = jax.lax.conv_general_dilated(
            x, kernel, (stride,) * 2, "SAME", rhs_dilation=(dilation,) * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        np.testing.assert_allclose(y, expected, rtol=1e-6)
