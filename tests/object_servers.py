"""An S3-compatible server as a process of its own, and a proxy before it that does what networks and stores do."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

Fault = str | None
"""503, stall, cut (the connection breaks off), short (less content than there is), lost (done, but not answered)."""
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@contextmanager
def object_server() -> Iterator[int]:
    """Start moto's server; give its port, with a bucket "bucket" on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        with urlopen(Request(f"http://127.0.0.1:{port}/bucket", method="PUT"), timeout=60) as answer:
            answer.read()
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, "moto's server has ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("moto's server does not answer")


def environment(port: int) -> dict[str, str]:
    """What a process needs to reach the server."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "CANARYKEYID",
        "AWS_SECRET_ACCESS_KEY": "canary/secret",
    }


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to a server; `choose` says what goes wrong with each.

    Conditional puts are passed on one after the other: moto looks and writes in two steps.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, stall: float = 3.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.stall = port, stall
        self.choose: Callable[[str, str], Fault] = lambda method, path: None
        self.counts: Counter[str] = Counter()
        self.requests: list[tuple[str, str]] = []
        self.one_put = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are part of the game."""

    def close(self) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path))
        fault = self.server.choose(self.command, self.path)
        self.server.counts[fault or "none"] += 1
        if fault == "503":
            self._answer(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        if fault == "stall":
            time.sleep(self.server.stall)
            self.close_connection = True
            return
        status, headers, content = self._ask(body)
        if fault == "lost":
            self.close_connection = True
        elif fault == "cut" and content:
            self._answer(status, headers, content, sent=len(content) // 2)
            self.close_connection = True
        elif fault == "short" and content:
            self._answer(status, headers, content[: len(content) // 2])
        else:
            self._answer(status, headers, content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            with self.server.one_put if self.command == "PUT" else threading.Lock():
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                content = answer.read()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            if self.command == "HEAD":
                headers["Content-Length"] = answer.getheader("Content-Length") or "0"
            return answer.status, headers, content
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def faulty_proxy(port: int, stall: float = 3.0) -> Iterator[FaultyProxy]:
    """Start a proxy before the server at a port."""
    proxy = FaultyProxy(port, stall)
    try:
        yield proxy
    finally:
        proxy.close()


def random_faults(
    seed: int, shares: dict[str, float], most: dict[str, int] | None = None
) -> Callable[[str, str], Fault]:
    """Choose faults by their shares of all requests; of those in `most` no more than so many."""
    rng, lock, left = np.random.default_rng(seed), threading.Lock(), dict(most or {})
    names, edges = list(shares), np.cumsum(list(shares.values()))

    def choose(method: str, path: str) -> Fault:
        with lock:
            place = int(np.searchsorted(edges, rng.random(), side="right"))
            fault = names[place] if place < len(names) else None
            if fault in left:
                left[fault] -= 1
                fault = fault if left[fault] >= 0 else None
            return fault if fault != "short" or method == "GET" else None

    return choose
