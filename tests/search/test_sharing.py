"""Which choices share programs: the rule on made-up sizes, the sizes, and the groups."""

from collections import Counter
from itertools import combinations
from math import prod

import pytest

from infantjax.models.entry import count_operations
from infantjax.search.sharing import WORTH, Costs, Size, decide, expected_groups, size_of
from infantjax.search.space import PUBLISHED, SearchSpace, build_published
from infantjax.search.supernet import GROUPING, group_of

GROWTH = {"input_width": 2.0, "graph": 1.3, "pool": 1.01, "attention": 1.05}
SPACE = SearchSpace({"block_type": ("basic", "mbconv")} | dict.fromkeys(GROWTH, (0, 1, 2)))
COSTS = Costs(program=2.0, array=0.08, operation=1e-9)


def size(space: SearchSpace) -> Size:
    """Of a network of 100 arrays and a million operations, and more where alternatives are shared."""
    shared = [name for name, values in space.alternatives if len(values) > 1]
    return Size(1e6 * prod(GROWTH[name] for name in shared), 100 * 1.1 ** len(shared))


def seconds(shared: tuple[str, ...], candidates: int, windows: float) -> float:
    """Of a search, by the equation of the module."""
    groups = expected_groups(SPACE, shared, candidates)
    operations, arrays = size(group_of(SPACE, {name: v[0] for name, v in SPACE.alternatives}, shared))
    return groups * (2.0 + 0.08 * arrays) + candidates * windows * 1e-9 * operations


# --- the rule --------------------------------------------------------------------------------------------------------


def test_without_training_everything_is_shared():
    assert decide(SPACE, 60, 0, size, COSTS).shared == tuple(GROWTH)


def test_with_endless_training_nothing_is_shared():
    decided = decide(SPACE, 60, 1e9, size, COSTS)
    assert decided.shared == ()
    why = "nothing is shared: 60 candidates take about 16,666.8 h of CPU time, with pool shared 16,833.5 h"
    assert decided.why == why


def test_one_candidate_shares_nothing():
    assert decide(SPACE, 1, 0, size, COSTS).why == "nothing is shared: it would not save a program"


def test_a_space_of_one_candidate_a_group_shares_nothing():
    single = SPACE.restricted(dict.fromkeys(GROWTH, 0))
    assert decide(single, 60, 0, size, COSTS).shared == ()


def test_block_types_are_never_shared():
    assert not set(decide(SPACE, 60, 0, size, COSTS).shared) & set(GROUPING)


@pytest.mark.parametrize("windows", [0, 1e2, 1e3, 3e3, 1e4, 3e4, 1e5, 1e7])
def test_no_set_of_choices_is_cheaper_where_all_have_as_many_alternatives(windows):
    sets = [chosen for count in range(5) for chosen in combinations(GROWTH, count)]
    costs = {shared: seconds(shared, 60, windows) for shared in sets}
    cheapest = min(costs, key=costs.get)
    wanted = cheapest if costs[cheapest] < WORTH * costs[()] else ()
    assert set(decide(SPACE, 60, windows, size, COSTS).shared) == set(wanted)


def test_what_saves_next_to_nothing_is_not_shared():
    barely = next(w for w in range(0, 10**6, 1000) if not decide(SPACE, 60, w, size, COSTS).shared)
    least = min(seconds(shared, 60, barely) for shared in (("pool",), ("pool", "attention")))
    assert WORTH < least / seconds((), 60, barely) < 1


def test_longer_trainings_share_fewer_choices():
    shared = [len(decide(SPACE, 60, windows, size, COSTS).shared) for windows in (0, 3e3, 1e5, 1e9)]
    assert shared == sorted(shared, reverse=True)
    assert len(set(shared)) > 2


def test_what_makes_networks_larger_is_left_out_first():
    shared = decide(SPACE, 60, 3e3, size, COSTS).shared
    assert shared
    assert "input_width" not in shared


def test_the_reason_names_choices_programs_and_time():
    why = decide(SPACE, 60, 0, size, COSTS).why
    expected = "sharing input_width, graph, pool, attention: 60 candidates need about 2 programs and 0 min"
    assert why == f"{expected} of CPU time in place of 10 min"


# --- groups ----------------------------------------------------------------------------------------------------------


def test_where_nothing_is_shared_every_candidate_is_a_group():
    assert expected_groups(PUBLISHED, (), 60) == pytest.approx(60, rel=1e-6)


def test_where_all_is_shared_there_is_one_group():
    assert expected_groups(SPACE, SPACE.names, 7) == 1


def test_expected_groups_are_the_mean_over_all_draws():
    space = SearchSpace({"pool": (0, 1, 2), "se": (0, 1)})
    candidates = [(pool, se) for pool in (0, 1, 2) for se in (0, 1)]
    found = Counter(len({pool for pool, _ in drawn}) for drawn in combinations(candidates, 3))
    mean = sum(groups * times for groups, times in found.items()) / found.total()
    assert expected_groups(space, ("se",), 3) == pytest.approx(mean, rel=1e-12)


# --- sizes -----------------------------------------------------------------------------------------------------------

BASE = {name: values[0] for name, values in PUBLISHED.alternatives}


def test_the_size_of_one_candidate_is_that_of_its_own_network():
    found = size_of(PUBLISHED.restricted(BASE))
    # But for the last mean, which counts as published and is too small to matter.
    own = count_operations(build_published(BASE), (150, 19, 6), batch=1).total()
    assert found.operations == pytest.approx(own, rel=1e-5)


def test_a_program_for_two_widths_has_the_operations_of_the_wider_network():
    wider = BASE | {"input_width": 12}
    both = PUBLISHED.restricted(BASE | {"input_width": (6, 12)})
    own, shared = size_of(PUBLISHED.restricted(wider)), size_of(both)
    assert shared.operations == pytest.approx(own.operations, rel=0.05)
    assert shared.arrays == own.arrays


# --- the published search, with the constants that were measured ------------------------------------------------------


@pytest.mark.slow
def test_the_published_search_shares_nothing():
    # Some 300 infants to train on, one in seven with CP, and 120 to judge by; a hundred windows each.
    windows = 100 * (3 * 300 * 12 * (1 + 4 / 7) + 120 * 100)
    assert decide(PUBLISHED, 60, windows).shared == ()


@pytest.mark.slow
def test_a_short_search_among_small_networks_shares():
    free = {name: values for name, values in PUBLISHED.alternatives if name in ("attention", "se", "residual", "pool")}
    # Two epochs of four steps of 32 windows.
    assert decide(PUBLISHED.restricted(BASE | free), 20, 2 * 3 * 4 * 32).shared
