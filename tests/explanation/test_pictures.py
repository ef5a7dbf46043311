"""Pictures of maps over the body: what is drawn where, for every system that reads body points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stam_model import Stam

from infantjax.evaluation import plots
from infantjax.explanation import attribution, pictures, saliency
from infantjax.methods.baby_moves.model import BabyMoves
from infantjax.methods.mam.model import MAM
from infantjax.methods.sma_cnn.model import SmaCnn
from infantjax.nn.initializers import initialize
from infantjax.skeletons import BABY_MOVES_18, HUMAN36M_17, IN_MOTION_19, OPENPOSE_18, body_parts

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(7, 19, 2))


def dots(axes):
    return axes.collections[0]


def test_every_joint_with_a_value_and_a_place_is_a_dot():
    values, points = np.arange(19.0), POINTS.copy()
    values[3] = np.nan
    points[:, 5] = np.nan
    points[2, 6] = np.nan
    (axes,) = pictures.over_body({"gradient": values}, points, IN_MOTION_19).axes[:1]
    assert len(dots(axes).get_offsets()) == 17
    assert sorted(dots(axes).get_array()) == sorted(np.delete(values, [3, 5]))
    largest = dots(axes).get_offsets()[-1]
    np.testing.assert_allclose(largest, np.median(points[:, 18], axis=0))
    assert axes.get_title() == "gradient"


def test_values_below_zero_take_colors_that_are_even_about_zero():
    values = np.zeros(19)
    values[:2] = -4, 1
    found = [
        dots(pictures.over_body({"map": v}, POINTS, IN_MOTION_19).axes[0]).get_clim() for v in (values, abs(values))
    ]
    assert found == [(-4, 4), (0, 4)]


def test_the_largest_magnitudes_are_named_and_zeros_are_not():
    values = np.zeros(19)
    values[[1, 4]] = -3, 2
    axes = pictures.over_body({"map": values}, POINTS, IN_MOTION_19).axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts[:2] == [
        f"{IN_MOTION_19.joints[1].replace('_', ' ')} -3",
        f"{IN_MOTION_19.joints[4].replace('_', ' ')} 2",
    ]
    assert [text for text in texts[2:] if "infant" not in text] == []


def test_an_empty_body_and_a_map_of_zeros_are_drawn():
    empty = pictures.over_body({"map": np.zeros(19)}, np.full((3, 19, 2), np.nan), IN_MOTION_19)
    assert len(dots(empty.axes[0]).get_offsets()) == 0
    pictures.over_body({"map": np.zeros(19)}, POINTS, IN_MOTION_19)


def test_a_picture_is_written_as_svg_and_png_and_twice_alike(tmp_path):
    for name in ("a", "b"):
        figure = pictures.over_body({"one": np.arange(19.0), "two": -np.arange(19.0)}, POINTS, IN_MOTION_19)
        plots.save({"body": figure}, tmp_path / name)
        plots.save({"body": figure}, tmp_path / name, "png")
    for file in ("body.svg", "body.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / "body.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("maps", "points", "what"),
    [
        ({}, POINTS, "1 to 6 maps"),
        ({"a": np.zeros(18)}, POINTS, r"a \(18,\)"),
        ({"a": np.zeros(19)}, POINTS[:, :18], r"\[time, 19, 2 or 3\]"),
    ],
)
def test_what_does_not_fit_the_skeleton_is_told(maps, points, what):
    with pytest.raises(ValueError, match=what):
        pictures.over_body(maps, points, IN_MOTION_19)


def test_values_of_parts_lie_on_their_joints():
    found = pictures.on_joints({"head": 2.0}, body_parts(IN_MOTION_19), IN_MOTION_19)
    head = list(body_parts(IN_MOTION_19)["head"])
    assert set(found[head]) == {2.0}
    assert np.isnan(np.delete(found, head)).all()


def systems():
    """Small networks of every system that reads body points: input `[batch, time, joint, channel]` and score."""
    stam = Stam(widths=(4, 4, 4))
    mam = MAM(frames=16, width=8, blocks=1, heads=2, hidden=8)
    sma = SmaCnn(features=(3, 4, 5, 6))

    def rows(x):
        return x.transpose(0, 2, 3, 1).reshape(len(x), -1, x.shape[1], 1)

    return {
        "stam": (stam, lambda x: x, (1, 30, 18, 7), lambda out: out[:, 1] - out[:, 0], OPENPOSE_18),
        "mam": (mam, lambda x: x[:, None], (1, 16, 17, 17), lambda out: out, HUMAN36M_17),
        "sma-cnn": (sma, rows, (1, 120, 4, 3), lambda out: out, IN_MOTION_19),
    }


SLOW = [pytest.param(system, marks=pytest.mark.slow) for system in ("stam", "mam")]


@pytest.mark.parametrize("system", ["sma-cnn", *SLOW])
def test_a_map_of_each_system_can_be_had_and_drawn(system):
    module, arranged, shape, scored, skeleton = systems()[system]
    x = jnp.asarray(RNG.normal(size=shape), jnp.float32)
    quick = {"xla_llvm_disable_expensive_passes": True}
    variables = jax.jit(lambda key: initialize(module, key, arranged(x)), compiler_options=quick)(jax.random.key(0))

    def found(x):
        of = attribution.gradient(lambda x: scored(module.apply(variables, arranged(x))[0]), x)
        return attribution.by_joint(jnp.abs(of))

    values = np.asarray(jax.jit(found, compiler_options=quick)(x))
    assert (values.shape, (values > 0).all()) == ((shape[2],), True)
    if system == "sma-cnn":
        limbs = {name: (skeleton.index(name),) for name in ("right_wrist", "left_wrist", "right_ankle", "left_ankle")}
        values = pictures.on_joints(dict(zip(limbs, values)), limbs, skeleton)
    axes = pictures.over_body({system: values}, RNG.normal(size=(3, len(skeleton.joints), 3)), skeleton).axes[0]
    assert len(dots(axes).get_offsets()) == shape[2]


def test_the_saliency_of_baby_moves_can_be_drawn():
    module = BabyMoves(dropout=0.0)
    series = RNG.normal(size=(128, 46)).astype(np.float32)
    quick = {"xla_llvm_disable_expensive_passes": True}
    start = jax.jit(lambda key: initialize(module, key, series[None, None]), compiler_options=quick)
    variables = start(jax.random.key(0))
    found = jax.jit(lambda s: saliency.clip_saliency(module, variables, s), compiler_options=quick)(series)
    points = saliency.body_map(found).points.mean(axis=0)
    figure = pictures.over_body({"gradient": points}, RNG.normal(size=(3, 18, 2)), BABY_MOVES_18)
    assert len(dots(figure.axes[0]).get_offsets()) == 18
