"""A record of a run is made from its folder alone, whatever state the folder is in, and says what is wrong in words."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import dgmmis
import dgmmis.pulse
from dgmmis.monitor import RunRecord, RunWatch
from dgmmis.monitor.alarms import alarms_of
from dgmmis.monitor.metrics import metrics_text
from dgmmis.monitor.pilot_sample import read_pilot_sample, span_of
from dgmmis.monitor.record import PulseRecord
from dgmmis.vitals import OldestSegment, WorkerVitals
from drives import Waits, begin, wait_for
from simulated import TRUTH, whole_model, write_catalog, write_selected_catalog

VAGUE = dgmmis.Mixture(np.full(3, 1 / 3), TRUTH.means / 3, np.tile(20 * np.eye(3), (3, 1, 1)))
SETTINGS = {"n_components": 3, "initial": VAGUE, "tolerance": 0.0}
PULSE = PulseRecord("fitting", 1, 4, 0, 3, 2.0, 1.0, 0.0, (WorkerVitals("a", 1), WorkerVitals("b", 1)))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dgmmis.Catalog:
    return write_catalog(tmp_path_factory.mktemp("monitor") / "stars.zarr", n_rows=2_000, chunk_rows=500)


@pytest.fixture(scope="module")
def fitted(
    catalog: dgmmis.Catalog, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dgmmis.FitResult]:
    run = tmp_path_factory.mktemp("finished") / "run"
    return run, dgmmis.fit(catalog, **SETTINGS, max_passes=6, run=run)


@pytest.fixture(scope="module")
def finished(fitted: tuple[Path, dgmmis.FitResult]) -> Path:
    return fitted[0]


@pytest.fixture
def broken(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def slow_fit(catalog: str, run: str) -> None:
    """Fit so that a test meets the driver at work, whose pulse is soon to be seen."""
    dgmmis.pulse.FIRST = dgmmis.pulse.EVERY = 0.1
    dgmmis.fit(catalog, **SETTINGS, max_passes=10_000, run=run, observer=Waits(0.05))


@pytest.fixture
def running(catalog: dgmmis.Catalog, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A run that another process drives, with that process's id."""
    run = tmp_path / "run"
    process = begin(slow_fit, str(catalog.path), str(run))
    yield run, process.pid
    process.kill()
    process.join()


def words(record: RunRecord) -> str:
    return " | ".join(f"{alarm.level}: {alarm.what} {alarm.way_out}" for alarm in alarms_of(record))


def test_the_record_of_a_finished_run_is_what_the_fit_returned(
    catalog: dgmmis.Catalog, fitted: tuple[Path, dgmmis.FitResult]
) -> None:
    result, record = fitted[1], RunWatch(fitted[0]).look()
    assert [one.log_likelihood for one in record.passes] == [scan.log_likelihood for scan in result.history]
    assert record.passes[1].gain == result.history[1].gain
    assert record.components is not None
    np.testing.assert_array_equal(record.components.means, result.mixture.means)
    seen = record.components.counts.sum()  # a row with nothing observed counts nowhere
    assert seen == pytest.approx(result.log_likelihood / result.mean_log_likelihood)
    assert (record.state, record.n_rows, record.features) == ("STOPPED", 2_000, ("a", "b", "c"))
    assert (record.quarantined, record.n_chunks, record.pass_bytes) == (0, 4, catalog.pass_nbytes)
    last = record.last
    assert last is not None
    assert last.bytes_per_second / last.rows_per_second == pytest.approx(catalog.pass_nbytes / seen)
    assert record.seconds_left == 0
    assert "dgmmis resume" in words(record)


def test_watching_reads_only_and_writes_nothing(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    RunWatch(finished).look()
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_run_is_seen_to_go_on_while_another_process_drives_it(running: tuple[Path, int]) -> None:
    path, _ = running
    wait_for(lambda: (path / "ckpt" / "000001.ckpt").exists(), "two passes")
    watch = RunWatch(path)
    first = watch.look()
    wait_for(lambda: watch.look().pulse is not None, "a pulse")
    wait_for(lambda: len(watch.look().passes) > len(first.passes) + 1, "another two passes")
    record = watch.look()
    assert (record.state, record.is_driven) == ("RUNNING", True)
    assert record.pulse is not None
    assert record.pulse.of == 4
    assert record.pulse.workers[0].name == "this process"
    assert record.components is not None
    assert record.components.number >= first.passes[-1].number
    assert record.driver.startswith("process")
    assert "error" not in words(record)


def test_a_driver_that_is_paused_is_told_of_though_it_holds_the_lock(running: tuple[Path, int]) -> None:
    path, pid = running
    wait_for(lambda: (path / "pulse.json").exists(), "a pulse")
    os.kill(pid, signal.SIGSTOP)
    now = 0.0
    watch = RunWatch(path, clock=lambda: now)
    assert watch.look().state == "RUNNING"
    now = 31.0
    assert "Nothing was heard of the driver for 31 s" in words(watch.look())


def test_a_driver_that_died_leaves_no_pulse_behind(running: tuple[Path, int]) -> None:
    path, pid = running
    wait_for(lambda: (path / "pulse.json").exists() and (path / "ckpt" / "000000.ckpt").exists(), "a pulse")
    os.kill(pid, signal.SIGKILL)
    watch = RunWatch(path)
    wait_for(lambda: watch.look().state == "INTERRUPTED", "its death")
    record = watch.look()
    assert record.pulse is None
    assert f"dgmmis resume {path}" in words(record)


def test_a_damaged_checkpoint_is_told_of_and_the_one_before_is_shown(broken: Path) -> None:
    damaged = broken / "ckpt" / "000006.ckpt"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    record = RunWatch(broken).look()
    assert record.components is not None
    assert record.components.number == 5
    assert "error: checkpoint 6 is damaged" in words(record)


def test_an_altered_description_gives_a_record_that_says_so(broken: Path) -> None:
    text = (broken / "run.json").read_text()
    (broken / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    watch = RunWatch(broken)
    record = watch.look()
    assert record.state == "UNREADABLE"
    assert "run.json" in words(record)
    (broken / "run.json").write_text(text)
    assert watch.look().state == "STOPPED"  # restored, and read again


def test_a_folder_that_is_no_run_gives_a_record_that_says_so(tmp_path: Path) -> None:
    assert "is no run" in RunWatch(tmp_path / "nothing").look().problem


def test_passes_whose_lines_were_lost_are_known_from_the_checkpoint(broken: Path) -> None:
    log = broken / "log" / "0001.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:3]) + '\n{"event": "pass", "num')  # a crash while a line was written
    record = RunWatch(broken).look()
    assert [one.number for one in record.passes] == list(range(7))
    assert record.passes[1].seconds > 0
    assert np.isnan(record.passes[6].seconds)
    assert record.passes[6].log_likelihood > record.passes[5].log_likelihood


def test_a_line_that_is_still_being_written_is_read_once_it_is_whole(broken: Path) -> None:
    log = broken / "log" / "0001.jsonl"
    whole = log.read_bytes()
    cut = whole.rindex(b'{"event": "stopped"') + 10
    log.write_bytes(whole[:cut])
    watch = RunWatch(broken)
    assert watch.look().state == "INTERRUPTED"
    log.write_bytes(whole)
    assert watch.look().state == "STOPPED"
    assert len(watch.look().passes) == 7


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        (replace(PULSE, age=40.0), "error: Nothing was heard of the driver for 40 s"),
        (replace(PULSE, still_seconds=70.0), "warning: No progress for 1 min 10 s"),
        (replace(PULSE, oldest=OldestSegment(4, 6, 50.0, "a")), "chunks 4 to 6 have been on a for 50 s"),
        (
            replace(PULSE, workers=(WorkerVitals("a", 1, heard=False),)),
            "1 of 1 workers give no sign of life: a",
        ),
        (replace(PULSE, deaths=2, resubmitted=5), "2 workers died in this attempt"),
        (replace(PULSE, resubmitted=5), "note: 5 segments were sent out again"),
    ],
)
def test_what_the_pulse_tells_of_is_an_alarm(finished: Path, pulse: PulseRecord, said: str) -> None:
    record = replace(RunWatch(finished).look(), state="RUNNING", pulse=PULSE)
    assert alarms_of(record) == ()
    assert said in words(replace(record, pulse=pulse))


def test_a_starving_component_a_large_quarantine_and_degenerate_weights_are_alarms(finished: Path) -> None:
    record = replace(RunWatch(finished).look(), state="RUNNING")
    assert record.components is not None
    hungry = replace(record.components, counts=np.array([900.0, 1091.5, 8.5]))
    assert "starving, by effective rows: 2 (8.5); each has 10 numbers" in words(
        replace(record, components=hungry)
    )
    assert "100 rows (4.76 %) could not be used" in words(replace(record, quarantined=100))
    passes = tuple(
        replace(one, completeness=0.5, completeness_error=0.001, refresh=one.number) for one in record.passes
    )
    assert "drawn anew in 5 of the last 5 passes" in words(replace(record, selected=True, passes=passes))
    unsure = (*passes[:-1], replace(passes[-1], refresh=passes[-2].refresh, completeness_error=0.2))
    assert "is known to 40 % of itself only" in words(
        replace(record, selected=True, passes=(unsure[0], unsure[-1]))
    )


def test_the_errors_of_a_fit_under_a_selection_are_in_its_record(tmp_path: Path) -> None:
    catalog = write_selected_catalog(tmp_path / "cut.zarr", n_rows=800, chunk_rows=300)
    result = dgmmis.fit(catalog, **whole_model(), initial=TRUTH, max_passes=2, run=tmp_path / "run")
    record = RunWatch(tmp_path / "run").look()
    assert record.selected
    last = record.last
    assert last is not None
    assert (last.completeness, last.completeness_error) == (result.completeness, result.completeness_error)
    assert last.log_likelihood_error == result.log_likelihood_error > 0
    assert record.components is not None
    assert record.components.amplitudes.sum() + record.components.backgrounds.sum() == pytest.approx(1)


def test_the_time_left_follows_from_the_predicted_gains_and_from_the_passes_allowed(finished: Path) -> None:
    record = replace(RunWatch(finished).look(), state="RUNNING", tolerance=0.1, max_passes=1_000)
    passes = tuple(
        replace(one, predicted_gain=10.0 ** (3 - one.number), seconds=2.0) for one in record.passes
    )
    falling = replace(record, passes=passes[:4])  # 1000, 100, 10, 1: one more pass to 0.1
    assert falling.seconds_left == pytest.approx(2.0)
    assert replace(falling, pulse=PULSE).seconds_left == pytest.approx(0.0)
    unknown = tuple(replace(one, predicted_gain=float("nan")) for one in passes)
    assert replace(record, passes=unknown).seconds_left == float("inf")


def test_metrics_are_read_by_prometheus_parser_and_tell_the_state_of_each_run(
    finished: Path, tmp_path: Path
) -> None:
    record = replace(RunWatch(finished).look(), name='odd "name"\\')
    text = metrics_text([record, RunWatch(tmp_path / "nothing").look()]).decode()
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["dgmmis_run_state", "STOPPED", 'odd "name"\\'] == 1
    assert found["dgmmis_run_state", "UNREADABLE", "nothing"] == 1
    assert found["dgmmis_run_passes", 'odd "name"\\'] == 7
    assert found["dgmmis_run_log_likelihood_nats", 'odd "name"\\'] == record.passes[-1].log_likelihood
    assert ("dgmmis_run_passes", "nothing") not in found
    rows = [value for key, value in found.items() if key[0] == "dgmmis_run_component_rows"]
    assert rows == record.components.counts.tolist()


def test_the_sample_is_that_of_the_run_s_own_rows_or_says_why_there_is_none(
    catalog: dgmmis.Catalog, finished: Path
) -> None:
    record = RunWatch(finished).look()
    sample = read_pilot_sample(record, catalog.fingerprint)
    assert sample.values.shape == (2_000, 3)
    assert (sample.errors > 0).all()
    span = span_of(0, sample, record.components)
    both = np.isfinite(sample.values[:, :2]).all(axis=1).sum()
    assert 0.95 * both < sample.counts(0, 1, span, span_of(1, sample, record.components), 20).sum() <= both
    assert "other rows" in read_pilot_sample(record, "0" * 64).problem
    gone = read_pilot_sample(replace(record, catalog="/nowhere/stars.zarr"), catalog.fingerprint)
    assert (len(gone.values), "nowhere" in gone.problem) == (0, True)
