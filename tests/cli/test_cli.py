"""The program as its user meets it: what it prints where, what it writes, and with which status it leaves."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import infantjax
from infantjax import cache as runtime
from infantjax import cli, models
from infantjax import formats as readers
from infantjax.cli import common
from infantjax.cli.models import Models
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import Member, load_ensemble, save_ensemble

COMMANDS = list(cli.COMMANDS)


class Outcome(NamedTuple):
    """What a command left: its status, and the lines of both streams."""

    status: int
    out: list[str]
    err: list[str]


@pytest.fixture(scope="module")
def cache():
    """The session's compilation cache, with what JAX traced in it as well."""
    before = runtime._folder
    runtime.use_compilation_cache()
    yield
    runtime._folder = before


@pytest.fixture
def run(capsys, monkeypatch, cache) -> Callable[..., Outcome]:
    """Runs the program in this process, without its settings of the whole process."""
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = cli.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(status, out.splitlines(), err.splitlines())

    return run


@pytest.fixture(scope="module")
def infant() -> Recording:
    """Six seconds: two windows."""
    return simulate(5, InfantConfig(duration=6.0), name="infant")


@pytest.fixture
def good(infant, tmp_path) -> Path:
    """The infant as a table without times, so that its frame rate has to be said."""
    readers.write(infant, tmp_path / "timed.csv", "wide-csv")
    rows = [line.split(",") for line in (tmp_path / "timed.csv").read_text().splitlines()]
    (tmp_path / "timed.csv").unlink()
    assert rows[0][:2] == ["frame", "time"]
    path = tmp_path / "good.csv"
    path.write_text("".join(",".join(row[2:]) + "\n" for row in rows))
    return path


def refused(outcome: Outcome, message: str) -> None:
    """Status 2 and one line that names what is wrong, nothing else."""
    assert outcome.status == 2
    assert outcome.out == []
    (line,) = outcome.err
    assert line.startswith("infantjax: ")
    assert re.search(message, line), line


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_options_and_an_example_that_is_understood(run, command, monkeypatch):
    outcome = run(*command.split(), "--help")
    assert outcome.status == 0
    text = "\n".join(outcome.out)
    examples = re.findall(rf"^ +infantjax {command} (.*)$", text.partition("Example:")[2], re.MULTILINE)
    assert examples, text
    # Each example is parsed and reaches its command, whose work is left out here.
    called = []
    monkeypatch.setattr(cli.command_type(command), "run", lambda self: called.append(self) or 0)
    for example in examples:
        assert run(*command.split(), *example.split()) == (0, [], [])
    assert len(called) == len(examples)
    undescribed = re.findall(r"^│ (--[a-z-]+(?: \S+)?) +\(default", text, re.MULTILINE)
    assert undescribed == []
    assert re.search(r"--debug\s+Show a traceback", text)


def test_the_program_lists_its_commands(run):
    text = " ".join(run("--help").out)
    assert all(command in text for command in COMMANDS)


def test_the_version_is_the_package_s(run):
    assert run("--version") == (0, [f"infantjax {infantjax.__version__}"], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["asess"], 'command: "asess" does not exist; did you mean assess'),
        (["color"], 'command: "color" does not exist; known are demo, assess'),
        (["assess", "a.csv"], "assess: Missing .*--output DIR.*; see infantjax assess --help"),
        (["convert"], "convert: Missing .*INPUT.*OUTPUT"),
        (["convert", "a", "b", "c"], 'convert: "c" is one argument too many'),
        (["assess", "a.csv", "-o", "b", "--fsp", "30"], "assess: option --fsp does not exist; did you mean --fps"),
        (["assess", "a.csv", "-o", "b", "--fps", "fast"], "assess: Error parsing --fps: .*'fast'"),
        (["simulate", "-o", "b", "--method", "mom"], "simulate: invalid choice 'mom' for argument '--method'. Expect"),
        (["train", "pose", "a", "-o", "b", "--epochs", "0"], "train pose: epochs must be at least 1, got 0"),
    ],
)
def test_a_wrong_call_is_status_2_and_one_line(run, arguments, message):
    refused(run(*arguments), message)


def test_no_command_at_all_is_status_2_with_the_list_of_commands(run):
    assert run().status == 2


def test_a_traceback_is_shown_on_request_only(run, tmp_path):
    with pytest.raises(infantjax.errors.InputError, match="does not exist"):
        cli.run(["convert", str(tmp_path / "nowhere.csv"), str(tmp_path / "b.csv"), "--debug"])


def test_an_interruption_is_status_130(run, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Models, "run", interrupt)
    assert run("models") == (130, [], ["infantjax: interrupted; completed work is kept"])


# --- in processes of their own ---------------------------------------------------------------------------------------


def installed() -> str:
    path = shutil.which("infantjax") or shutil.which("infantjax", path=str(Path(sys.executable).parent))
    return path or pytest.skip("the program is not installed")


def test_the_installed_program_starts(tmp_path):
    done = subprocess.run([installed(), "--version"], cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"infantjax {infantjax.__version__}\n")


def test_a_reader_of_the_output_that_goes_away_is_no_error(tmp_path):
    code = "for i in range(100_000): print('a line')"
    script = f"import sys\nfrom infantjax import cli\ndef work(self):\n    {code}\n    return 0\n"
    script += "from infantjax.cli.models import Models\nModels.run = work\ncli.main(['models'])\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "a line\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 0


def ended(work: str, **options) -> subprocess.CompletedProcess:
    """What becomes of a process whose command does this work."""
    script = (
        f"import atexit, threading, time\nfrom infantjax import cli\ndef work(self):\n{textwrap.indent(work, ' ')}\n"
    )
    script += "from infantjax.cli.models import Models\nModels.run = work\ncli.main(['models'])\n"
    return subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, timeout=60, **options)


def test_a_process_ends_when_its_threads_have_and_all_is_closed():
    work = "threading.Thread(target=lambda: (time.sleep(0.2), print('computed'))).start()\n"
    work += "atexit.register(print, 'closed')\nprint('done')\nreturn 3"
    done = ended(work, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (3, "done\ncomputed\nclosed\n", "")


def test_an_error_that_nobody_expected_is_status_1_with_its_traceback():
    done = ended("raise RuntimeError('unheard of')", stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("RuntimeError: unheard of\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_results_that_could_not_be_written_are_no_success():
    with open("/dev/full", "w") as full:
        assert ended("print('a line')\nreturn 0", stdout=full).returncode == 1


def test_a_recording_is_assessed_by_the_installed_program(good, ensemble_folder, tmp_path):
    arguments = ["assess", "good.csv", "--fps", "30", "-o", "results", "--ensemble", ensemble_folder]
    done = subprocess.run(
        [installed(), *map(str, arguments)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"},
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"good\.csv  risk 0\.\d{3}  (no )?CP  (green|yellow|orange|red)\n", done.stdout)
    assert "note: Random weights, made for a test." in done.stderr
    assert sorted(p.name for p in (tmp_path / "results").iterdir() if p.name[0] != ".") == [
        "good.html",
        "good.json",
        "index.html",
        "summary.csv",
    ]
    assert any((tmp_path / ".cache" / "infantjax" / "xla").iterdir())


# --- bad input -------------------------------------------------------------------------------------------------------


def table(change: Callable[[list[list[str]]], object]) -> Callable[[Path, Path], None]:
    """A change of the cells of the good table: rows of cells, the header first."""

    def write(good: Path, path: Path) -> None:
        rows = [line.split(",") for line in good.read_text().splitlines()]
        rows = change(rows) or rows
        path.write_text("".join(",".join(row) + "\n" for row in rows))

    return write


def text(content: str) -> Callable[[Path, Path], None]:
    return lambda good, path: path.write_text(content) and None


def put(value: str, column: int = 3) -> Callable[[Path, Path], None]:
    """The same value in a column of every row."""

    def change(rows):
        for row in rows[1:]:
            row[column] = value

    return table(change)


def cut(kind: str) -> Callable[[Path, Path], None]:
    def write(good: Path, path: Path) -> None:
        whole = path.with_name(f"whole{path.suffix}")
        readers.write(readers.read(good, fps=30), whole, kind)
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        whole.unlink()

    return write


def all_nan(good: Path, path: Path) -> None:
    def change(rows):
        rows[1:] = [["nan"] * len(row) for row in rows[1:]]

    table(change)(good, path)


def frame_numbers(good: Path, path: Path) -> None:
    def change(rows):
        return [["frame", *rows[0]]] + [[str(i // 2), *row] for i, row in enumerate(rows[1:])]

    table(change)(good, path)


def folder(good: Path, path: Path) -> None:
    path.mkdir()


def picture(good: Path, path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))


def archive(good: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("word/document.xml", "<a/>")


def three_joints(good: Path, path: Path) -> None:
    path.write_text("nose_x,nose_y,tail_x,tail_y\n" + "1,2,3,4\n" * 200)


def without_hips(good: Path, path: Path) -> None:
    def change(rows):
        keep = [i for i, name in enumerate(rows[0]) if "hip" not in name and "pelvis" not in name]
        return [[row[i] for i in keep] for row in rows]

    table(change)(good, path)


BAD = {
    "empty.csv": (text(""), "is empty"),
    "header_only.csv": (table(lambda rows: rows[:1]), "holds no frames; export"),
    "wrong_columns.csv": (text("name,age\nAnna,3\n"), "without columns like nose_x"),
    "no_skeleton.csv": (three_joints, r'its points \("nose", "tail"\) are not those of a known keypoint set'),
    "no_hips.csv": (without_hips, 'joint "pelvis" is never seen'),
    "all_nan.csv": (all_nan, "every point is missing"),
    "one_frame.csv": (table(lambda rows: rows[:2]), "holds a single frame"),
    "four_seconds.csv": (table(lambda rows: rows[:121]), r"lasts 4\.0 s, shorter than a window of 5 s"),
    "huge.csv": (put("1e9"), r"line 2, joint nose: the y coordinate is 1e\+09, larger than 1e\+06"),
    "infinite.csv": (put("inf"), "line 2, joint nose: the y coordinate is infinite"),
    "overflowing.csv": (put("1e400"), "line 2, joint nose: the y coordinate is infinite"),
    "no_number.csv": (put("left"), 'line 2, column nose_y: "left" is not a number'),
    "duplicated_frames.csv": (frame_numbers, "line 3: frame number 0 occurs twice"),
    "folder.csv": (folder, "contains no keypoint file; give files"),
    "cut.npz": (cut("npz"), "is not an .npz archive that can be read"),
    "cut.h5": (cut("sleap-h5"), "is not an HDF5 file that can be read.*truncated"),
    "picture.csv": (picture, "holds an image"),
    "table.npz": (text("nose_x,nose_y\n1,2\n"), "is named .npz but holds text"),
    "table.h5": (text("nose_x,nose_y\n1,2\n"), "is named .h5 but holds text"),
    "document.npz": (archive, 'no array "keypoints"'),
    "nobody.json": (text("{}"), "JSON without keypoints"),
    "cut.json": (text('{"people": ['), "is not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_recording_is_status_2_and_one_line(run, good, ensemble_folder, tmp_path, name):
    write, message = BAD[name]
    write(good, tmp_path / name)
    outcome = run(
        "assess", tmp_path / name, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet"
    )
    refused(outcome, message)
    assert name.partition(".")[0] in outcome.err[0]
    assert not (tmp_path / "out" / f"{Path(name).stem}.json").exists()


def test_bad_recordings_in_a_batch_are_status_1_and_the_good_one_is_done(run, good, ensemble_folder, tmp_path):
    inputs = [good]
    for name, (write, _) in BAD.items():
        if name != "folder.csv":
            write(good, tmp_path / name)
            inputs.append(tmp_path / name)
    outcome = run("assess", *inputs, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    assert outcome.status == 1
    assert outcome.out[0].startswith("good.csv  risk 0.")
    assert all(re.match(r"\w+\.\w+  error: \S", line) for line in outcome.out[1:])
    assert len(outcome.out) == len(inputs)
    assert f"{len(inputs) - 1} of {len(inputs)} recordings failed; see" in outcome.err[-1]
    summary = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in summary[1:]] == ["ok"] + ["error"] * (len(inputs) - 1)
    assert (tmp_path / "out" / "good.html").exists()


def test_negative_coordinates_are_coordinates(run, infant, ensemble_folder, tmp_path):
    for name, shift in (("as_it_is", 0), ("negative", -5000)):
        moved = Recording(infant.keypoints + shift, infant.fps, infant.skeleton, name)
        readers.write(moved, tmp_path / f"{name}.csv", "wide-csv")
    outcome = run("assess", tmp_path, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    assert outcome.status == 0
    first, second = (line.split("  ")[1] for line in outcome.out)
    assert first == second


@pytest.mark.parametrize("fps", ["0", "-25", "nan", "inf", "1e6"])
@pytest.mark.parametrize("command", ["assess", "crossval", "convert"])
def test_a_frame_rate_that_cannot_be_is_refused(run, good, tmp_path, fps, command):
    arguments = {"assess": [good, "-o", tmp_path / "o"], "crossval": [tmp_path, "-o", tmp_path / "o"]}
    outcome = run(command, *arguments.get(command, [good, tmp_path / "b.npz"]), f"--fps={fps}")
    refused(outcome, r"--fps: is \S+, must be above 0 and at most 1000")


def test_a_missing_frame_rate_is_asked_for(run, good, ensemble_folder, tmp_path):
    outcome = run("assess", good, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    refused(outcome, "good.csv.*--fps")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "color"), '--format: is "color"; did you mean coco'),
        (("--skeleton", "coco-71"), '--skeleton: is "coco-71"; did you mean coco-17'),
        (("--threshold", "1.5"), "--threshold: is 1.5, must be within 0..1"),
        (("--threshold", "nan"), "--threshold: is nan, must be within 0..1"),
        (("--threshold", "0.5", "--threshold-file", "t"), "--threshold: is given twice"),
        (("--threshold-file", "nowhere"), "nowhere: cannot be read"),
        (("--individual", "b"), "does not name individuals"),
        (("--format", "npz"), "good.csv.*archive|good.csv.*npz"),
    ],
)
def test_options_of_assess_that_cannot_be_are_refused(run, good, ensemble_folder, tmp_path, options, message):
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    refused(run(*arguments, *options), message)


def test_what_explains_is_chosen_by_name(run, good, ensemble_folder, tmp_path):
    given = ("assess", good, "--fps", 30, "--ensemble", ensemble_folder)
    run(*given, "-o", tmp_path / "all")
    run(*given, "-o", tmp_path / "first", "--contributions-of", "first_model")
    records = [json.loads((tmp_path / name / "good.json").read_text()) for name in ("all", "first")]
    assert [r["provenance"]["settings"]["contributions_of"] for r in records] == ["all", "first_model"]


def test_a_threshold_comes_from_a_file(run, good, ensemble_folder, tmp_path):
    (tmp_path / "t.txt").write_text("0.125\n")
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    assert run(*arguments, "--threshold-file", tmp_path / "t.txt").status == 0
    assert json.loads((tmp_path / "out" / "good.json").read_text())["threshold"] == 0.125
    (tmp_path / "t.txt").write_text("low\n")
    refused(run(*arguments, "--threshold-file", tmp_path / "t.txt"), "t.txt: does not hold one number")


@pytest.mark.parametrize(
    "damage", ["another model", "another width", "another skeleton", "no trunk", "flipped", "missing", "none"]
)
def test_weights_that_cannot_be_used_are_refused(run, good, ensemble_folder, tmp_path, damage):
    folder = tmp_path / "ensemble"
    shutil.copytree(ensemble_folder, folder)
    ensemble = load_ensemble(folder)
    (member,) = ensemble.members
    if damage.startswith(("another", "no ")):
        from dataclasses import replace

        changes = {
            "another model": {"members": (Member("kbest-gcn-2", member.variables),)},
            "another width": {"members": (Member("st-gcn", member.variables, {"widths": [4, 12]}),)},
            "another skeleton": {"info": {**ensemble.info, "skeleton": "mpii-16"}},
            "no trunk": {"info": {**ensemble.info, "skeleton": "coco-17"}},
        }
        save_ensemble(replace(ensemble, **changes[damage]), folder)
    elif damage == "flipped":
        (path,) = folder.glob("*.safetensors")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "missing":
        next(folder.glob("*.safetensors")).unlink()
    else:
        shutil.rmtree(folder)
    message = {
        "another model": "weights of kbest-gcn-2: missing parameter .*; use the weights with the model",
        "another width": r"weights of st-gcn: .* has shape \(2, 8\), the network needs \(2, 12\)",
        "another skeleton": r"weights of st-gcn: .* has shape \(2, 19,.* the network needs \(2, 16,",
        "no trunk": "ensemble: cannot be used .its skeleton coco-17 has no trunk",
        "flipped": "is damaged at .*: its digest does not match",
        "missing": "cannot be read",
        "none": "is not a folder; give the folder that `infantjax crossval` wrote",
    }[damage]
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", folder, "--quiet")
    refused(run(*arguments), message)


def test_an_output_that_cannot_be_is_refused(run, good, ensemble_folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = run("assess", good, "--fps", 30, "-o", tmp_path / "file", "--ensemble", ensemble_folder, "--quiet")
    refused(outcome, "file: is a file, a folder is needed")
    assert (tmp_path / "file").read_text() == "mine"


# --- other commands --------------------------------------------------------------------------------------------------


def test_a_simulated_cohort_is_the_same_for_the_same_seed(run, tmp_path):
    for name in ("a", "b"):
        outcome = run("simulate", "-n", 3, "--seed", 4, "--duration", 6, "-o", tmp_path / name)
        assert (outcome.status, outcome.out) == (0, [str(tmp_path / name)])
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert {"outcomes.csv", "orgcoords_sim0002.csv"} <= set(names)
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-n", "1"), "a cohort has from 2 to"),
        (("--seed", "-1"), "seed must be at least 0, got -1"),
        (("--duration", "0"), "duration must be above 0"),
        (("--prevalence", "1"), "prevalence must be above 0 and below 1"),
        (("--fps", "0"), "fps must be above 0"),
    ],
)
def test_options_of_simulate_that_cannot_be_are_refused(run, tmp_path, options, message):
    refused(run("simulate", "-o", tmp_path / "c", "--quiet", *options), message)
    assert not (tmp_path / "c").exists()


def test_a_cohort_is_not_written_over_by_chance(run, tmp_path):
    arguments = ("simulate", "-n", 2, "--duration", 1, "-o", tmp_path / "c")
    assert run(*arguments).status == 0
    refused(run(*arguments), "holds a simulated cohort already")
    assert run(*arguments, "--overwrite").status == 0


@pytest.fixture
def cohort(tmp_path, run) -> Path:
    assert run("simulate", "-n", 4, "--prevalence", 0.5, "--duration", 6, "-o", tmp_path / "cohort").status == 0
    return tmp_path / "cohort"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "color"), 'unknown model "color"'),
        (("--epochs", "0"), "epochs must be at least 1, got 0"),
        (("--batch-size", "0"), "batch_size must be at least 1, got 0"),
        (("--learning-rate", "-1"), "learning_rate must be above 0"),
        (("--samples-per-negative", "0"), "samples_per_negative must be"),
        (("--positive-ratio", "0"), "positive_ratio must be"),
        (("--threshold", "2"), "threshold must be within 0..1"),
        (("--seed", "-1"), "seed must lie in 0"),
        (("--format", "color"), '--format: is "color"'),
        (("--outcomes", "nowhere.csv"), "nowhere.csv: does not exist"),
        (("--folds", "1"), "folds must be at least 2, got 1"),
        (("--folds", "3"), "2 recordings with outcome 1 for 3 folds"),
        (("--stratify", "color"), 'no recording has a column "color"'),
        (("--save-every", "0"), "save_every must be at least 1"),
    ],
)
def test_options_of_crossval_that_cannot_be_are_refused(run, cohort, tmp_path, options, message):
    given = ("crossval", cohort, "-o", tmp_path / "e", "--model", "st-gcn", "--folds", 2, "--epochs", 1, "--quiet")
    refused(run(*given, *options), message)
    assert not (tmp_path / "e" / "ensemble.json").exists()


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ("0.9", "validation must be a fraction above 0 and at most 0.5"),
        ("nan", "validation must be a fraction above 0 and at most 0.5"),
        ("nowhere.txt", "nowhere.txt: cannot be read .*; give a fraction such as 0.25, or a file of ids"),
    ],
)
def test_a_validation_that_cannot_be_is_refused(run, cohort, tmp_path, validation, message):
    refused(run("train", cohort, "-o", tmp_path / "e", "--validation", validation, "--quiet"), message)


def test_an_unknown_network_is_told_before_any_file_is_read(run, tmp_path):
    refused(run("crossval", tmp_path / "nowhere", "-o", tmp_path / "e", "--model", "color"), 'unknown model "color"')


def test_outcomes_of_unknown_infants_are_listed_together(run, cohort, tmp_path):
    lines = (cohort / "outcomes.csv").read_text().splitlines()
    (tmp_path / "o.csv").write_text("\n".join([*lines, "nobody;1", "noone;0"]).replace(",", ";") + "\n")
    outcome = run(
        "crossval", cohort, "-o", tmp_path / "e", "--outcomes", tmp_path / "o.csv", "--folds", 3, "--model", "st-gcn"
    )
    assert outcome.status == 2
    notes = " ".join(outcome.err)
    assert "nobody" in notes
    assert "noone" in notes


def test_a_cohort_without_recordings_of_its_table_is_refused(run, tmp_path, good):
    (tmp_path / "outcomes.csv").write_text("id;outcome\nnobody;1\nnoone;0\n")
    refused(run("crossval", tmp_path, "-o", tmp_path / "e", "--fps", 30, "--quiet"), "nobody")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id;outcome\nsim0000;0\nsim0000;1\n", "sim0000"),
        ("id;outcome\nsim0000;2\n", "2"),
        ("name;result\nsim0000;0\n", "outcome"),
        ("", "is empty"),
    ],
)
def test_a_table_of_outcomes_that_cannot_be_is_refused(run, cohort, tmp_path, table, message):
    (cohort / "outcomes.csv").write_text(table)
    refused(run("crossval", cohort, "-o", tmp_path / "e", "--quiet"), message)


@pytest.mark.parametrize("name", ["b.npz", "b.csv", "orgcoords_b.csv"])
def test_what_is_converted_and_back_is_what_it_was(run, good, infant, tmp_path, name):
    outcome = run("convert", good, tmp_path / name, "--fps", 30)
    assert (outcome.status, outcome.out) == (0, [str(tmp_path / name)])
    assert run("convert", tmp_path / name, tmp_path / "back.npz", "--fps", 30).status == 0
    back = readers.read(tmp_path / "back.npz")
    assert (back.fps, back.skeleton.name) == (30, "in-motion-19")
    np.testing.assert_allclose(back.keypoints, infant.keypoints, atol=1e-3)


def test_conversion_to_another_keypoint_set_tells_what_it_did(run, good, tmp_path):
    outcome = run("convert", good, tmp_path / "b.npz", "--fps", 30, "--to-skeleton", "coco-17")
    assert outcome.status == 0
    assert readers.read(tmp_path / "b.npz").skeleton.name == "coco-17"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to-skeleton", "color"), "--to-skeleton: .*color"),
        (("--to-format", "color"), "color"),
        (("--format", "color"), '--format: is "color"'),
        (("--skeleton", "color"), '--skeleton: is "color"'),
    ],
)
def test_options_of_convert_that_cannot_be_are_refused(run, good, tmp_path, options, message):
    refused(run("convert", good, tmp_path / "b.npz", "--fps", 30, *options), message)
    assert not (tmp_path / "b.npz").exists()


def test_convert_writes_over_nothing_and_into_no_missing_folder(run, good, tmp_path):
    before = good.read_bytes()
    refused(run("convert", good, good, "--fps", 30), "good.csv: exists; give a new name")
    assert good.read_bytes() == before
    refused(run("convert", good, tmp_path / "no" / "b.npz", "--fps", 30), "b.npz: cannot be written .No such file")


def test_models_are_listed_as_published(run):
    names = ["st-gcn", "kbest-gcn-1", "kbest-gcn-7"]
    rows = json.loads("\n".join(run("models", "--json", *names).out))
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert row["parameters"] == row["published_parameters"] == models.get(row["name"]).published.parameters
        assert row["agree"] is True
    assert rows[0]["parameters"] == 3_075_740


def test_models_are_listed_for_reading(run):
    outcome = run("models", "st-gcn")
    assert outcome.status == 0
    assert len(outcome.out) == 2
    assert re.search(r"st-gcn\s+in-motion-19\s+3,075,740\s+3,075,740\s+6.21\s+6.21\s+6.21\s+yes", outcome.out[1])
    refused(run("models", "color"), 'unknown model "color"')


def test_pose_networks_are_listed_for_both_skeletons(run):
    rows = json.loads("\n".join(run("models", "--json", "efficientpose-rt", "efficientpose-rt-lite").out))
    assert [(row["skeleton"], row["agree"]) for row in rows] == [
        ("mpii-16", True),
        ("in-motion-19", True),
        ("mpii-16", True),
        ("in-motion-19", None),
    ]
    assert all(row["executed_flops"] < row["flops"] for row in rows)
    lines = run("models", "efficientpose-rt").out
    assert re.search(r"efficientpose-rt\s+in-motion-19\s+481,336\s+481,336\s+0.96\s+0.96\s+0.78\s+yes", lines[2])


def test_a_network_of_which_only_the_outline_is_published_is_an_interpretation(run):
    assert run("models", "mam").out[1].endswith("interpretation")


# --- pose ------------------------------------------------------------------------------------------------------------


def test_pose_writes_the_keypoints_of_every_frame(run, clip, pose_weights, tmp_path):
    target = tmp_path / "clip.csv"
    outcome = run("pose", clip, "--weights", pose_weights, "--image-size", 64, "-o", target, "--min-confidence", 0)
    assert outcome.status == 0
    assert outcome.out == [str(target)]
    assert "EfficientPose, backbone l0, side 64" in "\n".join(outcome.err)
    recording = readers.read(target)
    assert recording.keypoints.shape == (30, 16, 2)
    assert recording.skeleton.name == "mpii-16"
    assert recording.fps == pytest.approx(30)
    assert not list(tmp_path.glob(".clip.csv.parts"))


def test_pose_draws_an_overlay_of_the_same_frames(run, videos, pose_weights, tmp_path):
    odd = videos.write(tmp_path / "odd.mkv", frames=5, codec="ffv1", height=121, width=161, pix_fmt="yuv444p")
    overlay = tmp_path / "overlay.mp4"
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0, "--overlay", overlay, "--quiet")
    outcome = run("pose", odd, "-o", tmp_path / "a.npz", *options)
    assert outcome.status == 0, outcome.err
    assert outcome.err == []
    from infantjax.video import open_frames

    frames = list(open_frames(overlay))
    assert len(frames) == 5
    assert (frames[0].height, frames[0].width) == (122, 162)
    drawn = np.abs(frames[0].pixels()[:120, :160].astype(int) - videos.picture(0, 121, 161)[:120, :160]).max(-1) > 60
    assert 0.001 < drawn.mean() < 0.5


def test_pose_continues_where_it_was_interrupted(run, clip, pose_weights, tmp_path, monkeypatch):
    from infantjax.pose import track

    monkeypatch.setattr(track, "CHUNK", 8)
    options = ("--weights", pose_weights, "--image-size", 64, "--min-confidence", 0)
    expected = tmp_path / "whole.csv"
    assert run("pose", clip, "-o", expected, *options).status == 0

    add, count = track.TrackStore.add, []

    def stop(self, part, first):
        add(self, part, first)
        count.append(first)
        if len(count) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(track.TrackStore, "add", stop)
    target = tmp_path / "a.csv"
    assert run("pose", clip, "-o", target, *options).status == 130
    assert not target.exists()
    assert len(list((tmp_path / ".a.csv.parts").glob("*.npz"))) == 2
    monkeypatch.setattr(track.TrackStore, "add", add)
    assert run("pose", clip, "-o", target, *options).status == 0
    assert target.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--weights", "no.h5"), r"no\.h5: "),
        (("--weights", "{weights}", "--image-size", 65), "cannot read images of side 65"),
        (("--weights", "{weights}", "--fps", 0), "--fps: is 0"),
        (("--weights", "{weights}", "--min-confidence", 2), "min_confidence must be within"),
        (("--weights", "{weights}", "--batch-size", 0), "batch_size must be within"),
        (("--weights", "{weights}", "--scales", 1, 9), "scales must be within"),
        (("--weights", "{weights}", "--person", "central"), "has no affinity fields"),
        (("--weights", "{clip}"), r"clip\.mp4: is not a readable"),
        (("--weights", "{weights}", "-o", "a.xyz"), r"a\.xyz: has a suffix"),
        (("--weights", "{weights}", "-o", "{clip}"), r"clip\.mp4: exists"),
    ],
)
def test_options_of_pose_that_cannot_be_are_refused(run, clip, pose_weights, tmp_path, options, message):
    given = [str(o).format(weights=pose_weights, clip=clip) for o in options]
    if "-o" not in given:
        given += ["-o", tmp_path / "a.csv"]
    refused(run("pose", clip, *given), message)
    assert not (tmp_path / "a.csv").exists()


def test_released_weights_become_a_folder_that_is_checked(run, clip, pose_weights, tmp_path):
    folder = tmp_path / "network"
    assert run("convert", pose_weights, folder).out == [str(folder)]
    options = ("--image-size", 64, "--min-confidence", 0, "--quiet")
    for weights, target in ((pose_weights, "a.npz"), (folder, "b.npz")):
        assert run("pose", clip, "--weights", weights, "-o", tmp_path / target, *options).status == 0
    first, second = (readers.read(tmp_path / name).keypoints for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(first, second)
    (weights,) = folder.glob("*.safetensors")
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    refused(run("pose", clip, "--weights", folder, "-o", tmp_path / "c.csv", *options), "its digest does not match")
    refused(run("convert", pose_weights, folder), "network: exists")


def test_a_keypoint_file_is_no_video(run, good, pose_weights, tmp_path):
    refused(run("pose", good, "--weights", pose_weights, "-o", tmp_path / "a.csv"), "is no video or image")


def test_a_video_is_assessed_with_the_weights_of_a_pose_network(run, videos, pose_weights, ensemble_folder, tmp_path):
    """The way from a video to a report; the keypoints of random weights mean nothing."""
    path = videos.write(tmp_path / "walk.mp4", frames=160, height=64, width=64)
    options = ("--ensemble", ensemble_folder, "-o", tmp_path / "out")
    refused(run("assess", path, *options), r"walk\.mp4: is a video or image; give --pose-weights")
    outcome = run("assess", tmp_path, *options, "--pose-weights", pose_weights)
    assert outcome.status == 0, outcome.err
    document = json.loads((tmp_path / "out" / "walk.json").read_text("utf-8"))
    assert "EfficientPose, backbone l0" in json.dumps(document)


def test_a_video_that_is_too_slow_or_a_picture_is_not_assessed(run, videos, pose_weights, ensemble_folder, tmp_path):
    slow = videos.write(tmp_path / "slow.mp4", frames=8, fps=2)
    options = ("--ensemble", ensemble_folder, "--pose-weights", pose_weights, "-o", tmp_path / "out")
    refused(run("assess", slow, *options), "frames per second; give at least 5")
    picture = videos.write(
        tmp_path / "a.png", frames=1, codec="png", pix_fmt="rgb24", format="image2", options={"update": "1"}
    )
    refused(run("assess", picture, *options), "is an image, which shows no movement")


# --- evaluate --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path) -> tuple[Path, Path]:
    risks, outcomes = tmp_path / "risks.csv", tmp_path / "outcomes.csv"
    risks.write_text("id,risk\na,0.9\nb,0.7\nc,0.2\nd,0.6\ne,0.1\n")
    outcomes.write_text("id;outcome\na;1\nb;1\nc;0\nd;0\ne;0\n")
    return risks, outcomes


def test_evaluation_gives_the_figures_with_their_intervals(run, tables):
    outcome = run("evaluate", *tables, "--json")
    assert outcome.status == 0
    figures = json.loads("\n".join(outcome.out))
    assert figures["auc"][0] == 1
    assert figures["sensitivity"][0] == 1
    assert figures["specificity"][0] == pytest.approx(2 / 3)
    assert all(low <= value <= high for value, low, high in (f[:3] for f in figures.values() if None not in f))


def test_evaluation_is_printed_for_reading(run, tables):
    outcome = run("evaluate", *tables, "--threshold", 0.65)
    assert outcome.out[0] == "5 infants, 2 with outcome 1, threshold 0.65"
    assert any(re.fullmatch(r"specificity\s+1\.000\s+\(0\.\d{3} to 1\.000\)", line) for line in outcome.out)


@pytest.mark.parametrize(
    ("risks", "outcomes", "message"),
    [
        ("", "id;outcome\na;1\n", "risks.csv: is empty"),
        ("id,score\na,1\n", "id;outcome\na;1\n", "needs a column id and a column risk"),
        ("id,risk\na,1.5\n", "id;outcome\na;1\n", r"line 2 has risk 1.5, must be within 0..1"),
        ("id,risk\na,high\n", "id;outcome\na;1\n", "line 2.*high"),
        ("id,risk\na,0.5\n", "id;outcome\nb;1\n", "holds no infant with a risk and an outcome"),
        ("id,risk\na,0.5\n", None, "has no column outcome; give the table of outcomes too"),
    ],
)
def test_tables_that_cannot_be_evaluated_are_refused(run, tables, risks, outcomes, message):
    tables[0].write_text(risks)
    if outcomes is not None:
        tables[1].write_text(outcomes)
    refused(run("evaluate", *(tables if outcomes is not None else tables[:1]), "--quiet"), message)


def test_figures_that_one_class_cannot_give_are_null(run, tables):
    tables[1].write_text("id;outcome\na;1\nb;1\n")
    figures = json.loads("\n".join(run("evaluate", *tables, "--json").out), parse_constant=pytest.fail)
    assert figures["auc"] == [None] * 3
    assert figures["sensitivity"][0] == 1


@pytest.fixture
def more(tables) -> Path:
    """Risks of a second method, and a column of sexes."""
    tables[1].write_text("id;outcome;sex\na;1;f\nb;1;m\nc;0;f\nd;0;m\ne;0;\n")
    path = tables[0].with_name("others.csv")
    path.write_text("id,risk\nb,0.3\na,0.8\nc,0.4\nd,0.9\nz,0.5\n")
    return path


def test_two_methods_are_compared_on_the_infants_that_both_have(run, tables, more):
    more.write_text("id,risk\nb,0.3\na,0.8\nc,0.4\nd,0.9\n")
    outcome = run("evaluate", *tables, "--baseline", more, "--json")
    assert outcome.status == 0
    row = json.loads("\n".join(outcome.out))["comparisons"][str(more)]["sensitivity"]
    assert (row["first"], row["second"], row["p"], row["holm"]) == (1, 0.5, 1, 1)
    assert any("1 infants are in one of the two tables only" in line for line in outcome.err)


def test_several_methods_are_compared_with_corrected_p_values(run, tables, more, tmp_path):
    third = tmp_path / "third.csv"
    third.write_text("id,risk\na,0.1\nb,0.2\nc,0.9\nd,0.9\ne,0.8\n")
    outcome = run("evaluate", *tables, "--baseline", more, "--baseline", third)
    assert outcome.status == 0
    assert [line for line in outcome.out if line.startswith("against")] == [f"against {more}", f"against {third}"]
    assert sum(line.endswith("Holm") for line in outcome.out) == 2


def test_recordings_of_one_infant_are_not_taken_as_independent(run, tables):
    tables[1].write_text("id;outcome;group\na;1;x\nb;1;x\nc;0;y\nd;0;z\ne;0;z\n")
    outcome = run("evaluate", *tables)
    assert outcome.out[0] == "5 recordings of 3 infants, 1 with outcome 1, threshold 0.5"
    assert any("some infants have several recordings: intervals are bootstraps over infants" in e for e in outcome.err)
    whole = run("evaluate", *tables, "--per-infant", "--json")
    assert whole.err == []
    assert json.loads("\n".join(whole.out))["specificity"][0] == 1  # z has a mean risk of 0.35
    refused(run("evaluate", *tables, "--per-infant", "--subgroups", "group", "--quiet"), "gives no subgroups")
    tables[1].write_text("id;outcome;group\na;1;x\nb;0;x\nc;0;\nd;0;\ne;0;\n")
    refused(run("evaluate", *tables, "--quiet"), 'outcomes.csv: gives recordings of infant "x" different outcomes')


def test_the_published_test_comes_with_its_warning(run, tables, more):
    outcome = run("evaluate", *tables, "--baseline", more, "--test", "published")
    assert outcome.status == 0
    assert any("overstates significance" in line for line in outcome.err)


def test_subgroups_and_the_threshold_of_a_sensitivity_are_printed(run, tables, more):
    outcome = run("evaluate", *tables, "--subgroups", "sex", "--at-sensitivity", 0.9)
    assert outcome.out[0].endswith("threshold 0.7")
    assert "f: 2 infants, 1 with outcome 1, threshold 0.7" in outcome.out
    assert "not given: 1 infants, 0 with outcome 1, threshold 0.7" in outcome.out


def test_an_evaluation_is_plotted(run, tables, more, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("evaluate", *tables, "--baseline", more, "--plots", tmp_path / "plots").status == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"roc.svg", "reliability.svg", "decision_curve.svg"}
    refused(run("evaluate", *tables, "--plots", tables[0], "--quiet"), "risks.csv: cannot be written")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subgroups", "age"], 'outcomes.csv: has no entries in a column "age"; those with entries are sex'),
        (["--at-sensitivity", 1.5], "--at-sensitivity: is 1.5, must be above 0 and at most 1"),
        (["--baseline", "none.csv"], "none.csv"),
    ],
)
def test_options_of_evaluate_that_cannot_be_are_refused(run, tables, more, options, message):
    refused(run("evaluate", *tables, *options, "--quiet"), re.escape(message))


def test_a_threshold_at_a_sensitivity_needs_both_classes(run, tables):
    tables[1].write_text("id;outcome\na;1\nb;1\n")
    refused(run("evaluate", *tables, "--at-sensitivity", 0.7, "--quiet"), "one class only")


@pytest.mark.parametrize(
    ("rows", "message"),
    [("y,0.1\n", "holds no infant with a risk"), ("a,0.1\na,0.2\n", "some infants have several risks")],
)
def test_risks_that_cannot_be_paired_are_refused(run, tables, more, rows, message):
    more.write_text("id,risk\n" + rows)
    refused(run("evaluate", *tables, "--baseline", more, "--quiet"), message)


def test_methods_without_a_common_infant_or_with_other_outcomes_are_refused(run, tables, more):
    tables[0].write_text("id,risk,outcome\na,0.9,1\nb,0.2,0\n")
    for rows, message in (("c,0.9,1\n", "no infant of the first table"), ("a,0.9,0\n", "differ in the outcomes")):
        more.write_text("id,risk,outcome\n" + rows)
        refused(run("evaluate", tables[0], "--baseline", more, "--quiet"), message)


def test_a_column_of_many_entries_makes_no_subgroups(run, tables):
    tables[1].write_text("id;outcome;age\n" + "".join(f"{i};{i % 2};{i}\n" for i in range(21)))
    tables[0].write_text("id,risk\n" + "".join(f"{i},0.5\n" for i in range(21)))
    refused(run("evaluate", *tables, "--subgroups", "age", "--quiet"), 'has 21 different entries in column "age"')


def test_a_cohort_is_assessed_and_evaluated(run, cohort, ensemble_folder, tmp_path):
    outcome = run("assess", cohort, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    assert outcome.status == 0
    assert len(outcome.out) == 4
    outcome = run("evaluate", tmp_path / "out" / "summary.csv", cohort / "outcomes.csv")
    assert outcome.status == 0
    assert outcome.out[0].startswith("4 infants, 2 with outcome 1")
