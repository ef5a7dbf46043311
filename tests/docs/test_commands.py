"""The reference of the commands is what the commands say of themselves."""

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_of_the_commands_is_generated_from_their_parsers():
    page = runpy.run_path(str(DOCS / "generate_commands.py"))["page"]()
    stored = (DOCS / "reference" / "commands.md").read_text("utf-8")
    assert stored == page, "run: python docs/generate_commands.py"
