"""The page and the widget show what the record says, to whom they should; and no fit notices that they come or die."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dgmmis
import dgmmis.pulse
from browsers import Dashboard, dashboard, get, page_at, passes_shown, take_picture
from commands import run_here
from dgmmis.errors import MissingLibrary
from dgmmis.monitor import RunRecord, RunWatch
from dgmmis.monitor.board import Board
from dgmmis.monitor.html_parts import alarms_html, head_html
from dgmmis.monitor.pilot_sample import PilotSample, read_pilot_sample
from dgmmis.optional_libraries import load_library
from drives import Waits, begin, wait_for
from simulated import TRUTH, write_catalog

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
SETTINGS = {"n_components": 3, "initial": VAGUE, "tolerance": 0.0, "method": "em"}
PASSES = 300


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("dashboard") / "stars.zarr", n_rows=2_000, chunk_rows=500)


@pytest.fixture(scope="module")
def root(catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a finished run, one that cannot be read, and a link that leads out of it."""
    root = tmp_path_factory.mktemp("root")
    dgmmis.fit(catalog, **SETTINGS, max_passes=6, run=root / "done")
    shutil.copytree(root / "done", root / "<b>broken")
    (root / "<b>broken" / "run.json").write_text("{}")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(root / "done", elsewhere / "secret")
    (root / "link").symlink_to(elsewhere / "secret")
    return root


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Dashboard]:
    with dashboard(root) as running:
        yield running
        assert running.stop(signal.SIGTERM) == 0


@pytest.fixture(scope="module")
def shown(root: Path) -> tuple[RunRecord, PilotSample]:
    record = RunWatch(root / "done").look()
    return record, read_pilot_sample(record, dgmmis.open_run(root / "done").data["fingerprint"])


def drive_slowly(catalog: str, run: str, n_passes: int) -> None:
    """Fit so slowly that a person could watch."""
    dgmmis.pulse.FIRST = dgmmis.pulse.EVERY = 0.2
    dgmmis.fit(catalog, **SETTINGS, max_passes=n_passes, run=run, observer=Waits(0.05))


@pytest.fixture
def driver(catalog: dgmmis.Catalog, tmp_path: Path) -> Iterator[multiprocessing.process.BaseProcess]:
    """A process that drives `tmp_path / "root" / "live"` for a minute or more."""
    process = begin(drive_slowly, str(catalog.path), str(tmp_path / "root" / "live"), PASSES)
    wait_for(lambda: (tmp_path / "root" / "live" / "ckpt" / "000001.ckpt").exists(), "two passes")
    yield process
    process.kill()
    process.join()


def test_the_panels_hold_what_the_record_says(shown: tuple[RunRecord, PilotSample]) -> None:
    record, sample = shown
    board = Board(record, sample)
    board.show(replace(record, passes=record.passes[:3]))
    columns = [
        renderer.data_source.data
        for figure in board.layout.select({"type": load_library("bokeh.models", "a test", "dashboard").Plot})
        for renderer in figure.renderers
    ]
    means = [data["mean"] for data in columns if "mean" in data]
    assert list(means[0]) == [one.mean_log_likelihood for one in record.passes[:3]]
    assert record.components is not None
    heights = next(data for data in columns if "count" in data)["count"]
    np.testing.assert_allclose(heights, record.components.counts)


def test_a_run_of_one_feature_and_one_without_its_catalogue_are_shown_too(
    shown: tuple[RunRecord, PilotSample],
) -> None:
    record, sample = shown
    assert record.components is not None
    parts = record.components
    one = replace(parts, means=parts.means[:, :1], covariances=parts.covariances[:, :1, :1])
    alone = replace(record, features=("a",), units=("",), components=one)
    Board(alone, PilotSample(sample.values[:, :1], sample.errors[:1])).show(alone)
    Board(record, PilotSample(np.empty((0, 3)), np.zeros(3), "it is gone"), narrow=True).show(record)
    Board(replace(record, passes=(), components=None, selected=True), sample)


def test_what_users_named_is_text_on_the_page_and_not_markup(shown: tuple[RunRecord, PilotSample]) -> None:
    named = replace(shown[0], name="<script>a</script>", state="FAILED", reason="<img src=x>")
    assert "<script" not in head_html(named)
    assert "&lt;img src=x&gt;" in alarms_html(named)


def test_health_and_metrics_answer_to_names_of_this_machine_only(served: Dashboard) -> None:
    assert json.loads(served.get("health")[1]) == {"status": "ok", "runs": 2}
    code, text = served.get("metrics")
    assert code == 200
    assert 'dgmmis_run_state{run="done",state="STOPPED"} 1.0' in text
    assert 'dgmmis_run_state{run="<b>broken",state="UNREADABLE"} 1.0' in text
    assert "link" not in text
    port = served.url.rpartition(":")[2].strip("/")
    assert served.get("metrics", Host=f"localhost:{port}")[0] == 200
    assert served.get("metrics", Host=f"evil.example:{port}")[0] == 403


def test_pages_of_other_origins_get_no_connection(served: Dashboard) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert served.get("ws", Origin="http://evil.example", **upgrade, **key)[0] == 403


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket"
)  # Tornado leaves it where it could not bind
@pytest.mark.parametrize(
    "option", [["--port", "BUSY"], ["--address", "no.such.host.invalid"], ["--origin", "*"]]
)
def test_a_place_where_it_cannot_listen_or_an_origin_that_is_none_is_refused(
    root: Path, option: list[str]
) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        words = [word.replace("BUSY", str(busy.getsockname()[1])) for word in option]
        port = [] if "--port" in words else ["--port", "0"]
        assert "InvalidSetting" in run_here("dashboard", root, *words, *port, code=2).stderr


def test_without_its_libraries_the_error_names_the_extra(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_bokeh", None)
    with pytest.raises(MissingLibrary, match=r"dgmmis\[dashboard\]"):
        dgmmis.Run(root / "done").watch()


def test_a_widget_follows_a_run_in_a_thread_until_it_is_told_to_stop(
    driver: multiprocessing.process.BaseProcess, tmp_path: Path
) -> None:
    widget = dgmmis.Run(tmp_path / "root" / "live").watch(every=0.1)
    head = widget.widget._model.select_one({"name": "head"})
    before = head.text
    wait_for(lambda: head.text != before, "the widget to move")
    assert driver.is_alive()
    assert widget.following
    widget.stop()
    assert not widget.following


def test_another_pair_of_features_can_be_chosen_in_a_browser(served: Dashboard) -> None:
    with page_at(f"{served.url}run?name=done") as page:
        assert passes_shown(page) == 7
        take_picture(page, "finished")
        page.locator("select").first.select_option(label="c")
        page.wait_for_function(
            "() => [...Bokeh.documents[0]._all_models.values()].some(m => m.axis_label == 'c')"
        )
        take_picture(page, "other-pair")


@pytest.mark.chaos
def test_a_scheduler_of_dask_serves_the_pages_as_a_tab_of_its_own(root: Path, tmp_path: Path) -> None:
    words = [
        "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address",
        "127.0.0.1:0", "--scheduler-file", tmp_path / "scheduler.json", "--preload", "dgmmis.monitor.dask_tab",
        "--runs", root,
    ]  # fmt: skip
    scheduler = subprocess.Popen([sys.executable, *map(str, words)], stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "scheduler.json").exists, "the scheduler")
        port = json.loads((tmp_path / "scheduler.json").read_text())["services"]["dashboard"]
        wait_for(lambda: 'href="fits"' in get(f"http://127.0.0.1:{port}/", "status")[1], "the tab")
        code, text = get(f"http://127.0.0.1:{port}/", "fits")
        assert (code, "runs in" in text) == (200, True)
    finally:
        scheduler.terminate()
        scheduler.wait(60)


@pytest.mark.chaos
def test_a_fit_that_is_watched_goes_on_when_the_dashboard_is_killed_to_the_same_bits(
    catalog: dgmmis.Catalog, driver: multiprocessing.process.BaseProcess, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    with dashboard(tmp_path / "root") as served, page_at(served.url) as page:
        take_picture(page, "runs")
        page.get_by_role("link", name="live").click()
        first = passes_shown(page)
        take_picture(page, "running")
        wait_for(lambda: passes_shown(page) > first + 2, "the page to move")
        served.stop(signal.SIGKILL)
        page.get_by_text("The dashboard does not answer any more").wait_for()
        assert driver.is_alive()
    with dashboard(tmp_path / "root") as again, page_at(f"{again.url}run?name=live") as page:
        wait_for(lambda: page.locator(".state", has_text="STOPPED").count() == 1, "the end of the fit")
        assert passes_shown(page) == PASSES + 1
        take_picture(page, "ended")
    driver.join(60)
    assert driver.exitcode == 0
    dgmmis.fit(catalog, **SETTINGS, max_passes=PASSES, run=undisturbed)
    live = dgmmis.open_run(tmp_path / "root" / "live").latest()
    expected = dgmmis.open_run(undisturbed).latest()
    assert live is not None
    assert expected is not None
    assert live.digest == expected.digest
