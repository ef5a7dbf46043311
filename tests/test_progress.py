"""Messages and progress on stderr."""

import pytest

from infantjax import progress
from infantjax.progress import LOGGER, Progress, configure_logging


@pytest.fixture(autouse=True)
def restore_logger():
    """The logger is the process's own: leave it as it was."""
    handlers, level = LOGGER.handlers, LOGGER.level
    yield
    LOGGER.handlers = handlers
    LOGGER.setLevel(level)


def work(monkeypatch, quiet: bool = False) -> None:
    """Four steps at seconds 10, 31, 31 and 40."""
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 41.0, 41.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(4, "work", quiet=quiet) as bar:
        bar.log("hello")
        bar.update(1)
        bar.update(2, "halfway")
        bar.update(3)
        bar.update(4)


def test_without_a_terminal_there_is_a_line_every_thirty_seconds_and_at_the_end(capsys, monkeypatch):
    configure_logging()
    work(monkeypatch)
    assert capsys.readouterr() == ("", "work: hello\nwork: 2/4, halfway\nwork: 4/4\n")


def test_quiet_progress_shows_nothing_and_quiet_logging_warnings_only(capsys, monkeypatch):
    configure_logging()
    work(monkeypatch, quiet=True)
    configure_logging(quiet=True)
    work(monkeypatch)
    LOGGER.warning("a file is damaged")
    assert capsys.readouterr() == ("", "a file is damaged\n")


def test_on_a_terminal_there_is_a_bar_that_ends_with_the_work(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    configure_logging()
    with Progress(2, "work") as bar:
        bar.log("[a] note")
        bar.update(2, "AUC 0.9")
    out, err = capsys.readouterr()
    assert out == ""
    assert "work: [a] note" in err
    assert "2/2" in err


def test_an_error_ends_the_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(RuntimeError), Progress(2, "work"):
        raise RuntimeError


def test_no_control_character_of_a_message_reaches_the_terminal(capsys, monkeypatch):
    monkeypatch.setattr(LOGGER, "handlers", [])
    configure_logging()
    LOGGER.warning("note: %s", "one\x1b[2J\x07\r\ntwo")
    assert capsys.readouterr().err == "note: one?[2J??\ntwo\n"
