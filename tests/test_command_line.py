"""The command line does what the README says, end to end, and fails with the documented codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import dgmmis
from commands import run_here, run_process
from simulated import TRUTH, noisy_rows


def write_table(path: Path, n_rows: int = 3_000) -> None:
    """A CSV with errors, correlations, gaps and one row that cannot be used."""
    values, noise = noisy_rows(n_rows)
    errors = np.sqrt(np.diagonal(noise, axis1=1, axis2=2)).copy()
    columns = {"name": np.arange(n_rows) + 10**15}
    for j, feature in enumerate("abc"):
        columns[feature], columns[f"{feature}_error"] = values[:, j], errors[:, j]
    columns["a_b_corr"] = noise[:, 0, 1] / errors[:, 0] / errors[:, 1]
    columns["c"][7], columns["c_error"][7] = 1.0, -0.5
    lines = [",".join(columns)]
    for row in zip(*columns.values(), strict=True):
        lines.append(",".join("" if value != value else repr(value.item()) for value in row))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, its catalogue and a finished run."""
    folder = tmp_path_factory.mktemp("cli")
    write_table(folder / "table.csv")
    options = ["--features", "a,b,c", "--error", "{}_error", "--corr", "{}_{}_corr", "--id", "name"]
    done = run_process("ingest", folder / "table.csv", folder / "stars.zarr", *options, "--chunk-rows", 800)
    assert "2,999 rows" in done.stdout
    assert "1 rows quarantined" in done.stdout
    assert "correlations taken as 0: a-c, b-c" in done.stdout
    run_process("fit", folder / "stars.zarr", "-K", 3, "--run", folder / "run", "--workers", 0)
    return folder


def test_describe_tells_what_is_in_a_catalogue(folder: Path) -> None:
    as_json = json.loads(run_here("describe", folder / "stars.zarr", "--json").stdout)
    assert as_json["rows"] == 2_999
    assert as_json["quarantined"]["rows"] == 1
    text = run_process("describe", folder / "stars.zarr").stdout
    assert "2,999" in text
    assert as_json["fingerprint"] in text


def test_verify_finds_a_flipped_bit_and_names_array_chunk_and_rows(folder: Path, tmp_path: Path) -> None:
    assert json.loads(run_here("verify", folder / "stars.zarr", "--json").stdout)["verified"] is True
    copy = tmp_path / "stars.zarr"
    subprocess.run(["cp", "-r", str(folder / "stars.zarr"), str(copy)], check=True)
    chunk = copy / "errors" / "c" / "2" / "0"
    content = bytearray(chunk.read_bytes())
    content[100] ^= 1
    chunk.write_bytes(content)
    error = json.loads(run_process("verify", copy, "--json", code=5).stdout)
    assert (error["error"], error["array"], error["chunk"]) == ("CorruptCatalog", "errors", 2)
    assert error["rows"] == [1600, 2400]


def test_a_fit_recovers_the_truth_and_leaves_a_model(folder: Path) -> None:
    status = json.loads(run_process("status", folder / "run", "--json").stdout)
    assert status["state"] == "SUCCEEDED"
    model = dgmmis.Model.load(folder / "run" / "model.npz")
    assert model.features == ("a", "b", "c")
    order = np.argsort(-model.mixture.amplitudes)
    np.testing.assert_allclose(model.mixture.means[order], TRUTH.means, atol=0.3)


def test_the_same_fit_again_continues_the_same_run_and_another_is_refused(folder: Path) -> None:
    again = run_here("fit", folder / "stars.zarr", "-K", 3, "--run", folder / "run", "--workers", 0, "--json")
    status = json.loads(run_here("status", folder / "run", "--json").stdout)
    assert json.loads(again.stdout)["log_likelihood"] == status["log_likelihood"]
    assert json.loads(again.stdout)["converged"] is True
    other = run_here("fit", folder / "stars.zarr", "-K", 4, "--run", folder / "run", "--workers", 0, code=6)
    assert "n_components: there 3, asked 4" in other.stderr


@pytest.mark.thorough
def test_resume_takes_a_run_further_on_a_cluster_of_its_own(folder: Path, tmp_path: Path) -> None:
    stars, run = folder / "stars.zarr", tmp_path / "run"
    run_here("fit", stars, "-K", 3, "--run", run, "--workers", 0, "--max-passes", 1, "--tolerance", 0)
    done = run_process("resume", run, "--max-passes", 3, "--workers", 2, "--memory-limit", "1 GiB", "--json")
    there = json.loads(done.stdout)
    expected = dgmmis.fit(stars, n_components=3, tolerance=0, max_passes=3)
    assert there["log_likelihood"] == expected.log_likelihood
    assert there["means"] == expected.mixture.means.tolist()
    listed = json.loads(run_process("ls", tmp_path, "--json").stdout)["runs"]
    assert [entry["state"] for entry in listed] == ["STOPPED"]


@pytest.mark.thorough
def test_apply_and_report_write_once_and_only_overwrite_when_told(folder: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.parquet", tmp_path / "report.html"
    dgmmis.apply(dgmmis.open_run(folder / "run").model(), dgmmis.open_catalog(folder / "stars.zarr"), out)
    page.write_text("an older one")
    run_process(
        "apply", folder / "run", folder / "stars.zarr", "-o", out, "--workers", 0, "--order", "source",
        "--overwrite",
    )  # fmt: skip
    run_process("report", folder / "run", "-o", page, "--overwrite")
    ids = np.array(pq.read_table(out)["row_id"])
    np.testing.assert_array_equal(ids, np.delete(np.arange(3_000), 7) + 10**15)
    assert "<html" in page.read_text()
    run_here("apply", folder / "run", folder / "stars.zarr", "-o", out, "--workers", 0, code=4)
    run_here("report", folder / "run", "-o", page, code=4)


def test_an_interrupted_fit_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ["-K", "3", "--run", str(run), "--workers", "0", "--tolerance", "0", "--max-passes", "100000"]
    command = [sys.executable, "-m", "dgmmis", "fit", str(folder / "stars.zarr"), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 60
    while not (run / "ckpt" / "000001.ckpt").exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"dgmmis resume {run}" in stderr
    assert json.loads(run_here("status", run, "--json").stdout)["state"] == "INTERRUPTED"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ingest", "absent.csv", "x.zarr", "--features", "a"], 3, "absent.csv"),
        (["ingest", "table.csv", "x.zarr", "--features", "a,bb"], 3, "no column 'bb'"),
        (["ingest", "table.csv", "stars.zarr", "--features", "a"], 4, "stars.zarr"),
        (["ingest", "table.csv", "x.zarr", "--features", "a", "--jitter", "a"], 2, "--jitter"),
        (["describe", "table.csv"], 3, "table.csv"),
        (["fit", "stars.zarr", "-K", "0", "--run", "r", "--workers", "0"], 2, "n_components"),
        (["fit", "stars.zarr", "-K", "9999", "--run", "r", "--workers", "0"], 3, "9999 components"),
        (["fit", "stars.zarr", "-K", "3", "--run", "r", "--cluster", "127.0.0.1:1"], 2, "tcp://"),
        (["status", "."], 3, "run.json"),
        (["apply", "run", "stars.zarr", "-o", "o", "--order", "random"], 2, "--order"),
        (["fit"], 2, "Missing argument"),
        (["fit", "stars.zarr", "-K", "2", "--run", "r", "--threads", "0"], 2, "threads"),
        (["fit", "stars.zarr", "-K", "2", "--run", "r", "--workers", "-1"], 2, "workers"),
        (["fit", "stars.zarr", "-K", "2", "--run", "r", "--memory-limit", "much"], 2, "much"),
        (["ls", "nowhere"], 3, "nowhere"),
    ],
)
def test_errors_have_the_documented_exit_codes_and_say_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    monkeypatch.chdir(folder)
    assert says in run_here(*arguments, code=code).stderr
    assert not (folder / "x.zarr").exists()
