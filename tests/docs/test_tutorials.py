"""The programs that pages show run as written: the blocks of a page in order, each page in a folder of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUIDE = [ROOT / "README.md", *sorted((DOCS / "python").glob("*.md"))]
TUTORIALS = [DOCS / "start/assess.md", DOCS / "train/crossval.md", *GUIDE]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"console", "text"}
TIMEOUT = 900

# Names that a block makes are there in the next one of its page. Pages share a process, which imports once.
DRIVER = """
import json, os, subprocess, sys, traceback
for page, blocks in json.load(sys.stdin).items():
    names = {"__name__": "__main__"}
    os.makedirs(os.path.join(sys.argv[1], page))
    os.chdir(os.path.join(sys.argv[1], page))
    try:
        for kind, line, text in blocks:
            print(f"--- {page}:{line} ({kind})", flush=True)
            if kind == "bash":
                subprocess.run(["bash", "-euo", "pipefail", "-c", text], stdin=subprocess.DEVNULL, check=True)
            else:
                exec(compile("\\n" * line + text, page, "exec"), names)
    except Exception:
        open(os.path.join(sys.argv[1], page + ".error"), "w").write(traceback.format_exc())
"""


def blocks(page: Path) -> list[tuple[str, int, str]]:
    """(kind, line of the fence, text) of every fenced block."""
    text = page.read_text("utf-8")
    return [(m[1], text.count("\n", 0, m.start()) + 1, m[2]) for m in FENCE.finditer(text)]


def run(pages: list[Path], folder: Path) -> str:
    """Run pages one after the other in one process; the errors of a page are in `NAME.error`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shown = {page.stem: [block for block in blocks(page) if block[0] not in SHOWN_ONLY] for page in pages}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, folder],
        input=json.dumps(shown),
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    errors = "\n".join(path.read_text() for path in sorted(folder.glob("*.error")))
    assert not errors, f"{errors}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow  # building the pages runs them too
def test_the_programs_of_the_guide_and_of_the_readme_run(tmp_path):
    assert "README" in run(GUIDE, tmp_path)


@pytest.mark.parametrize(
    "page", [TUTORIALS[0], pytest.param(TUTORIALS[1], marks=pytest.mark.slow)], ids=lambda p: p.stem
)
def test_every_block_of_a_tutorial_runs(page, tmp_path):
    run([page], tmp_path)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_every_block_of_a_tutorial_is_run_or_marked_as_shown_only(page):
    kinds = {kind for kind, _, _ in blocks(page)}
    assert kinds <= {"python", "bash"} | SHOWN_ONLY
    assert kinds & {"python", "bash"}
