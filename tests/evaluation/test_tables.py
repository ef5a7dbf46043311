"""Risks and outcomes from tables: of assess, of crossval, or of the user's own."""

from pathlib import Path

import pytest

from infantjax.errors import InputError
from infantjax.evaluation.tables import common_infants, read_infants, read_risks


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_risks_and_outcomes_of_one_table_are_read_in_its_order(write):
    scores = read_risks(write("r.csv", "id,run,outcome,risk\nb,0,1,0.75\na,1,0,0.25\n"))
    assert scores == (("b", "a"), (0.75, 0.25), (1, 0), ())


def test_outcomes_of_another_table_go_before_those_of_the_first(write):
    risks = write("r.csv", "id,outcome,risk\na,0,0.5\n")
    assert read_risks(risks, write("o.csv", "id;outcome\na;1\n")).outcomes == (1,)


@pytest.mark.parametrize("column", ["id", "name", "file", "ID", "Name"])
def test_infants_are_named_by_any_of_the_usual_columns(write, column):
    scores = read_risks(write("r.csv", f"{column},risk,outcome\na,0.5,1\n"))
    assert scores.names == ("a",)


def test_an_id_is_preferred_to_a_name_and_a_name_to_a_file(write):
    header = "file,name,id,risk,outcome\n"
    assert read_risks(write("r.csv", header + "x.csv,y,z,0.5,1\n")).names == ("z",)
    assert read_risks(write("s.csv", header.replace("id", "kind") + "x.csv,y,z,0.5,1\n")).names == ("y",)


def test_the_table_of_a_spreadsheet_with_semicolons_and_decimal_commas_is_read(write):
    scores = read_risks(write("r.csv", "id;risk;outcome\na;0,25;1\nb;0,5;0\n"))
    assert scores.risks == (0.25, 0.5)


def test_a_name_that_was_kept_from_being_a_formula_is_itself_again(write):
    scores = read_risks(write("r.csv", "id,risk\n'=1+1,0.5\n"), write("o.csv", "id;outcome\n=1+1;1\n"))
    assert scores.names == ("=1+1",)


def test_a_recording_of_the_released_program_is_found_by_its_id(write):
    scores = read_risks(write("r.csv", "id,risk\norgcoords_007,0.5\n"), write("o.csv", "id;outcome\n007;1\n"))
    assert scores.outcomes == (1,)


def test_recordings_without_a_risk_or_an_outcome_are_named_and_left_out(write):
    risks = write("r.csv", "id,risk\na,0.5\nfailed,\nunknown,0.5\n")
    scores = read_risks(risks, write("o.csv", "id;outcome\na;1\nfailed;0\n"))
    assert scores.names == ("a",)
    assert scores.problems == ("line 3 (failed): has no risk", "line 4 (unknown): has no outcome")
    blank = read_risks(write("s.csv", "id,risk,outcome\na,0.5,1\nb,0.5,\n"))
    assert blank.problems == ("line 3 (b): has no outcome",)


def test_an_infant_with_several_risks_is_found(write):
    scores = read_risks(write("r.csv", "id,risk,outcome\na,0.5,1\na,0.25,1\n"))
    assert scores.risks == (0.5, 0.25)
    assert read_infants(None, scores) == ("a", "a")
    assert read_infants(None, read_risks(write("s.csv", "id,risk,outcome\na,0.5,1\nb,0.25,1\n"))) is None


def test_methods_share_the_infants_that_all_have_in_the_order_of_the_first(write):
    first = read_risks(write("r.csv", "id,risk,outcome\na,0.1,1\nb,0.2,0\nc,0.3,1\n"))
    other = read_risks(write("s.csv", "id,risk,outcome\nc,0.6,1\nz,0.9,0\na,0.4,1\n"))
    assert common_infants({"first": first, "other": other}) == ({"first": (0.1, 0.3), "other": (0.4, 0.6)}, (1, 1))
    alone = read_risks(write("t.csv", "id,risk,outcome\nb,0.6,0\n"))
    with pytest.raises(InputError, match="no infant that all methods have"):
        common_infants({"first": first, "other": other, "alone": alone})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("id,risk,outcome\n", "holds no infant with a risk and an outcome"),
        ("risk,outcome\n0.5,1\n", "needs a column id and a column risk"),
        ("id,outcome\na,1\n", "needs a column id and a column risk"),
        ("id,risk\na,0.5\n", "has no column outcome; give the table of outcomes too"),
        ("id,risk,outcome\na,1.01,1\n", r"line 2 has risk 1.01, must be within 0..1; correct the table"),
        ("id,risk,outcome\na,-0.1,1\n", r"line 2 has risk -0.1, must be within 0..1"),
        ("id,risk,outcome\na,nan,1\n", "line 2"),
        ("id,risk,outcome\na,high,1\n", 'line 2, column risk: "high" is not a number'),
        ("id,risk,outcome\na,0.5,2\n", "line 2 has outcome '2', which is not 0 or 1"),
        ("id,risk,outcome\na,0.5,yes\n", "line 2 has outcome 'yes', which is not 0 or 1"),
        ("id,risk,outcome\na,0.5\n", "line 2"),
        ("id,risk,risk,outcome\na,0.5,0.5,1\n", "risk"),
    ],
)
def test_a_table_that_cannot_be_is_refused_in_one_line(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_risks(write("r.csv", text))
    assert "r.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    for path in (tmp_path / "a.csv", tmp_path, tmp_path / "nowhere.csv"):
        with pytest.raises(InputError):
            read_risks(path)
