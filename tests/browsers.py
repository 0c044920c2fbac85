"""A dashboard as a process of its own, and a real browser without a window that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LAPTOP = {"width": 1366, "height": 768}
PATIENCE = 60_000
"""Milliseconds."""


def get(url: str, path: str, **headers: str) -> tuple[int, str]:
    """Ask a server for a page: code and text; headers are named with underscores."""
    connection = HTTPConnection(url.split("/")[2], timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", f"/{path}", headers=named)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Dashboard:
    """`dgmmis dashboard`, answering at `url`."""

    def __init__(self, *arguments: object) -> None:
        words = [sys.executable, "-m", "dgmmis", "dashboard", *map(str, arguments), "--port", "0", "--json"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Ask for a page: code and text."""
        return get(self.url, path, **headers)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end."""
        os.kill(self.process.pid, number)
        code = self.process.wait(60)
        self.process.stdout.close()  # type: ignore[union-attr]
        return code


@contextmanager
def dashboard(*arguments: object) -> Iterator[Dashboard]:
    """Start one for as long as the context lasts."""
    served = Dashboard(*arguments)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop(signal.SIGKILL)


@contextmanager
def page_at(url: str) -> Iterator[Any]:
    """Open a page at laptop size; skips the test where there is no browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport=LAPTOP)
            page.set_default_timeout(PATIENCE)
            page.goto(url)
            yield page
        finally:
            browser.close()


def passes_shown(page: Any) -> int:
    """Read from the head of the page how many passes are done."""
    text = page.locator(".number", has_text="passes done").locator("b").inner_text()
    return int(text.replace(",", ""))


def take_picture(page: Any, name: str) -> None:
    """Keep a picture, if `DGMMIS_PICTURES` names a folder for them."""
    folder = os.environ.get("DGMMIS_PICTURES")
    if folder:
        page.wait_for_timeout(1_500)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
