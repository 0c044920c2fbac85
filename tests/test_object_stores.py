"""Catalogues and runs in an object store: the bits of local ones, one history each, and no fault without a name."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import dgmmis
from dgmmis.cli.application import application
from dgmmis.cluster import local_cluster
from dgmmis.errors import (
    AlreadyExists,
    CatalogLocked,
    CorruptCatalog,
    InvalidSetting,
    MissingLibrary,
    NotACatalog,
    NotARun,
    ObjectStoreError,
    RunLocked,
    UnsafeFile,
    UnsafePlace,
)
from dgmmis.location import S3Url, location_of
from dgmmis.monitor.watched import WatchedRoot
from dgmmis.object_store import bucket_at, connecting
from dgmmis.runs.place import place_at
from simulated import bits_of, noisy_rows, write_catalog

pytest.importorskip("obstore", reason="s3:// needs the extra 's3'")
pytest.importorskip("moto.server", reason="the tests' object store is moto's server")

from object_servers import environment, faulty_proxy, object_server, random_faults

PASSES = 4
ROWS = 1_500
DRIVE = """
import sys, time, dgmmis
from dgmmis.observer import SilentObserver
class Slow(SilentObserver):
    def on_pass(self, *_):
        print("pass", flush=True)
        time.sleep(float(sys.argv[4]))
dgmmis.fit(sys.argv[1], n_components=3, run=sys.argv[2], tolerance=0, max_passes=int(sys.argv[3]), observer=Slow())
"""


@pytest.fixture(scope="module")
def server():
    with object_server() as port:
        yield port


@pytest.fixture
def bucket(server, monkeypatch):
    """The environment of a store that works, with a lease that tests can wait for."""
    for name, value in {**environment(server), "DGMMIS_LEASE": "2"}.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def proxy(bucket, monkeypatch):
    with faulty_proxy(bucket) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("DGMMIS_STORE_TIMEOUT", "1")
        monkeypatch.setattr(connecting, "FIRST_WAIT", 0.01)
        monkeypatch.setattr(connecting, "LONGEST_WAIT", 0.1)
        yield proxy


@pytest.fixture
def url(bucket, request):
    """A prefix of the test's own."""
    return f"s3://bucket/{request.node.name.split('[')[0]}-{time.monotonic_ns()}"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A catalogue on this machine and the run of its fit."""
    folder = tmp_path_factory.mktemp("local")
    catalog = write_catalog(folder / "stars.zarr", n_rows=ROWS, chunk_rows=750)
    return catalog, fit(catalog, folder / "run"), dgmmis.open_run(folder / "run")


def fit(catalog, run, max_passes=PASSES):
    return dgmmis.fit(catalog, n_components=3, run=run, tolerance=0, max_passes=max_passes)


def ingest(url, n_rows=ROWS, **settings):
    values, noise = noisy_rows(n_rows)
    return dgmmis.ingest(values, url, features=("a", "b", "c"), noise=noise, chunk_rows=750, **settings)


def chain_of(run):
    """Digests of the passes without those of what came before: run.json names the catalogue's place."""
    return [bits_of_pass(run.read_checkpoint(number).scan) for number in run.checkpoint_numbers()]


def bits_of_pass(scan):
    arrays = (scan.mixture.amplitudes, scan.mixture.means, scan.mixture.covariances, scan.statistics.second)
    return b"".join(array.tobytes() for array in arrays), scan.log_likelihoods


def driver(catalog, run, passes, pause):
    """Drive a run in a process of its own, so many seconds a pass."""
    command = [sys.executable, "-c", DRIVE, str(catalog), str(run), str(passes), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# --- the same bits


def test_catalogue_and_run_in_a_bucket_are_those_of_this_machine(url, local):
    here, expected, run_here = local
    there = ingest(f"{url}/stars.zarr")
    assert (there.fingerprint, there.nbytes) == (here.fingerprint, here.nbytes)
    assert there.verify() == here.verify()
    assert pickle.loads(pickle.dumps(there)) == there
    result = fit(f"{url}/stars.zarr", f"{url}/run")
    assert bits_of(result) == bits_of(expected)
    assert result.history == expected.history
    run = dgmmis.open_run(f"{url}/run")
    assert chain_of(run) == chain_of(run_here)
    assert run.state() == "STOPPED"
    assert [event["event"] for event in run.trace()] == [event["event"] for event in run_here.trace()]
    assert run.data["path"] == f"{url}/stars.zarr"
    longer, longer_here = dgmmis.resume(f"{url}/run", max_passes=PASSES + 2), fit(here, None, PASSES + 2)
    assert bits_of(longer) == bits_of(longer_here)
    (watched,) = WatchedRoot(url).records()
    assert [one.log_likelihood for one in watched.passes] == [scan.log_likelihood for scan in longer.history]
    assert (watched.name, watched.state, watched.pulse) == ("run", "STOPPED", None)


@pytest.mark.thorough
def test_the_command_line_takes_addresses_wherever_it_takes_paths(url, local, tmp_path):
    ingest(f"{url}/stars.zarr")
    run, stars = f"{url}/runs/a", f"{url}/stars.zarr"
    said = invoke("fit", stars, "-K", "2", "--run", run, "--workers", "0", "--tolerance", "50", "--json")
    assert said["model"] == f"{run}/model.npz"
    assert invoke("status", run, "--json")["state"] == "SUCCEEDED"
    assert [one["run"] for one in invoke("ls", f"{url}/runs", "--json")["runs"]] == [run]
    assert invoke("resume", run, "--workers", "0", "--json")["n_passes"] == said["n_passes"]
    assert invoke("describe", stars, "--json")["rows"] == ROWS
    assert invoke("verify", stars, "--json")["verified"]
    output = tmp_path / "posterior.zarr"
    assert invoke("apply", run, stars, "-o", str(output), "--workers", "0", "--json")["rows"] == ROWS
    assert output.is_dir()
    page = tmp_path / "report.html"
    assert invoke("report", run, "-o", str(page), "--check-rows", "200", "--json") == {"report": str(page)}
    assert "Does the model describe the rows?" in page.read_text()
    assert "standard errors, from the information" in page.read_text()
    again = invoke(
        "fit", stars, "-K", "2", "--run", f"{url}/runs/b", "--initial", run, "--workers", "0", "--json"
    )
    assert again["n_passes"] <= said["n_passes"]


def test_what_only_a_server_answers_is_refused_for_a_run_in_a_bucket(url):
    fit(ingest(f"{url}/c"), f"{url}/runs/a", max_passes=1)
    before = bucket_at(location_of(url)).names()
    run = dgmmis.open_run(f"{url}/runs/a")
    assert (run.state(), run.holder()) == ("STOPPED", f"process {os.getpid()} on {socket.gethostname()}")
    asked = (run.requests.cancel, lambda: run.requests.put({}), lambda: run.folder)
    for ask in asked:
        with pytest.raises(InvalidSetting, match="lies in an object store"):
            ask()
    for arguments in (("gc", f"{url}/runs"), ("resume", f"{url}/runs/a", "--queue")):
        outcome = CliRunner().invoke(application, list(arguments))
        assert isinstance(outcome.exception, UnsafePlace), outcome.output
    assert bucket_at(location_of(url)).names() == before


def test_an_object_that_is_too_large_is_not_read(url):
    bucket = bucket_at(location_of(url))
    bucket.put("big", bytes(1000))
    assert len(bucket.get("big", 1000).content) == 1000
    with pytest.raises(UnsafeFile, match="has 1000 bytes, and at most 999 are read"):
        bucket.get("big", 999)


def invoke(*arguments):
    outcome = CliRunner().invoke(application, list(arguments), catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


FAULTS = {"503": 0.3, "cut": 0.06, "short": 0.06, "lost": 0.04, "stall": 0.02}


@pytest.mark.thorough
def test_a_fit_through_a_store_that_fails_a_third_of_all_requests_has_the_same_bits(proxy, url, local):
    _, expected, run_here = local
    proxy.choose = random_faults(1, FAULTS, most={"stall": 3})
    ingest(f"{url}/stars.zarr", n_rows=ROWS)
    result = fit(f"{url}/stars.zarr", f"{url}/run")
    assert bits_of(result) == bits_of(expected)
    assert chain_of(dgmmis.open_run(f"{url}/run")) == chain_of(run_here)
    assert min(proxy.counts[fault] for fault in FAULTS) > 0


# --- what goes wrong has a name


@pytest.mark.thorough
def test_a_missing_object_and_a_failing_store_are_told_apart(proxy, url, monkeypatch):
    catalog = ingest(f"{url}/stars.zarr")
    monkeypatch.setattr(connecting, "RETRIES", 1)
    monkeypatch.setattr(connecting, "RETRY_SECONDS", 1.5)
    proxy.choose = lambda method, path: "503" if "values/c/1/0" in path else None
    with pytest.raises(ObjectStoreError, match=r"values/c/1/0.*503") as caught:
        reopened(catalog).read_rows(1)
    assert "canary" not in str(caught.value).lower()
    proxy.choose = lambda method, path: "stall" if "values/c/1/0" in path else None
    with pytest.raises(ObjectStoreError, match=r"values/c/1/0.*in time"):
        reopened(catalog).read_rows(1)
    proxy.choose = lambda method, path: "cut" if "values/c/1/0" in path else None
    with pytest.raises(ObjectStoreError, match=r"values/c/1/0"):
        reopened(catalog).read_rows(1)
    proxy.choose = lambda method, path: "short" if "values/c/1/0" in path else None
    with pytest.raises(CorruptCatalog, match="array 'values', chunk 1"):
        reopened(catalog).read_rows(1)
    proxy.choose = lambda method, path: None
    bucket_at(catalog.path).delete("values/c/1/0")
    with pytest.raises(CorruptCatalog, match=r"chunk 1 \(rows 750..1499\): missing"):
        reopened(catalog).read_rows(1)
    with pytest.raises(NotACatalog, match=r"manifest\.json cannot be read"):
        dgmmis.open_catalog(f"{url}/nothing")
    with pytest.raises(NotARun, match="no run"):
        dgmmis.open_run(f"{url}/nothing")


def reopened(catalog):
    """The catalogue through a client that was made now."""
    from dgmmis.store.raw_files import _bucket_files

    _bucket_files.cache_clear()
    return dgmmis.open_catalog(catalog.path)


@pytest.mark.thorough
def test_a_run_whose_store_fails_is_interrupted_and_goes_on(proxy, url, local, monkeypatch):
    here, expected, _ = local
    monkeypatch.setattr(connecting, "RETRIES", 1)
    proxy.choose = lambda method, path: "503" if method == "PUT" and "ckpt/000002" in path else None
    with pytest.raises(ObjectStoreError, match=r"cannot write .*000002.*dgmmis resume"):
        fit(here, f"{url}/run")
    proxy.choose = lambda method, path: None
    assert dgmmis.open_run(f"{url}/run").state() == "INTERRUPTED"
    assert bits_of(dgmmis.resume(f"{url}/run")) == bits_of(expected)


# --- one history


def test_of_many_that_put_an_object_at_once_one_succeeds_and_its_content_stays(proxy, url):
    proxy.choose = random_faults(2, {"503": 0.1, "lost": 0.3})
    for race in range(5):
        with ThreadPoolExecutor(8) as threads:
            won = list(threads.map(_put, [url] * 8, [f"race-{race}"] * 8))
        assert sum(won) == 1


def _put(url, name, content=b"the same"):
    try:
        bucket_at(location_of(url)).put_if_absent(name, content)
    except FileExistsError:
        return False
    return True


def test_what_a_driver_puts_after_another_took_over_is_never_seen(url):
    """Even if it looked at the lock before, and was stopped on the way from there to its put."""
    stopped, other = place_at(location_of(url)), place_at(location_of(url))
    with stopped.hold(()):
        stopped.put_if_absent("ckpt/000000.ckpt", b"before")
        stopped._tenure._over.set()  # no signs of life any more, as if the process were stopped
        with other.hold(()):
            assert other.names("ckpt") == ["000000.ckpt"]
            looked = stopped._tenure.require
            stopped._tenure.require = lambda: setattr(stopped._tenure, "require", looked)
            with pytest.raises(RunLocked):
                stopped.put_if_absent("ckpt/000001.ckpt", b"late")
            assert "ckpt/000001.ckpt.e000001" in bucket_at(location_of(url)).names()
            assert other.names("ckpt") == ["000000.ckpt"]
            other.put_if_absent("ckpt/000001.ckpt", b"in time")
        with pytest.raises(RunLocked, match="taken over by process"):
            stopped.put_if_absent("final.json", b"late")
    reader = place_at(location_of(url))
    assert reader.names("ckpt") == ["000000.ckpt", "000001.ckpt"]
    assert reader.read("ckpt/000001.ckpt") == b"in time"
    assert not reader.exists("final.json")
    with reader.hold(()):
        assert (reader.read("ckpt/000000.ckpt"), reader.read("ckpt/000001.ckpt")) == (b"before", b"in time")


def test_a_lock_that_is_renewed_is_not_taken_and_one_that_is_released_is_free_at_once(url, monkeypatch):
    monkeypatch.setenv("DGMMIS_LEASE", "10")
    driving, other = place_at(location_of(url)), place_at(location_of(url))
    with driving.hold(()):
        assert other.is_held()
        with pytest.raises(RunLocked, match=f"process {os.getpid()}"), other.hold(()):
            pass
    assert not other.is_held()
    began = time.monotonic()
    with other.hold(()):
        assert time.monotonic() - began < 10
    assert not driving.is_held()


def test_an_object_set_aside_leaves_its_name_to_another(url):
    place = place_at(location_of(url))
    with place.hold(()):
        place.put_if_absent("final.json", b"first")
    with place.hold(()):
        place.set_aside("final.json", "attempts/0002-superseded-final.json")
        assert not place.exists("final.json")
        assert not place_at(location_of(url)).exists("final.json")
        place.put_if_absent("final.json", b"second")
        with pytest.raises(FileExistsError):
            place.put_if_absent("final.json", b"third")
    with place.hold(()):
        assert place.read("final.json") == b"second"
        assert place.read("attempts/0002-superseded-final.json") == b"first"


def test_every_line_of_a_log_comes_back_with_few_requests(proxy, url):
    place = place_at(location_of(url))
    lines = [f"line {i}" for i in range(23)]
    with place.hold(()):
        for count, line in enumerate(lines, start=1):
            place.append_line("log/0001.jsonl", line)
            if count in (1, 2, 3, 15, 16, 23):
                reader = place_at(location_of(url))
                proxy.requests.clear()
                assert reader.lines("log/0001.jsonl") == lines[:count]
                read = [path for method, path in proxy.requests if method == "GET" and "log/" in path]
                assert sum("list-type" not in path for path in read) == count.bit_count()


@pytest.mark.timeout(300)
@pytest.mark.thorough
def test_a_driver_that_was_stopped_wakes_up_to_find_the_run_taken_over(url, local):
    here, expected, _ = local
    _stop_and_take_over(f"{url}/run", here, expected)


def _stop_and_take_over(run, here, expected):
    process = driver(here.path, run, PASSES, 0.4)
    try:
        for _ in range(2):
            assert process.stdout.readline() == "pass\n"
        os.kill(process.pid, signal.SIGSTOP)
        resumed = dgmmis.resume(run, max_passes=PASSES)
        before = bucket_at(location_of(run)).names()
        os.kill(process.pid, signal.SIGCONT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert "RunLocked" in errors
    assert bits_of(resumed) == bits_of(expected)
    late = set(bucket_at(location_of(run)).names()) - set(before)
    assert not [name for name in late if name.startswith(("ckpt", "final", "attempts", "log"))]
    opened = dgmmis.open_run(run)
    assert opened.checkpoint_numbers() == list(range(PASSES + 1))
    assert opened.n_attempts() == 2


@pytest.mark.chaos
def test_drivers_stopped_again_and_again_never_write_after_a_takeover(url, local):
    here, expected, _ = local
    for round_ in range(5):
        _stop_and_take_over(f"{url}/run-{round_}", here, expected)
    print("\n5/5 stopped drivers refused after a takeover, one history each")


@pytest.mark.chaos
def test_a_driver_killed_at_any_moment_is_told_to_be_dead_and_its_run_goes_on_to_the_same_bits(url, local):
    here, run, passes = local[0], f"{url}/run", 60
    expected, rng, redone, slowest = fit(here, None, passes), np.random.default_rng(6), [], 0.0
    for kill in range(20):
        process = driver(here.path, run, passes, 0.1)
        assert process.stdout.readline() == "pass\n"
        assert kill or "RUNNING" in (dgmmis.open_run(run).state() for _ in range(20))
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        said = 1 + process.communicate()[0].count("pass")
        began = time.monotonic()
        opened = dgmmis.open_run(run)
        assert opened.state() == "INTERRUPTED"
        slowest = max(slowest, time.monotonic() - began)
        kept = [
            event for event in opened.trace() if event["event"] == "pass" and event["attempt"] == kill + 1
        ]
        redone.append(said - len(kept))
    resumed = dgmmis.resume(run)
    numbers = [event["number"] for event in dgmmis.open_run(run).trace() if event["event"] == "pass"]
    assert bits_of(resumed) == bits_of(expected)
    assert max(redone) <= 0
    assert len(numbers) - len(set(numbers)) == 0
    print(
        f"\n20/20 kill -9 resumed with the same bits, no finished pass made again; state told within {slowest:.1f} s"
    )


RACE = """
import sys
from dgmmis.location import location_of
from dgmmis.object_store import bucket_at
bucket = bucket_at(location_of(sys.argv[1]))
for line in sys.stdin:
    try:
        bucket.put_if_absent(line.strip(), b"the same")
        print("won", flush=True)
    except FileExistsError:
        print("lost", flush=True)
"""


@pytest.mark.chaos
def test_of_eight_processes_that_put_an_object_at_once_one_succeeds(proxy, url):
    proxy.choose = random_faults(4, {"503": 0.2, "lost": 0.2})
    command = [sys.executable, "-c", RACE, url]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    try:
        for race in range(50):
            for racer in racers:
                racer.stdin.write(f"race-{race}\n")
                racer.stdin.flush()
            assert sorted(racer.stdout.readline() for racer in racers) == ["lost\n"] * 7 + ["won\n"]
    finally:
        for racer in racers:
            racer.communicate()
    print(f"\n50/50 races of 8 processes had one winner, with {proxy.counts['lost']} answers lost")


RESUME = """
import sys, dgmmis
try:
    dgmmis.resume(sys.argv[1], max_passes=int(sys.argv[2]))
except dgmmis.errors.RunLocked:
    sys.exit(75)
"""


@pytest.mark.chaos
def test_of_many_that_resume_a_run_at_once_one_writes_its_history(url, local, monkeypatch):
    monkeypatch.setenv("DGMMIS_LEASE", "20")
    here, expected, _ = local
    for round_ in range(5):
        run = f"{url}/run-{round_}"
        fit(here, run, max_passes=1)
        command = [sys.executable, "-c", RESUME, run, str(PASSES)]
        codes = [racer.wait() for racer in [subprocess.Popen(command) for _ in range(3)]]
        opened = dgmmis.open_run(run)
        assert set(codes) <= {0, 75}
        assert 0 in codes
        assert opened.checkpoint_numbers() == list(range(PASSES + 1))
        passes = [event["number"] for event in opened.trace() if event["event"] == "pass"]
        assert passes == list(range(PASSES + 1))
        assert bits_of(dgmmis.resume(run)) == bits_of(expected)
    print("\n5/5 races of 3 resumes left one history")


@pytest.mark.chaos
def test_workers_that_read_through_a_failing_store_change_no_bit(proxy, url, local):
    expected = local[1]
    ingest(f"{url}/stars.zarr")
    proxy.choose = random_faults(5, FAULTS, most={"stall": 20})
    with local_cluster(workers=2, threads=1, memory_limit="1 GiB") as client:
        result = dgmmis.fit(
            f"{url}/stars.zarr",
            n_components=3,
            run=f"{url}/run",
            tolerance=0,
            max_passes=PASSES,
            client=client,
        )
    assert bits_of(result) == bits_of(expected)
    failed = sum(proxy.counts[fault] for fault in FAULTS)
    print(f"\nthe same bits on 2 workers with {failed} of {proxy.counts.total()} requests failed")


# --- catalogues are written whole


def test_a_catalogue_in_a_bucket_is_not_written_over_unless_asked(url):
    first = ingest(f"{url}/c")
    with pytest.raises(AlreadyExists, match="exists"):
        ingest(f"{url}/c", n_rows=700)
    assert dgmmis.open_catalog(f"{url}/c").fingerprint == first.fingerprint
    second = ingest(f"{url}/c", n_rows=700, overwrite=True)
    assert dgmmis.open_catalog(f"{url}/c").n_rows == second.n_rows == 700
    assert second.verify() == len(bucket_at(second.path).names()) - 1
    bucket_at(location_of(url)).put("other/file", b"somebody's")
    with pytest.raises(AlreadyExists, match="something else"):
        ingest(f"{url}/other", overwrite=True)


def test_an_upload_that_breaks_off_is_no_catalogue_and_can_be_replaced(proxy, url, monkeypatch):
    monkeypatch.setattr(connecting, "RETRIES", 0)
    proxy.choose = lambda method, path: "503" if method == "PUT" and "values/c/1" in path else None
    with pytest.raises(ObjectStoreError, match="values/c/1"):
        ingest(f"{url}/c")
    with pytest.raises(NotACatalog):
        dgmmis.open_catalog(f"{url}/c")
    proxy.choose = lambda method, path: None
    with pytest.raises(AlreadyExists, match="did not finish"):
        ingest(f"{url}/c")
    ingest(f"{url}/c", overwrite=True).verify()


def test_a_catalogue_in_a_bucket_grows_as_one_on_this_machine(url, tmp_path):
    values, noise = noisy_rows(900, seed=8)
    here = dgmmis.append(write_catalog(tmp_path / "c", n_rows=ROWS, chunk_rows=750), values, noise=noise)
    before = ingest(f"{url}/c")
    there = dgmmis.append(before, values, noise=noise)
    assert there.fingerprint == here.fingerprint
    there.verify()
    assert before.as_of(before.fingerprint).n_rows == ROWS
    bucket_at(there.path).put_if_absent("appended/2/zarr.json", b"of another append")
    with pytest.raises(CatalogLocked, match="appended/2"):
        dgmmis.append(there, values, noise=noise)
    assert dgmmis.open_catalog(there.path).fingerprint == there.fingerprint


# --- what is let in and out


def test_without_the_library_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "dgmmis.object_store.bucket", raising=False)
    with pytest.raises(MissingLibrary, match=r"pip install 'dgmmis\[s3\]'"):
        dgmmis.open_run("s3://bucket/run")


@pytest.mark.parametrize(
    "text",
    [
        "http://bucket/x", "gs://bucket/x", "s3://bucket", "s3://bucket/", "s3:///x", "s3://BUCKET/x",
        "s3://user:secret@bucket/x", "s3://bucket/a/../b", "s3://bucket/a//b", "s3://bucket/a?X-Signature=secret",
        "s3://bucket/%2e%2e/x", "s3://bucket/a b", "simplecache::s3://bucket/x", "file:etc/passwd", "s3://b/x",
    ],
)  # fmt: skip
def test_other_addresses_are_refused_before_anything_is_opened(text):
    for open_it in (dgmmis.open_catalog, dgmmis.open_run):
        with pytest.raises(UnsafePlace) as caught:
            open_it(text)
        assert "secret" not in str(caught.value)
    assert location_of(Path("s3://bucket/x")) == S3Url("bucket", "x")


@pytest.mark.parametrize(
    ("endpoint", "outcome"),
    [
        ("http://127.0.0.1:9", True),
        ("http://[::1]:9", True),
        ("http://localhost:9", True),
        ("https://store.example", False),
        ("http://store.example", None),
        ("http://10.0.0.7:9000", None),
        ("http://127.0.0.1.store.example", None),
        ("https://169.254.169.254", None),
        ("", False),
    ],
)
@pytest.mark.parametrize("variable", connecting.ENDPOINTS)
def test_a_store_without_tls_is_asked_only_on_this_machine(monkeypatch, variable, endpoint, outcome):
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    for name in connecting.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, endpoint)
    if outcome is None:
        with pytest.raises(UnsafePlace):
            connecting.request_settings()
    else:
        assert connecting.request_settings()["client_options"]["allow_http"] is outcome


def test_credentials_are_in_nothing_that_is_written_or_sent(url, local, monkeypatch):
    fit(ingest(f"{url}/c"), f"{url}/run", max_passes=1)
    bucket = bucket_at(location_of(url))
    everything = [bucket.get(name).content for name in bucket.names()]
    everything += [repr(bucket).encode(), pickle.dumps(bucket), pickle.dumps(dgmmis.open_catalog(f"{url}/c"))]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(connecting, "RETRIES", 0)
    with pytest.raises(ObjectStoreError) as caught:
        bucket_at(S3Url("bucket", "x")).get("y")
    everything.append(repr((caught.value, caught.value.__context__)).encode())
    assert not [content for content in everything if b"canary" in content.lower()]
