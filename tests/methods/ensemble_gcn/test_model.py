"""The graph networks against the published figures, the reference vectors, and their own laws."""

import gc
import json
from functools import partial

import chex
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax import models
from infantjax.devices import for_platform
from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, KBEST, Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork, fold
from infantjax.methods.ensemble_gcn.plan import plan
from infantjax.methods.ensemble_gcn.st_gcn import StGcn
from infantjax.models.summary import kept_counts, summarize
from infantjax.nn.initializers import initialize, shapes
from infantjax.weights import import_movement_outcome, import_st_gcn

REFERENCES = (*(f"random_0{i}" for i in range(1, 7)), *(f"published_0{i}" for i in (2, 3, 5, 8)))
"""Together they hold every alternative of every choice."""


def slow_but(fast, names):
    """All of them, of which only some are tested by default."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in names]


QUICK = {"xla_llvm_disable_expensive_passes": True}
"""For what holds however well a program is compiled (laws, double precision). Not a lower optimization level: there
jaxlib 0.10.2 computes wrong sums over joints and frames (seen in the gradient of a squeeze-and-excitation)."""

quick = partial(jax.jit, compiler_options=QUICK)

architectures = st.builds(
    lambda **choices: Architecture.from_choices(choices),
    **{name: st.sampled_from(alternatives) for name, alternatives in ALTERNATIVES.items()},
)


def small(**choices) -> Architecture:
    """A small architecture that every kind of layer can be switched on in."""
    base = {name: alternatives[0] for name, alternatives in ALTERNATIVES.items()}
    return Architecture.from_choices(base | {"bottleneck_factor": 2} | choices)


# --- published figures -----------------------------------------------------------------------------------------------

GRAPH = [name for name in models.names() if models.get(name).method == "ensemble-gcn"]


@pytest.mark.parametrize("name", GRAPH)
def test_parameters_and_flops_are_the_published_ones_to_the_printed_decimals(name):
    # The counts that are kept are those of the networks: `test_summary.py`.
    summary = summarize(models.get(name), counts=kept_counts()[name][models.get(name).skeleton])
    assert summary.parameters == models.get(name).published.parameters
    assert summary.published_flops == f"{summary.flops / 1e9:.2f}"
    assert summary.agree


def test_a_newer_counting_rule_gives_what_that_version_printed():
    module = models.get("kbest-gcn-2").build()
    assert f"{models.count_flops(module, (150, 19, 6), 'torchprofile-0.0.4') / 1e9:.2f}" == "0.27"


# --- reference vectors -----------------------------------------------------------------------------------------------


def reference(shared, name):
    """The vectors of a reference, with the module and variables that they belong to."""
    with np.load(shared / "golden" / "gcn" / f"{name}.npz") as archive:
        z = dict(archive)
    architecture = Architecture.from_choices(json.loads(str(z["config"])))
    return z, GraphNetwork(architecture), import_movement_outcome(z, architecture), z["x"].transpose(0, 2, 3, 1)


def relative(found, expected) -> float:
    expected = np.asarray(expected)
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


@pytest.mark.parametrize("name", slow_but(("random_06", "published_03"), REFERENCES))
def test_scores_and_features_are_those_of_the_reference(name, shared):
    z, module, variables, x = reference(shared, name)
    logits, aux = jax.jit(module.apply)(variables, x)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, z["logits_eval_f64"], rtol=0, atol=1e-5)
    assert relative(aux["pooled"], z["pooled_eval"]) < 1e-5
    assert relative(np.transpose(aux["features"][0], (2, 0, 1)), z["feature_eval_first"]) < 1e-4


def assert_statistics_are_those_after_a_pass(updates, z, architecture):
    # The state after one training pass, imported as a state of its own, names every statistic.
    after = import_movement_outcome(
        {k: v for k, v in z.items() if k.startswith("state/")}
        | {f"state/{k.removeprefix('stats_after/')}": v for k, v in z.items() if k.startswith("stats_after/")},
        architecture,
    )
    expected = dict(leaves(after["batch_stats"]))
    for path, found in leaves(jax.tree.map(np.asarray, updates["batch_stats"])):
        np.testing.assert_allclose(found, expected[path], rtol=1e-5, atol=1e-6, err_msg="/".join(path))


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCES)
def test_double_precision_scores_and_input_gradients_are_those_of_the_reference(name, shared):
    z, module, variables, x = reference(shared, name)

    def everything(variables, x):
        def score(x):
            logits, _ = module.apply(variables, x)
            return logits[:, 1].sum(), logits

        (_, logits), gradient = jax.value_and_grad(score, has_aux=True)(x)
        (train_logits, _), _ = module.apply(variables, x, train=True, mutable=["batch_stats"])
        return logits, train_logits, gradient

    with jax.enable_x64(True):
        double = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (variables, x))
        logits, train_logits, gradient = quick(everything)(*double)
        np.testing.assert_allclose(logits, z["logits_eval_f64"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(train_logits, z["logits_train_f64"], rtol=0, atol=1e-11)
        assert relative(np.transpose(gradient, (0, 3, 1, 2)), z["grad_logit1_x"]) < 1e-6


@pytest.mark.parametrize("name", slow_but(("random_06",), ("random_01", "random_03", "random_06")))
def test_five_nesterov_steps_lose_what_the_reference_loses(name, shared):
    z, module, variables, x = reference(shared, name)
    settings_ = json.loads(str(z["meta"]))["nesterov_sgd"]
    labels = jnp.array([0, 1, 0, 1])
    with jax.enable_x64(True):
        variables, x = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), (variables, x))
        optimizer = optax.sgd(settings_["lr"], settings_["momentum"], nesterov=True)
        params, rest = variables["params"], {k: v for k, v in variables.items() if k != "params"}
        state = optimizer.init(params)

        @quick
        def step(params, rest, state):
            def loss(params):
                (logits, _), updates = module.apply({"params": params, **rest}, x, train=True, mutable=["batch_stats"])
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates

            (value, updates), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            changes, state = optimizer.update(gradient, state)
            return optax.apply_updates(params, changes), rest | updates, state, value, gradient

        losses = []
        for _ in range(5):
            params, rest, state, value, gradient = step(params, rest, state)
            if not losses:
                first, statistics = gradient, {"batch_stats": rest["batch_stats"]}
            losses.append(float(value))
    np.testing.assert_allclose(losses, z["train_losses"], rtol=1e-10)
    assert_statistics_are_those_after_a_pass(statistics, z, module.architecture)
    importance = z["grad_param/edge_importance_input.00000"]
    assert relative(first["branch_0_0"]["edge_importance"], importance) < 1e-6


def test_st_gcn_is_the_reference(shared):
    with np.load(shared / "golden" / "stgcn" / "stgcn.npz") as archive:
        z = dict(archive)
    variables = import_st_gcn(z | recipe(json.loads(str(z["meta"]))))
    logits, aux = jax.jit(StGcn().apply)(variables, z["x"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(logits, z["logits_eval"], rtol=0, atol=1e-5)
    assert relative(aux["pooled"], z["pooled_eval"]) < 1e-5


def recipe(meta) -> dict[str, np.ndarray]:
    import hashlib

    arrays = {}
    for i, entry in enumerate(meta["recipe"]):
        rng = np.random.default_rng([meta["seed"], i])
        array = (rng.standard_normal(entry["shape"]) * entry["scale"]).astype("float32")
        assert hashlib.sha256(array.tobytes()).hexdigest() == entry["sha256"]
        arrays[f"state/{entry['name']}"] = array
    return arrays


# --- laws ------------------------------------------------------------------------------------------------------------

VARIANTS = (
    small(block_type="basic", main_temporal_scales=3, se="outer", residual="dense", pool="spatial"),
    small(block_type="bottleneck", main_temporal_scales=2, initial_residual="module", attention="joint", graph="dis42"),
    small(block_type="mbconv", main_temporal_scales=2, se="both", nonlinearity="swish", num_main_levels=2),
    small(initial_block_type="mbconv", input_temporal_scales=2, se="inner", attention="frame", residual="block"),
)


@pytest.fixture(scope="module", params=slow_but((2,), range(len(VARIANTS))), ids=lambda i: f"variant{i}")
def network(request):
    """A network with random statistics, so that evaluation differs from the identity of fresh ones, and its scores."""
    module = GraphNetwork(VARIANTS[request.param])
    x = jax.random.normal(jax.random.key(1), (3, 20, 19, 6))
    variables = initialize(module, jax.random.key(0), x)
    rng = np.random.default_rng(2)
    stats = jax.tree.map(
        lambda a: np.abs(a + 0.3 * rng.standard_normal(a.shape).astype(np.float32)), variables["batch_stats"]
    )
    variables = variables | {"batch_stats": stats}
    apply = quick(module.apply)
    return module, variables, x, apply(variables, x)[0], apply


@pytest.mark.slow  # an eager pass compiles every operation of its own
def test_evaluation_is_the_same_compiled_and_not(network):
    module, variables, x, scores, _ = network
    np.testing.assert_allclose(scores, module.apply(variables, x)[0], rtol=0, atol=1e-5)


def test_each_sample_is_scored_on_its_own(network):
    _, variables, x, scores, apply = network
    others = apply(variables, x.at[1:].set(7.0))[0]
    np.testing.assert_array_equal(others[0], scores[0])


def test_lean_network_gives_the_same_output_with_fewer_parameters(network):
    module, variables, x, scores, _ = network
    lean = GraphNetwork(module.architecture, lean=True)
    shapes = jax.eval_shape(lean.init, jax.random.key(0), x)

    def pick(tree, like):
        return {k: pick(tree[k], v) if isinstance(v, dict) else tree[k] for k, v in like.items()}

    fewer = pick(variables, shapes)
    assert models.count_parameters(lean, (20, 19, 6)) < models.count_parameters(module, (20, 19, 6))
    np.testing.assert_array_equal(quick(lean.apply)(fewer, x)[0], scores)


SCALED = (
    small(block_type="bottleneck", main_temporal_scales=2, se="outer", num_input_modules=1),
    small(block_type="basic", main_temporal_scales=3, input_temporal_scales=2, residual="dense", graph="dis42"),
    small(block_type="mbconv", main_temporal_scales=2, se="outer", nonlinearity="swish"),
    small(initial_block_type="mbconv", input_temporal_scales=2, se="inner", attention="channel", pool="spatial"),
)
"""Between them all that is computed in another form for an accelerator."""


@pytest.mark.slow  # the layers are tested by themselves
@pytest.mark.parametrize("variant", range(4))
def test_the_program_for_an_accelerator_trains_as_that_for_a_cpu(variant):
    module, rng = GraphNetwork(SCALED[variant]), np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 19, 6))
    variables = initialize(module, jax.random.key(0), np.float32(x))
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda a: np.asarray(a, np.float64), variables)

        def step(params):
            def loss(params):
                (scores, _), changed = module.apply(
                    variables | {"params": params}, x, train=True, mutable="batch_stats"
                )
                return jnp.square(scores - 1).sum(), changed

            return jax.value_and_grad(loss, has_aux=True)(params), module.apply(variables | {"params": params}, x)[0]

        results = [quick(for_platform(step, platform))(variables["params"]) for platform in ("cpu", "gpu")]
    chex.assert_trees_all_close(*results, rtol=1e-9, atol=1e-9)


def inner_programs(function, *arguments) -> list[int]:
    """Of each module that a program applies, which trace it is."""
    eqns = jax.make_jaxpr(function)(*arguments).jaxpr.eqns
    return [id(eqn.params["jaxpr"].jaxpr) for eqn in eqns if eqn.params.get("name") == "apply"]


def test_modules_that_are_alike_are_traced_once_in_training(network):
    module, variables, x, *_ = network
    branches, _, main = plan(module.architecture)
    modules = [*(spec for branch in branches for spec in branch), *main]
    train = partial(module.apply, train=True, mutable=["batch_stats"])
    found = inner_programs(lambda x: train(variables, x), x)
    assert len(found) == len(modules)
    assert len(set(found)) == len(set(modules)) <= len(modules) - 2 * len(branches[0])


@pytest.mark.slow
def test_little_of_a_trace_is_kept():
    def operations_and_kept(width: int) -> tuple[int, int]:
        module, x = GraphNetwork(small(input_width=width, num_input_modules=2)), jnp.zeros((2, 150, 19, 6))
        train = partial(module.apply, train=True, mutable=["batch_stats"])
        operations = str(jax.make_jaxpr(train)(shapes(module, x), x)).count(" = ")
        gc.collect()
        # Not `isinstance`, which asks every object of every library for its class.
        return operations, sum(type(found) is jax.extend.core.JaxprEqn for found in gc.get_objects())

    operations_and_kept(6)
    _, before = operations_and_kept(8)
    operations, after = operations_and_kept(10)
    assert after - before < operations / 4


@pytest.mark.parametrize("shape", [(1, 150, 18, 6), (1, 150, 19, 2), (150, 19, 6)])
def test_an_input_of_another_shape_is_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match=r"must be \[batch, time, 19 joints, 6 channels\], got"):
        jax.eval_shape(GraphNetwork(KBEST[1]).init, jax.random.key(0), jnp.zeros(shape))


# --- architectures ---------------------------------------------------------------------------------------------------


@given(architectures)
def test_an_architecture_survives_its_choices(architecture):
    assert Architecture.from_choices(architecture.to_choices()) == architecture


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"graph": "dis3"}, "graph is 'dis3'; allowed: spatial, dis2, dis4, dis42"),
        ({"input_width": 7}, "input_width is 7; allowed: 6, 8, 10, 12"),
        ({"num_main_levels": True}, "num_main_levels is True; allowed: 1, 2"),
        ({"color": "red"}, "unknown choices color; known: graph,"),
    ],
)
def test_a_wrong_choice_is_named_with_the_allowed_ones(change, message):
    with pytest.raises(ValueError, match=message):
        Architecture.from_choices(KBEST[0].to_choices() | change)


def test_a_missing_choice_is_named():
    with pytest.raises(ValueError, match="missing choices pool"):
        Architecture.from_choices({k: v for k, v in KBEST[0].to_choices().items() if k != "pool"})


def test_folded_variables_give_the_same_scores(network):
    module, variables, x, scores, apply = network
    folded = fold(module, variables)
    assert "batch_stats" not in folded
    np.testing.assert_allclose(apply(folded, x)[0], scores, rtol=0, atol=1e-5 * np.abs(scores).max())


def test_a_network_without_a_feature_does_not_read_it_and_folds():
    module = GraphNetwork(small(input_temporal_scales=2), without="velocity")
    x = np.random.default_rng(0).standard_normal((2, 20, 19, 6)).astype(np.float32)
    variables, rng = initialize(module, jax.random.key(0), x), np.random.default_rng(1)
    assert {name.split("_")[1] for name in variables["params"] if name.startswith("branch")} == {"0", "2"}
    apply, changed = quick(module.apply), [x.copy() for _ in "pvb"]
    for number, values in enumerate(changed):
        values[..., 2 * number : 2 * number + 2] += rng.standard_normal((2, 20, 19, 2)).astype(np.float32)
    scores, *others = (np.asarray(apply(variables, values)[0]) for values in (x, *changed))
    assert [bool((other == scores).all()) for other in others] == [False, True, False]
    np.testing.assert_allclose(apply(fold(module, variables), x)[0], scores, rtol=0, atol=1e-5 * np.abs(scores).max())


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 6])
def test_folded_variables_of_published_networks_give_the_same_scores(number):
    # All three kinds of blocks, with several scales that are composed with their fusion.
    module = GraphNetwork(KBEST[number - 1])
    x = np.random.default_rng(0).standard_normal((2, 30, 19, 6)).astype(np.float32)
    variables, rng = initialize(module, jax.random.key(0), x), np.random.default_rng(1)
    variables["batch_stats"] = jax.tree.map(
        lambda a: (a + 0.3 * np.abs(rng.standard_normal(a.shape))).astype(np.float32), variables["batch_stats"]
    )
    folded = fold(module, variables)
    assert "batch_stats" not in folded
    found, expected = (quick(module.apply)(v, x)[0] for v in (folded, variables))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
