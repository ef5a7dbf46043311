"""The reference shows every module that a user imports, and names no module that does not exist."""

import pkgutil
import re
from pathlib import Path

import infantjax

PAGES = (Path(__file__).resolve().parents[2] / "docs" / "reference").glob("*.md")
SHOWN = {name for page in PAGES for name in re.findall(r"^::: (infantjax\S*)", page.read_text("utf-8"), re.M)}
MODULES = {m.name for m in pkgutil.walk_packages(infantjax.__path__, "infantjax.") if not m.ispkg}
PACKAGES = {m.name for m in pkgutil.walk_packages(infantjax.__path__, "infantjax.") if m.ispkg} | {"infantjax"}

BEHIND = {
    # Parts of one of the pages' modules, which users reach through it.
    *(m for m in MODULES if m.startswith(("infantjax.cli.", "infantjax.formats."))),
    "infantjax.report.body",
    "infantjax.report.charts",
    "infantjax.report.text",
    "infantjax.weights.archive",
}


def test_every_module_is_in_the_reference_or_behind_another():
    assert not MODULES - SHOWN - BEHIND


def test_the_reference_names_only_modules_that_exist():
    assert not SHOWN - MODULES - PACKAGES


def test_no_module_is_both_shown_and_listed_as_behind_another():
    assert not BEHIND & SHOWN
