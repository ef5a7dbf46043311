"""What messages tell a user to do can be done: the options, extras, commands and pages that they name exist."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from infantjax import cli
from infantjax.cli import parsing
from infantjax.errors import MissingExtraError
from infantjax.methods import registry

ROOT = Path(__file__).parents[1]
OTHERS = {"--no-deps", "--xla_backend_extra_options", "--xla_force_host_platform_device_count", "--debug", "--version"}
"""Options of pip and XLA, and of the program without a command."""


def texts(path: Path) -> Iterator[str]:
    """The texts of a module that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in comments:
            yield node.value


@cache
def messages() -> list[str]:
    return [text for path in (ROOT / "infantjax").rglob("*.py") for text in texts(path)]


def test_every_option_that_a_message_names_exists():
    options = set(OTHERS)
    for name in cli.COMMANDS:
        command = cli.command_type(name)
        methods = registry.names("keypoints") if name in ("crossval", "train") else [registry.DEFAULT]
        for method in methods:
            options |= set(parsing.options_of(command.specialize(["--method", method])))
    short = {f"--{option.rpartition('.')[2].removeprefix('--')}" for option in options}
    named = {found for text in messages() for found in re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", text)}
    assert len(named) > 20
    assert named - options - short == set()


def test_every_command_that_a_message_names_exists():
    named = {found for text in messages() for found in re.findall(r"`?infantjax ([a-z]+)`? ", text)}
    assert named - {name.split()[0] for name in cli.COMMANDS} - {"never"} == set()


def test_every_page_that_a_message_names_exists():
    named = {found for text in messages() for found in re.findall(r"docs/[\w/.-]+\.md", text)}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_message_installs_the_package_from_an_index_that_may_not_have_it():
    assert [text for text in messages() if "infantjax[" in text] == []


def extras() -> dict[str, list[str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    ("library", "extra"), [("matplotlib", "analysis"), ("optuna", "search"), ("grain", "pose-train")]
)
def test_a_missing_library_is_answered_with_a_command_that_installs_it(library, extra):
    before, _, command = str(MissingExtraError(library, extra)).partition(": ")
    assert before == f"this needs {library}"
    assert command.startswith("pip install ")
    assert any(name.startswith(library) for name in shlex.split(command))


def test_every_library_that_is_missing_is_in_the_extra_that_is_named():
    called = [
        [argument.value for argument in node.args]
        for path in (ROOT / "infantjax").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "MissingExtraError"
        and all(isinstance(argument, ast.Constant) for argument in node.args)
    ]
    assert len(called) > 5
    known = extras()
    assert [(lib, extra) for lib, extra in called if not any(r.startswith(lib) for r in known.get(extra, []))] == []
