"""Names on the hub, from a server of our own that answers as the hub does."""

import hashlib
import http.server
import json
import re
import threading

import numpy as np
import pytest
import safetensors.numpy

from tljax.data.preprocess import TORCH, Preprocess
from tljax.errors import InputError
from tljax.weights import hub, hub_config

FIRST, SECOND = "1" * 40, "2" * 40  # commits
# As timm 1.0.31 writes it for resnet18.
CONFIG = {
    "architecture": "resnet18",
    "num_classes": 1000,
    "num_features": 512,
    "global_pool": "avg",
    "model_args": {"in_chans": 3, "num_classes": 1000, "global_pool": "avg"},
    "pretrained_cfg": {
        "tag": "a1_in1k",
        "custom_load": False,
        "input_size": [3, 224, 224],
        "test_input_size": [3, 288, 288],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 1000,
        "pool_size": [7, 7],
        "first_conv": "conv1",
        "classifier": "fc",
        "license": "apache-2.0",
        "origin_url": "https://github.com/huggingface/pytorch-image-models",
    },
}


def weights(seed: int) -> bytes:
    """A file as timm writes it, with some of its leaves."""
    draw = np.random.default_rng(seed)
    leaves = {
        "bn1.num_batches_tracked": np.array(3),
        "conv1.weight": draw.normal(size=(64, 3, 7, 7)).astype(np.float32),
    }
    return safetensors.numpy.save(leaves, metadata={"format": "pt"})


class Handler(http.server.BaseHTTPRequestHandler):
    """The hub at 127.0.0.1 and the place of large files at localhost, on the same port."""

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server, path = self.server, self.path
        server.asked.append(f"{self.command} {path}")
        if path.startswith("/old/toy/"):  # was renamed
            self.answer(307, {"Location": path.replace("/old/", "/timm/")})
        elif path.startswith("/timm/loop/"):
            self.answer(307, {"Location": path})
        elif path.startswith("/cdn/"):
            self.send_bytes(server.bytes_of[path.removeprefix("/cdn/")])
        elif match := re.fullmatch(r"/api/resolve-cache/(\w+)/config.json", path):
            text = server.configs[match[1]]
            git = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
            self.answer(200, {"ETag": f'"{server.git or git}"'}, text)
        elif match := re.fullmatch(r"/timm/toy/resolve/([\w%]+)/config.json", path):
            self.answer(
                307, {"Location": f"/api/resolve-cache/{server.commit(match[1])}/config.json"}
            )
        elif match := re.fullmatch(r"/timm/toy/resolve/([\w%]+)/model.safetensors", path):
            self.point_to(server.commit(match[1]))
        elif path.startswith("/timm/busy/"):
            self.answer(503, {})
        elif path.startswith("/timm/small/"):
            self.answer(200, {"ETag": f'"{"a" * 40}"', "X-Repo-Commit": FIRST})
        elif path.startswith("/timm/empty/"):
            self.answer(
                404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            )
        else:
            said = {"X-Error-Message": "Invalid username or password."}
            self.answer(401, {"X-Error-Code": "RepoNotFound"} | said)

    def point_to(self, commit):
        data = self.server.files[commit]
        digest = hashlib.sha256(data).hexdigest()
        facts = {"X-Linked-Etag": f'"{digest}"', "X-Repo-Commit": commit}
        if self.server.tells_size:
            facts["X-Linked-Size"] = str(len(data))
        self.server.bytes_of.setdefault(digest, data)
        place = f"http://localhost:{self.server.server_port}/cdn/{digest}"
        self.answer(302, facts | {"Location": place, "ETag": '"of the answer"'}, b"Found.")

    def send_bytes(self, data):
        asked = self.headers.get("Range")
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self.answer(206 if start else 200, headers, data[start:], self.server.stop_after)

    def answer(self, code, headers, body=b"", stop_after=None):
        self.send_response(code)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:stop_after])

    def log_message(self, *args):
        """Quiet."""


class Server(http.server.ThreadingHTTPServer):
    """Two commits of one repository; "main" is the first until it moves."""

    main, stop_after, git, tells_size = FIRST, None, None, True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.bytes_of = [], {}
        self.files = {FIRST: weights(1), SECOND: weights(2)}
        text = json.dumps(CONFIG, indent=2).encode()
        self.configs = {FIRST: text, SECOND: text.replace(b"0.95", b"0.5")}

    def commit(self, revision: str) -> str:
        return {"main": self.main, "refs%2Fpr%2F1": SECOND}.get(revision, revision)


@pytest.fixture
def server(monkeypatch, tmp_path):
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        yield server
        server.shutdown()
        thread.join()


def test_a_name_is_fetched_once_with_what_the_hub_says_of_it(server, tmp_path):
    found = hub.fetch("hf:timm/toy", progress=False)
    assert found.path == tmp_path / "tljax/weights/hub/timm--toy@main/model.safetensors"
    assert found.path.read_bytes() == server.files[FIRST]
    assert (found.preprocess, found.size, found.classes) == (TORCH, 224, ())
    assert found.provenance == {
        "name": "hf:timm/toy",
        "url": f"http://127.0.0.1:{server.server_port}/timm/toy/resolve/{FIRST}/model.safetensors",
        "commit": FIRST,
        "sha256": hashlib.sha256(server.files[FIRST]).hexdigest(),
        "size": 224,
        "architecture": "resnet18",
        "tag": "a1_in1k",
        "license": "apache-2.0",
        "num_classes": 1000,
        "crop_pct": 0.95,
        "interpolation": "bicubic",
    }
    assert [line for line in server.asked if "main" in line] == [
        "HEAD /timm/toy/resolve/main/model.safetensors"  # the rest is of its commit
    ]
    server.asked.clear()
    server.main = SECOND
    assert hub.fetch("hf:timm/toy", progress=False) == found
    assert server.asked == []
    assert sorted(path.name for path in found.path.parent.iterdir()) == [
        "config.json",
        "model.safetensors",
        "pinned.json",
    ]


@pytest.mark.parametrize("revision", [SECOND, "refs/pr/1"])
def test_a_revision_is_kept_apart(server, revision):
    main, other = hub.fetch("hf:timm/toy", False), hub.fetch(f"hf:timm/toy@{revision}", False)
    assert main.path != other.path
    assert other.path.read_bytes() == server.files[SECOND]
    assert other.provenance["commit"] == SECOND
    assert (main.provenance["crop_pct"], other.provenance["crop_pct"]) == (0.95, 0.5)


def test_a_repository_that_was_renamed(server):
    assert hub.fetch("hf:old/toy", False).path.read_bytes() == server.files[FIRST]
    with pytest.raises(InputError, match="expected a file, found 5 redirections"):
        hub.fetch("hf:timm/loop", False)


@pytest.mark.parametrize("tells_size", [True, False])
def test_an_interruption_is_resumed_at_the_same_commit(server, tells_size):
    server.tells_size, server.stop_after = tells_size, 20_000
    with pytest.raises(InputError, match=r"stopped at 20000 .*; without a connection, run this"):
        hub.fetch("hf:timm/toy", False)
    path = hub.cached("hf:timm/toy") / hub.WEIGHTS
    assert not path.exists()
    server.main, server.stop_after = SECOND, None
    server.asked.clear()
    assert hub.fetch("hf:timm/toy", False).provenance["commit"] == FIRST
    assert path.read_bytes() == server.files[FIRST]
    assert not any("main" in line for line in server.asked)


def test_other_bytes_are_refused_and_not_kept(server):
    digest = hashlib.sha256(server.files[FIRST]).hexdigest()
    server.bytes_of[digest] = server.files[SECOND]
    with pytest.raises(InputError, match=f"hf:timm/toy: .*expected sha256 {digest}"):
        hub.fetch("hf:timm/toy", False)
    folder = hub.cached("hf:timm/toy")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "pinned.json"]
    server.bytes_of[digest] = server.files[FIRST]
    found = hub.fetch("hf:timm/toy", False)
    found.path.write_bytes(b"rotten")
    assert hub.fetch("hf:timm/toy", False).path.read_bytes() == server.files[FIRST]


def test_another_configuration_is_refused_and_not_kept(server):
    server.git = "b" * 40
    with pytest.raises(InputError, match=f"config.json: expected git object {server.git}, found"):
        hub.fetch("hf:timm/toy", False)
    assert [path.name for path in hub.cached("hf:timm/toy").iterdir()] == ["pinned.json"]


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        ("timm/none", r"401: Invalid username or password. \(private, gated or not there\)$"),
        ("timm/empty", r"404: Entry not found \(check the name\)$"),
        ("timm/small", "expected the sha256 of model.safetensors in X-Linked-Etag, found ''$"),
        ("timm/busy", "503 Service Unavailable; without a connection, run this once where"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(server, tmp_path, repository, message):
    with pytest.raises(InputError, match=message) as caught:
        hub.fetch(f"hf:{repository}", False)
    assert str(caught.value).startswith(f"hf:{repository}: ")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_connection_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(
        InputError,
        match=r"^hf:timm/toy: .*refused.*; without a connection, run this "
        rf"once where there is one and copy {tmp_path}/.*timm--toy@main, or give a "
        "file: --weights FILE$",
    ):
        hub.fetch("hf:timm/toy", False)
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_is_none_is_named(server):
    hub.fetch("hf:timm/toy", False)
    (hub.cached("hf:timm/toy") / "pinned.json").write_text('{"commit": 1}')
    with pytest.raises(InputError, match=r"pinned.json: expected commit, sha256 and size: remove"):
        hub.fetch("hf:timm/toy", False)


@pytest.mark.parametrize(
    "name", ["hf:resnet50", "hf:", "timm/toy", "hf:a/b/c", "hf:a/b@", "hf:a/b c"]
)
def test_names_that_are_none(name):
    with pytest.raises(InputError, match="expected hf:OWNER/REPO"):
        hub.fetch(name, False)


def told(changes=(), **settings) -> hub_config.HubConfig:
    """What a configuration says, with changes outside `pretrained_cfg` and inside."""
    document = {**CONFIG, "pretrained_cfg": {**CONFIG["pretrained_cfg"], **settings}}
    return hub_config.read(json.dumps(document | dict(changes)).encode(), "c")


def test_a_configuration_becomes_preprocessing_size_and_classes():
    half = [0.5, 0.5, 0.5]
    found = told(
        {"label_names": ["tench", "goldfish"], "num_classes": 2},
        mean=half,
        std=half,
        input_size=[3, 97, 97],
    )
    assert found.preprocess == Preprocess(scale=1 / 255, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert (found.size, found.classes) == (97, ("tench", "goldfish"))
    assert told({"num_classes": 3}, label_names={"10": "c", "0": "a", "9": "b"}).classes == (
        "a",
        "b",
        "c",
    )
    # Older files have all in one object.
    older = {"architecture": "resnet18", **CONFIG["pretrained_cfg"], "labels": ["a", "b"]}
    older["num_classes"] = 2
    found = hub_config.read(json.dumps(older).encode(), "c")
    assert (found.preprocess, found.size, found.classes) == (TORCH, 224, ("a", "b"))
    assert found.about["architecture"] == "resnet18"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<html>", "c: expected JSON, found b'<html>'"),
        (b"[]", "c: expected timm's pretrained_cfg with .* found no mean among no fields"),
        (b'{"model_type": "vit"}', "found no mean among model_type"),
    ],
)
def test_configurations_of_others_are_named(text, message):
    with pytest.raises(InputError, match=message):
        hub_config.read(text, "c")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": [0.5]}, r"c: preprocess.mean: expected three numbers, found \[0.5\]"),
        ({"std": [0.5, 0.5, 0]}, "c: preprocess.std: expected three numbers other than 0"),
        ({"input_size": [3, 224, 192]}, r"c: input_size: expected \[3, side, side\], found"),
        ({"input_size": [1, 28, 28]}, r"c: input_size: expected \[3, side, side\], found"),
        ({"label_names": [1]}, r"c: label_names: expected texts, found \[1\]"),
        ({"label_names": ["a", "b"]}, "label_names: expected 1000 names, found 2"),
        ({"label_names": {"n01": "tench"}}, "label_names: expected numbers as keys, found 'n01'"),
    ],
)
def test_wrong_fields_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        told(**settings)
