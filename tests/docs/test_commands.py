"""The reference of the commands is what the commands say of themselves."""

import re

import pytest

from infantjax import cli
from infantjax.cli.parsing import options_of
from infantjax.methods.registry import DEFAULT, names

COMMON = ("--help", "--quiet", "--debug")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_page_names_every_option_of_a_command(name, generated):
    """In its own section or in one that this leads to; nested ones, `--part.name`, as a line of the part."""
    page = generated["reference/commands.md"]
    sections = {part.partition("\n")[0]: part for part in re.split("^##+ ", page, flags=re.MULTILINE)}
    linked = [title for title in sections if f"(#{title.lower().replace(' ', '-')})" in sections[name]]
    trains = "Settings of the methods" in linked
    for method in names("keypoints") if trains else [DEFAULT]:
        shown = [name, *linked, *dict.fromkeys((DEFAULT, method) if trains else ())]
        lines = [line for title in shown for line in sections[title].splitlines()]
        for option in options_of(cli.command_type(name).specialize(["--method", method])):
            part, _, own = option.rpartition(".")
            where = [line for line in lines if not part or line.startswith(f"- `{part}.*`")]
            assert re.search(f"`{own}[`= ]", "\n".join(where)) or option in COMMON, (method, option)
