"""Medians over networks and windows: exact cases by hand, and what holds for any risks."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from infantjax.assessment import aggregation

risks = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(0, 1, width=32))


def test_the_median_over_networks_comes_before_that_over_windows():
    table = np.array([[0.0, 0.2, 0.9], [0.1, 0.8, 0.3], [0.7, 0.4, 0.5]])
    np.testing.assert_array_equal(aggregation.window_risk(table), [0.1, 0.4, 0.5])
    assert aggregation.infant_risk(table) == 0.4
    # In the other order it would be 0.4 of (0.2, 0.3, 0.5) -> 0.3: the order is the reference implementation's.
    assert np.median(np.median(table, axis=1)) == 0.3
    np.testing.assert_array_equal(aggregation.network_risks(table), [0.2, 0.3, 0.5])


def test_an_even_number_gives_the_mean_of_the_two_in_the_middle():
    table = np.array([[0.0, 1.0], [0.5, 0.25]])
    np.testing.assert_array_equal(aggregation.window_risk(table), [0.25, 0.625])
    assert aggregation.infant_risk(table) == 0.4375
    np.testing.assert_array_equal(aggregation.network_risks(table), [0.5, 0.375])


def test_contributions_are_joined_over_networks_before_windows():
    # network, window, joint; networks first gives 0.1, 0.4, 0.5 -> 0.4, windows first 0.2, 0.3, 0.5 -> 0.3.
    table = np.array([[0.0, 0.2, 0.9], [0.1, 0.8, 0.3], [0.7, 0.4, 0.5]])
    both = np.stack([table, 1 - table], axis=-1)
    np.testing.assert_allclose(aggregation.infant_contributions(both), [0.4, 0.6], rtol=0, atol=1e-15)


@given(risks)
def test_a_risk_lies_between_the_smallest_and_the_largest(table):
    for value in (aggregation.infant_risk(table), *aggregation.network_risks(table), *aggregation.window_risk(table)):
        assert table.min() <= value <= table.max()


@given(risks, st.randoms(use_true_random=False))
def test_the_order_of_networks_and_of_windows_does_not_matter(table, random):
    networks, windows = list(range(table.shape[0])), list(range(table.shape[1]))
    random.shuffle(networks)
    random.shuffle(windows)
    shuffled = table[networks][:, windows]
    assert aggregation.infant_risk(shuffled) == aggregation.infant_risk(table)
    np.testing.assert_array_equal(aggregation.network_risks(shuffled), aggregation.network_risks(table)[networks])
    np.testing.assert_array_equal(aggregation.window_risk(shuffled), aggregation.window_risk(table)[windows])


@given(risks, st.integers(0, 6), st.integers(0, 6), st.floats(0, 1))
def test_a_larger_risk_of_one_window_never_lowers_the_infants(table, network, window, larger):
    higher = table.copy()
    at = network % table.shape[0], window % table.shape[1]
    assume(larger >= higher[at])
    higher[at] = larger
    assert aggregation.infant_risk(higher) >= aggregation.infant_risk(table)


@given(risks)
def test_one_network_has_the_infants_risk(table):
    assert aggregation.network_risks(table[:1])[0] == aggregation.infant_risk(table[:1])


@given(risks)
def test_repeating_every_network_changes_nothing(table):
    twice = np.concatenate([table, table])
    np.testing.assert_array_equal(aggregation.window_risk(twice), aggregation.window_risk(table))
