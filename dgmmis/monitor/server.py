"""`dgmmis dashboard`: a Bokeh server of pages, and beside them metrics and a sign of life."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import signal
from collections.abc import Callable, Sequence
from typing import Any

from dgmmis.errors import DgmmisError, InvalidSetting, NotARun
from dgmmis.location import Location
from dgmmis.monitor.bokeh_parts import (
    Application,
    BaseServer,
    BokehTornado,
    Document,
    FunctionHandler,
    HTTPServer,
    IOLoop,
    RequestHandler,
    bind_sockets,
)
from dgmmis.monitor.metrics import CONTENT_TYPE, metrics_text
from dgmmis.monitor.pages import TEMPLATE, list_page, run_page
from dgmmis.monitor.watched import WatchedRoot
from dgmmis.optional_libraries import load_library

__all__ = ["serve_dashboard", "served_pages"]

MOST_NAME = 256
ORIGIN = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


def serve_dashboard(
    path: str | Location,
    *,
    address: str = "127.0.0.1",
    port: int = 8788,
    origins: Sequence[str] = (),
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the pages of a root of runs, or of one run, until SIGTERM or SIGINT.

    Parameters
    ----------
    path : path, or address in an object store
    address : str
        To listen on; beyond loopback whoever reaches it sees the runs.
    port : int
        0 takes a free one.
    origins : sequence of str
        HOST[:PORT] under which browsers may reach it, besides address and port themselves and localhost.
    ready : callable
        Told the URL once it listens.

    Raises
    ------
    NotARun
        If the path is neither a run nor a folder with runs.
    MissingLibrary
        If the extra `dashboard` is not installed.
    InvalidSetting
        If it cannot listen there.
    """
    load_library("prometheus_client", "the dashboard", "dashboard")
    root, named = WatchedRoot(path), [_checked(origin) for origin in origins]
    try:
        sockets, port = bind_sockets(address, port)
    except (OSError, UnicodeError) as error:
        raise InvalidSetting(
            f"the dashboard cannot listen on {address}:{port} ({error}). Name another with --port or --address."
        ) from error
    loop = IOLoop.current()
    served = _served(root, [*_names(address, port), *named], _is_loopback(address))
    http = HTTPServer(served)
    http.add_sockets(sockets)
    server = BaseServer(loop, served, http)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.asyncio_loop.add_signal_handler(number, loop.stop)  # type: ignore[attr-defined]
    server.start()
    ready(f"http://{_bracketed('127.0.0.1' if _is_any(address) else address)}:{port}/")
    try:
        loop.start()
    finally:
        server.stop()
        http.stop()


def _served(root: WatchedRoot, allowed: list[str], only_allowed: bool) -> BokehTornado:
    named = {"root": root, "allowed": allowed if only_allowed else None}
    return served_pages(root, allowed, [("/metrics", Metrics, named), ("/health", Health, named)])


def served_pages(
    root: WatchedRoot, allowed: list[str], beside: Sequence[tuple[Any, ...]] = (), list_at: str = "/"
) -> BokehTornado:
    """Make the pages of a root, or of one run, for a server.

    Parameters
    ----------
    root : WatchedRoot
    allowed : list of str
        HOST:PORT that a browser's origin may be.
    beside : sequence of tuple
        Routes of Tornado's to answer too.
    list_at : str
        Where the list of runs is, or the only run.
    """
    first = (
        (lambda document: run_page(document, root.named(root.path.name), ""))
        if root.is_one_run
        else (lambda document: list_page(document, root))
    )
    applications = {
        list_at: _application(first),
        "/run": _application(lambda document: _run_of_request(document, root, list_at.strip("/") or "./")),
    }
    return BokehTornado(
        applications, extra_websocket_origins=allowed, extra_patterns=list(beside), use_index=False
    )


def _names(address: str, port: int) -> list[str]:
    """Names under which a browser may reach what listens there."""
    hosts = {address}
    if _is_loopback(address) or _is_any(address):
        hosts = {address, "localhost", "127.0.0.1", "::1"}
    return [f"{_bracketed(host)}:{port}" for host in sorted(hosts)]


def _checked(origin: str) -> str:
    if not ORIGIN.fullmatch(origin):
        raise InvalidSetting(
            f"origin {origin!r:.100} is not of the form HOST or HOST:PORT, as it stands in the browser's address line."
        )
    return origin if re.search(r":[0-9]+$", origin) else f"{origin}:80"


def _application(fill: Callable[[Document], None]) -> Application:
    def begin(document: Document) -> None:
        document.template = TEMPLATE
        fill(document)

    return Application(FunctionHandler(begin))


def _run_of_request(document: Document, root: WatchedRoot, back: str) -> None:
    context = document.session_context
    arguments = context.request.arguments if context is not None and context.request is not None else {}
    name = b"".join(arguments.get("name", [b""])[:1])[:MOST_NAME].decode("utf-8", "replace")
    try:
        run_page(document, root.named(name), back)
    except NotARun:
        document.title = "no such run"
        if root.is_one_run:
            run_page(document, root.named(root.path.name), "")
        else:
            list_page(document, root)


class Plain(RequestHandler):
    """Answers programs with text.

    A page of somebody else's in a browser on this machine must not read it under a name of its own that leads here
    (DNS rebinding): on loopback only known names are answered.
    """

    def initialize(self, root: WatchedRoot, allowed: list[str] | None) -> None:
        """Take what is served, and the hosts that may be asked for."""
        self.root, self.allowed = root, allowed

    def prepare(self) -> None:
        """Refuse names that are not ours."""
        if self.allowed is not None and self.request.host not in self.allowed:
            self.send_error(403)


class Health(Plain):
    """Says that the server lives, and whether it sees its runs."""

    def get(self) -> None:
        """Answer 200, or 503 if the folder is gone."""
        try:
            count = len(self.root.names())
        except (DgmmisError, OSError) as error:
            self.set_status(503)
            self.finish({"status": "no runs to be seen", "reason": str(error)})
            return
        self.finish({"status": "ok", "runs": count})


class Metrics(Plain):
    """What is known of all runs, for Prometheus."""

    async def get(self) -> None:
        """Answer with the text."""
        try:
            text = await asyncio.to_thread(lambda: metrics_text(self.root.records()))
        except (DgmmisError, OSError) as error:
            self.set_status(503)
            self.finish(str(error))
            return
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(text)


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None


def _is_loopback(address: str) -> bool:
    found = _ip(address)
    return address == "localhost" or (found is not None and found.is_loopback)


def _is_any(address: str) -> bool:
    found = _ip(address)
    return found is not None and found.is_unspecified


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
