"""A cluster talks to nobody who has not its certificates, and is heard by no other machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import dgmmis
from certificates import Authority, Pair
from dgmmis.cluster import Access, connect, local_cluster
from dgmmis.doctor.listeners import listeners
from dgmmis.errors import ClusterLost, InsecureCluster, InvalidSetting
from simulated import write_catalog

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[1]
PATIENCE = 300
"""Seconds: the machine may be busy with other things."""
SHORT = 3.0
"""Seconds in which a scheduler of this machine answers, or does not."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(dgmmis.__file__).parents[1])} | more


@contextmanager
def running(*command: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, stopped afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment(**more),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(port: int) -> None:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")


@dataclass(frozen=True)
class Scheduler:
    port: int
    authority: Authority
    own: Pair

    @property
    def address(self) -> str:
        return f"tls://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    """A scheduler that somebody started with certificates of their own authority."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder, "cluster")
    pair, port = authority.issue("scheduler"), free_port()
    command = (
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--protocol",
        "tls",
    )
    tls = ("--tls-ca-file", str(authority.ca), "--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    with running(*command, *tls, "--dashboard-address", "127.0.0.1:0"):
        wait_for(port)
        yield Scheduler(port, authority, authority.issue("driver"))


def test_a_client_with_the_clusters_certificates_is_let_in(scheduler: Scheduler) -> None:
    access = Access(scheduler.authority.ca, scheduler.own.cert, scheduler.own.key)
    with connect(scheduler.address, access=access) as client:
        assert client.scheduler_info()["workers"] == {}


def test_plain_foreign_and_expired_clients_are_refused(scheduler: Scheduler, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    foreign, expired = stranger.issue("foreign"), scheduler.authority.issue("expired", days=(-9, -2))
    own_ca = scheduler.authority.ca
    refused = {
        "plain": (f"tcp://127.0.0.1:{scheduler.port}", Access()),
        "a foreign certificate": (scheduler.address, Access(own_ca, foreign.cert, foreign.key)),
        "a foreign authority": (
            scheduler.address,
            Access(stranger.ca, scheduler.own.cert, scheduler.own.key),
        ),
        "foreign in all": (scheduler.address, Access(stranger.ca, foreign.cert, foreign.key)),
        "expired": (scheduler.address, Access(own_ca, expired.cert, expired.key)),
    }
    for name, (address, access) in refused.items():
        with (
            pytest.raises(ClusterLost, match="no scheduler answers"),
            connect(address, access=access, timeout=SHORT),
        ):
            raise AssertionError(f"{name} was let in")
    sys.stdout.write(f"{len(refused)}/{len(refused)} clients without the right certificates refused\n")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_older_than_1_2_is_refused(scheduler: Scheduler, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(scheduler.authority.ca)
    context.load_cert_chain(scheduler.own.cert, scheduler.own.key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", scheduler.port)) as plain,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(plain).recv(1)


def test_certificates_may_come_from_dasks_configuration(scheduler: Scheduler) -> None:
    names = {
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(scheduler.authority.ca),
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT": str(scheduler.own.cert),
        "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": str(scheduler.own.key),
    }
    program = f"from dgmmis.cluster import connect\nwith connect({scheduler.address!r}):\n    print('in')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(**names),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "in\n", done.stderr


@pytest.mark.parametrize(
    "address",
    [
        "tcp://10.0.0.7:8786",
        "tcp://cluster.example.org:8786",
        "tcp://0.0.0.0:8786",
        "tcp://[fe80::1]:8786",
        "tcp://8.8.8.8:53",
    ],
)
def test_a_plain_cluster_on_another_machine_is_refused_unless_it_is_asked_for_by_name(address: str) -> None:
    with pytest.raises(InsecureCluster, match="--insecure-cluster"):
        Access().security(address)
    assert Access(insecure=True).security(address) is None


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tcp://127.1.2.3:1"]
)
def test_a_plain_cluster_on_this_machine_is_not(address: str) -> None:
    assert Access().security(address) is None


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:8786",
        "ucx://127.0.0.1:1",
        "inproc://x",
        "http://127.0.0.1:8787",
        "tls://",
        "tls://u:p@h:1",
    ],
)
def test_what_is_no_scheduler_is_refused(address: str) -> None:
    with pytest.raises(InvalidSetting):
        Access().security(address)


def test_certificates_that_are_of_no_use_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "own")
    one, other = authority.issue("one"), authority.issue("other")
    for access in (
        Access(),
        Access(authority.ca),
        Access(tmp_path / "absent", one.cert, one.key),
        Access(authority.ca, one.cert, other.key),
        Access(one.key, one.cert, one.key),
    ):
        with pytest.raises(InvalidSetting):
            access.security("tls://127.0.0.1:1")
    with pytest.raises(InvalidSetting, match="write tls://"):
        Access(authority.ca).security("tcp://127.0.0.1:1")
    one.key.chmod(0o644)
    with pytest.raises(InsecureCluster, match="chmod"):
        Access(authority.ca, one.cert, one.key).security("tls://127.0.0.1:1")


def test_a_cluster_of_our_own_refuses_other_accounts_and_listens_to_this_machine_alone() -> None:
    with local_cluster(workers=1, memory_limit="512 MiB") as client:
        address = client.scheduler_info()["address"]
        assert address.startswith("tls://127.0.0.1:")
        assert all(worker.startswith("tls://127.0.0.1:") for worker in client.scheduler_info()["workers"])
        with pytest.raises(ClusterLost), connect(address.replace("tls", "tcp"), timeout=SHORT):
            raise AssertionError("a plain client was let in")
        assert {host for host, _ in listeners(os.getpid())} == {"127.0.0.1"}


SHORT_FIT = ("-K", "2", "--max-passes", "3")


def heard_while(words: list[str], place: Path) -> tuple[int, set[tuple[str, int]]]:
    """Run a verb, and note all that it and its children listen on meanwhile."""
    command = [sys.executable, "-m", "dgmmis", *words]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(), cwd=place, stdout=log, stderr=log)
        heard: set[tuple[str, int]] = set()
        give_up = time.monotonic() + PATIENCE * 2
        while process.poll() is None and time.monotonic() < give_up:
            heard |= set(listeners(process.pid))
            time.sleep(0.1)
        if process.poll() is None:
            process.kill()
    return process.wait(), heard


@pytest.mark.chaos
def test_no_default_mode_listens_to_another_machine(tmp_path: Path) -> None:
    write_catalog(tmp_path / "stars.zarr", n_rows=4_000, chunk_rows=500)
    modes = {
        "fit": ["fit", "stars.zarr", *SHORT_FIT, "--run", "run"],
        "fit in one process": ["fit", "stars.zarr", *SHORT_FIT, "--run", "alone", "--workers", "0"],
        "resume": ["resume", "run", "--max-passes", "5"],
        "compare": [
            "compare",
            "stars.zarr",
            "-K",
            "1,2",
            "--folds",
            "2",
            "--restarts",
            "1",
            "--max-passes",
            "2",
        ],
        "apply": ["apply", "run", "stars.zarr", "-o", "out.parquet"],
        "uncertainty": ["uncertainty", "run"],
        "plan": ["plan", "stars.zarr", "-K", "2"],
        "report": ["report", "run", "-o", "report.html"],
        "doctor": ["doctor", "."],
    }
    total = 0
    for name, words in modes.items():
        code, heard = heard_while(words, tmp_path)
        assert code == 0, f"{name}: {(tmp_path / 'log').read_text()[-2000:]}"
        assert {host for host, _ in heard} <= {"127.0.0.1", "::1"}, name
        total += len(heard)
        if name in ("fit", "resume", "compare", "apply", "uncertainty", "doctor"):
            assert heard, f"{name} was not seen listening at all"
    sys.stdout.write(f"{len(modes)} modes, {total} listeners, 0 beyond the loopback address\n")


def blocks_of_the_deployment_page() -> list[str]:
    text = (ROOT / "deploy" / "README.md").read_text()
    section = text[text.index("## Between machines: TLS") : text.index("## Settings of scheduler")]
    return re.findall(r"^```bash\n(.*?)^```", section, re.M | re.S)


@pytest.mark.chaos
def test_the_deployment_page_makes_a_cluster_that_a_fit_runs_on_and_no_secret_is_left_behind(
    tmp_path: Path,
) -> None:
    """Its commands are run as they stand, but for the host's name; canaries are looked for in all that is left."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    making, scheduler_line, worker_line, fit_line = blocks_of_the_deployment_page()
    subprocess.run(
        ["sh", "-e", "-c", making], cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE
    )
    write_catalog(tmp_path / "stars.zarr", n_rows=4_000, chunk_rows=500)
    port = free_port()
    canary = "CANARYd41d8cd98f00b204"
    secrets = dict.fromkeys(
        ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "DASK_GATEWAY__AUTH__TOKEN", "DGMMIS_CANARY"), canary
    )
    key = (tmp_path / "key.pem").read_text().splitlines()[1]

    def command(block: str) -> list[str]:
        words = (
            block.replace("\\\n", " ").replace("8786", str(port)).replace("SCHEDULER", "127.0.0.1").split()
        )
        words[:1] = {"dask": [sys.executable, "-m", "dask"], "dgmmis": [sys.executable, "-m", "dgmmis"]}[
            words[0]
        ]
        return words

    here = {"env": environment(**secrets), "cwd": tmp_path}
    told = {"capture_output": True, "text": True, "timeout": 2 * PATIENCE, "check": False}
    only_here = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    with (tmp_path / "cluster.log").open("wb") as log:
        started = [
            subprocess.Popen([*command(line), *more], **here, stdout=log, stderr=log, start_new_session=True)
            for line, more in ((scheduler_line, only_here), (worker_line, []))
        ]
        try:
            wait_for(port)
            done = subprocess.run([*command(fit_line), "--max-passes", "3"], **here, **told)
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert done.returncode == 0, done.stderr[-2000:]
    words = [sys.executable, "-m", "dgmmis", "report", "run", "-o", "report.html"]
    report = subprocess.run(words, **here, **told)
    assert report.returncode == 0, report.stderr[-2000:]
    texts = [done.stdout, done.stderr, report.stdout, report.stderr]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith("key.pem")]
    texts += [path.read_bytes().decode("latin-1") for path in files]
    assert not any(secret in text for text in texts for secret in (canary, key))
    sys.stdout.write(f"2 canaries, {len(texts)} texts and files of a fit over tls://, 0 hits\n")
