"""The summary over recordings."""

import csv
import io
from dataclasses import replace

import pandas as pd
import pytest

from infantjax.assessment import assessments_frame
from infantjax.errors import InputError
from infantjax.report.table import COLUMNS, Row, read_summary, summary_csv, summary_frame


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_input_has_one_line_in_the_order_given(factory):
    rows = [
        Row.of("b.csv", factory(name="B").to_dict()),
        Row(file="broken.csv", message="broken.csv: empty file"),
        Row.of("a.csv", factory(name='Zoë, "first"; 李\r\ny\u2028z\x00').to_dict(), "ended at 2.1 of 4.0 s"),
    ]
    text = summary_csv(rows)
    assert text.count("\n") == 4
    assert summary_csv([]) == ",".join(COLUMNS) + "\n"
    failed = read(text)[1]
    assert failed["message"] == "broken.csv: empty file"
    assert {failed[name] for name in ("value", "decision", "certainty", "duration_seconds", "statement")} == {""}
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert [(r["file"], r["name"], r["status"]) for r in read(text)] == [
        ("b.csv", "B", "ok"),
        ("broken.csv", "", "error"),
        ("a.csv", 'Zoë, "first"; 李 y z', "warning"),
    ]


def test_a_line_holds_the_figures_of_the_record(factory):
    (row,) = read(summary_csv([Row.of("a.csv", factory().to_dict())]))
    assert (row["value_name"], row["value"]) == ("risk", "0.573218")
    assert row["threshold"] == "0.5"
    assert row["decision"] == "CP"
    assert row["certainty"] == "orange"
    assert row["agreement"] == "0.642857"
    assert row["duration_seconds"] == "180.0"
    assert "never validated on infants" in row["statement"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\u202e=1"])
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe(factory, name):
    (row,) = read(summary_csv([Row.of(name, factory(name=name).to_dict(), name)]))
    for column in ("file", "name", "message"):
        assert row[column].startswith("'")
        assert row[column][1] in "=+-@＝"


def test_a_summary_is_read_as_it_was_written(factory, tmp_path):
    rows = [
        Row.of("=b.csv", factory(name='Zoë, "first"').to_dict(), "a; b", id="b", page="b.html"),
        Row(file="broken.csv", id="broken", message="broken.csv: empty file"),
        Row.of("a.csv", factory(value=float("nan")).to_dict()),
    ]
    path = tmp_path / "summary.csv"
    assert read_summary(path) == []
    path.write_text(summary_csv(rows), "utf-8")
    assert read_summary(path) == rows


def test_a_summary_with_an_unknown_level_of_certainty_is_refused(factory, tmp_path):
    path = tmp_path / "summary.csv"
    row = Row.of("a.csv", factory(name="A").to_dict())
    path.write_text(summary_csv([replace(row, certainty="blue")]), "utf-8")
    with pytest.raises(InputError, match=r"summary\.csv: is no summary that this version wrote"):
        read_summary(path)


def test_a_data_frame_holds_the_values_of_the_file(factory):
    rows = [Row.of("a.csv", factory(name="A").to_dict(), id="a"), Row(file="b.csv", id="b", message="empty")]
    text = io.StringIO(summary_csv(rows))
    written = pd.read_csv(text, index_col="id", keep_default_na=False, na_values={"value": "", "threshold": ""})
    frame = summary_frame(rows)
    for column in ("file", "status", "value", "threshold", "decision", "statement"):
        pd.testing.assert_series_equal(frame[column], written[column], check_dtype=column in ("value", "threshold"))
    assert list(frame.columns) == [column for column in COLUMNS if column != "id"]
    assert pd.isna(frame.value["b"])


def test_assessments_are_a_data_frame_and_so_are_their_windows(factory):
    one, other = factory(name="A"), factory(3, name="B", value=float("nan"))
    frame = assessments_frame([one, other])
    assert list(frame.index) == ["A", "B"]
    assert (frame.value["A"], frame.certainty["A"], frame.decision["A"]) == (0.573218, "orange", "CP")
    assert pd.isna(frame.value["B"])
    windows = other.time_series.to_frame()
    assert windows.end.tolist() == [5, 7.5, 10]
    assert (windows["median"].tolist(), windows.usable.all()) == (other.time_series.median.tolist(), True)
