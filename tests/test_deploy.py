"""The files of deploy/: scripts run with recorded programs, infantjax takes what they call, and defaults are safe."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from infantjax.cli import COMMANDS, command_type, parsing

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
PAGES = sorted(DEPLOY.rglob("*.md"))
MANIFESTS = sorted(DEPLOY.rglob("*.yaml"))
SCRIPTS = sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".sh", ".sbatch"))
DOCKERFILE = (DEPLOY / "container" / "Dockerfile").read_text("utf-8")

# One call is one write: programs may run side by side.
RECORDER = """#!/bin/bash
printf '%s\n' "$(printf '%q ' "${0##*/}" "$@")" >>"$CALLS"
"""
# A bucket is a folder, and a search writes a file, or waits until it is stopped.
GCLOUD = """
from=${@: -2:1} to=${@: -1}
from=${from/gs:\\/\\/bucket/$BUCKET} to=${to/gs:\\/\\/bucket/$BUCKET}
case $1-$2 in
    storage-rsync) mkdir -p "$from" "$to" && cp -r "$from/." "$to" ;;
    storage-cp) if [[ $from == - ]]; then cat >"$to"; else cp "$from" "$to"; fi ;;
    storage-ls) test -e "$to" ;;
    compute-tpus) if [[ $4 == list ]]; then sed -n 1p "$STATES"; sed -i 1d "$STATES"; fi
        if [[ $4 == create && -e $STATES.last ]]; then touch "$BUCKET/search/complete"; fi ;;
esac
"""
DOCKER = """
case $1 in
    run) test -f "$WORK/search/search.db" && echo trained >"$WORK/search/weights"
        while [[ ${WAITS:-} && ! -e $WORK/stopped ]]; do sleep 0.05; done
        exit "${STATUS:-0}" ;;
    stop) touch "$WORK/stopped" ;;
esac
"""
CURL = """
case $* in *image) echo host.example.org/p/infantjax:tpu ;; *cohort) echo gs://bucket/cohort ;;
    *output) echo gs://bucket/search ;; *number) echo "$NUMBER" ;; esac
"""


def name(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


class Programs:
    """Programs in place of those that a script calls; each keeps how it was called, and does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder / "bin", folder / "calls"
        self.folder.mkdir()
        self.calls.touch()

    def add(self, program: str, does: str = "") -> None:
        path = self.folder / program
        path.write_text(RECORDER + does)
        path.chmod(0o755)

    def run(self, *command: str | Path, **variables: str | Path) -> int:
        path = f"{self.folder}:{os.environ['PATH']}"
        known = {"PATH": path, "CALLS": self.calls} | variables
        return subprocess.run(command, env={name: str(value) for name, value in known.items()}, timeout=60).returncode

    def called(self, program: str) -> list[list[str]]:
        """The words after the name of a program, of each of its calls."""
        lines = map(shlex.split, self.calls.read_text().splitlines())
        return [line[1:] for line in lines if line[0] == program]


@pytest.fixture
def programs(tmp_path):
    return Programs(tmp_path)


def take(words: list[str]) -> object:
    """The command that infantjax makes of these words; fails where an option does not exist."""
    command = parsing.find_command(words, list(COMMANDS))
    taken = parsing.parse(command_type(command), command, words[len(command.split()) :])
    assert taken is not None
    return taken


@pytest.fixture(scope="module")
def manifests():
    yaml = pytest.importorskip("yaml")
    return {path.stem: list(yaml.safe_load_all(path.read_text("utf-8"))) for path in MANIFESTS}


def job_of(documents: list[dict]) -> dict:
    (job,) = [each for each in documents if each["kind"] == "Job"]
    return job["spec"]


# Every file


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_can_be_read_by_bash(path):
    assert subprocess.run(["bash", "-n", path]).returncode == 0
    assert "set -euo pipefail" in path.read_text("utf-8")


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_is_short_and_its_commands_are_taken(path):
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 60
    for line in re.findall(r"^\$ .*?infantjax(?::\w+)? ([a-z].*)$", text.replace("\\\n", " "), re.MULTILINE):
        take(shlex.split(line, comments=True))


def test_every_folder_has_a_page():
    assert {path.parent for path in SCRIPTS + MANIFESTS} | {DEPLOY / "container"} == {path.parent for path in PAGES}


# Slurm


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 0), (2, 1)])
def test_a_task_assesses_its_shard_and_fails_for_bad_input_only(programs, status, expected):
    programs.add("srun", f"exit {status}")
    job = DEPLOY / "slurm" / "assess.sbatch"
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}
    assert programs.run("bash", job, COHORT="a cohort", RESULTS="results", ENSEMBLE="an ensemble", **task) == expected
    ((program, *words),) = programs.called("srun")
    command = take(words)
    assert (program, command.inputs, str(command.ensemble), command.shard) == (
        "infantjax",
        ("a cohort",),
        "an ensemble",
        "3/16",
    )


def test_a_shard_that_was_interrupted_is_repeated_by_itself(programs):
    programs.add("srun")
    task = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "2", "SHARDS": "16"}
    assert programs.run("bash", DEPLOY / "slurm" / "assess.sbatch", COHORT="cohort", RESULTS="results", **task) == 0
    ((_, *words),) = programs.called("srun")
    assert take(words).shard == "7/16"


def test_a_search_over_nodes_takes_further_options(programs):
    programs.add("srun")
    job = DEPLOY / "slurm" / "search.sbatch"
    assert programs.run("bash", job, "--trials", "2", COHORT="cohort", SEARCH="search") == 0
    (words,) = programs.called("srun")
    command = take(words[words.index("infantjax") + 1 :])
    assert (command.distributed, command.trials) == ("auto", 2)


def test_shards_are_merged(programs):
    programs.add("infantjax")
    assert programs.run("bash", DEPLOY / "slurm" / "merge.sbatch", RESULTS="results") == 0
    (words,) = programs.called("infantjax")
    assert str(take(words).output) == "results/summary.csv"


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sbatch")), ids=name)
def test_a_job_says_which_variable_is_missing(programs, path):
    assert programs.run("bash", path) != 0
    assert not programs.calls.read_text()


# Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=name)
def test_a_manifest_fits_its_schema(path, manifests):
    validate = pytest.importorskip("kubernetes_validate")
    for document in manifests[path.stem]:
        validate.validate(document, validate.latest_version(), strict=True)


def test_a_pod_assesses_its_shard(programs, manifests):
    programs.add("infantjax", "exit 1")
    job = job_of(manifests["assess"])
    (container,) = job["template"]["spec"]["containers"]
    last = job["completions"] - 1
    assert programs.run(*container["command"], *container["args"], JOB_COMPLETION_INDEX=str(last)) == 0
    (words,) = programs.called("infantjax")
    assert take(words).shard == f"{job['completions']}/{job['completions']}"


def test_pods_search_together(manifests):
    from infantjax.training.distributed import locate

    service, job = manifests["search"][0], job_of(manifests["search"])
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    command = take([word.replace("$(JOB_COMPLETION_INDEX)", "3") for word in container["args"]])
    place = locate(command.distributed)
    assert place.processes == job["completions"] == job["parallelism"]
    assert pod["subdomain"] == service["metadata"]["name"]
    assert place.address == f"infantjax-search-0.{pod['subdomain']}:{service['spec']['ports'][0]['port']}"
    assert service["spec"]["selector"] == job["template"]["metadata"]["labels"]


@pytest.mark.parametrize("kind", ["assess", "search"])
def test_a_pod_has_no_more_rights_than_it_needs(kind, manifests):
    pod = job_of(manifests[kind])["template"]["spec"]
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == tuple(map(int, user.groups()))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert mounts["/data"] is True
    (policy,) = [each for each in manifests[kind] if each["kind"] == "NetworkPolicy"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    everywhere = [rule for rule in policy["spec"].get("egress", []) if not rule.get("to")]
    assert everywhere == []


# Container


def test_the_image_installs_extras_that_exist_and_runs_as_a_user():
    import tomllib

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.search(r"^ARG EXTRAS=(.+)$", DOCKERFILE, re.MULTILINE)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    assert json.loads(entry) == list(project["scripts"])


def test_only_the_package_is_sent_to_the_builder():
    ignored = (DEPLOY / "container" / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    assert kept == {word for words in copied for word in words}


# TPU


@pytest.fixture
def places(tmp_path, programs):
    """Variables for a host of a slice whose bucket holds the database of an earlier one."""
    for program, does in {"gcloud": GCLOUD, "docker": DOCKER, "curl": CURL, "chown": "", "sleep": ""}.items():
        programs.add(program, does)
    places = {"BUCKET": tmp_path / "bucket", "WORK": tmp_path / "work", "STATES": tmp_path / "states"}
    (places["BUCKET"] / "search").mkdir(parents=True)
    with sqlite3.connect(places["BUCKET"] / "search" / "search.db") as database:
        database.execute("create table trials (number)")
    database.close()
    return places


@pytest.mark.parametrize(("number", "status", "complete"), [(0, 0, True), (1, 0, False), (0, 2, False)])
def test_a_host_goes_on_from_the_bucket_and_saves_into_it(programs, places, number, status, complete):
    code = programs.run("bash", DEPLOY / "tpu" / "startup.sh", NUMBER=str(number), STATUS=str(status), **places)
    assert code == 0
    saved = places["BUCKET"] / "search"
    assert (saved / "weights").read_text() == "trained\n"
    assert (saved / "complete").exists() == complete
    (started,) = [words for words in programs.called("docker") if words[0] == "run"]
    command = take(started[started.index("host.example.org/p/infantjax:tpu") + 1 :])
    assert (command.distributed, started[started.index("--user") + 1]) == ("auto", "10001:10001")
    assert f"{places['WORK']}/cohort:/data:ro" in started


def test_the_database_is_saved_whole_after_the_files_and_by_the_first_host_only(programs, places):
    for number in ("0", "1"):
        programs.calls.write_text("")
        programs.run("bash", DEPLOY / "tpu" / "startup.sh", NUMBER=number, **places)
        saves = [words for words in programs.called("gcloud") if words[0] == "storage" and words[-2] != "-"][2:]
        kinds = ["cp" if words[1] == "cp" else "rsync" for words in saves]
        assert kinds == (["rsync", "cp"] if number == "0" else ["rsync"])
        (excluded,) = [word.partition("=")[2] for word in saves[0] if word.startswith("--exclude=")]
        for path in ("search.db", "search.db-journal", "folder/.lock", "search.lock"):
            assert re.match(excluded, path), path
        assert not re.match(excluded, "search/0001/weights.safetensors")
    with sqlite3.connect(places["BUCKET"] / "search" / "search.db") as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("trials",)]
    database.close()


def test_a_pre_empted_host_stops_the_search_and_saves(programs, places):
    (programs.folder / "sleep").unlink()
    variables = {
        "PATH": f"{programs.folder}:{os.environ['PATH']}",
        "CALLS": programs.calls,
        "NUMBER": "0",
        "WAITS": "1",
    }
    env = {name: str(value) for name, value in (variables | places).items()}
    host = subprocess.Popen(["bash", DEPLOY / "tpu" / "startup.sh"], env=env)
    weights = places["WORK"] / "search" / "weights"
    for _ in range(200):
        if weights.exists():
            break
        time.sleep(0.02)
    host.terminate()
    assert host.wait(timeout=30) == 143
    assert (places["BUCKET"] / "search" / "weights").exists()
    assert not (places["BUCKET"] / "search" / "complete").exists()


def test_a_slice_is_requested_again_after_a_pre_emption_until_the_search_is_complete(programs, places):
    # Nothing is there; it waits, works, is taken away, and is deleted; the next one completes the search.
    places["STATES"].write_text("\nWAITING_FOR_RESOURCES\nACTIVE\nSUSPENDED\n\n")
    programs.add("sleep", '[[ $(wc -l <"$STATES") -gt 1 ]] || touch "$STATES.last"')
    given = {"IMAGE": "i", "COHORT": "gs://bucket/cohort", "OUTPUT": "gs://bucket/search", "ZONE": "z", "ACCOUNT": "a"}
    assert programs.run("bash", DEPLOY / "tpu" / "keep.sh", **given, **places) == 0
    changes = [words for words in programs.called("gcloud") if words[0] == "compute" and words[3] != "list"]
    assert [words[3] for words in changes] == ["create", "delete", "create", "delete"]
    assert {"--spot", "--internal-ips"} <= set(changes[0])
    assert f"--metadata-from-file=startup-script={DEPLOY / 'tpu' / 'startup.sh'}" in changes[0]


def test_a_slice_that_cannot_be_given_ends_the_requests(programs, places):
    places["STATES"].write_text("FAILED\n")
    given = {"IMAGE": "i", "COHORT": "gs://bucket/cohort", "OUTPUT": "gs://bucket/search", "ZONE": "z", "ACCOUNT": "a"}
    assert programs.run("bash", DEPLOY / "tpu" / "keep.sh", **given, **places) == 1
