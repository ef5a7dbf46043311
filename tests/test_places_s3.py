"""Local copies of a place at S3, by a server of moto on this machine."""

import pytest

from infantjax import places
from infantjax.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    s3fs = pytest.importorskip("s3fs")
    moto_server = pytest.importorskip("moto.server", reason="moto is of the extra peers")
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "INFANTJAX_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem()
    fs.mkdir("bucket")
    yield fs
    server.stop()


def test_a_place_at_s3_is_fetched_published_and_never_written_over(bucket, monkeypatch):
    bucket.pipe({"bucket/in/a": b"a", "bucket/in/deep/b": b"b", "bucket/inner": b"no part of it"})
    places.require_writable("s3://bucket/in")
    with places.working_copy() as copy:
        folder = copy.fetch("s3://bucket/in")
        assert sorted(path.name for path in folder.rglob("*")) == ["a", "b", "deep"]
        assert places.publish(folder) == 0
        for content in ("first", "second"):
            (folder / "a").write_text(content)
            assert places.publish(folder) == 1
            bucket.invalidate_cache()
            assert bucket.cat_file("bucket/in/a") == content.encode()
        (folder / "deep" / "b").unlink()
        (folder / "c").write_bytes(b"c" * 6_000_000)
        assert places.publish(folder) == 2
        bucket.invalidate_cache()
        assert sorted(bucket.find("bucket")) == ["bucket/in/a", "bucket/in/c", "bucket/inner"]
        assert copy.fetch("s3://bucket/in/c").stat().st_size == 6_000_000
        bucket.pipe_file("bucket/in/a", b"of another process")
        (folder / "a").write_text("ours")
        with pytest.raises(InputError, match="s3://bucket/in/a: was written by another process"):
            places.publish(folder)
        assert not copy.fetch("s3://bucket/nothing").exists()
        with pytest.raises(InputError, match=r"s3://none/x: cannot be reached \(FileNotFoundError"):
            places.require_writable("s3://none/x")
