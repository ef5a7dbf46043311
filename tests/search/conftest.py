"""A search that trains nothing, in a folder of its own; `pretend.py` gives their values."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    """A file beside this one, as a module whose classes can be found by name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pretend() -> ModuleType:
    """`pretend.task(directory, storage, **settings)`, `.begin(task)`, `pretend.SPACE`, `pretend.value(label)`."""
    return _load("pretend")


@pytest.fixture(scope="session")
def _tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage without studies: making its tables takes half a second."""
    from infantjax.search.storage import open_storage

    path = tmp_path_factory.mktemp("storage") / "empty.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def storage(tmp_path: Path, _tables: Path) -> str:
    """Address of a SQLite storage without studies."""
    path = tmp_path / "search.db"
    shutil.copy(_tables, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def searched(pretend, _tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished search of five random candidates, `pretend`. Only to be read."""
    from infantjax.search.kbest import RandomSearch
    from infantjax.search.worker import run_worker

    folder = tmp_path_factory.mktemp("searched")
    shutil.copy(_tables, folder / "search.db")
    task = pretend.task(folder, f"sqlite:///{folder / 'search.db'}", strategy=RandomSearch(), trials=5)
    pretend.begin(task)
    run_worker(task)
    return folder
