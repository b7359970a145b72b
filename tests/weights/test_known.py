"""Known names, from a server of our own; the published facts are written out."""

import hashlib
import http.server
import re
import threading

import pytest

from tljax.data.preprocess import TORCH
from tljax.files.download import Download
from tljax.weights import known, load, write
from tljax.weights.contents import Weights

NAME = "vgg16-imagenet-torchvision"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the server's `data`."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        data = self.server.data
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")[1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + self.server.most])

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server(vgg, tmp_path, monkeypatch):
    """The small VGG16 published under a known name; `cache` is the folder it is kept in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    layers = vgg.layers()
    base = {layer: layers[layer] for layer in layers if layer.startswith("block")}
    write(
        tmp_path / "w",
        Weights(base, {"name": "vgg16", "width": vgg.width}, TORCH, (), {"epochs": 3}),
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.data, server.asked, server.most = (tmp_path / "w").read_bytes(), [], 1 << 30
        server.url = f"http://127.0.0.1:{server.server_port}/deep/vgg.pth"
        server.cache = tmp_path / "cache" / "tljax" / "weights"
        md5 = hashlib.md5(server.data).hexdigest()
        monkeypatch.setitem(known.FILES, NAME, Download(server.url, size=len(server.data), md5=md5))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_published_facts():
    files = {
        name: (file.url.rsplit("/", 1)[-1], file.size, file.md5 or file.sha256)
        for name, file in known.FILES.items()
        if isinstance(file, Download)
    }
    assert files == {
        "vgg16-imagenet-keras": (
            "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
            553467096,
            "64373286793e3c8b2b4e3219cbf3544b",
        ),
        "vgg16-imagenet-keras-notop": (
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            58889256,
            "6d6bbae143d832006294945121d1f1fc",
        ),
        "vgg16-imagenet-torchvision": (
            "vgg16-397923af.pth",
            553433881,
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    }
    # Each parameter is four bytes, and the rest of the file is small.
    for name, (_, size, _) in files.items():
        parameters = 14_714_688 if name.endswith("notop") else 138_357_544
        assert 0 < size - 4 * parameters < 50_000
        assert known.FILES[name].url.startswith("https://")


def test_a_known_name_is_fetched_once(vgg, server):
    weights = load(NAME, progress=False)
    assert weights.architecture == {"name": "vgg16", "width": vgg.width}
    assert weights.provenance == {"epochs": 3, "name": NAME, "url": server.url}
    assert weights.source == str(server.cache / "vgg.pth")
    assert load(NAME, progress=False).provenance == weights.provenance
    assert server.asked == [None]
    assert [path.name for path in server.cache.iterdir()] == ["vgg.pth"]


def test_it_goes_on_where_it_stopped(vgg, server):
    server.most = 1000
    assert f"stopped at 1000 of {len(server.data)} bytes" in vgg.refusal(load, NAME, progress=False)
    server.most = 1 << 30
    load(NAME, progress=False)
    assert server.asked == [None, "bytes=1000-"]


def test_other_bytes_are_never_used(vgg, server):
    server.data = server.data[:-1] + bytes([server.data[-1] ^ 1])
    message = vgg.refusal(load, NAME, progress=False)
    assert f"{NAME}: {server.url}: expected md5 " in message
    assert list(server.cache.iterdir()) == []


def test_offline_it_says_what_to_do(vgg, server, monkeypatch, tmp_path):
    monkeypatch.setitem(known.FILES, NAME, Download("http://127.0.0.1:1/vgg.pth", size=5, md5="0"))
    message = vgg.refusal(load, NAME, progress=False)
    assert message.startswith(f"{NAME}: http://127.0.0.1:1/vgg.pth: stopped at 0 of 5 bytes (")
    where = server.cache / "vgg.pth"
    hint = (
        "; without a connection, fetch it by hand and put it at {}, or give a file: --weights FILE"
    )
    assert message.endswith(hint.format(where))
    where.write_bytes(b"x")
    message = vgg.refusal(load, NAME, progress=False)
    assert message.endswith(hint.format(f"{where} (the file there now has other bytes)"))


def test_a_file_put_there_by_hand_needs_no_connection(server, monkeypatch):
    md5 = known.FILES[NAME].md5
    monkeypatch.setitem(known.FILES, NAME, Download("http://127.0.0.1:1/vgg.pth", md5=md5))
    server.cache.mkdir(parents=True)
    (server.cache / "vgg.pth").write_bytes(server.data)
    assert load(NAME, progress=False).provenance["url"] == "http://127.0.0.1:1/vgg.pth"


def test_paths_and_names_that_are_neither(vgg, server, tmp_path):
    assert load(tmp_path / "w").provenance == load(str(tmp_path / "w")).provenance == {"epochs": 3}
    message = vgg.refusal(load, tmp_path / "vgg16")
    names = ", ".join(known.FILES)
    assert names.startswith("vgg16-imagenet-keras, vgg16-imagenet-keras-notop, ")
    assert (
        message
        == f"{tmp_path / 'vgg16'}: expected a weights file, hf:OWNER/REPO, or one of {names}, "
        "found nothing"
    )
