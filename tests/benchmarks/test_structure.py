"""Counting the tree: what is code, and which words are counted."""

import ast
from pathlib import Path

from benchmarks import structure

TEXT = '''"""What is told.

Two lines."""
import dataclasses

# A comment.
@dataclasses.dataclass
class Record:
    """See `Other`."""

    name: str = """of
two lines"""


made = Record("placed")
'''


def source(part: str = "infantjax") -> structure.Source:
    return structure.Source(Path(part, "module.py"), TEXT, ast.parse(TEXT))


def test_blank_lines_comments_and_docstrings_are_no_code():
    assert structure.code_lines(source()) == 6


def test_words_are_counted_in_their_forms_and_never_inside_of_others():
    assert structure.count_words(["Told to tell; replaced, places"]) == {
        **dict.fromkeys(structure.WORDS, 0),
        "told": 1,
        "tell": 1,
        "place": 1,
    }


def test_a_record_that_the_tests_construct_too_is_not_listed():
    assert structure.constructed_once([source()], []) == ["infantjax/module.py: Record"]
    assert structure.constructed_once([source()], [source("tests")]) == []
