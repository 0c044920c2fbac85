"""The doctor says what is wrong, and what to do about it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dgmmis.cli.application import application
from dgmmis.doctor import machine, network, run_root, software
from dgmmis.doctor.listeners import listeners


def test_all_is_well_where_a_fit_works(tmp_path: Path) -> None:
    found = CliRunner().invoke(application, ["doctor", str(tmp_path), "--json"])
    told = json.loads(found.stdout)
    assert (found.exit_code, told["healthy"]) == (0, True)
    subjects = {finding["subject"] for finding in told["findings"]}
    assert {
        "Python",
        "libraries",
        "numerics",
        "checkpoints",
        "lock",
        "TLS",
        "workers",
        "encryption",
        "listeners",
    } <= subjects
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_is_shown_with_advice_and_by_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.doctor.examination.examine_cluster", lambda: iter(()))
    found = CliRunner().invoke(application, ["doctor", str(tmp_path / "nowhere")])
    assert found.exit_code == 1
    assert "WRONG  run root" in found.stdout
    assert "-> Make the folder" in found.stdout
    assert found.stdout.endswith("wrong: run root\n")


def test_every_finding_that_is_not_good_has_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(run_root, "LEAST_FREE", 1 << 80)
    monkeypatch.setattr(run_root, "TAKES_LOCK", "")
    monkeypatch.setattr(machine, "LEAST_MEMORY", 1 << 80)
    monkeypatch.setattr(machine, "LEAST_FILES", 1 << 40)
    monkeypatch.setattr(
        software, "_requirements", lambda: iter([("numpy", "999", None), ("absent", None, "readers")])
    )
    findings = [
        *run_root.examine_root(tmp_path),
        machine.examine_memory(),
        machine.examine_files(),
        software.examine_libraries(),
        next(software.examine_extras()),
    ]
    assert {finding.verdict for finding in findings} == {"wrong", "note"}
    assert all(finding.advice for finding in findings)
    assert "no hard links" in findings[1].found
    assert findings[2].found == "two processes could hold it at once"
    assert "numpy" in findings[5].found


def test_a_port_that_others_reach_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "listeners", lambda pid: [("127.0.0.1", 1), ("0.0.0.0", 8787)])
    findings = {finding.subject: finding for finding in network.examine_cluster()}
    assert findings["encryption"].verdict == "good"
    assert findings["listeners"].verdict == "wrong"
    assert "0.0.0.0:8787" in findings["listeners"].found


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0")]
)
def test_listeners_are_the_ports_that_are_open(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as opened:
        opened.bind((host, 0))
        port = opened.getsockname()[1]
        assert (host, port) not in listeners(os.getpid())
        opened.listen()
        assert (host, port) in listeners(os.getpid())
