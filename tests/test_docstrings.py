"""Every module, class, function and field that a docstring names by its full name exists."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import infantjax

PACKAGE = Path(infantjax.__file__).parent
PARTS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
NAME = re.compile(r"`(?:infantjax\.)?((?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*)(?:\(\))?`|(?:import|from) infantjax\.([\w.]+)")
FILES = re.compile(r"\.(py|csv|json|npz|html|md|toml|txt|h5|onnx|db|svg|png|pt|pth|lock|msgpack|yaml|yml|mp4)$")


def docstrings(tree: ast.Module) -> list[str]:
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


def exists(name: str, folder: str) -> bool:
    """Whether a name is one of the package, of the folder of the file that has it, or of a class there."""
    for root in ("infantjax", folder):
        parts = f"{root}.{name}".split(".")
        for end in range(len(parts), 1, -1):
            try:
                found = importlib.import_module(".".join(parts[:end]))
            except ModuleNotFoundError:
                continue
            for part in parts[end:]:
                fields = getattr(found, "__dataclass_fields__", {}) or getattr(found, "__annotations__", {})
                if not hasattr(found, part) and part not in fields:
                    break
                found = getattr(found, part, fields.get(part))
            else:
                return True
    return False


@pytest.mark.parametrize("folder", sorted({path.parent for path in PACKAGE.rglob("*.py")}), ids=lambda path: path.name)
def test_every_dotted_name_in_a_docstring_exists(folder):
    package = ".".join(("infantjax", *folder.relative_to(PACKAGE).parts))
    siblings = {path.stem for path in folder.iterdir()}
    missing = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}  # `entry.skeletons` of an entry
        for text in docstrings(tree):
            for match in NAME.finditer(text):
                name = (match[1] or match[2]).removeprefix("infantjax.")
                full = "infantjax." in match[0]
                if (full or name.partition(".")[0] in (PARTS | siblings) - arguments) and not FILES.search(name):
                    missing += [] if exists(name, package) else [f"{path.relative_to(PACKAGE)}: {match[0]}"]
    assert not missing
