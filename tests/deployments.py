"""What lies in deploy/: services, pods, commands, and how they run on this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import typer.main
import yaml
from distributed.cli.dask_scheduler import main as scheduler_command
from distributed.cli.dask_worker import main as worker_command

from dgmmis.cli.application import application

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = {name: each for name, each in SERVICES.items() if "profiles" not in each}
"""Services that stay; the others do one thing and end."""
USER = 10001
"""Whoever containers run as."""
PATIENCE = 120.0


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each Kubernetes object with the name of its file."""
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for each in yaml.safe_load_all(path.read_text()):
            yield path.name, each


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the specification of each kind of pod with its name."""
    for _, each in manifests():
        if each["kind"] == "DaskCluster":
            yield from ((role, each["spec"][role]["spec"]) for role in ("scheduler", "worker"))
        elif each["kind"] == "Deployment":
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]


def parse(words: list[str]) -> dict[str, Any]:
    """Have a command's own parser read its words, which raises if it cannot; returns what it made of them."""
    program, verb, *options = words
    if program == "dgmmis":
        command = typer.main.get_command(application).commands[verb]
    else:
        assert program == "dask", program
        command = {"scheduler": scheduler_command, "worker": worker_command}[verb]
    with command.make_context(verb, list(options)) as context:
        return dict(context.params)


@dataclass(frozen=True)
class Here:
    """How what is written for containers runs on the loopback address: which host, port and folder stands for which.

    Kernels are compiled where the tests keep theirs, and not for each stack anew.
    """

    folder: Path
    ports: dict[str, str] = field(
        default_factory=lambda: dict(
            zip(("8786", "8787", "8788", "8789", "8888"), map(str, free_ports(5)), strict=True)
        )
    )

    def __post_init__(self) -> None:
        for name in ("data", "cache", "certificates"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def word(self, word: str) -> str:
        """Translate one word of a command."""
        word = re.sub(r"^/(data|cache|certificates)\b", rf"{self.folder}/\1", word)
        word = word.replace("0.0.0.0", "127.0.0.1").replace("//scheduler:", "//127.0.0.1:")
        word = word.replace("/opt/deploy/", f"{DEPLOY}/")
        return re.sub(r"(?<!\d)(8786|8787|8788|8789|8888)$", lambda found: self.ports[found[1]], word)

    def command(self, words: list[str]) -> list[str]:
        """Translate a command."""
        program, *rest = words
        started = {"dask": ["-m", "dask"], "dgmmis": ["-m", "dgmmis"], "python": []}
        head = [sys.executable, *started[program]] if program in started else [program]
        return [*head, *map(self.word, rest)]

    def environment(self) -> dict[str, str]:
        """What the image says, as far as it matters on this machine."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_CONFIG": str(DEPLOY / "dask.yaml"),
            "XDG_STATE_HOME": str(self.folder / "data" / "state"),
            "OMP_NUM_THREADS": "1",
        }


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on, no two alike."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Stack:
    """The services of the compose file as processes of this machine, started by the very words that stand there."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, service: str, here: Here | None = None) -> subprocess.Popen[bytes]:
        """Start a service."""
        here = here or self.here
        with (here.folder / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                here.command(SERVICES[service]["command"]), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=here.environment(), cwd=here.folder / "data", start_new_session=True,
            )  # fmt: skip
        self._all.append(process)
        return process

    def start_worker(self) -> tuple[subprocess.Popen[bytes], Here]:
        """Start one more worker; as in a container of its own, its page has the port to itself."""
        alone = Here(self.here.folder, {**self.here.ports, "8789": str(free_ports(1)[0])})
        return self.start("worker", alone), alone

    def health(self, service: str, here: Here | None = None) -> subprocess.CompletedProcess[str]:
        """Ask as the container would be asked."""
        here = here or self.here
        return subprocess.run(
            here.command(SERVICES[service]["healthcheck"]["test"][1:]),
            capture_output=True, text=True, timeout=60, check=False, env=here.environment(),
        )  # fmt: skip

    def wait_for(self, service: str, here: Here | None = None) -> None:
        """Wait until a service says that it is well."""
        ends = time.monotonic() + PATIENCE
        while (answer := self.health(service, here)).returncode:
            assert time.monotonic() < ends, f"{answer.stdout}{self.log_of(service)[-3000:]}"
            time.sleep(0.3)

    def log_of(self, service: str) -> str:
        """What a service said."""
        return (self.here.folder / f"{service}.log").read_text()

    def once(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own to its end."""
        return subprocess.run(
            self.here.command(list(words)), capture_output=True, text=True, timeout=PATIENCE, check=True,
            env=self.here.environment(), cwd=self.here.folder / "data",
        )  # fmt: skip

    def stop(self) -> None:
        """End every process that was started, and their children, by their ids."""
        pids = [process.pid for process in self._all if process.poll() is None]
        for pid in list(pids):
            with suppress(psutil.NoSuchProcess):
                pids += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._all:
            process.wait(30)


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Make certificates as a user does, and whatever is started ends with the context."""
    here = Here(folder)
    one = Stack(here)
    making = here.command(SERVICES["certificates"]["command"])
    subprocess.run(making, check=True, capture_output=True, timeout=60)
    try:
        yield one
    finally:
        one.stop()
