"""Run in a process of its own with little memory: look at what a stranger sent, and tell what happened.

python hostile_visit.py FOLDER: reads cases.json there, a list of [name, verb, path], and prints one JSON object.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

import dgmmis
import dgmmis.html_report
import dgmmis.plots  # what looking needs is imported before the stranger's files are seen
from dgmmis.cli.application import application
from dgmmis.errors import DgmmisError

MEMORY = 6 << 30
SECONDS = 20
FOUR = ("a", "b", "a_error", "b_error")

heard: list[str] = []


def hear(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(
        ("socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.", "os.system", "os.exec")
    ):
        heard.append(f"{event} {arguments!r:.200}")
    if event == "import" and str(arguments[0]).startswith("evil"):
        heard.append(f"import {arguments[0]}")


def read_all(path: Path) -> None:
    catalog = dgmmis.open_catalog(path)
    catalog.describe()
    catalog.read_pilot()
    for chunk in range(catalog.n_chunks):
        catalog.read_samples(chunk)


def use_model(path: Path) -> None:
    model = dgmmis.Model.load(path)
    assert model.selection is None
    model.log_density(np.array([[1.0, 2.0]]))


def look(path: Path) -> None:
    application(["status", str(path)], standalone_mode=False)
    application(["ls", str(path)], standalone_mode=False)
    dgmmis.open_run(path).model()


def report(path: Path) -> None:
    application(["report", str(path), "-o", f"{path}.html"], standalone_mode=False)


VERBS = {
    "catalog": read_all,
    "append": lambda path: dgmmis.append(path, {name: [1.0, 2.0] for name in FOUR}),
    "model": use_model,
    "look": look,
    "report": report,
    "resume": dgmmis.resume,
}


def visit(verb: str, path: Path) -> dict[str, object]:
    heard.clear()
    began, outcome = time.monotonic(), "looked at"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            VERBS[verb](path)
    except Exception as error:
        outcome = f"{'' if isinstance(error, DgmmisError) else 'RAW '}{type(error).__name__}: {error}"
    return {"outcome": outcome, "heard": list(heard), "seconds": time.monotonic() - began}


def main(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (10 * SECONDS, 10 * SECONDS))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.addaudithook(hear)
    cases = json.loads((folder / "cases.json").read_text())
    found = {f"{name} ({verb})": visit(verb, folder / path) for name, verb, path in cases}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    sys.stdout.write(json.dumps({"cases": found, "grown_mib": grown}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
