"""A server for the browser of this machine: one page, and answers to photographs.

It listens on 127.0.0.1 only, opens no file for a request and writes none. Requests that a page of
another site makes its visitor's browser send are refused, by their Host and Origin.
"""

# pyright: strict

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tljax.errors import InputError
from tljax.serve.answer import Answers
from tljax.serve.page import POLICY, page

ADDRESS = "127.0.0.1"
LARGEST = 20_000_000  # bytes of a photograph's file
PATIENCE = 30.0  # seconds for a slow client


class Server(ThreadingHTTPServer):
    """Serve a classifier at `url` until `shutdown`."""

    daemon_threads = True

    def __init__(self, answers: Answers, *, port: int = 0):
        """Take a port, 0 for any that is free; InputError where it is taken."""
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise InputError(f"--port {port}: expected a free one: {error.strerror}") from None
        except OverflowError:
            raise InputError(f"--port {port}: expected 0 to 65535") from None
        self.answers = answers
        self.page = page(answers.trained).encode()
        self.hosts = [f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")]

    @property
    def url(self) -> str:
        """Return the page's address."""
        return f"http://{self.hosts[0]}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = PATIENCE
    server_version, sys_version = "tljax", ""

    def do_GET(self) -> None:
        """Send the page, and nothing else."""
        if self._from_here() and self._at("/"):
            self._send(200, "text/html; charset=utf-8", self.server.page)

    def do_POST(self) -> None:
        """Answer the photograph that the request holds."""
        if not (self._from_here() and self._at("/classify")):
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or not 0 < int(length) <= LARGEST:
            most = f"expected a photograph of at most {LARGEST // 1_000_000} MB"
            self._refuse(413, f"{most}, found {length[:20] or 'none'} bytes")
            return
        data = self.rfile.read(int(length))
        try:
            answer = self.server.answers.answer(data)
        except InputError as error:
            self._refuse(400, str(error))
        else:
            self._send(200, "application/json", json.dumps(answer).encode())

    def _from_here(self) -> bool:
        """Refuse what was not asked of this address, or by a page of another."""
        origin, hosts = self.headers.get("Origin"), self.server.hosts
        own = self.headers.get("Host") in hosts
        if own and origin in (None, *(f"http://{host}" for host in hosts)):
            return True
        self._refuse(403, "asked by another site")
        return False

    def _at(self, path: str) -> bool:
        if self.path == path:
            return True
        self._refuse(404, "there is one page, at /")
        return False

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True  # what is left of the request is not read
        self._send(status, "application/json", json.dumps({"error": why}).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""
