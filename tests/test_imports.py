"""What is imported when, that imports go downwards only, and that what is imported is required."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import infantjax
from infantjax.methods import registry

PACKAGE = Path(infantjax.__file__).parent

HEAVY = (
    "scipy.stats",
    "optuna",
    "sqlalchemy",
    "orbax",
    "tensorboardX",
    "decord",
    "av",
    "h5py",
    "torch",
    "sklearn",
    "pandas",
    "matplotlib",
    "shap",
)

ORDER = (
    "version",
    "errors",
    "settings",
    "lazy",
    "files",
    "progress",
    "cache",
    "engine",
    "places",
    "devices",
    "skeletons",
    "recording",
    "formats",
    "video",
    "nn",
    "models",
    "weights",
    "evaluation",
    "training",
    "report",
    "assessment",
    "explanation",
    "pose",
    "simulation",
    "search",
    "methods",
    "clinic",
    "cli",
)
"""The parts of the package from the ground upwards: a part imports only parts before it."""


def loaded_by(code: str) -> dict:
    """Modules that are loaded, and JAX backends that run, after some code in a fresh process."""
    report = (
        "\nimport json, sys\nbridge = sys.modules.get('jax._src.xla_bridge')\n"
        "print(json.dumps([sorted(sys.modules), sorted(getattr(bridge, '_backends', ()))]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    modules, backends = json.loads(done.stderr.splitlines()[-1])
    return {"modules": set(modules), "backends": backends}


def loaded_packages(modules: set[str], names: tuple[str, ...]) -> set[str]:
    return {name for name in names if any(m == name or m.startswith(name + ".") for m in modules)}


def test_importing_and_asking_for_help_loads_nothing_heavy_and_starts_no_backend():
    calls = (["--help"], ["--version"], ["assess", "--help"], ["crossval", "--help"], ["search", "--help"])
    code = "import infantjax\nfrom infantjax.cli import run\n" + "".join(f"assert run({call}) == 0\n" for call in calls)
    loaded = loaded_by(code)
    assert not loaded_packages(loaded["modules"], (*HEAVY, "jax", "flax"))
    assert loaded["backends"] == []


def test_importing_the_parts_loads_nothing_heavy_and_starts_no_backend():
    loaded = loaded_by(
        "import infantjax\n" + "".join(f"infantjax.{name}\n" for name in ORDER if name not in ("lazy", "version"))
    )
    assert {f"infantjax.{name}" for name in ORDER} <= loaded["modules"]
    # JAX loads scipy.stats for itself where it needs it; the parts that compute load it when they compute.
    assert not loaded_packages(loaded["modules"], HEAVY)
    assert loaded["backends"] == []


def test_an_assessment_with_compiled_programs_loads_neither_flax_nor_scipy_nor_a_network():
    code = (
        "import infantjax.assessment.batch\n"
        "from infantjax.methods import registry\n"
        "from infantjax.weights import bundled\nregistry.assessor(bundled.ensemble())"
    )
    modules = loaded_by(code)["modules"]
    assert {"jax", "infantjax.methods.window_networks"} <= modules
    assert not loaded_packages(
        modules, (*HEAVY, "flax", "scipy", "infantjax.nn", "infantjax.methods.ensemble_gcn.model")
    )


def test_reports_are_made_without_any_model_code():
    loaded = loaded_by("import infantjax.report")
    assert not loaded_packages(loaded["modules"], (*HEAVY, "jax", "flax", "infantjax.models", "infantjax.nn"))


def test_the_watch_sees_what_it_looks_for():
    loaded = loaded_by("import scipy.stats, jax\njax.devices()")
    assert loaded_packages(loaded["modules"], HEAVY) == {"scipy.stats"}
    assert loaded["backends"]


# --- layers ----------------------------------------------------------------------------------------------------------


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """Every file of the package, parsed."""
    sources = sorted(path for path in PACKAGE.rglob("*.py") if module_of(path))
    return {path: ast.parse(path.read_text("utf-8")) for path in sources}


FOLDERS = {path.name for path in (PACKAGE / "methods").iterdir() if (path / "__init__.py").exists()}


@pytest.fixture(scope="module")
def imports(trees) -> dict[Path, set[str]]:
    """What each file imports at any depth, for type checking too: a reader follows those upwards just the same."""
    found: dict[Path, set[str]] = {}
    for path, tree in trees.items():
        names = found[path] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, ast.unparse(node)
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own(names: set[str]) -> set[str]:
    """The project's own modules, relative to the package: `recording.windows`."""
    return {name.removeprefix("infantjax.") for name in names if name.startswith("infantjax.")}


def test_every_part_has_its_layer(trees):
    assert {module_of(path)[0] for path in trees} == set(ORDER)


def test_imports_go_downwards_only(imports):
    upwards = []
    for path, names in imports.items():
        below = ORDER[: ORDER.index(module_of(path)[0]) + 1]
        upwards += [f"{path}: {name}" for name in own(names) if name.partition(".")[0] not in below]
    assert not upwards


def test_a_method_imports_no_other_method_and_what_they_share_imports_none(imports):
    foreign = []
    for path, names in imports.items():
        others = FOLDERS - set(module_of(path)[1:2] if module_of(path)[0] == "methods" else ())
        foreign += [f"{path}: {name}" for name in own(names) for other in others if f"methods.{other}" in name]
    assert not foreign


def test_no_shared_folder_names_a_method(trees):
    named = []
    words = FOLDERS | {folder.replace("_", "-") for folder in FOLDERS} | set(registry.names())
    for path, tree in trees.items():
        if module_of(path)[0] == "methods":
            continue
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
        named += [f"{path}:{node.lineno}: {node.value}" for node in constants if node.value in words]
    assert not named


# --- dependencies ----------------------------------------------------------------------------------------------------

PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normalized(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


@pytest.fixture(scope="module")
def used(imports) -> dict[str, set[str]]:
    """Module -> names of the distributions that hold it, of all modules of others that the package imports."""
    found = {name.partition(".")[0] for names in imports.values() for name in names}
    distributions = packages_distributions()
    others = found - sys.stdlib_module_names - {"infantjax", "__future__"}
    return {module: set(map(normalized, distributions.get(module, [module]))) for module in others}


def test_every_required_package_is_imported(used):
    assert names(PROJECT["dependencies"]) - set().union(*used.values()) == set()


def test_every_imported_package_is_required_or_an_extra(used):
    known = names(PROJECT["dependencies"]).union(*map(names, PROJECT["optional-dependencies"].values()))
    # Come with optuna, scikit-learn and Jinja2.
    known |= {"sqlalchemy", "threadpoolctl", "markupsafe"}
    assert {module for module, packages in used.items() if not packages & known} == set()


def test_packages_before_version_1_have_an_upper_bound():
    unbounded = [r for r in PROJECT["dependencies"] if re.search(r">=0\.", r) and "<" not in r]
    assert unbounded == []


# --- pickle ----------------------------------------------------------------------------------------------------------


UNPICKLERS = {"weights.pytorch", "formats.readers.deeplabcut"}
"""Read files that others pickled, each with an unpickler of its own that makes the few things such files need."""

RELATIVES = {"dill", "cloudpickle", "joblib", "shelve", "marshal", "_pickle"}


def test_nothing_is_unpickled_but_by_unpicklers_that_refuse_code(trees):
    restricted = set()
    for path, tree in trees.items():
        name = ".".join(module_of(path))
        used = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {a.name.partition(".")[0] for a in node.names} & RELATIVES, name
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in RELATIVES | {"pickle"}, name
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                used.add(node.attr)
            elif isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(ast.unparse, node.bases):
                assert any(isinstance(f, ast.FunctionDef) and f.name == "find_class" for f in node.body), name
                restricted.add(name)
        # All others know is the error, which NumPy raises as well.
        assert used <= {"UnpicklingError"} | ({"Unpickler"} if name in UNPICKLERS else set()), name
    assert restricted == UNPICKLERS


def test_every_numpy_file_is_read_with_pickle_switched_off(trees):
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = ast.unparse(node.func)
                if name in ("np.load", "numpy.load", "np.lib.format.read_array"):
                    given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}"
