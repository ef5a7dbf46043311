"""Public weights by name, fetched from a server of the test."""

import contextlib
import hashlib
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from infantjax import models
from infantjax.engine import THREAD
from infantjax.errors import InputError
from infantjax.files import git_blob_id
from infantjax.weights import public

CONTENT = bytes(range(256)) * 400


class Server(socketserver.ThreadingTCPServer):
    """Answers every request with `content`, of which it sends `sent` bytes, and counts the requests."""

    daemon_threads = True
    content, sent, status, pause = CONTENT, len(CONTENT), 200, 0.0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        if not self.server.pause:
            self.wfile.write(self.server.content[: self.server.sent])
        with contextlib.suppress(OSError):
            for number in range(20 if self.server.pause else 0):
                self.wfile.write(self.server.content[number : number + 1])
                self.wfile.flush()
                time.sleep(self.server.pause)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def there(tmp_path, monkeypatch, server) -> Path:
    """The place of the weights `toy`, whose address is the server's."""
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "cache"))
    for name in (public.OFFLINE, public.MIRROR, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "toy.h5").write_bytes(CONTENT)
    toy = public.PublicWeights(
        address=f"{server.address}/models/toy.h5",
        git_blob=git_blob_id(tmp_path / "toy.h5"),
        license="Apache-2.0",
        trained_on="nothing",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    known = {"toy": toy, "unsized": replace(toy, size=None, sha256=None)}
    monkeypatch.setattr(public, "table", lambda: known)
    return tmp_path / "cache" / "weights" / "toy.h5"


@pytest.mark.parametrize("name", ["toy", "unsized"])
def test_a_file_is_fetched_once(there, server, name):
    assert public.fetch(name) == there == public.find(name)
    assert there.read_bytes() == CONTENT
    assert server.paths == ["/models/toy.h5"]
    assert list(there.parent.iterdir()) == [there]
    assert not public.problem(name)


@pytest.mark.parametrize("name", ["toy", "unsized"])
def test_another_file_of_the_same_size_is_not_kept(there, server, name):
    server.content = CONTENT[:-1] + b"\x00"
    with pytest.raises(InputError, match=r"gives another file .* download http.*/toy\.h5 and put it at .*toy\.h5"):
        public.fetch(name)
    assert not list(there.parent.iterdir())


def test_an_interrupted_transfer_leaves_nothing_and_the_next_one_is_whole(there, server):
    server.sent = 1000
    with pytest.raises(InputError, match="cannot be fetched"):
        public.fetch("toy")
    assert not list(there.parent.iterdir())
    server.sent = len(CONTENT)
    assert public.fetch("toy").read_bytes() == CONTENT


def test_a_file_that_is_too_long_ends_early(there, server):
    server.content, server.sent = CONTENT * 50, len(CONTENT) * 50
    with pytest.raises(InputError, match="more than 102400 bytes"):
        public.fetch("toy")


def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for(there, server, monkeypatch):
    monkeypatch.setattr(public, "_SECONDS", 0.4)
    monkeypatch.setattr(public, "_LEAST_RATE", 1e9)
    server.pause = 0.1
    with pytest.raises(InputError, match="not finished within 0 s"):
        public.fetch("toy")
    assert not list(there.parent.iterdir())
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(10)


def test_a_server_that_has_no_such_file_and_one_that_is_not_there(there, server, monkeypatch):
    server.status = 404
    with pytest.raises(InputError, match="the server answers 404"):
        public.fetch("toy")
    monkeypatch.setenv(public.MIRROR, "http://127.0.0.1:1")
    with pytest.raises(InputError, match="no connection"):
        public.fetch("toy")


def test_without_a_network_the_message_can_be_followed(there, server, monkeypatch):
    monkeypatch.setenv(public.OFFLINE, "1")
    with pytest.raises(InputError, match="is not on this machine") as caught:
        public.fetch("toy")
    begins, _, remedy = caught.value.remedy.partition("or download ")
    assert begins == "run `infantjax weights fetch toy` with a network, "
    address, _, target = remedy.partition(" and put it at ")
    assert address == f"{server.address}/models/toy.h5"
    Path(target).write_bytes(CONTENT)  # by hand
    assert public.fetch("toy") == Path(target)
    assert server.paths == []


def test_a_wrong_file_that_was_put_there_is_told_offline_and_replaced_online(there, monkeypatch):
    there.parent.mkdir(parents=True)
    there.write_bytes(b"a page of a login")
    with pytest.raises(InputError, match=r"toy\.h5 is another file \(17 bytes, not 102400\)"):
        public.fetch("toy", offline=True)
    assert public.fetch("toy").read_bytes() == CONTENT


def test_a_mirror_holds_the_files_by_their_names(there, server, monkeypatch):
    monkeypatch.setenv(public.MIRROR, f"{server.address}/ours/")
    public.fetch("toy")
    assert server.paths == ["/ours/toy.h5"]


def test_a_path_is_not_a_name(there, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("toy").write_text("mine")
    assert public.find("toy") == Path("toy")
    with pytest.raises(InputError, match=r"toyy: is neither a file nor .*did you mean toy"):
        public.find("toyy")


def test_what_the_registry_says_of_each_file():
    table = public.table()
    assert {"efficientpose-rt", "efficientpose-i-lite", "efficientpose-ii", "cp-gcn-29"} <= set(table)
    for name, file in table.items():
        assert name in models.names()
        assert file.address.startswith("https://raw.githubusercontent.com/")
        assert len(file.git_blob) == 40
        assert file.license
        assert file.trained_on
    names = [public.place(name).name for name in table]
    assert len(set(names)) == len(names)


def test_published_files_have_the_digests_of_the_table(shared):
    for name in ("efficientpose-rt", "efficientpose-i", "efficientpose-rt-lite", "efficientpose-i-lite"):
        file = public.table()[name]
        path = shared / "data" / "pose" / public.place(name).name
        assert (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) == (file.size, file.sha256)
        assert git_blob_id(path) == file.git_blob
