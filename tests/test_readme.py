"""What the README promises: its test command is the one that is run, its snippet works, its links lead somewhere."""

import re
from pathlib import Path
from typing import get_args

import pytest

from infantjax import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def test_the_test_command_is_the_one_that_the_checks_run():
    (command,) = [block.strip() for block in CONSOLE if "pytest" in block]
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert command in [line.strip() for line in script.splitlines()]


def test_the_test_command_installs_an_extra_that_exists():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r'-e "\.\[(\w+)\]"', README)
    assert named in extras


def test_the_first_command_ends_in_the_demo():
    assert CONSOLE[0].strip().endswith("infantjax demo")


def test_the_table_of_commands_names_every_command():
    listed = re.findall(r"^\| `infantjax (\w+)` \|", README, re.MULTILINE)
    assert sorted(listed) == sorted(get_args(c)[0].__name__.lower() for c in get_args(cli.Command))


def test_the_snippet_scores_one_window(capsys):
    (snippet,) = SNIPPETS
    names: dict = {"__name__": "__main__"}
    exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 (the project's own text)
    assert names["x"].shape == (1, *names["entry"].input_shape)
    assert 0 < float(names["risk"][0]) < 1
    assert capsys.readouterr().out == "(1, 150, 19, 2)\n(1,)\n"


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
