"""The guide to the commands names every command and every option, and none that does not exist."""

import dataclasses
import re
from pathlib import Path
from typing import get_args

import pytest
from tyro.conf import Positional

from infantjax import cli

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "commands.md").read_text("utf-8")
SECTIONS = {title.strip(): body for title, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", GUIDE, re.M | re.S)}
COMMANDS = {get_args(annotated)[0].__name__.lower(): get_args(annotated)[0] for annotated in get_args(cli.Command)}
EVERYWHERE = {"--quiet", "--debug"}


def options_of(command: type) -> dict[str, object]:
    """Option -> default of the fields of a command that are no positional arguments."""
    positional = get_args(Positional[int])[1:]
    hints = {f.name: f.type for f in dataclasses.fields(command)}
    return {
        "--" + f.name.replace("_", "-"): f.default
        for f in dataclasses.fields(command)
        if not any(mark in getattr(hints[f.name], "__metadata__", ()) for mark in positional)
    }


def documented_options(section: str) -> dict[str, str]:
    """Option -> default as in the table of a section."""
    rows = re.findall(r"^\| `(--[a-z-]+)`[^|]*\| ([^|]*) \|", section, re.M)
    return {name: default.strip().strip("`") for name, default in rows}


def test_every_command_has_a_section():
    assert set(SECTIONS) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_of_a_command_is_in_its_table(name):
    options = options_of(COMMANDS[name])
    assert options.keys() >= EVERYWHERE
    assert set(documented_options(SECTIONS[name])) == set(options) - EVERYWHERE


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_numbers_in_the_tables_are_the_defaults(name):
    options, documented = options_of(COMMANDS[name]), documented_options(SECTIONS[name])
    for option, default in options.items():
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert float(documented[option]) == default, option


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_of_the_help_is_in_the_section(name):
    example = cli._help(COMMANDS[name]).partition("Example:\n")[2].strip()
    shown = " ".join(SECTIONS[name].replace("\\\n", " ").split())
    assert " ".join(example.split()).split(" --")[0] in shown
