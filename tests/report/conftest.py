"""Assessments whose content is known, and a browser that is driven through a pipe."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infantjax import skeletons
from infantjax.assessment.assessment import Assessment, MemberValue, Quantity, TimeSeries
from infantjax.assessment.certainty import Certainty

REST = {
    "head_top": (0.0, 0.345),
    "nose": (0.01, 0.265),
    "right_ear": (-0.06, 0.275),
    "left_ear": (0.065, 0.275),
    "upper_neck": (0.0, 0.19),
    "right_shoulder": (-0.1, 0.13),
    "right_elbow": (-0.205, 0.09),
    "right_wrist": (-0.23, 0.21),
    "thorax": (0.0, 0.125),
    "left_shoulder": (0.1, 0.13),
    "left_elbow": (0.2, 0.06),
    "left_wrist": (0.27, 0.14),
    "pelvis": (0.0, -0.125),
    "right_hip": (-0.06, -0.13),
    "right_knee": (-0.15, -0.2),
    "right_ankle": (-0.09, -0.31),
    "left_hip": (0.06, -0.13),
    "left_knee": (0.14, -0.21),
    "left_ankle": (0.07, -0.33),
}
"""A supine infant in standardized positions, y upwards."""


def swaying(frames: int, fps: float) -> np.ndarray:
    """`[time, joint, 2]` float32: the farther from the trunk, the wider each joint sways, on sine waves."""
    rng = np.random.default_rng(0)
    rest = np.array([REST[joint] for joint in skeletons.IN_MOTION_19.joints])
    reach = 0.3 * np.linalg.norm(rest, axis=1) ** 1.5
    rate, phase = rng.uniform(0.15, 0.9, (2, 19, 2)) * np.array([1, 7])[:, None, None]
    seconds = np.arange(frames)[:, None, None] / fps
    return (rest + reach[:, None] * np.sin(2 * np.pi * rate * seconds + phase)).astype(np.float32)


def make_assessment(windows: int = 71, frames: int | None = None, fps: float = 30.0, **changes: Any) -> Assessment:
    """A seeded assessment of an infant near the threshold; any field may be changed, and `value` of the headline."""
    rng = np.random.default_rng(3)
    start = 2.5 * np.arange(windows)
    duration = float(start[-1] + 5)
    median = np.clip(
        0.46 + 0.2 * np.sin(start / 23) + np.convolve(rng.normal(0, 0.07, windows + 3), np.ones(4) / 2, "valid"),
        0.04,
        0.95,
    )
    q1 = np.clip(median - rng.uniform(0.04, 0.14, windows), 0, 1)
    q3 = np.clip(median + rng.uniform(0.04, 0.14, windows), 0, 1)
    levels = tuple(
        ("red" if low > 0.5 else "orange") if middle >= 0.5 else ("yellow" if high >= 0.5 else "green")
        for low, middle, high in zip(q1, median, q3)
    )
    members = tuple(
        MemberValue(model, fold, float(np.clip(rng.normal(0.56, 0.11), 0, 1)))
        for model in ("kbest-gcn-2", "kbest-gcn-7")
        for fold in range(7)
    )
    by_network = np.array([member.value for member in members])
    low, high = np.percentile(by_network, [25, 75])
    joints = skeletons.IN_MOTION_19.joints
    strong = {
        "left_wrist": 0.83,
        "left_elbow": 0.52,
        "right_ankle": 0.31,
        "left_knee": 0.12,
        "nose": 0.04,
        "pelvis": 0.02,
    }
    values: dict[str, Any] = {
        "name": "Infant 042, second visit",
        "method": "example-method",
        "title": "Example method",
        "source": "Example et al. 2022",
        "fidelity": "exact",
        "headline": Quantity("risk", "risk of cerebral palsy", 0.573218437, low, high, "middle half of the networks"),
        "threshold": 0.5,
        "classes": ("no CP", "CP"),
        "positive": True,
        "agreement": float((by_network >= 0.5).mean()),
        "certainty": Certainty("orange", "fraction"),
        "members": members,
        "time_series": TimeSeries("risk in a window", start, median, q1, q3, 5.0, (0, 1), 0.5, levels),
        "contributions_label": "how strongly each point spoke for a higher risk",
        "contributions": {joint: strong.get(joint, 0.0) for joint in joints},
        "skeleton": "in-motion-19",
        "movement": swaying(round(duration * fps) if frames is None else frames, fps),
        "movement_fps": fps,
        "fps": 25.0,
        "duration": duration,
        "missing": {joint: round(float(share), 4) for joint, share in zip(joints, rng.beta(0.3, 9, 19))},
        "approximated": {
            "thorax": "midpoint of left_shoulder and right_shoulder",
            "upper_neck": "a third of the way from the shoulders' midpoint to the nose",
        },
        "notes": (
            "2 keypoints were approximated from others: thorax, upper_neck",
            "7.4 % of the frames had missing points (1.9 % of all points), now interpolated",
        ),
        "metadata": {"age_weeks": 12, "sex": "female", "cohort": "North", "born_preterm": True, "weight_kg": None},
        "provenance": {
            "infantjax": "0.1.0",
            "input": {"format": "orgcoords-csv", "sha256": "9f2c5e0d" * 8},
            "weights": {"name": "demonstration", "sha256": "04b1a77c" * 8, "models": ["kbest-gcn-2", "kbest-gcn-7"]},
            "preprocessing": {"centering": "trunk_frame", "fps": 30.0, "scale": 4.0, "smoothing": "butterworth"},
            "history": [
                "resampled from 25 to 30 Hz (linear)",
                "y turned upwards",
                "centered on the trunk of each frame",
            ],
        },
        "validated": False,
        "statement": "These weights were trained on simulated movement and were never validated on infants. "
        "The risk means nothing clinically and must not be used for any decision about a child.",
    }
    if "value" in changes:
        values["headline"] = replace(values["headline"], value=changes.pop("value"))
    return Assessment(**(values | changes))


@pytest.fixture(scope="session")
def factory() -> Callable[..., Assessment]:
    """Makes assessments; any field may be changed."""
    return make_assessment


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip(
        "no Chromium here (chromium, chromium-browser or google-chrome): the page is not looked at in a browser"
    )


FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
"""A browser that shows a file and speaks to nobody."""


class Tab:
    """One page in a Chromium that is driven by its debugging protocol over a pipe (no port, no library)."""

    def __init__(self, binary: str, profile: Path) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        # The protocol reads from descriptor 3 and writes to 4. A launcher puts them there: doing it in a forked child
        # of this process is unsafe once JAX has started its threads.
        launcher = (
            "import fcntl, os, sys; r, w = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3]); "
            "os.dup2(r, 3); os.dup2(w, 4); os.close(r); os.close(w); os.execv(sys.argv[3], sys.argv[3:])"
        )
        browser = [binary, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", launcher, str(to_browser), str(from_browser), *browser],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []

    def connect(self) -> None:
        """Open a page and listen to what happens in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path: Path, fragment: str = "", width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Show a file and wait until it is ready."""
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=path.as_uri() + fragment)
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def until(self, expression: str, seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not self.run(expression):
            assert time.monotonic() < end, f"waited {seconds} s for {expression}"
            time.sleep(0.05)

    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened."""
        self.run("0")
        sent = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in sent if url != "about:blank"]

    def problems(self) -> list[Any]:
        """Exceptions and log entries since the page was opened."""
        self.run("0")
        return [e["params"] for e in self.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])

    def close(self) -> None:
        os.close(self._write)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._read)


@pytest.fixture(scope="session")
def tab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser tab; `tab.open(path)`, `tab.run(javascript)`."""
    tab = Tab(chromium, tmp_path_factory.mktemp("profile"))
    try:
        tab.connect()
        yield tab
    finally:
        tab.close()
