"""Search spaces: the published one with its size, and laws over any."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.architecture import KBEST, Architecture
from infantjax.methods.ensemble_gcn.objective import SPACE as PUBLISHED
from infantjax.methods.ensemble_gcn.objective import build
from infantjax.search.space import SearchSpace, pick, read_space

spaces = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 4), min_size=1, max_size=5).map(
    lambda sizes: SearchSpace({name: tuple(range(size)) for name, size in sizes.items()})
)


def test_the_published_space_has_its_twenty_choices_and_over_five_billion_candidates():
    assert len(PUBLISHED.names) == 20
    assert PUBLISHED.size == 5_435_817_984


def test_over_four_billion_of_them_differ():
    without = PUBLISHED.restricted({"se": "null"}).size
    assert PUBLISHED.size - without + without // (2 * 2) == 4_416_602_112


@pytest.mark.parametrize("index", range(10))
def test_the_published_architectures_are_candidates_of_the_space(index):
    candidate = PUBLISHED.candidate(KBEST[index].to_choices())
    assert PUBLISHED.contains(candidate)
    assert PUBLISHED.label(candidate) == KBEST[index].label


def test_a_candidate_is_built_as_its_architecture():
    choices = KBEST[1].to_choices()
    assert build(choices).architecture == Architecture.from_choices(choices)


@given(spaces, st.integers(0, 1000))
def test_a_sampled_candidate_is_of_the_space(space, seed):
    assert space.contains(space.sample(random.Random(seed).random))


@given(spaces, st.integers(0, 1000))
def test_choices_and_candidates_are_inverses(space, seed):
    candidate = space.sample(random.Random(seed).random)
    assert space.candidate(space.choices(candidate)) == candidate


@given(spaces, st.integers(0, 1000))
def test_neighbors_differ_in_one_choice_and_are_mutual(space, seed):
    candidate = space.sample(random.Random(seed).random)
    found = list(space.neighbors(candidate))
    assert len(set(found)) == len(found) == sum(len(values) - 1 for _, values in space.alternatives)
    for neighbor in found:
        assert sum(a != b for a, b in zip(candidate, neighbor)) == 1
        assert candidate in set(space.neighbors(neighbor))


def test_sampling_reaches_every_candidate_equally_often():
    space, generator = SearchSpace({"a": (1, 2), "b": ("x", "y", "z")}), random.Random(1)
    drawn = [space.sample(generator.random) for _ in range(6000)]
    assert all(880 < drawn.count(c) < 1120 for c in set(drawn))
    assert len(set(drawn)) == space.size


@pytest.mark.parametrize(("number", "taken"), [(0.0, "a"), (0.25, "a"), (0.2500001, "b"), (0.75, "b"), (0.99, "c")])
def test_the_first_alternative_whose_cumulative_probability_is_not_below_the_number_is_taken(number, taken):
    assert pick({"x": {"a": 0.25, "b": 0.5, "c": 0.25}}, lambda: number) == (taken,)


def test_where_the_sum_stays_below_the_number_the_last_alternative_is_taken():
    assert pick({"x": {"a": 0.5, "b": 0.499}}, lambda: 0.9999) == ("b",)


def test_neighbors_and_candidates_meet_the_constraint():
    space = SearchSpace({"a": (1, 2, 3), "b": (1, 2, 3)}, constraint=lambda choices: choices["a"] <= choices["b"])
    assert not space.contains((3, 1))
    assert set(space.neighbors((2, 2))) == {(1, 2), (2, 3)}


def test_a_constraint_that_nothing_meets_is_an_error():
    with pytest.raises(ValueError, match="no candidate meets the constraint"):
        SearchSpace({"a": (1, 2)}, constraint=lambda choices: False).sample(random.random)


def test_all_that_is_wrong_with_choices_is_named():
    space = SearchSpace({"a": (1, 2), "b": (1, 2)})
    with pytest.raises(ValueError, match="c is unknown; a is 3, allowed: 1, 2; b is missing"):
        space.candidate({"a": 3, "c": 1})


@pytest.mark.parametrize("wrong", [{}, {"a": ()}, {"a": (1, 1)}, {"a": (1, True)}])
def test_a_space_needs_choices_with_different_alternatives(wrong):
    with pytest.raises(ValueError, match="needs"):
        SearchSpace(wrong)


# --- from a file -----------------------------------------------------------------------------------------------------


def test_a_file_restricts_the_published_space(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"graph": ["dis2"], "se": ["null", "outer"]}))
    space = read_space(path, PUBLISHED)
    assert space.names == PUBLISHED.names
    assert space.size == PUBLISHED.size // 4 // 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("[1]", "it must be an object"),
        ("{", "Expecting"),
        ('{"color": [1]}', "unknown choices color"),
        ('{"graph": ["tree"]}', "graph has no alternative 'tree'; allowed: spatial"),
        ('{"graph": []}', "different alternatives"),
        ('{"graph": [["spatial"]]}', "no alternative"),
        ("[" * 100_000, "is no part of the search space"),
    ],
)
def test_an_odd_file_is_one_line(tmp_path, content, what):
    path = tmp_path / "space.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"space\.json") as error:
        read_space(path, PUBLISHED)
    assert what in str(error.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_space(tmp_path / "none.json", PUBLISHED)
