"""Downloads from a server of our own: resumed, restarted, refused."""

import hashlib
import http.server
import re
import sys
import threading

import pytest

from tljax import waiting
from tljax.errors import InputError
from tljax.files import download
from tljax.files.download import Download, fetch

DATA = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves DATA; the server's attributes say how badly."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.resumes else 0
        if start >= len(DATA):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start + server.shift}-{len(DATA) - 1}/{len(DATA)}"
            )
        body = server.data[start:]
        if server.tells_size:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.stop_after])

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.ranges, server.resumes, server.stop_after, server.shift = (
            DATA,
            [],
            True,
            None,
            0,
        )
        server.tells_size = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_size_that_nobody_published_and_an_md5(server, tmp_path, tells_size):
    server.tells_size = tells_size
    path, file = (
        tmp_path / "a.zip",
        published(server, size=None, sha256="", md5=hashlib.md5(DATA).hexdigest()),
    )
    server.stop_after = 30_000
    with pytest.raises(
        InputError, match=r"stopped at 30000 bytes .* run again" if tells_size else "expected md5"
    ):
        fetch(file, path, progress=False)
    server.stop_after = None
    fetch(file, path, progress=True)
    assert path.read_bytes() == DATA
    assert server.ranges == [None, "bytes=30000-" if tells_size else None]


@pytest.mark.parametrize("there", [DATA, DATA + b"more", b"x" * len(DATA)])
def test_a_part_of_unknown_size_may_be_the_whole_file_or_none_of_it(server, tmp_path, there):
    path, file = tmp_path / "a.zip", published(server, size=None)
    (tmp_path / "a.zip.part").write_bytes(there)
    fetch(file, path, progress=False)
    assert path.read_bytes() == DATA
    assert server.ranges == ([] if there == DATA else [f"bytes={len(there)}-", None])


def test_a_download_has_one_hash():
    for hashes in ({}, {"sha256": "0", "md5": "0"}):
        with pytest.raises(ValueError, match="expected one hash"):
            Download("http://127.0.0.1:1/a.zip", **hashes)


def published(server, **changes) -> Download:
    facts = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()} | changes
    return Download(url=f"http://127.0.0.1:{server.server_port}/a.zip", **facts)


def interrupt(server, path, after: int) -> None:
    server.stop_after = after
    with pytest.raises(
        InputError, match=rf"stopped at {after} of {len(DATA)} bytes .* run again to resume"
    ):
        fetch(published(server), path, progress=False)
    server.stop_after = None
    assert not path.exists()


def test_the_file_arrives_once(server, tmp_path, capsys, monkeypatch):
    path = tmp_path / "deep" / "a.zip"
    monkeypatch.setattr(waiting, "DELAY", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(published(server), path, progress=True)
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == ["a.zip"]
    assert "a.zip" in capsys.readouterr().err
    fetch(published(server), path, progress=False)
    assert server.ranges == [None]


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    path = tmp_path / "a.zip"
    interrupt(server, path, 30_000)
    fetch(published(server), path, progress=False)
    assert server.ranges == [None, "bytes=30000-"]
    assert path.read_bytes() == DATA
    assert not (tmp_path / "a.zip.part").exists()


def test_a_server_that_ignores_the_range_sends_everything_again(server, tmp_path):
    path = tmp_path / "a.zip"
    interrupt(server, path, 30_000)
    server.resumes = False
    fetch(published(server), path, progress=False)
    assert path.read_bytes() == DATA


def test_a_server_that_answers_another_range_is_asked_for_everything(server, tmp_path):
    path = tmp_path / "a.zip"
    interrupt(server, path, 30_000)
    server.shift = 5
    fetch(published(server), path, progress=False)
    assert server.ranges == [None, "bytes=30000-", None]
    assert path.read_bytes() == DATA


def test_a_part_that_is_too_long_is_started_again(server, tmp_path):
    path = tmp_path / "a.zip"
    (tmp_path / "a.zip.part").write_bytes(DATA + b"more")
    fetch(published(server), path, progress=False)
    assert path.read_bytes() == DATA


def test_a_wrong_hash_leaves_nothing_that_could_be_used(server, tmp_path):
    server.data = DATA[:-1] + b"!"
    with pytest.raises(
        InputError, match=r"a\.zip: expected sha256 \w{64}, found \w{64}; the download is disc"
    ):
        fetch(published(server), tmp_path / "a.zip", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_is_found_out_and_the_next_call_starts_clean(server, tmp_path):
    path = tmp_path / "a.zip"
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(InputError, match="expected sha256"):
        fetch(published(server), path, progress=False)
    fetch(published(server), path, progress=False)
    assert path.read_bytes() == DATA


def test_a_file_already_there_with_other_bytes_is_replaced(server, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"an older archive")
    fetch(published(server), path, progress=False)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_wrong_size_is_refused_before_anything_is_read(server, tmp_path, size):
    with pytest.raises(InputError, match=f"expected {size} bytes, the server offers {len(DATA)}"):
        fetch(published(server, size=size), tmp_path / "a.zip", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_no_server_and_no_such_file_are_one_line(server, tmp_path):
    nobody = Download(url="http://127.0.0.1:1/a.zip", size=1, sha256="0")
    with pytest.raises(
        InputError, match=r"^http://127\.0\.0\.1:1/a\.zip: stopped at 0 of 1 bytes \(.*refused\)"
    ):
        fetch(nobody, tmp_path / "a.zip", progress=False)
    server.RequestHandlerClass = type(
        "Gone", (Handler,), {"do_GET": lambda self: self.send_error(404, "Gone")}
    )
    with pytest.raises(InputError, match=r"stopped at 0 of \d+ bytes \(Gone\)"):
        fetch(published(server), tmp_path / "a.zip", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_does_not_hang(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.2)
    release = threading.Event()
    server.RequestHandlerClass = type(
        "Silent", (Handler,), {"do_GET": lambda self: release.wait(5)}
    )
    with pytest.raises(InputError, match="timed out"):
        fetch(published(server), tmp_path / "a.zip", progress=False)
    release.set()
