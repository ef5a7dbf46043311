"""The README: its test command is the one that the checks run."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONSOLE = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_test_command_is_the_one_that_the_checks_run():
    (command,) = [block.strip() for block in CONSOLE if "pytest" in block]
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert command in [line.strip() for line in script.splitlines()]


def test_the_test_command_installs_an_extra_that_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (named,) = re.findall(r'-e "\.\[(\w+)\]"', README)
    assert named in extras


def test_the_first_command_ends_in_the_demo():
    assert CONSOLE[0].strip().endswith("infantjax demo")
