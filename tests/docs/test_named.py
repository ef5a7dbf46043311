"""What the pages name exists: commands with their options, experiments and benchmarks."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from infantjax import cli
from infantjax.cli.parsing import find_command, parse
from infantjax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
INLINE = re.compile(r"`(infantjax [^`]*)`")
FENCE = re.compile(r"^ *```\w+\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^ *(?:\$ )?(infantjax .*)$", re.MULTILINE)


def named(page: Path) -> list[list[str]]:
    """The words of each command that a page shows, up to a pipe or the next command."""
    text = page.read_text("utf-8")
    shown = INLINE.findall(FENCE.sub("", text))
    for block in FENCE.findall(text):
        shown += LINE.findall(re.sub(r" *\\\n *", " ", block))
    words = [shlex.split(re.sub(r"\s#.*", "", command.replace("\n", " ")))[1:] for command in shown]
    return [list(itertools.takewhile(lambda word: word not in ("|", "||", "&&", ">"), of_one)) for of_one in words]


def problem_of(name: str, words: list[str]) -> str:
    """The objection of the parser to a command.

    A command in the text may leave out what is required, and files may be absent.
    """
    try:
        parse(cli.command_type(name), name, words)
    except InputError as error:
        absent = error.where != name and re.search("does not exist|cannot be read", error.what)
        return "" if absent or error.what.startswith("Missing from") else str(error)
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_shows_is_parsed(page, capsys):
    for words in named(page):
        if not words or words[0] in ("COMMAND", "--help", "--version"):
            continue
        name = find_command(words, list(cli.COMMANDS))
        problem = problem_of(name, words[len(name.split()) :])
        assert not problem, f"{' '.join(words)}: {problem}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_program_that_a_page_names_exists(page):
    text = page.read_text("utf-8")
    for program in re.findall(r"\b(?:experiments|benchmarks)/\w+\.py", text):
        assert (ROOT / program).is_file(), program
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


def test_every_item_of_the_works_has_a_state_and_a_command_or_a_reason():
    page = (ROOT / "docs" / "methods" / "sources.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if " | " in line and not line.startswith(("item", "---"))]
    assert len(rows) > 50
    for row in rows:
        item, state, where = row
        assert state in ("here", "partly", "not here"), item
        assert state == "not here" or re.search(r"`|\]\(", where), item
        assert state == "here" or len(re.sub(r"`[^`]*`", "", where).split()) > 1, item
