"""The files of deploy/: scripts run with recorded programs, infantjax takes what they call, and defaults are safe."""

import json
import os
import re
import shlex
import subprocess
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


# Slurm


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (1, 0), (2, 1)])
def test_a_job_starts_a_cluster_with_a_token_and_fails_for_bad_input_only(programs, status, expected):
    programs.add("scontrol", "printf 'a\\nb\\nc\\n'")
    programs.add("srun", 'test ${#RAY_AUTH_TOKEN} -eq 64 && test "$RAY_AUTH_MODE$RAY_USAGE_STATS_ENABLED" = token0')
    programs.add("ray")
    programs.add("infantjax", f"sleep 1; exit {status}")
    job = {"SLURM_JOB_NODELIST": "[a-c]", "SLURM_JOB_ID": "41"}
    command = ("bash", DEPLOY / "slurm" / "cluster.sbatch", "search", "a cohort", "-o", "out", "--trials", "2")
    assert programs.run(*command, **job) == expected
    started = sorted(programs.called("srun"))
    assert [words[words.index("start") - 1 :][3:] for words in started] == [
        ["--head", "--port=20041", "--include-dashboard=false"],
        ["--address=a:20041"],
        ["--address=a:20041"],
    ]
    assert [word for words in started for word in words if word.startswith("--nodelist")] == [
        f"--nodelist={node}" for node in "abc"
    ]
    (words,) = programs.called("infantjax")
    taken = take(words)
    assert (taken.cluster, taken.trials, str(taken.cohort)) == ("a:20041", 2, "a cohort")


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.sbatch")), ids=name)
def test_a_job_without_a_command_says_so(programs, path):
    assert programs.run("bash", path) != 0
    assert not programs.calls.read_text()


# Kubernetes

RAY_JOB = {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "submitterPodTemplate", "rayClusterSpec"}
RAY_CLUSTER = {"authOptions", "headGroupSpec", "workerGroupSpecs"}
RAY_GROUP = {"groupName", "replicas", "numOfHosts", "rayStartParams", "template"}
"""Fields of KubeRay's definitions of resources that are used; pods are checked by the schema of Kubernetes."""


def pods_of(job: dict) -> list[dict]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [job["spec"]["submitterPodTemplate"], *(group["template"] for group in groups)]


def test_the_manifest_fits_its_schemas(manifests):
    validate = pytest.importorskip("kubernetes_validate")
    policy, job = manifests["rayjob"]
    validate.validate(policy, validate.latest_version(), strict=True)
    assert (job["apiVersion"], job["kind"], set(job["spec"])) == ("ray.io/v1", "RayJob", RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == RAY_CLUSTER
    assert all(set(group) <= RAY_GROUP for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]))
    for number, pod in enumerate(pods_of(job)):
        whole = {"apiVersion": "v1", "kind": "Pod", **pod, "metadata": {**pod["metadata"], "name": f"p{number}"}}
        validate.validate(whole, validate.latest_version(), strict=True)


def test_the_job_fits_the_definition_of_kuberay(manifests):
    """KUBERAY_CRD=ray.io_rayjobs.yaml, a file of KubeRay's ray-operator/config/crd/bases; no package has it."""
    path = os.environ.get("KUBERAY_CRD")
    if path is None:
        pytest.skip("KUBERAY_CRD names no file of KubeRay's definition of a RayJob")
    import yaml
    from jsonschema import Draft202012Validator

    def strict(schema: object) -> object:
        """As the server checks: fields that are not defined are errors, those that have a default may be missing."""
        if isinstance(schema, list):
            return [strict(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        made = {key: strict(value) for key, value in schema.items()}
        if "properties" in made and isinstance(made["properties"], dict):
            made.setdefault("additionalProperties", bool(made.get("x-kubernetes-preserve-unknown-fields")))
            defaults = {key for key, value in made["properties"].items() if "default" in value}
            made["required"] = [key for key in made.get("required", []) if key not in defaults]
        if made.get("x-kubernetes-int-or-string") is True:
            made.pop("type", None)
        return made

    (version,) = (each for each in yaml.safe_load(Path(path).read_text())["spec"]["versions"] if each["name"] == "v1")
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {}
    _, job = manifests["rayjob"]
    assert not list(Draft202012Validator(schema).iter_errors(job))
    job = {**job, "spec": {**job["spec"], "submiterPodTemplate": {}}}
    assert len(list(Draft202012Validator(schema).iter_errors(job))) == 1


def test_a_cluster_has_a_token_and_its_command_is_taken(manifests):
    _, job = manifests["rayjob"]
    program, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, take(words).cluster) == ("infantjax", "auto")
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    limits = {group["groupName"]: group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in groups}
    assert set(limits) == {"cpu", "gpu", "tpu"}
    assert "nvidia.com/gpu" in limits["gpu"]
    assert "google.com/tpu" in limits["tpu"]


def test_a_pod_has_no_more_rights_than_it_needs(manifests):
    policy, job = manifests["rayjob"]
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    for template in pods_of(job):
        assert template["metadata"]["labels"] == policy["spec"]["podSelector"]["matchLabels"]
        pod = template["spec"]
        (container,) = pod["containers"]
        ids = tuple(map(int, user.groups()))
        assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == ids
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
        assert mounts["/data"] is True
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule.get("to") for rule in policy["spec"]["egress"])


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
