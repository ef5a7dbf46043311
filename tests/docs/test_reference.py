"""The reference of the library names every public module and, of those, every public name."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import infantjax

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = "infantjax.cli"
"""Has no page of modules: its reference is that of the commands."""


def is_public(module: str) -> bool:
    return not any(part.startswith("_") for part in module.split("."))


def public_modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(infantjax.__path__, "infantjax.")]
    return ["infantjax", *(name for name in found if is_public(name) and not f"{name}.".startswith(f"{COMMANDS}."))]


def public_names(module: str) -> list[str]:
    """Functions and classes that a module defines."""
    path = Path(importlib.util.find_spec(module).origin)
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = [node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, kinds)]
    return [f"{module}.{name}" for name in defined if not name.startswith("_")]


def test_every_public_module_is_on_a_page(generated):
    shown = {module for page in generated.values() for module in re.findall(r"^::: (\S+)$", page, re.MULTILINE)}
    assert set(public_modules()) - shown == set()


@pytest.mark.parametrize("package", [name for name in public_modules() if name.count(".") < 2])
def test_every_name_that_a_package_offers_is_defined_in_a_module_on_a_page(package):
    module = importlib.import_module(package)
    offered = getattr(module, "__all__", None) or (dir(module) if "__getattr__" in vars(module) else [])
    modules = set(public_modules())
    for name in offered:
        found = getattr(module, name)
        owner = getattr(found, "__module__", None)
        inside = isinstance(owner, str) and owner.startswith("infantjax.") and is_public(owner)
        assert not inside or owner in modules or owner.startswith(COMMANDS), f"{package}.{name} is of {owner}"


@pytest.mark.slow
def test_the_built_reference_has_every_public_function_and_class(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    inventory = (tmp_path / "objects.inv").read_bytes().split(b"\n", 4)[4]
    listed = {line.split()[0] for line in zlib.decompress(inventory).decode().splitlines()}
    assert {name for module in public_modules() for name in public_names(module)} - listed == set()
