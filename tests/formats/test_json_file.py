"""JSON of others: depth and size before parsing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.formats import json_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{}:,\n\u00e9', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]{', max_size=4), inner, max_size=3),
    max_leaves=20,
)


def depth(value):
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(VALUES, st.booleans())
def test_depth_is_that_of_the_value_whatever_its_strings_hold(value, ascii_only):
    assert json_file.depth(json.dumps(value, ensure_ascii=ascii_only).encode()) == depth(value)


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_depth_does_not_depend_on_the_size_of_the_pieces(piece, monkeypatch):
    value = {"a": ['\\"[[', {'b"': [[], "}"]}], "c": [["[" * 9]]}
    text = json.dumps(value).encode()
    monkeypatch.setattr(json_file, "_PIECE", piece)
    assert json_file.depth(text) == depth(value) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_json_is_read(encoding, tmp_path):
    (tmp_path / "a.json").write_bytes('{"a": "\u00e9"}'.encode(encoding))
    assert json_file.load(tmp_path / "a.json") == {"a": "\u00e9"}


def test_depth_100_is_read_and_101_is_not(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100 + "]" * 100)
    assert depth(json_file.load(tmp_path / "a.json")) == 100
    (tmp_path / "a.json").write_text("[" * 101 + "]" * 101)
    with pytest.raises(InputError, match="nested more than 100 levels deep"):
        json_file.load(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{'a': 1}", "\ufeff", "nul", '{"a": 1} x', "]" * 300])
def test_what_is_no_json_is_said_so(text, tmp_path):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not JSON that can be read"):
        json_file.load(tmp_path / "a.json")


def test_too_much_json_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(json_file, "MAX_JSON_BYTES", 10)
    (tmp_path / "a.json").write_text("[" * 20)
    with pytest.raises(InputError, match="is JSON of more than 0 MB"):
        json_file.load(tmp_path / "a.json")
