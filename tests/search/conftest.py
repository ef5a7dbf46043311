"""A search that trains nothing, in a folder of its own; `pretend.py` gives its values."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def pretend() -> ModuleType:
    """The file beside this one, as a module whose classes can be found by name."""
    spec = importlib.util.spec_from_file_location("pretend", Path(__file__).with_name("pretend.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["pretend"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def searched(pretend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished search of five random candidates, `pretend`. Only to be read."""
    from infantjax.search import RandomSearch

    folder = tmp_path_factory.mktemp("searched")
    pretend.run(folder, RandomSearch(), seed=1, trials=5)
    return folder
