r"""Runs the steps of the Dockerfile in a new Debian, where no Docker daemon is at hand, and a command in the result.

Needs root, `debootstrap`, `unshare` and the Debian and Python archives:

    python deploy/container/rehearse.py image --mount cohort=/data --mount results=/results \
        -- assess /data -o /results

The command runs as the user of the image, without a network, and /data is mounted read-only.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = Path(__file__).with_name("Dockerfile")
CERTIFICATES = "certificates.pem"
"""In the image: what PIP_CERT names on this machine, for a network with certificates of its own."""


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile: name and arguments, continued lines joined, without comments."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def copy(sources: list[str], target: Path) -> None:
    """As COPY: files into a folder, the content of a folder into another."""
    for source in map(ROOT.joinpath, sources):
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build(image: Path, arguments: dict[str, str]) -> dict[str, str]:
    """Build the image as a folder if there is none yet, and give its environment, user and entry point."""
    there = image.exists()
    known = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    outside = {"PIP_CERT": f"/{CERTIFICATES}"} if "PIP_CERT" in os.environ else {}
    for name, rest in instructions(DOCKERFILE.read_text("utf-8")):
        if there and name in ("FROM", "COPY", "RUN"):
            continue
        print(name, rest, flush=True)
        if name == "FROM":
            release = re.fullmatch(r"debian:(\w+)-slim", rest)
            assert release is not None, rest
            subprocess.run(["debootstrap", "--variant=minbase", release[1], image], check=True)
            if outside:
                shutil.copy(os.environ["PIP_CERT"], image / CERTIFICATES)
        elif name == "ARG":
            key, _, value = rest.partition("=")
            known[key] = arguments.get(key, value)
        elif name == "ENV":
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                known[key] = value.replace("$PATH", known["PATH"])
        elif name == "COPY":
            *sources, target = rest.split()
            copy(sources, image / target.lstrip("/"))
        elif name == "RUN":
            subprocess.run(["chroot", image, "/bin/sh", "-c", rest], check=True, env=known | outside)
        else:
            known[name] = rest
    return known


def main() -> None:
    """Build, and run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="folder of the image; built if it does not exist")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--mount", action="append", default=[], metavar="FOLDER=PATH")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    known = build(options.image, dict(pair.split("=", 1) for pair in options.build_arg))
    image = shlex.quote(str(options.image))
    # As containers have them.
    lines = ["set -e", f"mount -t proc proc {image}/proc", f"mount --rbind /dev {image}/dev"]
    for pair in options.mount:
        folder, _, path = pair.partition("=")
        (options.image / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --bind {shlex.quote(folder)} {image}{shlex.quote(path)}")
        if path == "/data":
            lines.append(f"mount -o remount,bind,ro {image}{shlex.quote(path)}")
    words = [*json.loads(known.pop("ENTRYPOINT")), *options.command]
    lines.append(f"exec chroot --userspec={known.pop('USER')} {image} {shlex.join(words)}")
    # A network and mounts of its own: the network has no device, the mounts end with the command.
    subprocess.run(["unshare", "--net", "--mount", "/bin/sh", "-c", "\n".join(lines)], check=True, env=known)


if __name__ == "__main__":
    main()
