"""A super-network against each candidate's own network."""

import random
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from infantjax.cache import COMPILER_OPTIONS
from infantjax.methods.ensemble_gcn.model import Architecture, GraphNetwork
from infantjax.nn.initializers import shapes
from infantjax.search.space import PUBLISHED, SearchSpace
from infantjax.search.supernet import Embedding, SuperNetwork, group_of
from infantjax.skeletons import Skeleton

STICK = Skeleton(
    "stick-3", ("pelvis", "thorax", "hand"), ("thorax", "thorax", "thorax"), trunk=("thorax", "pelvis"), source="test"
)
SHALLOW = {
    "num_input_modules": (1,),
    "num_main_levels": (1,),
    "num_main_level_modules": (1,),
    "input_temporal_scales": (1,),
    "main_temporal_scales": (1, 2),
    "temporal_kernel_size": (3, 5),
}
quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True, **COMPILER_OPTIONS["cpu"]})


def space_of(initial: str, block: str, part: dict) -> SearchSpace:
    return PUBLISHED.restricted({"initial_block_type": initial, "block_type": block, **part})


def embeddings(space: SearchSpace, count: int, seed: int = 0) -> list[Embedding]:
    generator = random.Random(seed)
    network = SuperNetwork(space, STICK)
    return [Embedding.of(network, space.choices(space.sample(generator.random))) for _ in range(count)]


def numbers(module: GraphNetwork, seed: int) -> dict:
    """Variables in double precision, with statistics that are not those of a new norm, and any adjacency."""
    rng = np.random.default_rng(seed)
    leaves = flatten_dict(shapes(module, jnp.zeros((1, 9, 3, 6))))
    drawn = {path: 0.5 * rng.normal(size=leaf.shape) for path, leaf in leaves.items()}
    return unflatten_dict({path: abs(a) + 0.5 if path[-1] == "var" else a for path, a in drawn.items()})


X = np.random.default_rng(9).normal(size=(3, 9, 3, 6))
WEIGHTS = np.arange(1.0, 4.0)


def trained(module, variables, x):
    """Scores in training mode with the statistics after it."""
    (scores, _), updates = module.apply(variables, x, train=True, mutable=["batch_stats"])
    return {"scores": scores, **updates}


def everything(module, variables, x):
    """Scores in both modes, statistics, and the gradient of a loss by every parameter."""

    def loss(params):
        found = trained(module, {**variables, "params": params}, x)
        return found["scores"][:, 1] @ WEIGHTS, found

    (_, found), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return {**found, "evaluated": module.apply(variables, x)[0], "params": gradient}


def require_equal(what, candidates: list[Embedding]) -> None:
    """What a function finds in the super-network is what it finds in each candidate's own, in double precision."""
    variables = [numbers(candidate.module, seed) for seed, candidate in enumerate(candidates)]
    with jax.enable_x64(True):
        in_super = quick(partial(what, candidates[0].network))
        for candidate, own in zip(candidates, variables):
            packed = jax.tree.map(np.float64, candidate.pack(own))
            found = in_super(packed, X)
            wanted = quick(partial(what, candidate.module))(own, X)
            if "params" in found:
                for path, gradient in flatten_dict(found["params"]).items():
                    masked = flatten_dict(packed["masks"])[path] == 0
                    np.testing.assert_array_equal(np.asarray(gradient)[masked], 0, err_msg="/".join(path))
            found = {**found, **candidate.unpack(found)}
            found, wanted = flatten_dict(found), flatten_dict(wanted)
            assert found.keys() == wanted.keys()
            for path, array in wanted.items():
                # Of gradients that are zero but for rounding (biases before a norm), the rounding.
                scale = max(np.abs(array).max(), 1e-2)
                np.testing.assert_allclose(found[path], array, rtol=0, atol=1e-8 * scale, err_msg="/".join(path))


# --- exactness -------------------------------------------------------------------------------------------------------


def test_training_scores_and_statistics_are_those_of_each_candidates_own_network():
    part = {
        "main_temporal_scales": (1,),
        "initial_residual": ("null",),
        "se": ("null", "inner"),
        "attention": ("null", "channel"),
    }
    require_equal(trained, embeddings(space_of("basic", "basic", {**SHALLOW, **part}), 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("initial", "block", "part", "seed"),
    [
        ("basic", "basic", {**SHALLOW, "num_input_modules": (1, 2), "num_main_levels": (1, 2)}, 0),
        (
            "basic",
            "bottleneck",
            {**SHALLOW, "num_main_level_modules": (1, 3), "input_temporal_scales": (1, "linear")},
            1,
        ),
        ("bottleneck", "mbconv", {**SHALLOW, "num_input_modules": (1, 2), "attention": ("null", "frame")}, 2),
        ("mbconv", "basic", {**SHALLOW, "num_input_modules": (2, 3), "pool": ("global",)}, 3),
        ("mbconv", "mbconv", {**SHALLOW, "num_main_levels": (2,), "se_type": ("relative",)}, 4),
    ],
)
def test_scores_gradients_and_statistics_are_those_of_each_candidates_own_network(initial, block, part, seed):
    require_equal(everything, embeddings(space_of(initial, block, part), 3, seed))


@pytest.mark.slow
def test_in_the_whole_published_space_training_scores_and_statistics_are_those_of_each_candidates_own_network():
    require_equal(trained, embeddings(space_of("basic", "mbconv", {}), 3, 5))


# --- embedding -------------------------------------------------------------------------------------------------------

BASE = {name: values[0] for name, values in PUBLISHED.alternatives} | {"initial_block_type": "bottleneck"}


def test_variables_survive_being_packed_and_unpacked():
    space = space_of("bottleneck", "mbconv", {**SHALLOW, "num_main_levels": (1, 2), "num_main_level_modules": (1, 2)})
    network = SuperNetwork(space, STICK)
    candidate = Embedding.of(
        network, BASE | {"block_type": "mbconv", "num_main_levels": 2, "main_temporal_scales": 2, "residual": "dense"}
    )
    own = numbers(candidate.module, 0)
    packed = candidate.pack(own)
    back = flatten_dict(candidate.unpack(packed))
    wanted = {path: array for path, array in flatten_dict(own).items() if path[0] in ("params", "batch_stats")}
    assert back.keys() == wanted.keys()
    for path, array in wanted.items():
        np.testing.assert_array_equal(back[path], array)
    masks = jax.tree.leaves(packed["masks"])
    assert sum(mask.sum() for mask in masks) == sum(array.size for array in jax.tree.leaves(own["params"]))


def test_the_super_network_of_one_candidate_has_its_parameters_and_no_more():
    candidate = Embedding.of(SuperNetwork(group_of(PUBLISHED, BASE, ()), STICK), BASE)
    masks = jax.tree.leaves(candidate.pack(numbers(candidate.module, 0))["masks"])
    assert all((mask == 1).all() for mask in masks)


def test_a_short_temporal_kernel_lies_in_the_middle_of_the_longest():
    network = SuperNetwork(group_of(PUBLISHED, BASE, ("temporal_kernel_size",)), STICK)
    masks = flatten_dict(Embedding.of(network, BASE).pack(numbers(build(BASE), 0))["masks"])
    kernels = [mask for path, mask in masks.items() if path[-2].startswith("conv") and path[-1] == "kernel"]
    assert kernels
    for mask in kernels:
        assert len(mask) == 9
        assert mask[3:6].all()
        assert not mask[:3].any()
        assert not mask[6:].any()


def build(choices) -> GraphNetwork:
    return GraphNetwork(Architecture.from_choices(choices), STICK, lean=True)


# --- groups ----------------------------------------------------------------------------------------------------------


def test_candidates_that_agree_in_what_is_not_shared_are_one_group():
    first, second = ({**BASE, "attention": kind} for kind in ("channel", "joint"))
    assert group_of(PUBLISHED, first, ("attention",)) == group_of(PUBLISHED, second, ("attention",))
    assert group_of(PUBLISHED, first, ("pool",)) != group_of(PUBLISHED, second, ("pool",))


@pytest.mark.parametrize("name", ["block_type", "color"])
def test_block_types_and_unknown_choices_cannot_be_shared(name):
    with pytest.raises(ValueError, match=f"one program cannot serve several alternatives of {name}"):
        group_of(PUBLISHED, BASE, (name,))


def test_a_space_with_several_block_types_is_refused():
    with pytest.raises(ValueError, match="several alternatives of initial_block_type, block_type"):
        shapes(SuperNetwork(PUBLISHED, STICK), jnp.zeros((1, 9, 3, 6)))


def test_a_candidate_of_another_group_is_refused():
    network = SuperNetwork(group_of(PUBLISHED, BASE | {"graph": "dis2"}, ()), STICK)
    with pytest.raises(ValueError, match="graph is 'spatial', allowed: dis2"):
        Embedding.of(network, BASE | {"graph": "spatial"})
