"""Risks and outcomes from tables: of assess, of crossval, or of the user's own."""

from pathlib import Path

import pytest

from infantjax.errors import InputError
from infantjax.evaluation.tables import mean_per_infant, read_infants, read_risks


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_risks_and_outcomes_of_one_table_are_read_in_its_order(write):
    rows, problems = read_risks(write("r.csv", "id,run,outcome,risk\nb,0,1,0.75\na,1,0,0.25\n"))
    assert rows.to_dict("list") == {"id": ["b", "a"], "risk": [0.75, 0.25], "outcome": [1, 0]}
    assert problems == []


def test_outcomes_of_another_table_go_before_those_of_the_first(write):
    risks = write("r.csv", "id,outcome,risk\na,0,0.5\n")
    assert read_risks(risks, write("o.csv", "id;outcome\na;1\n"))[0]["outcome"].tolist() == [1]


@pytest.mark.parametrize(
    ("header", "name"),
    [("id", "x"), ("name", "x"), ("file", "x"), ("ID", "x"), ("file,name,id", "z"), ("file,name,kind", "y")],
)
def test_infants_are_named_by_any_of_the_usual_columns_an_id_first(write, header, name):
    cells = ",".join("xyz"[: header.count(",") + 1])
    assert read_risks(write("r.csv", f"{header},risk,outcome\n{cells},0.5,1\n"))[0]["id"].tolist() == [name]


@pytest.mark.parametrize(
    ("risks", "outcomes", "row"),
    [
        ("id;risk;outcome\na;0,25;1\n", None, ("a", 0.25, 1)),
        ("id,risk\n'=1+1,0.5\n", "id;outcome\n=1+1;1\n", ("=1+1", 0.5, 1)),
        ("id,risk\norgcoords_007,0.5\n", "id;outcome\n007;1\n", ("orgcoords_007", 0.5, 1)),
    ],
)
def test_decimal_commas_guarded_names_and_names_of_the_released_program_are_read(write, risks, outcomes, row):
    found, _ = read_risks(write("r.csv", risks), outcomes and write("o.csv", outcomes))
    assert [*found.itertuples(index=False, name=None)] == [row]


def test_recordings_without_a_risk_or_an_outcome_are_named_and_left_out(write):
    risks = write("r.csv", "id,risk\na,0.5\nfailed,\nunknown,0.5\n")
    rows, problems = read_risks(risks, write("o.csv", "id;outcome\na;1\nfailed;0\n"))
    assert rows["id"].tolist() == ["a"]
    assert problems == ["line 3 (failed): has no risk", "line 4 (unknown): has no outcome"]
    _, problems = read_risks(write("s.csv", "id,risk,outcome\na,0.5,1\nb,0.5,\n"))
    assert problems == ["line 3 (b): has no outcome"]


def test_an_infant_with_several_risks_is_found(write):
    rows, _ = read_risks(write("r.csv", "id,risk,outcome\na,0.5,1\nb,0.1,0\na,0.25,1\n"))
    assert read_infants(None, rows) == ["a", "b", "a"]
    assert mean_per_infant(rows, None).to_dict("list") == {"id": ["a", "b"], "risk": [0.375, 0.1], "outcome": [1, 0]}
    assert read_infants(None, read_risks(write("s.csv", "id,risk,outcome\na,0.5,1\nb,0.25,1\n"))[0]) is None


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
        ("id,risk,RISK,outcome\na,0.5,0.5,1\n", "twice, in capital and small letters"),
        ("id,risk,outcome\na,1_0,1\n", "line 2"),
        ("id,risk,outcome\na,0x1,1\n", "line 2"),
        ("id,risk,outcome\na,inf,1\n", "line 2 has risk inf"),
        ("id,risk,outcome\na,0,2,5,1\n", "line 2"),
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
