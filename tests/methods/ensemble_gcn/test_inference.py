"""The program of one architecture: what it does to the windows before the network, and to the scores behind it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.window_networks import EnsembleProgram, Scores, WindowNetwork
from infantjax.recording import features, windows
from infantjax.skeletons import IN_MOTION_19
from infantjax.weights.ensemble import Ensemble, leaves, load_ensemble

# What is tested holds however well a program is compiled.
quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})

INSTANCES, FRAMES, JOINTS = 3, 12, len(IN_MOTION_19.joints)


class Network:
    """One layer: a linear map of the joints' channels, pooled through a layer of its own."""

    skeleton = IN_MOTION_19

    @staticmethod
    def apply(variables, inputs):
        params = variables["params"]
        hidden = jnp.tanh(inputs @ params["hidden"])
        pooled = jnp.einsum("btvc,vco->bo", hidden, params["pool"]["kernel"]) / inputs.shape[1]
        return pooled @ params["classifier"]["kernel"], {"features": hidden}


NETWORK = Network()


@pytest.fixture(scope="module")
def stack():
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.standard_normal((INSTANCES, *shape)).astype(np.float32)

    params = {
        "hidden": array(4, 5),
        "pool": {"kernel": array(JOINTS, 5, 6) / 10},
        "classifier": {"kernel": array(6, 2)},
    }
    return {"params": params}


@pytest.fixture(scope="module")
def positions():
    return np.random.default_rng(1).standard_normal((4, FRAMES, JOINTS, 2)).astype(np.float32)


def network_of(stack, number):
    return jax.tree.map(lambda a: a[number], stack)


def network_with(names, rotation, exact) -> WindowNetwork:
    def inputs(cut):
        return features.build_features(windows.align_windows(cut, IN_MOTION_19, rotation), IN_MOTION_19, names)

    return WindowNetwork(NETWORK, inputs, lambda variables: variables, (FRAMES, JOINTS, 4), exact)


def scores(stack, positions, names=("position", "velocity"), rotation="frame", exact=False) -> Scores:
    network = network_with(names, rotation, exact)
    return Scores(*map(np.asarray, quick(network.runs)(dict(leaves(stack)), positions)))


@pytest.fixture(scope="module")
def together(stack, positions) -> Scores:
    """All networks side by side; contributions go through the pooling layer.

    The feature map of this network has other channels than its classifier reads, which the exact way needs.
    """
    return scores(stack, positions, exact=True)


def test_scores_are_those_of_each_network_on_its_features(stack, positions, together):
    @quick
    def expected(variables):
        inputs = features.build_features(positions, IN_MOTION_19, ("position", "velocity"))
        logits, aux = NETWORK.apply(variables, inputs)
        weights = class_weights(variables["params"], exact=True)
        return jax.nn.softmax(logits)[:, 1], contributions(aux["features"], weights)

    for i in range(INSTANCES):
        risk, contribution = expected(network_of(stack, i))
        np.testing.assert_allclose(together.risk[i], risk, rtol=0, atol=1e-6)
        np.testing.assert_allclose(together.contributions[i], contribution, rtol=0, atol=1e-5)


def test_the_exact_way_goes_through_the_pooling_and_the_released_one_does_not(stack, positions):
    square = {"params": {**stack["params"], "classifier": {"kernel": stack["params"]["classifier"]["kernel"][:, :5]}}}
    square["params"]["pool"] = {"kernel": stack["params"]["pool"]["kernel"][..., :5]}
    reference, exact = (scores(square, positions, exact=exact) for exact in (False, True))
    np.testing.assert_array_equal(reference.risk, exact.risk)
    assert np.abs(reference.contributions - exact.contributions).max() > 0.1


def test_each_window_is_turned_by_its_first_frame_where_the_preprocessing_says_so(stack, positions, together):
    turned = windows.align_windows(jnp.asarray(positions), IN_MOTION_19, "window_first")
    found = scores(stack, positions, exact=True, rotation="window_first")
    np.testing.assert_allclose(found.risk, scores(stack, turned, exact=True).risk, rtol=0, atol=1e-5)
    assert np.abs(found.risk - together.risk).max() > 1e-3


def test_products_are_computed_in_full_precision(stack, positions):
    """Accelerators round products of float32 by default; published weights are exact only without that."""
    network = network_with(("position", "velocity"), "frame", True)
    program = jax.make_jaxpr(network)(network_of(stack, 0), positions)
    text = str(program)
    assert text.count("dot_general") >= 3
    assert text.count("dot_general") == text.count("precision=Precision.HIGHEST") + text.count(
        "precision=(Precision.HIGHEST, Precision.HIGHEST)"
    )


# --- the ensemble ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ensemble(ensemble_folder) -> Ensemble:
    return load_ensemble(ensemble_folder)


class Fixed(EnsembleProgram):
    """An ensemble whose risks are given."""

    def __init__(self, risks) -> None:
        super().__init__((), lambda member: None, None, 150, JOINTS)
        self.risks = np.asarray(risks, np.float32)

    def scores(self, positions, keep=None):
        shape = (*self.risks.shape, JOINTS)
        return [Scores(self.risks, np.zeros(shape, np.float32))], np.arange(self.risks.shape[1]) * 75


def with_risks(ensemble, risks, **options) -> EnsembleGcnAssessor:
    made = EnsembleGcnAssessor(ensemble, **options)
    made._program = Fixed(risks)
    return made


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_risk_that_is_not_a_number_is_refused(ensemble, record, bad):
    with pytest.raises(InputError, match="gives a risk that is not a number; check its coordinates"):
        with_risks(ensemble, [[0.2, 0.3], [0.4, bad]]).assess(record(150))


def test_the_infant_is_assessed_by_networks_and_each_window_by_its_own(ensemble, record):
    risks = [[0.1, 0.9, 0.9], [0.4, 0.6, 0.4]]
    found = with_risks(ensemble, risks, threshold=0.5).assess(record(225))
    np.testing.assert_allclose(found.time_series.median, [0.25, 0.75, 0.65], rtol=0, atol=1e-7)
    assert found.value == pytest.approx(0.65)
    assert [member.value for member in found.members] == pytest.approx([0.9, 0.4])
    assert (found.positive, found.agreement, found.certainty.level) == (True, 0.5, "orange")
    assert found.time_series.certainty == ("green", "red", "orange")
    assert (found.low, found.high) == pytest.approx((0.525, 0.775))
