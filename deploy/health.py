"""Tell whether a service is well: `python health.py ROLE [PLACE]`, for containers that ask every half minute.

ROLE is scheduler, worker, dashboard, notebook (PLACE: the port on this machine) or serve (PLACE: the root of runs);
without it, the environment's DGMMIS_ROLE.  Exit code 0: well; 1: not, with the reason.  The standard library only,
so that asking costs nearly nothing.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

PAGES = {
    "scheduler": ("8787", "/health"),
    "worker": ("8789", "/health"),
    "dashboard": ("8788", "/health"),
    "notebook": ("8888", "/api"),
}
ROOT = "/data/runs"
SECONDS = 5.0


def trouble_of_page(port: str, path: str) -> str | None:
    """Ask a web page of this machine; None if it answers."""
    address = f"http://127.0.0.1:{int(port)}{path}"
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:
            return None if answer.status == 200 else f"{address} answers {answer.status}"
    except (OSError, urllib.error.URLError) as error:
        return f"{address} does not answer: {error}"


def trouble_of_server(root: Path) -> str | None:
    """Look for the process of a server and whether it can write to its root; None if so."""
    if not any(_serves(path) for path in Path("/proc").glob("[0-9]*/cmdline")):
        return "no process of this container is `dgmmis serve`"
    if not root.is_dir():
        return f"{root} is not there"
    return None if os.access(root, os.W_OK) else f"{root} cannot be written to"


def _serves(path: Path) -> bool:
    try:
        words = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return b"serve" in words and any(b"dgmmis" in word for word in words)


def main(words: list[str]) -> int:
    """Look after a role."""
    role = words[0] if words else os.environ.get("DGMMIS_ROLE", "serve")
    if role == "serve":
        trouble = trouble_of_server(Path(words[1] if len(words) > 1 else ROOT))
    elif role in PAGES:
        port, path = PAGES[role]
        trouble = trouble_of_page(words[1] if len(words) > 1 else port, path)
    else:
        trouble = f"{role!r} is no role: write one of {', '.join([*PAGES, 'serve'])}"
    sys.stdout.write(f"{role}: {trouble or 'well'}\n")
    return int(trouble is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
