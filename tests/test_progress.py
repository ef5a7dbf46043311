"""Progress on stderr."""

import pytest

from infantjax import progress
from infantjax.progress import Progress


def test_quiet_says_nothing(capsys):
    with Progress(2, "work", quiet=True) as bar:
        bar.say("hello")
        bar.update(2)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_is_a_line_every_thirty_seconds_and_at_the_end(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 41.0, 41.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(4, "work") as bar:
        bar.update(1)
        bar.update(2, "halfway")
        bar.update(3)
        bar.update(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["work: 2/4, halfway", "work: 4/4"]


def test_on_a_terminal_there_is_a_bar_that_ends_with_the_work(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress(2, "work") as bar:
        bar.say("[a] note")
        bar.update(2, "AUC 0.9")
    out, err = capsys.readouterr()
    assert out == ""
    assert "work: [a] note" in err
    assert "2/2" in err


def test_an_error_ends_the_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(RuntimeError), Progress(2, "work"):
        raise RuntimeError
