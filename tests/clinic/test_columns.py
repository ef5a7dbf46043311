"""Columns of a cohort and what the records beside a table of risks hold."""

import json

import numpy as np
import pytest

from infantjax.clinic.columns import entries_of, read_infant_column, read_measures, to_column
from infantjax.errors import InputError


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (["10.5", "11", "12", "9,5", "8", "7", ""], "number"),
        (["1", "2", "3", "4", "5", "5", ""], "category"),
        (["1", "2", "3", "4", "5", "6", "II"], "category"),
        (["", ""], "category"),
    ],
)
def test_the_kind_of_a_column_is_found_from_its_entries(entries, kind):
    column = to_column("x", entries)
    assert (entries_of(column) is None) == (kind == "number")
    assert column.notna().tolist() == [entry != "" for entry in entries]


def test_a_kind_can_be_asked_for():
    assert to_column("x", ["1", "2", "1,5"], "number").values.tolist() == [1, 2, 1.5]
    assert entries_of(to_column("center", list("7612345"), "category")) == list("1234567")
    with pytest.raises(ValueError, match='"x" has the entry "IV", which is not a number'):
        to_column("x", ["1", "IV"], "number")
    with pytest.raises(ValueError, match="has 21 different entries, at most 20"):
        to_column("name", [f"infant {number}" for number in range(21)])


def test_recordings_of_an_infant_share_an_entry(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text("id;outcome;group;sex;light\na1;1;a;f;dim\na2;1;a;;bright\nb;0;b;m;dim\n")
    recordings = {"a": ["a1", "orgcoords_a2"], "b": ["b"], "c": ["c"]}
    assert read_infant_column(path, "sex", recordings).astype(object).fillna("").tolist() == ["f", "m", ""]
    with pytest.raises(InputError, match='infant "a" different entries in column "light"'):
        read_infant_column(path, "light", recordings)


def test_contributions_and_tracking_are_means_over_the_records_of_an_infant(tmp_path):
    for name, value in {"a1": 0.2, "a2": 0.4}.items():
        record = {"contributions": {"nose": value}, "quality": {"summary": {"usable": 2 * value, "fps": 30}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    (tmp_path / "c.json").write_text('{"contributions": null, "quality": null}')
    (tmp_path / "quality.csv").write_text("id,assessable,usable,missing\nc,true,0.9,0.1\n")
    recordings = {"a": ["a1", "a2"], "b": ["b"], "c": ["c"]}
    contributions, tracking = read_measures(tmp_path / "summary.csv", recordings)
    np.testing.assert_allclose(contributions["nose"], [0.3, np.nan, np.nan])
    np.testing.assert_allclose(tracking[["usable", "missing"]], [[0.6, np.nan], [np.nan, np.nan], [0.9, 0.1]])
    assert all(table.empty for table in read_measures(tmp_path / "elsewhere" / "summary.csv", recordings))


def test_named_groups_of_entries_are_compared_in_place_of_the_entries(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text("id;outcome;gmfcs\na;1;I\nb;1;III\nc;1;V\nd;0;\ne;1;VI\n")
    recordings = {name: [name] for name in "abcde"}
    found = read_infant_column(path, "gmfcs=I,II,III:IV,V", recordings)
    assert found.astype(object).fillna("").tolist() == ["I, II, III", "I, II, III", "IV, V", "", ""]
    assert entries_of(found) == ["I, II, III", "IV, V"]
    for wrong in ("gmfcs=I,II:II", "gmfcs=I,:V"):
        with pytest.raises(InputError, match="write groups as I,II,III:IV,V"):
            read_infant_column(path, wrong, recordings)
