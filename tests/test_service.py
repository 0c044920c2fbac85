"""A root of runs: submitting twice is one run, servers drive each once, and a stop or cancel loses nothing."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dgmmis
import dgmmis.service.serving
from dgmmis.cli import main
from dgmmis.errors import InvalidSetting, RunCancelled, RunConflict, RunInterrupted
from dgmmis.runs.lock import hold
from dgmmis.service.logs import follow
from dgmmis.signal_stops import heeding_signals
from dgmmis.stopping import Stop
from drives import Waits, assert_one_history, begin_serving, events_of, submitted, wait_for
from simulated import TRUTH, bits_of, write_catalog

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
SETTINGS = {"n_components": 3, "tolerance": 0.0, "initial": VAGUE}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("service") / "stars.zarr", n_rows=3_000, chunk_rows=700)


@pytest.fixture(scope="module")
def undisturbed(catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory) -> dgmmis.RunFolder:
    """A run of `SETTINGS` that nothing happened to."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    dgmmis.fit(catalog, **SETTINGS, max_passes=40, run=run)
    return dgmmis.open_run(run)


def submit(catalog: dgmmis.Catalog, root: Path, max_passes: int = 6, **settings: object) -> dgmmis.Run:
    return dgmmis.submit(catalog, runs=root, max_passes=max_passes, **{"workers": 0, **SETTINGS, **settings})


def assert_same_bits(run: Path, undisturbed: dgmmis.RunFolder) -> None:
    latest = dgmmis.open_run(run).latest()
    assert latest.digest == undisturbed.read_checkpoint(latest.scan.number).digest


def test_eight_equal_submits_at_once_are_one_run_and_eight_different_ones_are_eight(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    submitted(8, catalog.path, tmp_path / "same", [0] * 8)
    submitted(8, catalog.path, tmp_path / "other", list(range(8)))
    (same,) = dgmmis.list_runs(tmp_path / "same")
    assert (same.state(), same.requests.count()) == ("QUEUED", 1)
    others = dgmmis.list_runs(tmp_path / "other")
    assert [run.state() for run in others] == ["QUEUED"] * 8
    assert same.path.name in [run.path.name for run in others]  # the name follows from the content alone


def test_a_submit_asks_for_nothing_that_was_asked_for_or_done(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    run = submit(catalog, tmp_path)
    assert submit(catalog, tmp_path) == run
    assert run.folder.requests.count() == 1
    done = dgmmis.resume(run.path)  # by hand, with what was asked for
    assert (done.n_passes, run.state) == (7, "STOPPED")
    submit(catalog, tmp_path)
    assert run.state == "STOPPED"
    submit(catalog, tmp_path, max_passes=8)
    assert run.state == "QUEUED"
    assert dgmmis.resume(run.path).n_passes == 9
    dgmmis.fit(catalog, **SETTINGS, runs=tmp_path, max_passes=3, seed=4)
    assert submit(catalog, tmp_path, max_passes=3, seed=4).state == "STOPPED"
    assert len(dgmmis.list_runs(tmp_path)) == 2


def test_a_given_start_is_part_of_the_name_and_is_kept(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    plain, begun = submit(catalog, tmp_path, initial=None), submit(catalog, tmp_path)
    assert plain.name != begun.name
    with hold(begun.path / "lock"):  # somebody drives it
        assert submit(catalog, tmp_path) == begun
    expected = dgmmis.fit(catalog, **SETTINGS, max_passes=6)
    assert bits_of(dgmmis.resume(begun.path)) == bits_of(expected)


def served(root: Path, servers: int) -> list[tuple[str, dict[str, object]]]:
    """What servers that work at once tell until nothing waits any more."""
    told: list[tuple[str, dict[str, object]]] = []

    def serve() -> None:
        dgmmis.serve(root, at_once=2, drain=True, tell=lambda event, fields: told.append((event, fields)))

    with ThreadPoolExecutor(servers) as pool:
        for future in [pool.submit(serve) for _ in range(servers)]:
            future.result()
    return told


@pytest.mark.thorough
def test_a_server_told_to_stop_leaves_a_run_that_one_of_two_others_ends_with_the_same_bits(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    run = submit(catalog, root, initial=None)
    server = begin_serving(root)
    wait_for(lambda: run.state == "RUNNING", "the driver, which then looks for a start")
    server.send_signal(signal.SIGTERM)
    log = events_of(server.communicate(timeout=60)[1])
    assert server.returncode == 0
    assert [event["event"] for event in log] == ["serving", "driving", "stopping", "left", "ended"]
    assert (run.state, log[3]["state"]) == ("INTERRUPTED", "INTERRUPTED")
    assert "signal 15" in run.status["reason"]
    served(root, 2)
    assert (run.wait(timeout=1), run.folder.n_attempts()) == ("STOPPED", 2)
    assert_one_history(run.path)
    expected = dgmmis.fit(catalog, **{**SETTINGS, "initial": None}, max_passes=6)
    assert run.model().mixture.means.tobytes() == expected.mixture.means.tobytes()


def test_a_run_that_cannot_be_driven_or_read_stops_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dgmmis.service.serving, "MOST_TRIES", 1)
    gone = write_catalog(tmp_path / "gone.zarr", n_rows=500, chunk_rows=200)
    lost = submit(gone, tmp_path / "root")
    gone.path.rename(tmp_path / "elsewhere.zarr")
    (tmp_path / "root" / "broken").mkdir()
    (tmp_path / "root" / "broken" / "run.json").write_text("{")
    told = served(tmp_path / "root", 1)
    assert lost.state == "FAILED"
    assert "gone.zarr" in lost.status["reason"]
    assert [event for event, _ in told] == ["serving", "unreadable", "driving", "given up", "ended"]
    assert "broken" in str(told[1][1]["run"])
    assert told[-1] == ("ended", {"FAILED": 1})
    lost.queue()
    assert lost.state == "QUEUED"


def test_a_cancelled_run_stops_soon_keeps_its_last_pass_and_goes_on_only_if_asked_by_name(
    catalog: dgmmis.Catalog, undisturbed: dgmmis.RunFolder, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with ThreadPoolExecutor(1) as driver:
        settings = {**SETTINGS, "run": run, "max_passes": 40}
        driving = driver.submit(dgmmis.fit, catalog, **settings, observer=Waits(0.02))
        wait_for(lambda: (run / "ckpt" / "000001.ckpt").exists(), "the second pass")
        began = time.monotonic()
        assert dgmmis.cancel(run, timeout=60) == "CANCELLED"
        assert time.monotonic() - began < 10
        with pytest.raises(RunCancelled, match="dgmmis resume"):
            driving.result()
    assert dgmmis.open_run(run).trace()[-1]["event"] == "cancelled"
    with pytest.raises(RunCancelled):
        dgmmis.fit(catalog, **settings)
    assert dgmmis.open_run(run).latest().scan.number < 40
    dgmmis.resume(run)
    assert_same_bits(run, undisturbed)
    assert dgmmis.open_run(run).state() == "STOPPED"
    assert dgmmis.cancel(run) == "STOPPED"  # too late
    dgmmis.open_run(run).requests.cancel()  # while its driver was about to end
    assert dgmmis.open_run(run).state() == "STOPPED"
    assert dgmmis.fit(catalog, **settings).n_passes == 41


def test_a_cancelled_run_in_a_root_is_left_alone_until_it_is_queued_again(
    catalog: dgmmis.Catalog, tmp_path: Path
) -> None:
    run = submit(catalog, tmp_path)
    assert (run.cancel(), run.cancel()) == ("CANCELLED", "CANCELLED")
    submit(catalog, tmp_path, max_passes=7)
    dgmmis.serve(tmp_path, drain=True)
    assert (run.state, run.folder.n_attempts()) == ("CANCELLED", 0)
    run.queue(max_passes=9)
    assert run.state == "QUEUED"
    assert run.folder.requests.last()["workers"] == 0
    assert run.folder.next_budget()["max_passes"] == 9
    assert run.folder.next_budget()["tolerance"] == 0


def test_the_state_follows_from_files_and_lock(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    run = submit(catalog, tmp_path)
    folder = run.folder
    assert (run.state, run.status["go_on"]) == ("QUEUED", f"dgmmis serve --runs {tmp_path}")
    with hold(run.path / "lock"):
        assert run.state == "RUNNING"
        assert str(os.getpid()) in run.status["driver"]
        folder.requests.cancel()
        assert run.state == "CANCELLING"
    assert run.state == "CANCELLED"
    run.queue()
    folder.begin_attempt({"tolerance": 0.0, "max_passes": 6})
    assert (run.state, folder.is_waiting()) == ("INTERRUPTED", False)
    run.queue()
    assert run.state == "QUEUED"
    folder.give_up("its catalogue is gone")
    assert (run.state, run.status["reason"]) == ("FAILED", "its catalogue is gone")
    run.queue()
    assert run.state == "QUEUED"
    folder.requests.cancel()
    assert run.state == "FAILED"  # it had ended, and nobody is to go on with it


def test_a_failed_folder_says_how_another_fit_finds_a_place(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    run = submit(catalog, tmp_path)
    run.folder.give_up("no")
    with pytest.raises(RunConflict, match=r"FAILED: remove it .* --runs ROOT"):
        dgmmis.fit(catalog, n_components=4, run=run.path)
    assert submit(catalog, tmp_path, n_components=4, initial=None).state == "QUEUED"
    with pytest.raises(InvalidSetting, match="one of the two"):
        dgmmis.fit(catalog, n_components=4, run=run.path, runs=tmp_path)


def test_garbage_collection_takes_what_nobody_needs_and_changes_no_bit(
    catalog: dgmmis.Catalog, undisturbed: dgmmis.RunFolder, tmp_path: Path
) -> None:
    fitted = dgmmis.fit(catalog, **SETTINGS, runs=tmp_path, max_passes=25)
    (run,) = dgmmis.list_runs(tmp_path)
    (run.path / "ckpt" / ".000026.ckpt.77-1.tmp").write_bytes(b"half")
    (run.path / "ckpt" / "000024.damaged-1").write_bytes(b"bad")
    (run.path / "requests" / ".0001.json.77-1.tmp").write_bytes(b"being written")
    before = {path for path in run.path.rglob("*") if path.is_file()}
    with hold(run.path / "lock"):
        assert "driven by" in dgmmis.collect_garbage(tmp_path)[0].left
    planned = dgmmis.collect_garbage(tmp_path, dry_run=True)
    assert before == {path for path in run.path.rglob("*") if path.is_file()}
    assert dgmmis.collect_garbage(tmp_path) == planned
    best = int(np.argmax(run.latest().scan.objectives))
    assert run.checkpoint_numbers() == sorted({0, 10, 20, best, 23, 24, 25})
    after = {path for path in run.path.rglob("*") if path.is_file()}
    assert before - after == {run.path / name for name in planned[0].files}
    assert dgmmis.collect_garbage(tmp_path)[0].files == ()
    assert run.model().mixture.means.tobytes() == fitted.mixture.means.tobytes()
    dgmmis.resume(run.path, max_passes=30)
    assert_same_bits(run.path, undisturbed)


def test_the_command_line_does_all_of_this_and_tells_it_in_json(
    catalog: dgmmis.Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run_cli(*words: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["dgmmis", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        return capsys.readouterr().out

    fit = (
        catalog.path,
        "-K",
        3,
        "--runs",
        tmp_path,
        "--workers",
        0,
        "--max-passes",
        2,
        "--tolerance",
        0,
        "--json",
    )
    submitted = json.loads(run_cli("submit", *fit))
    run = submitted["run"]
    assert submitted == {
        "run": str(tmp_path / submitted["name"]),
        "name": submitted["name"],
        "state": "QUEUED",
    }
    assert json.loads(run_cli("cancel", run, "--json")) == {"run": run, "state": "CANCELLED"}
    assert json.loads(run_cli("fit", *fit, code=11))["error"] == "RunCancelled"
    assert json.loads(run_cli("resume", run, "--queue", "--json"))["state"] == "QUEUED"
    assert json.loads(run_cli("fit", *fit))["run"] == run
    assert json.loads(run_cli("status", run, "--json"))["go_on"] == f"dgmmis resume {run} --max-passes 100"
    events = [json.loads(line)["event"] for line in run_cli("logs", run, "--json").splitlines()]
    assert events == ["began", "start", "pass", "pass", "pass", "stopped"]
    assert "pass  number=2" in run_cli("logs", run, "-f")
    assert json.loads(run_cli("gc", tmp_path, "--dry-run", "--json"))["bytes"] == 0
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    listed = json.loads(run_cli("ls", tmp_path, "--json", code=5))
    assert [entry["state"] for entry in listed["runs"]] == ["STOPPED"]
    assert "broken" in listed["unreadable"][0]["run"]
    run_cli("serve", "--runs", tmp_path, "--drain", "--json")
    run_cli("serve", "--runs", tmp_path, "--cluster", "10.0.0.1:1", code=2)
    run_cli("fit", catalog.path, "-K", 3, code=2)


def test_a_log_can_be_followed_to_the_end_of_its_run(catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    run = submit(catalog, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(lambda: list(follow(run.folder, until_ended=True)))
        dgmmis.resume(run.path)
        events = [event["event"] for event in following.result(timeout=60)]
    assert events == ["began", *["pass"] * 7, "stopped"]
    assert [event["event"] for event in run.trace] == events


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_asks_for_a_stop_that_comes_at_the_next_boundary(
    catalog: dgmmis.Catalog, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    stop = Stop()
    before = signal.getsignal(number)
    with heeding_signals(stop, "go on"):
        os.kill(os.getpid(), number)
        assert stop.wait(10)
        with pytest.raises(RunInterrupted, match="go on") as ended:
            stop.check()
    assert ended.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_stop_that_no_boundary_hears_is_raised_where_the_process_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dgmmis.signal_stops.OVERDUE", 0.2)
    stop, never = Stop(), threading.Event()
    with heeding_signals(stop, "go on"):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(RunInterrupted):
            never.wait(60)
