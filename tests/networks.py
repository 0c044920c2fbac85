"""Network namespaces of the kernel: real cables between processes of one machine, which can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

needs_networks = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root and the program ip (iproute2)",
)


@dataclass(frozen=True)
class Cable:
    """A cable from this machine to a namespace."""

    namespace: str
    device: str
    here: str
    there: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What a command begins with to run at the other end."""
        return ("ip", "netns", "exec", self.namespace)

    def pull(self) -> None:
        """Cut it."""
        _ip("link", "set", self.device, "down")

    def plug(self) -> None:
        """Mend it."""
        _ip("link", "set", self.device, "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def cable(number: int) -> Iterator[Cable]:
    """Lay a cable; `number` keeps those of one test apart."""
    tag = f"{os.getpid() % 100_000}{number}"
    net = f"10.{200 + number}.{os.getpid() % 250}"
    laid = Cable(f"dg{tag}", f"dg{tag}h", f"{net}.1", f"{net}.2")
    _ip("netns", "add", laid.namespace)
    try:
        _ip("link", "add", laid.device, "type", "veth", "peer", "name", f"dg{tag}n")
        _ip("link", "set", f"dg{tag}n", "netns", laid.namespace)
        _ip("addr", "add", f"{laid.here}/24", "dev", laid.device)
        _ip("link", "set", laid.device, "up")
        for command in (
            ("addr", "add", f"{laid.there}/24", "dev", f"dg{tag}n"),
            ("link", "set", f"dg{tag}n", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("netns", "exec", laid.namespace, "ip", *command)
        yield laid
    finally:
        subprocess.run(["ip", "netns", "del", laid.namespace], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", laid.device], check=False, capture_output=True)
