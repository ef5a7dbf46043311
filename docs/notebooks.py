"""Runs the pages of the guide as notebooks when mkdocs builds, and shows below each program what it prints."""

import functools
import tempfile
from pathlib import Path
from typing import NamedTuple

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

TIMEOUT = 300
"""Longest time of one program, in seconds."""


class Notebook(NamedTuple):
    """A page after its programs ran: its text with their output, and the files beside it."""

    text: str
    files: dict[str, bytes]


@functools.cache
def run(page: Path, written: str) -> Notebook:
    """Run the programs of a page in a folder that is deleted afterwards.

    Args:
        page: a Markdown file; its blocks of Python are the cells.
        written: its text; `mkdocs serve` runs a page again when this changes.

    Raises:
        CellExecutionError: a program failed.
    """
    notebook = jupytext.reads(written, fmt="md")
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", resources=where).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    text, made = MarkdownExporter().from_notebook_node(
        notebook, resources={"unique_key": page.stem, "output_files_dir": ""}
    )
    name = f"{page.stem}.ipynb"
    files = made["outputs"] | {name: nbformat.writes(notebook).encode()}
    return Notebook(f"{text}\n\n[This page as a notebook]({name})\n", files)
