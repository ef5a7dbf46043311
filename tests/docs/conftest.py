"""Fixtures of the tests of the documentation."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="session")
def generated() -> dict[str, str]:
    """Address -> content of the pages that mkdocs makes when it builds."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("jupytext")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        return dict(runpy.run_path(str(DOCS / "hooks.py"))["pages"]())
