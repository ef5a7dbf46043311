"""Many machines assess a part of the recordings each; together they give what one gives."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from infantjax import cli
from infantjax import formats as readers
from infantjax.assessment.batch import assess_files
from infantjax.assessment.shards import Shard, find_summaries, merge_summaries
from infantjax.cli import common
from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.report import table
from infantjax.report.table import Row
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import load_ensemble

FOLDERS = ("shard-1-of-3", "shard-2-of-3", "shard-3-of-3")


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[Path]:
    """Five recordings, two of one name and one that cannot be read; in no order."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / name for name in ("c.csv", "a.csv", "b/a.csv", "b/d.csv")]
    for seed, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        readers.write(simulate(seed, InfantConfig(duration=6.0), name=path.stem), path)
    (folder / "bad.csv").write_text("nothing")
    return [*paths, folder / "bad.csv"]


@pytest.fixture(scope="module")
def results(paths, ensemble_folder, tmp_path_factory) -> Path:
    """A folder with the results of three shards, each by a machine that lists the recordings in another order."""
    folder, assessor = tmp_path_factory.mktemp("results"), EnsembleGcnAssessor(load_ensemble(ensemble_folder))
    for number in (1, 2, 3):
        assess_files(paths[number:] + paths[:number], folder, assessor, shard=Shard(number, 3))
    assess_files(sorted(paths), folder / "whole", assessor)
    return folder


def copy_of_rows(source: Path, target: Path, **changes) -> Path:
    target.mkdir(parents=True)
    rows = [replace(row, **changes) for row in table.read_summary(source / "summary.csv")]
    write_atomically(target / "summary.csv", table.summary_csv(rows))
    return target / "summary.csv"


@pytest.mark.parametrize(("items", "count"), [(500, 16), (5, 3), (2, 4), (0, 2)])
def test_every_item_is_in_one_shard_and_all_have_nearly_as_many(items, count):
    taken = [Shard(number, count).take(range(items)) for number in range(1, count + 1)]
    assert sorted(chain(*taken)) == list(range(items))
    assert np.ptp([len(each) for each in taken]) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/0", "1.0/3", "1/2/3"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        Shard.parse(text)


def test_merged_shards_are_the_assessment_of_all(results):
    merged = merge_summaries(find_summaries([results]), results / "summary.csv")
    whole = table.read_summary(results / "whole" / "summary.csv")
    assert [replace(row, page="") for row in merged] == sorted(
        (replace(row, page="") for row in whole), key=lambda row: row.id
    )
    assert [row.status for row in merged].count("error") == 1
    assert {row.id for row in merged} == {"a", "a-2", "c", "d", "bad"}
    for row in merged:
        if row.page:
            assert (results / row.page).read_bytes() == (results / "whole" / f"{row.id}.html").read_bytes()


def test_no_two_shards_write_the_same_file(results):
    written = [sorted(path.name for path in (results / folder).glob("*.json")) for folder in FOLDERS]
    assert sorted(chain(*written)) == ["a-2.json", "a.json", "c.json", "d.json"]


def test_the_command_merges_shards_once_and_replaces_them_if_told(results, capsys):
    output = results / "merged" / "all.csv"
    arguments = ["summary", "merge", str(results), "-o", str(output)]
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out == f"{output}\n"
    assert len(table.read_summary(output)) == 5
    page = (output.parent / "index.html").read_text()
    assert 'href="../shard-1-of-3/a.html"' in page
    assert cli.run(arguments) == 2
    assert "exists; give a new name" in capsys.readouterr().err
    assert cli.run([*arguments, "--overwrite"]) == 0


def test_a_missing_shard_is_named(results, tmp_path):
    for folder in FOLDERS[::2]:
        copy_of_rows(results / folder, tmp_path / folder)
    with pytest.raises(InputError, match="lacks shard 2 of 3; run infantjax assess with --shard 2/3"):
        find_summaries([tmp_path])
    copy_of_rows(results / FOLDERS[1], tmp_path / "shard-2-of-4")
    with pytest.raises(InputError, match="holds shards of 3 and of 4"):
        find_summaries([tmp_path])


def test_shards_that_are_missing_or_were_interrupted_are_named(paths, ensemble_folder, tmp_path):
    class Killed(BaseException):
        pass

    def kill(done: int, row: Row) -> None:
        raise Killed

    assessor = EnsembleGcnAssessor(load_ensemble(ensemble_folder))
    with pytest.raises(Killed):
        assess_files(paths, tmp_path, assessor, shard=Shard(1, 3), report=kill)
    with pytest.raises(InputError, match=r"lacks shard 1 of 3 \(1 of 2 recordings\), 2 of 3, 3 of 3; .* 1/3, 2/3, 3/3"):
        find_summaries([tmp_path])
    for number in (1, 2, 3):
        assess_files(paths, tmp_path, assessor, shard=Shard(number, 3))
    assert len(merge_summaries(find_summaries([tmp_path]), tmp_path / "summary.csv")) == len(paths)


def test_a_damaged_list_of_a_shard_is_refused(results, tmp_path):
    copy_of_rows(results / FOLDERS[0], tmp_path / "shard-1-of-1")
    (tmp_path / "shard-1-of-1" / ".shard").write_text('["a", ')
    with pytest.raises(InputError, match="is damaged; run infantjax assess"):
        find_summaries([tmp_path])


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no summary\.csv and no shards"):
        find_summaries([tmp_path])


def test_different_results_of_one_id_are_never_merged(results, tmp_path):
    one = results / "whole" / "summary.csv"
    assert len(merge_summaries([one, copy_of_rows(results / "whole", tmp_path / "same")], tmp_path / "x.csv")) == 5
    other = copy_of_rows(results / "whole", tmp_path / "other", value=0.25)
    with pytest.raises(InputError, match=r'holds another result of "a" than .*whole'):
        merge_summaries([one, other], tmp_path / "x.csv")


def test_a_result_takes_the_place_of_an_error(tmp_path):
    error, result = Row(file="a.csv", id="a", message="no disk"), Row(file="a.csv", id="a", status="ok", value=0.5)
    for name, row in (("one", error), ("two", result)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.csv").write_text(table.summary_csv([row]))
    for order in (("one", "two"), ("two", "one")):
        assert merge_summaries([tmp_path / name / "summary.csv" for name in order], tmp_path / "x.csv") == [result]


def test_a_shard_without_recordings_is_an_empty_summary(paths, ensemble_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)
    arguments = [str(paths[0]), "-o", str(tmp_path), "--ensemble", str(ensemble_folder)]
    assert cli.run(["assess", *arguments, "--shard", "2/2"]) == 0
    assert "no recording is in this shard" in capsys.readouterr().err
    assert table.read_summary(tmp_path / "shard-2-of-2" / "summary.csv") == []
    assert cli.run(["assess", *arguments, "--shard", "3/2"]) == 2
    assert "--shard: is 3/2, must be within 1/2..2/2" in capsys.readouterr().err
