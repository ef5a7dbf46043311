"""What is imported when, and that imports go downwards only."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import infantjax

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

LAYERS = {
    "errors": set(),
    "files": {"errors"},
    "progress": set(),
    "runtime": {"files"},
    "skeletons": set(),
    "nn": {"skeletons"},
    "models": {"nn", "skeletons"},
    "weights": {"models"},
    "motion": {"skeletons"},
    "video": {"skeletons"},
    "pose": {"models", "video", "weights", "motion"},
    "simulation": {"motion"},
    "training": {"models", "motion", "weights", "pose"},
    "search": {"training", "evaluation"},
    "explanation": {"models"},
    "assessment": {"motion", "models", "weights", "explanation"},
    "evaluation": set(),
    "systems": {"assessment", "training", "evaluation"},
    "report": {"assessment.result", "skeletons"},
    "batch": {"systems", "assessment", "report", "motion", "pose", "video"},
    "scores": {"motion"},
    "commands": {
        "batch",
        "systems",
        "scores",
        "report",
        "assessment",
        "training",
        "simulation",
        "evaluation",
        "pose",
        "video",
        "search",
    },
    "cli": {"commands"},
}
"""What each part may import besides what its parts import in turn; the table of the design, from the ground upwards.

Reports are made of plain results: of the assessment they know the result's type, and the skeleton that they draw.
"""

GROUND = {"errors", "files", "progress", "runtime"}
"""Imported by everyone; knows nothing of the rest."""


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


def help_of(*arguments: str) -> str:
    return f"""
from infantjax.cli import run
assert run({list(arguments)!r}) == 0
"""


@pytest.mark.parametrize(
    "code",
    [
        "import infantjax",
        help_of("--help"),
        help_of("--version"),
        help_of("assess", "--help"),
        help_of("crossval", "--help"),
        help_of("search", "--help"),
    ],
    ids=["import", "help", "version", "help of assess", "help of crossval", "help of search"],
)
def test_importing_and_asking_for_help_loads_nothing_heavy_and_starts_no_backend(code):
    loaded = loaded_by(code)
    assert not loaded_packages(loaded["modules"], (*HEAVY, "jax", "flax"))
    assert loaded["backends"] == []


@pytest.mark.parametrize(
    "name",
    ["models", "assessment", "weights", "training", "simulation", "motion", "explanation", "pose", "search", "systems"],
)
def test_importing_a_part_loads_nothing_heavy_and_starts_no_backend(name):
    loaded = loaded_by(f"import infantjax\ninfantjax.{name}\nassert 'infantjax.{name}' in __import__('sys').modules")
    # JAX loads scipy.stats for itself where it needs it; the parts that compute load it when they compute.
    assert not loaded_packages(loaded["modules"], HEAVY)
    assert loaded["backends"] == []


def test_an_assessment_with_compiled_programs_loads_neither_flax_nor_scipy_nor_a_network():
    code = (
        "import infantjax.assessment.batch, infantjax.methods.ensemble_gcn.method\n"
        "from infantjax.weights import bundled\nbundled.ensemble()"
    )
    modules = loaded_by(code)["modules"]
    assert {"jax", "infantjax.methods.ensemble_gcn.inference"} <= modules
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


def test_a_name_that_the_package_lacks_is_refused():
    with pytest.raises(AttributeError, match="module 'infantjax' has no attribute 'colors'"):
        infantjax.colors  # noqa: B018


# --- layers ----------------------------------------------------------------------------------------------------------


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(path: Path) -> set[str]:
    """The project's own modules that a file imports at any depth, relative to the package: `motion.windows`.

    Imports for type checking count too: they make a reader follow them upwards just the same.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("infantjax.") for name in found if name.startswith("infantjax.")}


def below(part: str) -> set[str]:
    """Everything that a part may import, itself included."""
    allowed = {part} if part in GROUND else {part} | GROUND
    for name in LAYERS[part]:
        allowed |= {name} if "." in name else below(name)
    return allowed


def within(name: str, allowed: set[str]) -> bool:
    return any(name == a or name.startswith(a + ".") for a in allowed)


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if module_of(path))


def test_every_part_has_its_layer():
    assert {module_of(path)[0] for path in SOURCES} == set(LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: ".".join(module_of(p)))
def test_imports_go_downwards_only(path):
    part = module_of(path)[0]
    upwards = {name for name in imports_of(path) if name != "__version__" and not within(name, below(part))}
    assert not upwards


# --- pickle ----------------------------------------------------------------------------------------------------------


UNPICKLERS = {"weights.pytorch", "motion.readers.deeplabcut"}
"""Read files that others pickled, each with an unpickler of its own that makes the few things such files need."""

RELATIVES = {"dill", "cloudpickle", "joblib", "shelve", "marshal", "_pickle"}


def test_nothing_is_unpickled_but_by_unpicklers_that_refuse_code():
    restricted = set()
    for path in SOURCES:
        tree, name = ast.parse(path.read_text("utf-8")), ".".join(module_of(path))
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


def test_every_numpy_file_is_read_with_pickle_switched_off():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = ast.unparse(node.func)
                if name in ("np.load", "numpy.load", "np.lib.format.read_array"):
                    given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert given.get("allow_pickle") == "False", f"{path}:{node.lineno}"
