"""Folders of recordings with the table of their outcomes."""

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.formats.cohort import read_cohort
from infantjax.formats.outcomes import find_metadata, read_metadata
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.skeletons import COCO_17, IN_MOTION_19, OPENPOSE_25


def recording(seed=0, skeleton=IN_MOTION_19):
    keypoints = np.random.default_rng(seed).normal(300, 50, (5, len(skeleton.joints), 2)).round(1)
    return Recording(keypoints, 25.0, skeleton)


@pytest.fixture
def folder(tmp_path):
    """Three infants 007, b and c.d with outcomes 1, 0, 0."""
    for seed, name in enumerate(["orgcoords_007", "b", "c.d"]):
        readers.write(recording(seed), tmp_path / f"{name}.csv", "wide-csv")
    outcomes(tmp_path, "id;outcome", "007;1", "b;0", "c.d;0")
    return tmp_path


def outcomes(folder, *lines, name="outcomes.csv"):
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def fails(folder, *parts, **options):
    with pytest.raises(InputError) as caught:
        read_cohort(folder, **options)
    message = str(caught.value)
    assert message.isprintable()
    for part in parts:
        assert part in message
    return message


def test_recordings_come_with_their_outcomes_in_the_order_of_the_table(folder):
    outcomes(folder, "id;outcome", "c.d;0", "007;1", "b;0")
    cohort = read_cohort(folder)
    assert (cohort.names, cohort.outcomes) == (("c.d", "007", "b"), (0, 1, 0))
    assert (cohort.groups, cohort.problems) == (None, ())
    assert len(cohort) == 3
    np.testing.assert_array_equal(cohort.recordings[1].keypoints, recording(0).keypoints)


@pytest.mark.parametrize(
    "lines",
    [
        ("id,outcome", "007,1", "b,0", "c.d,0"),
        ("id\toutcome", "007\t1", "b\t0", "c.d\t0"),
        ("id;outcome", "|007|;|1|", "b;0", "c.d;0"),
        ('"id","outcome"', '"007","1"', "b,0", "c.d,0"),
        ("individual;CP", "007;1", "b;0", "c.d;0"),
        ("\ufeffInfant; Outcome", " 007 ; 1", "b;0 ", "c.d; 0", ""),
        ("outcome;id", "1;007", "0;b", "0;c.d"),
        ("who;what;more", "007;1;x", "b;0;y", "c.d;0"),
    ],
)
def test_separators_quotes_and_names_of_columns_are_free(lines, folder):
    outcomes(folder, *lines)
    cohort = read_cohort(folder)
    assert (cohort.names, cohort.outcomes, cohort.problems) == (("007", "b", "c.d"), (1, 0, 0), ())


def test_everything_that_is_wrong_is_said_in_one_line(folder):
    (folder / "c.d.csv").write_text("nothing")
    outcomes(folder, "id;outcome", "007;1", "007;0", "b;3", "c.d;0", "x;0", ";1")
    fails(
        folder,
        "line 3 (007): contradicts",
        'line 4 (b): has outcome "3"',
        "line 7: has no id",
        "b.csv: has no outcome",
        "x: has an outcome but no file",
        "c.d.csv: is a text table without columns",
        "correct these and try again",
    )


def test_what_is_wrong_with_many_is_said_once(tmp_path):
    for seed in range(9):
        readers.write(recording(seed), tmp_path / f"orgcoords_{seed}.csv")
    outcomes(tmp_path, "id;outcome", *(f"{seed};0" for seed in range(9)))
    message = fails(tmp_path, "orgcoords_4.csv and 4 more: states no frame rate", "--fps")
    assert message.count("--fps") == 1


def test_hidden_temporary_and_other_files_are_passed_over(folder):  # K88
    for name in (".hidden.csv", "~b.csv", "b.csv~", "b.csv.tmp", "#b.csv#", "notes.md", "truth.csv", "about.json"):
        (folder / name).write_text("{}" if name.endswith("json") else "id;second\nb;1\n")
    (folder / "figures").mkdir()
    (folder / "settings").mkdir()
    (folder / "settings" / "camera1.json").write_text('{"angle": 3}')
    assert read_cohort(folder).problems == ()


ROWS = ("id;outcome", "007;1", "b;0", "c.d;0")


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        # O01, O02, O03, O10: no file, no outcome, equal rows; an id is text
        ((*ROWS[:3], "x;1"), ["c.d.csv: has no outcome in the table", "x: has an outcome but no file"]),
        ((*ROWS, "b;0"), ["line 5 (b): repeats an earlier line"]),
        (("id;outcome", "7;1", *ROWS[2:]), ["orgcoords_007.csv: has no outcome", "7: has an outcome but no file"]),
    ],
)
def test_a_table_that_does_not_fit_the_files_leaves_the_rest_usable(lines, problems, folder):
    outcomes(folder, *lines)
    cohort = read_cohort(folder)
    assert all(map(str.startswith, cohort.problems, problems))
    assert (len(cohort.problems), len(cohort)) == (len(problems), 3 if "b;0" in lines[4:] else 2)


def damage(folder):  # K85
    (folder / "b.csv").write_bytes(b"\x89PNG\r\n\x1a\n")
    return ["007", "c.d"], "b.csv: holds an image (png); give a file with keypoints"


def copy(folder):  # K86
    (folder / "b.csv").write_bytes((folder / "c.d.csv").read_bytes())
    return ["007", "b", "c.d"], "b and c.d: are the same recording"


def write_again(folder):
    readers.write(recording(1), folder / "b.npz")
    return ["007", "b", "c.d"], "b.csv and b.npz: hold the same recording; the first is used"


def link_to_itself(folder):  # K89; a link to a file is followed
    (folder / "b.csv").symlink_to((folder / "b.csv").rename(folder.parent / f"{folder.name}.csv"))
    (folder / "loop.csv").symlink_to("loop.csv")
    return ["007", "b", "c.d"], "loop.csv: is not a name that can be opened"


@pytest.mark.parametrize("change", [damage, copy, write_again, link_to_itself])
def test_a_file_that_is_odd_leaves_the_rest_usable(change, folder):
    names, problem = change(folder)
    cohort = read_cohort(folder)
    assert list(cohort.names) == names
    assert len(cohort.problems) == 1
    assert cohort.problems[0].startswith(problem)


def test_folders_of_openpose_are_recordings(folder):
    readers.write(recording(5, OPENPOSE_25), folder / "d.e", "openpose")
    outcomes(folder, "id;outcome", "007;1", "b;0", "c.d;0", "d.e;1")
    cohort = read_cohort(folder, fps=25)
    assert cohort.names == ("007", "b", "c.d", "d.e")
    assert cohort.recordings[3].skeleton is OPENPOSE_25


def test_the_name_that_deeplabcut_appends_is_taken_away(folder):
    readers.write(recording(6), folder / "eDLC_resnet50_infantsNov21shuffle1_100000.csv", "deeplabcut-csv")
    outcomes(folder, "id;outcome", "007;1", "e;0")
    assert read_cohort(folder, fps=25).names == ("007", "e")


def test_recordings_are_converted_to_one_keypoint_set(folder):
    readers.write(recording(5, COCO_17), folder / "b.csv", "wide-csv")
    cohort = read_cohort(folder, skeleton="in-motion-19")
    assert {r.skeleton.name for r in cohort.recordings} == {"in-motion-19"}
    assert "thorax" in cohort.recordings[1].approximated


def test_strict_refuses_approximations(folder):
    readers.write(recording(5, COCO_17), folder / "b.csv", "wide-csv")
    fails(folder, "b: cannot be used: 4 joints of in-motion-19 can only be", skeleton="in-motion-19", strict=True)


def test_groups_and_all_other_columns_are_kept(folder):
    outcomes(
        folder, "id;outcome;group;center;subtype", "007;1;twins;Trondheim;", "b;0;twins;Chicago;spastic", "c.d;0;;;"
    )
    cohort = read_cohort(folder)
    assert cohort.groups == ("twins", "twins", "c.d")
    assert cohort.recordings[0].metadata == {"group": "twins", "center": "Trondheim"}
    assert cohort.recordings[1].metadata == {"group": "twins", "center": "Chicago", "subtype": "spastic"}


def test_the_table_may_lie_elsewhere_and_have_any_name(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    outcomes(elsewhere, "id,outcome", "b,1", name="diagnoses.txt")
    cohort = read_cohort(folder, elsewhere / "diagnoses.txt")
    assert (cohort.names, cohort.outcomes) == (("b",), (1,))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("id", "b"), "needs two columns, id and outcome"),
        (("b;0", "c.d;1"), "has no header row"),
        (("1;0", "2;1"), "has no header row"),
        (("id;id", "b;0"), 'column "id" occurs twice'),
        (("id;outcome",), "outcomes.csv: names no infant"),
        (("name;outcome", "nobody;0"), "nobody: has an outcome but no file"),
        (('{"b": 0}',), "is named .csv but holds JSON"),
        ((*ROWS, "b;1"), "outcomes.csv: line 5 (b): contradicts an earlier line of the same infant"),
        *(
            (("id;outcome", "007;1", f"b;{value}"), f'line 3 (b): has outcome "{value}", which is not 0 or 1')
            for value in ("2", "yes", "", "1.0", "-1", "NA")
        ),
        (("id;outcome", *(f"{i};{i + 5}" for i in range(30))), "and 11 more"),
    ],
)
def test_a_table_that_is_none_is_refused(lines, message, folder):
    outcomes(folder, *lines)
    fails(folder, message)


def test_a_missing_table_a_missing_folder_and_two_files_of_one_infant_are_named(folder):
    fails(folder, "other.csv: does not exist", outcomes=folder / "other.csv")
    fails(folder / "nowhere", "nowhere: does not exist")
    fails(folder / "b.csv", "b.csv: is not a folder")
    readers.write(recording(8), folder / "b.npz")
    fails(folder, "b.csv and b.npz: are files of one infant and differ")  # K87
    (folder / "outcomes.csv").rename(folder / "table.csv")
    fails(folder, "has no table outcomes.csv; add one with columns id;outcome, or name it with --outcomes")
    (folder / "b.npz").unlink()
    assert read_cohort(folder, folder / "table.csv").problems == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcomes": (0,)}, "need as many outcomes"),
        ({"outcomes": (0, 2)}, "must be 0 or 1"),
        ({"groups": ("a",)}, "need as many outcomes and groups"),
        ({"recordings": (recording(), recording())}, "two recordings of a cohort have one name"),
    ],
)
def test_a_cohort_that_does_not_fit_together_is_a_wrong_call(changes, message):
    two = tuple(Recording(recording().keypoints, 25.0, IN_MOTION_19, name) for name in "ab")
    with pytest.raises(ValueError, match=message):
        Cohort(**({"recordings": two, "outcomes": (0, 1)} | changes))


def test_real_infants_are_read_with_their_outcomes(shared):
    cohort = read_cohort(shared / "data" / "minirgbd", fps=25, skeleton="in-motion-19")
    assert cohort.names == ("pz101", "pz102", "pz103", "pz104", "pz105", "pz106")
    assert sum(cohort.outcomes) == 1
    assert cohort.problems == ()


# --- scores, parts, metadata -----------------------------------------------------------------------------------------


def test_scores_are_read_on_their_scale(folder):
    outcomes(folder, "id;score;group", "007;70,5;one", "b;0;two", "c.d;12;one")
    cohort = read_cohort(folder, score_range=(0.0, 72.0))
    assert (cohort.outcomes, cohort.groups) == ((70.5, 0.0, 12.0), ("one", "two", "one"))
    with pytest.raises(ValueError, match="outcomes must be a number from 0 to 72"):
        Cohort(cohort.recordings, (73, 0, 1), score_range=(0.0, 72.0))


def test_recordings_that_cannot_be_used_are_named_together_or_left_out(folder):
    def prepare(recording):
        if recording.name != "b":
            raise InputError(recording.name, "is odd", "mend it")
        return recording.frames

    cohort = read_cohort(folder)
    with pytest.raises(InputError) as caught:
        cohort.map(prepare)
    expected = "cohort: 2 of 3 recordings cannot be used: 007 is odd; c.d is odd; correct them or take "
    expected += "them out of the table; crossval and train have --skip-invalid"
    assert str(caught.value) == expected
    left, prepared = cohort.map(prepare, skip_invalid=True)
    assert (left.names, prepared, left.problems) == (("b",), [5], ("skipped: 007 is odd", "skipped: c.d is odd"))
    with pytest.raises(InputError, match="3 of 3 recordings cannot be used"):
        cohort.subset([0, 2, 1]).map(lambda r: prepare(r.with_step("", name="x")), skip_invalid=True)


def test_metadata_belong_to_the_files_that_their_ids_name(tmp_path):
    outcomes(tmp_path, "infant,age,cohort", "007,12,term", "8,,preterm")
    known = read_metadata(tmp_path / "outcomes.csv")
    assert known == {"007": {"age": "12", "cohort": "term"}, "8": {"cohort": "preterm"}}
    assert find_metadata("clinic/orgcoords_007.csv", known) == known["007"]
    assert find_metadata("8DLC_resnet50.h5", known) == known["8"]
    assert find_metadata("9.csv", known) == {}
