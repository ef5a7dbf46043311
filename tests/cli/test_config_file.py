"""`--config`: options in a file, and the file that a command writes beside its results."""

import pytest

from infantjax import cli
from infantjax.cli import config_file, parsing

CALLS = {
    "assess": ["a.csv", "b.csv", "-o", "out", "--fps", "30", "--repair", "--scale", "0", "64", "--no-follow"],
    "crossval": ["cohort", "-o", "out", "--stratify", "center", "--stratify", "age", "--epochs", "7", "--no-flip-y"],
    "search": ["cohort", "-o", "out", "--trials", "3", "--strategy", "random", "--method", "cp-gcn-29"],
    "search ensemble": ["cohort", "search", "-o", "out", "--k", "3", "--log", "jsonl", "tensorboard"],
    "train": ["cohort", "-o", "out", "--method", "sma-cnn", "--quality", "off"],
    "simulate": ["-n", "3", "-o", "out", "--film.width", "320", "--video"],
    "pose": ["a.mp4", "b.mp4", "--overlay", "--scales", "0.75", "1", "--smoothing", "median5"],
    "split": ["cohort", "-o", "out", "--test-fraction", "0.5"],
    "evaluate": ["risks.csv", "outcomes.csv", "--baseline", "a.csv", "--json"],
}


@pytest.fixture
def read_again(tmp_path):
    """Parse a call, write its options to a file, and parse that with further words."""

    def read(name, words, *more):
        kind = cli.command_type(name)
        path = tmp_path / "options.toml"
        path.write_text(config_file.to_toml(parsing.parse(kind, name, words), name))
        return parsing.parse(kind, name, ["--config", str(path), *more])

    return read


def options(command):
    return {option.name: option.value for option in config_file.options(command)}


@pytest.mark.parametrize("name", CALLS)
def test_a_file_of_the_options_gives_the_same_options(read_again, name):
    parsed = parsing.parse(cli.command_type(name), name, CALLS[name])
    assert options(read_again(name, CALLS[name])) == options(parsed)


def test_the_command_line_replaces_what_the_file_says(read_again):
    again = read_again("crossval", CALLS["crossval"], "other", "--epochs", "9", "-o", "there")
    assert (str(again.cohort), str(again.output), again.settings.training.epochs) == ("other", "there", 9)
    assert again.stratify == ("center", "age")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cohort = ", "is no TOML"),
        ('command = "assess"', 'options.toml: is of the command "assess"; use it with assess'),
        (
            'test-fractoin = 0.5\noutput = "a"\ncohort = "b"',
            "option --test-fractoin does not exist; did you mean --test-frac",
        ),
        ('folds = "many"\noutput = "a"\ncohort = "b"', "Error parsing --folds"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(run, tmp_path, text, message):
    path = tmp_path / "options.toml"
    path.write_text(text)
    run("split", "--config", path).refused(message)
    run("split", "--config", tmp_path / "none.toml").refused("cannot be read")


def test_a_command_writes_its_options_and_runs_again_from_them(run, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert run("simulate", "-n", "2", "--duration", "6", "--seed", "4", "-o", first).status == 0
    assert run("simulate", "--config", first / "simulate.toml", "-o", second).status == 0
    written = {path.relative_to(first) for path in first.rglob("*.csv")}
    assert len(written) > 2
    for path in written:
        assert (first / path).read_bytes() == (second / path).read_bytes()
    # The folder with the file is replaced as a whole.
    assert run("simulate", "--config", first / "simulate.toml", "--overwrite").status == 0
    assert "seed = 4" in (first / "simulate.toml").read_text()
