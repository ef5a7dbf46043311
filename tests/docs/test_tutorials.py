"""What the tutorials show is run: their blocks in order, each page in a folder of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = [DOCS / name for name in ("start/assess.md", "train/crossval.md", "reference/library.md")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"console", "text"}
TIMEOUT = 900

# One process a page: names that a block makes are there in the next, and settings of JAX do not reach other tests.
DRIVER = """
import json, subprocess, sys
page, names = sys.argv[1], {"__name__": "__main__"}
for kind, line, text in json.load(sys.stdin):
    print(f"--- {page}:{line} ({kind})", flush=True)
    if kind == "bash":
        if status := subprocess.run(["bash", "-euo", "pipefail", "-c", text], stdin=subprocess.DEVNULL).returncode:
            sys.exit(f"{page}:{line}: the block ended with status {status}")
    else:
        exec(compile("\\n" * line + text, page, "exec"), names)
"""


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """(kind, line of the fence, text) of every fenced block."""
    text = page.read_text("utf-8")
    return [(m[1], text.count("\n", 0, m.start()) + 1, m[2]) for m in FENCE.finditer(text)]


def pages() -> list:
    slow = {"crossval"}
    return [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.stem in slow else []) for page in TUTORIALS
    ]


@pytest.mark.parametrize("page", pages())
def test_every_block_of_a_tutorial_runs(page, tmp_path):
    binaries = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, page.name],
        input=json.dumps([block for block in blocks(page) if block[0] not in SHOWN_ONLY]),
        capture_output=True,
        text=True,
        cwd=work,
        env=environment,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_is_run_or_marked_as_shown_only(page):
    kinds = {kind for kind, _, _ in blocks(page)}
    assert kinds <= {"python", "bash"} | SHOWN_ONLY
    assert kinds & {"python", "bash"}
