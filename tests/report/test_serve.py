"""The page of `tljax serve`: what it answers, what it refuses, and how it looks in a browser."""

import base64
import http.client
import io
import json
import threading
import time

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.data.preprocess import UNIT
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.serve import server as server_lib
from tljax.serve.answer import SIDE, Answers
from tljax.serve.server import Server
from tljax.train.loop import History
from tljax.train.outcome.trained import Trained
from tljax.train.step import State

from . import browser as browsers

CLASSES = ("<img src=x onerror=alert(1)>", *(f"class {i}" for i in range(11)))
SIZE = 16


@pytest.fixture(scope="module")
def trained():
    network = Network(base="cnn", hidden=0, options={"padding": "SAME"})
    module = build.classifier(network, classes=len(CLASSES))
    params = build.init(module, key=jax.random.key(0), size=SIZE)["params"]
    params["head"]["predictions"]["bias"] = np.arange(12, 0, -1).astype(np.float32)
    scores = {"loss": 0.1, "accuracy": 0.9, "n": 40}
    record = {"rung": "t", "seed": 0, "epoch": 1, "step": 1, "train": scores, "validation": scores}
    about = {"classes": CLASSES, "size": SIZE, "rung": "t", "seed": 0}
    return Trained(
        State(np.int32(1), params, {}, {}), History([record]), network, UNIT, 1, 1, **about
    )


@pytest.fixture(scope="module")
def server(trained):
    with Server(Answers(trained)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def photograph():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content := io.BytesIO(), "PNG")
    return content.getvalue()


def ask(server, method, path, body=None, **headers):
    """(status, headers, content) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_a_photograph_is_answered(server, trained, photograph):
    status, _, content = ask(server, "POST", "/classify", photograph)
    answer = json.loads(content)
    assert status == 200
    expected = trained(Image.open(io.BytesIO(photograph)))[0]
    order = np.argsort(-expected)[:10]
    assert [row["name"] for row in answer["classes"]] == [CLASSES[i] for i in order]
    np.testing.assert_allclose([row["probability"] for row in answer["classes"]], expected[order])
    assert answer["others"] == 2
    for name in ("photograph", "overlay"):
        kind, _, data = answer[name].partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (SIDE, SIDE)


def test_it_listens_on_this_machine_only_and_serves_one_page(server):
    assert server.server_address[0] == "127.0.0.1"
    status, headers, content = ask(server, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b"90.0 % of 40 held-out photographs" in content
    assert b"<img src=x" not in content
    for path in ("/../../etc/passwd", "/%2e%2e/x", "/favicon.ico", "/classify", "/?x"):
        assert ask(server, "GET", path)[0] == 404
    assert ask(server, "POST", "/", b"x")[0] == 404
    assert ask(server, "PUT", "/classify", b"x")[0] == 501


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),  # a name that was made to resolve to this machine
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Length": str(server_lib.LARGEST + 1)}, 413),
        ({"Content_Length": "-1"}, 413),
        ({"Content_Length": "0"}, 413),
    ],
)
def test_others_sites_and_large_files_are_refused(server, photograph, headers, status):
    found, _, content = ask(server, "POST", "/classify", photograph, **headers)
    assert found == status
    assert set(json.loads(content)) == {"error"}


def test_what_is_no_photograph_gets_one_line(server):
    status, _, content = ask(server, "POST", "/classify", b"no photograph")
    assert status == 400
    assert json.loads(content)["error"].startswith("the photograph: ")


def test_a_port_that_cannot_be_is_named(trained):
    with pytest.raises(InputError, match=r"^--port 99999: expected 0 to 65535$"):
        Server(Answers(trained), port=99999)


def test_a_port_that_is_taken_is_named(server, trained):
    with pytest.raises(InputError, match=f"--port {server.server_port}: expected a free one"):
        Server(server.answers, port=server.server_port)


@pytest.fixture(scope="module")
def browser():
    if not (command := browsers.found()):
        pytest.skip(f"no browser: none of {', '.join(browsers.NAMES)} is installed")
    opened = browsers.Browser(command)
    opened.ask("Emulation.setScriptExecutionDisabled", value=False)
    yield opened
    opened.close()


def open_page(browser, server, *, width=390):
    browser.ask(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=844, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    browser.events.clear()
    browser.ask("Page.navigate", url=server.url)
    wait(browser, "document.readyState === 'complete' && !!document.querySelector('label')")


def wait(browser, expression):
    for _ in range(200):
        if browser.value(expression):
            return
        time.sleep(0.05)
    raise AssertionError(expression)


def choose(browser, path):
    chosen = browser.ask("Runtime.evaluate", expression="document.querySelector('input')")
    browser.ask("DOM.setFileInputFiles", files=[str(path)], objectId=chosen["result"]["objectId"])


@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(browser, server, photograph, tmp_path, width):
    open_page(browser, server, width=width)
    (tmp_path / "x.png").write_bytes(photograph)
    choose(browser, tmp_path / "x.png")
    wait(browser, "document.querySelectorAll('li').length === 11")
    text = browser.value("document.querySelector('li').textContent")
    assert text.startswith(CLASSES[0])  # as text: no element of it
    assert browser.value("document.querySelectorAll('img').length") == 2
    assert browser.value("[...document.images].every(image => image.naturalWidth === 320)")
    assert browser.value("document.querySelector('meter').value") > 0.1
    assert browser.width() <= width
    assert browser.complaints() == []


def test_a_dropped_photograph_and_a_bad_one(browser, server, photograph, tmp_path):
    open_page(browser, server)
    (tmp_path / "bad.png").write_bytes(b"no photograph")
    (tmp_path / "x.png").write_bytes(photograph)
    for name, done in (
        ("bad.png", "document.querySelector('[role=status]').textContent.includes('photograph:')"),
        ("x.png", "document.querySelectorAll('li').length === 11"),
    ):
        data = {"items": [], "files": [str(tmp_path / name)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            browser.ask("Input.dispatchDragEvent", type=kind, x=100, y=200, data=data)
        wait(browser, done)
