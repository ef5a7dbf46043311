"""Every dependency is imported by the package, and what the package imports is a dependency."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

USED_BY_OTHERS = {
    "jaxlib": "the compiled half of jax",
    "flatbuffers": "jax.export needs it and does not require it",
}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normalized(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def imported() -> set[str]:
    """Top-level modules that any file of the package imports, at any depth."""
    found = set()
    for path in (ROOT / "infantjax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"infantjax", "__future__", ""}


def distributions() -> dict[str, set[str]]:
    """Module -> names of the distributions that hold it, as far as they are installed."""
    return {module: set(map(normalized, found)) for module, found in packages_distributions().items()}


def test_every_required_package_is_imported():
    modules = distributions()
    used = set().union(*(modules.get(module, {normalized(module)}) for module in imported()))
    assert names(PROJECT["dependencies"]) - used - set(USED_BY_OTHERS) == set()


def test_every_imported_package_is_required_or_an_extra():
    known = names(PROJECT["dependencies"]).union(*map(names, PROJECT["optional-dependencies"].values()))
    # Named in a comment of pyproject.toml: its releases cap orbax-checkpoint, so it is installed without dependencies.
    known |= {"jax2onnx"}
    # Come with optuna, scikit-learn and Jinja2.
    known |= {"sqlalchemy", "threadpoolctl", "markupsafe"}
    modules = distributions()
    unknown = {m for m in imported() if not modules.get(m, {normalized(m)}) & known}
    assert unknown == set()


def test_packages_before_version_1_have_an_upper_bound():
    unbounded = [r for r in PROJECT["dependencies"] if re.search(r">=0\.", r) and "<" not in r]
    assert unbounded == []
