"""How large is the tree, and how does it read?

    python -m benchmarks.structure [FOLDER]

Prints the lines of Python of each folder of the package, the tests, the benchmarks and the experiments, with and
without what is no code (blank lines, comments, docstrings); then what a reader stumbles over: words that mean nothing
outside this project, docstrings that say nothing, long files, wide folders, and records that are constructed once.
`FOLDER` is another checkout to count, for comparison.
"""

import ast
import io
import os
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

MAX_FILE, MAX_FOLDER = 300, 20
"""Lines of a file and files of a folder that a reader still overlooks."""
WORDS = ("told", "tell", "judge", "figures", "sure points", "place")
"""Common words that this project once used in a meaning of its own; each is counted with its plural and other forms."""
METHODS = {
    "Baby Moves": r"baby[-_ ]?moves",
    "EfficientPose": r"efficient[-_ ]?pose",
    "K-Best graph network": r"kbest[-_]gcn|graph ?network|gcn\b",
    "MAM": r"\bmam\b",
    "SMA CNN": r"\bsma\b|sma[-_ ]?cnn",
}
"""Method -> what a file of it mentions: the number of such files is what somebody opens who changes the method."""
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
FORMS = {word: re.compile(rf"(?<![a-z]){word.rstrip('e')}(?:e?s|e?d|ing|e)?(?![a-z])", re.IGNORECASE) for word in WORDS}


class Source(NamedTuple):
    """A Python file: its path below the checkout, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module


def sources_of(root: Path, part: str) -> list[Source]:
    """The Python files of one top folder."""
    files = sorted((root / part).rglob("*.py"))
    texts = [path.read_text("utf-8") for path in files]
    return [Source(path.relative_to(root), text, ast.parse(text)) for path, text in zip(files, texts, strict=True)]


def code_lines(source: Source) -> int:
    """Number of lines that hold code: no blank line, comment or docstring."""
    written: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type not in LAYOUT:
            written.update(range(token.start[0], token.end[0] + 1))
    for docstring in docstrings(source):
        written.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(written)


def docstrings(source: Source) -> Iterator[ast.Constant]:
    """Each string that stands alone: of modules, classes, functions and attributes."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def strings(source: Source) -> Iterator[str]:
    """The text that users may read: string constants, docstrings and messages alike."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def defined_names(source: Source) -> Iterator[str]:
    """Names that the file gives to functions, classes, parameters and variables, as words."""
    for node in ast.walk(source.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                pass
            case _:
                continue
        yield re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each of `WORDS` occurs."""
    found: Counter[str] = Counter()
    for text in texts:
        for word, form in FORMS.items():
            found[word] += len(form.findall(text))
    return found


def constructed_once(package: list[Source], tests: list[Source]) -> list[str]:
    """`path: name` of the dataclasses and named tuples of the package that it constructs once and the tests never."""
    records: dict[str, Path] = {}
    made: Counter[str] = Counter()
    for source in (*package, *tests):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and source.path.parts[0] == "infantjax":
                marks = [ast.unparse(mark) for mark in (*node.decorator_list, *node.bases)]
                if any("dataclass" in mark or mark.endswith("NamedTuple") for mark in marks):
                    records[node.name] = source.path
            elif isinstance(node, ast.Call):
                made[ast.unparse(node.func).rpartition(".")[2]] += 1
    return sorted(f"{path}: {name}" for name, path in records.items() if made[name] == 1)


def size_table(root: Path) -> list[str]:
    """Lines of each folder, code beside all."""
    rows = []
    for part in ("infantjax", "tests", "benchmarks", "experiments"):
        sources = sources_of(root, part)
        sizes = [(source.path.parts[1], code_lines(source), len(source.text.splitlines())) for source in sources]
        for folder in sorted({name for name, *_ in sizes}) if part == "infantjax" else ():
            inside = [size for size in sizes if size[0] == folder]
            rows.append((f"{part}/{folder}", sum(code for _, code, _ in inside), sum(all_ for *_, all_ in inside)))
        rows.append((part, sum(code for _, code, _ in sizes), sum(all_ for *_, all_ in sizes)))
    return [f"{name:<34}{code:>8,}{all_:>10,}" for name, code, all_ in rows]


def listed(title: str, items: list[str]) -> list[str]:
    """A count, and below it what was counted."""
    return [f"{title:<34}{len(items):>8,}", *(f"    {item}" for item in items)]


def reading_table(root: Path) -> list[str]:
    """Counts of what makes the package hard to read."""
    package = sources_of(root, "infantjax")
    pages = [path.read_text("utf-8") for path in (root / "README.md", *sorted((root / "docs").rglob("*.md")))]
    texts = [(source, d.lineno, str(d.value).strip()) for source in package for d in docstrings(source)]
    rows = ["", f"{'docstrings':<34}{len(texts):>8,}"]
    rows += listed('that begin with "What"', [f"{s.path}:{line}" for s, line, t in texts if re.match(r"What\b", t)])
    rows += listed('that begin with "See"', [f"{s.path}:{line}" for s, line, t in texts if re.match(r"See\b", t)])
    in_package = count_words(text for source in package for text in (*strings(source), *defined_names(source)))
    in_pages = count_words(pages)
    rows += ["", f"{'words':<34}{'package':>8}{'pages':>10}"]
    rows += [f"{word:<34}{in_package[word]:>8,}{in_pages[word]:>10,}" for word in WORDS]
    rows.append("")
    sizes = [(source.path, len(source.text.splitlines())) for source in package]
    rows += listed(f"files over {MAX_FILE} lines", [f"{path}: {size}" for path, size in sizes if size > MAX_FILE])
    folders = Counter(str(path.parent) for path, _ in sizes)
    rows += listed(f"folders over {MAX_FOLDER} files", [f"{f}: {n}" for f, n in folders.items() if n > MAX_FOLDER])
    rows += listed("records constructed once", constructed_once(package, sources_of(root, "tests")))
    rows += ["", "files that mention"]
    for name, pattern in METHODS.items():
        mentioning = sum(bool(re.search(pattern, source.text, re.IGNORECASE)) for source in package)
        rows.append(f"{name:<34}{mentioning:>8}")
    return rows


def main(root: Path) -> None:
    """Print both tables."""
    print(f"{'':<34}{'code':>8}{'all lines':>10}")
    try:
        print("\n".join([*size_table(root), *reading_table(root)]), flush=True)
    except BrokenPipeError:
        # Whoever reads, like `head`, has enough; Python would flush once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
