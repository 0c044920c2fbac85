"""The HTML page of a run: what it must say, what it must not hold, and that it needs nothing else."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgmmis.constraints import Constraints
from dgmmis.driver import drive
from dgmmis.errors import AlreadyExists, RunConflict
from dgmmis.html_report import Wanted, write_report
from dgmmis.html_report.catalog_facts import consult
from dgmmis.html_report.number_text import aligned, duration, percent, significant
from dgmmis.html_report.run_facts import gather
from dgmmis.html_report.wording import how_to_go_on, outcome
from dgmmis.ingestion import ingest
from dgmmis.iterate import Limits
from dgmmis.local_pass import LocalPasses
from dgmmis.run_preparation import prepare_run
from dgmmis.runs import RunFolder, open_run
from dgmmis.store import Catalog, open_catalog
from dgmmis.task import Task

HOSTILE = ('<script>alert("1")</script>', "$\\frac{a_b", '"><img src=http://evil.example/x.png>')
UNIT = "<i>km</i>/s"
N_ROWS = 1500
MOST_BYTES = 5_000_000
QUICK = Wanted(check_rows=0, errors="none")


@dataclass
class Page(HTMLParser):
    """What a browser would make of a page."""

    text: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Page:
        page = cls()
        HTMLParser.__init__(page)
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    @property
    def images(self) -> list[str]:
        return [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]


def table(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Two clumps in three features with unfriendly names, and errors; some missing, two rows spoilt."""
    clump = rng.random(N_ROWS) < 0.3
    values = rng.normal(size=(N_ROWS, 3)) + np.where(clump[:, None], [2.0, -1.5, 2.5], 0.0)
    errors = rng.uniform(0.1, 0.8, size=values.shape)
    values += errors * rng.normal(size=values.shape)
    values[rng.random(values.shape) < 0.25] = np.nan
    values[7, 0], values[11, 1] = np.inf, 1.0
    errors[11, 1] = -0.5
    columns = {name: values[:, j] for j, name in enumerate(HOSTILE)}
    return columns | {f"{name}_error": errors[:, j] for j, name in enumerate(HOSTILE)}


def make_catalog(folder: Path, seed: int = 0) -> Catalog:
    return ingest(
        table(np.random.default_rng(seed)),
        folder,
        features=HOSTILE,
        error=["{}_error"],
        units={HOSTILE[0]: UNIT, f"{HOSTILE[0]}_error": UNIT},
    )


def make_run(folder: Path, catalog: Catalog, *budgets: Limits) -> RunFolder:
    task = Task(2, Constraints.of(2, 3), seed=5, method="em")
    run = prepare_run(folder, catalog, task, initial=None)
    for limits in budgets:
        drive(run, catalog, task, lambda _: LocalPasses(catalog), limits)
    return run


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return make_catalog(tmp_path_factory.mktemp("data") / "rows.zarr")


@pytest.fixture(scope="module")
def run(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Driven twice, to convergence."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return make_run(folder, catalog, Limits(0.1, 3), Limits(0.1, 500))


@pytest.fixture(scope="module")
def report(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "new folder"
    wanted = Wanted(check_rows=500, seed=3)
    return write_report(run, folder / "report.html", wanted=wanted)


def test_the_page_has_the_numbers_a_reader_asks_for(report: Path, run: RunFolder, catalog: Catalog) -> None:
    page, latest = Page.of(report).words, run.latest()
    assert latest is not None
    scan = latest.scan
    assert "Converged after" in page
    for amplitude, rows in zip(scan.mixture.amplitudes, scan.statistics.zeroth, strict=True):
        assert f" {amplitude:.4f} " in page
        assert f" {rows:,.0f} " in page
    for number in np.r_[scan.mixture.means.ravel(), np.sqrt(scan.mixture.covariances[:, 0, 0])]:
        assert any(f"{number:.{decimals}f}".replace("-", "\N{MINUS SIGN}") in page for decimals in (2, 3, 4))
    assert f"{scan.statistics.log_likelihood:,.2f}".replace("-", "\N{MINUS SIGN}") in page
    for exact in (catalog.fingerprint, latest.digest, f"{catalog.n_rows:,} rows", "seed 5", "numba"):
        assert exact in page
    assert "stopped" in page
    assert f"{scan.number} updates" in page


def test_missing_features_and_rows_set_aside_are_reported(report: Path, catalog: Catalog) -> None:
    page = Page.of(report).words
    for feature in catalog.describe()["features"]:
        assert f"{feature['observed']:,}" in page
    assert "infinite value 1" in page
    assert "negative error of a present feature 1" in page
    assert f"errors[{HOSTILE[1]}]" in page
    assert "missing at random" in page
    assert "No selection is modelled" in page


def test_the_page_loads_nothing(report: Path) -> None:
    page = Page.of(report)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "action", "background"):
            assert str(attributes.get(name, "data:")).startswith("data:")
        assert not any(name.startswith("on") for name in attributes)
    styles = re.findall(r"<style>(.*?)</style>", report.read_text(encoding="utf-8"), re.DOTALL)
    assert not any("url(" in style or "@import" in style for style in styles)
    for image in page.images:
        kind, _, content = image.removeprefix("data:image/").partition(";base64,")
        decoded = base64.b64decode(content)
        assert kind in ("png", "svg+xml")
        assert kind == "png" or not re.search(rb"(href|src)=\"(?!#)", decoded)
    assert len(page.images) == 8
    assert report.stat().st_size < MOST_BYTES


def test_hostile_names_are_words_and_nothing_else(report: Path) -> None:
    page = Page.of(report)
    for name in HOSTILE:
        assert name in page.words
    assert not any("evil.example" in str(attributes.get("src")) for _, attributes in page.tags)
    assert UNIT in page.words


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_report_is_not_overwritten_unless_asked_and_changes_nothing_in_the_run(
    run: RunFolder, tmp_path: Path
) -> None:
    path, before = tmp_path / "report.html", content(run.path)
    path.write_text("mine")
    with pytest.raises(AlreadyExists, match=re.escape(str(path))):
        write_report(run, path, wanted=QUICK)
    assert path.read_text() == "mine"
    assert write_report(run, path, overwrite=True, wanted=QUICK) == path
    assert "Converged" in Page.of(path).words
    with pytest.raises(AlreadyExists, match="folder"):
        write_report(run, tmp_path, overwrite=True, wanted=QUICK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert content(run.path) == before


def died(run: RunFolder, folder: Path) -> RunFolder:
    """Copy a run as it would lie there had its driver died in the middle of a line."""
    shutil.copytree(run.path, folder)
    (folder / "final.json").unlink()
    log = folder / "log" / "0002.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]) + '{"event": "pas')
    return open_run(folder)


def test_an_interrupted_run_is_reported_as_such(run: RunFolder, tmp_path: Path) -> None:
    interrupted = died(run, tmp_path / "died")
    page = Page.of(write_report(interrupted, tmp_path / "report.html", wanted=QUICK))
    assert "Interrupted after" in page.words
    assert f"dgmmis resume {interrupted.path}" in page.words
    assert "Components" in page.words
    assert len(page.images) == 5


def test_a_run_not_yet_begun_is_reported_without_a_model(catalog: Catalog, tmp_path: Path) -> None:
    page = Page.of(
        write_report(make_run(tmp_path / "queued", catalog), tmp_path / "report.html", wanted=QUICK)
    ).words
    assert "Not begun" in page
    assert "Components" not in page
    assert catalog.fingerprint in page


def test_every_state_has_its_words(run: RunFolder, catalog: Catalog, tmp_path: Path) -> None:
    stopped = gather(make_run(tmp_path / "stopped", catalog, Limits(0.1, 2)))
    headline, meaning = outcome(stopped)
    assert headline == "Not converged: stopped after 2 updates"
    assert "cannot be predicted yet" in meaning
    assert how_to_go_on(stopped).endswith("--max-passes 100")
    with run.driven():
        assert outcome(gather(run))[0].startswith("Still running")
    cancelled = died(run, tmp_path / "cancelled")
    cancelled.requests.cancel()
    assert outcome(gather(cancelled))[0].startswith("Cancelled after")
    assert how_to_go_on(gather(cancelled)).startswith("dgmmis resume")
    failed = died(run, tmp_path / "failed")
    failed.write_final({"state": "FAILED", "reason": "CollapsedComponent: component 1 has collapsed"})
    headline, meaning = outcome(gather(failed))
    assert headline.startswith("Failed after")
    assert "component 1 has collapsed" in meaning
    assert how_to_go_on(gather(failed)) == ""


def test_without_its_catalogue_a_run_is_reported_without_the_rows(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "rows.zarr", seed=1)
    run = make_run(tmp_path / "run", catalog, Limits(0.1, 2))
    shutil.move(tmp_path / "rows.zarr", tmp_path / "moved.zarr")
    without = Page.of(write_report(run, tmp_path / "without.html", wanted=QUICK))
    assert "The catalogue could not be read" in without.words
    assert "Components" in without.words
    moved = open_catalog(tmp_path / "moved.zarr")
    found = Page.of(write_report(run, tmp_path / "found.html", catalog=moved, wanted=QUICK))
    assert "could not be read" not in found.words
    assert len(found.images) == len(without.images) + 1


def test_another_catalogue_than_the_runs_is_never_shown_with_it(
    run: RunFolder, catalog: Catalog, tmp_path: Path
) -> None:
    other = make_catalog(tmp_path / "rows.zarr", seed=2)
    with pytest.raises(RunConflict, match=other.fingerprint[:12]):
        write_report(run, tmp_path / "wrong.html", catalog=other, wanted=QUICK)
    assert not (tmp_path / "wrong.html").exists()
    moved_in = make_run(tmp_path / "run", other)
    shutil.rmtree(other.path)
    shutil.copytree(catalog.path, other.path)
    facts = consult(moved_in, None)
    assert "now holds another catalogue" in facts.problem
    assert facts.pilot is None


def test_a_damaged_pilot_is_said_and_the_page_still_made(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path / "rows.zarr")
    run = make_run(tmp_path / "run", catalog, Limits(0.1, 1))
    chunk = tmp_path / "rows.zarr" / "pilot" / "values" / "c" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    page = Page.of(write_report(run, tmp_path / "report.html", wanted=QUICK)).words
    assert "Without the rows" in page
    assert "was altered" in page or "altered after it was written" in page
    assert "infinite value 1" in page


@given(st.floats(-1e15, 1e15), st.integers(2, 8))
def test_a_number_as_text_is_that_number_to_its_digits(number: float, digits: int) -> None:
    text = significant(number, digits).replace("\N{MINUS SIGN}", "-").replace(",", "")
    mantissa, _, power = text.partition(" × 10")  # noqa: RUF001
    exponent = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or "0")
    assert float(f"{mantissa}e{exponent}") == pytest.approx(number, rel=0.51 * 10.0 ** (1 - digits))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.floats(1e-6, 1e5))
def test_numbers_of_a_column_share_their_decimals_and_resolve_its_dispersion(
    numbers: list[float], resolution: float
) -> None:
    texts = aligned(numbers, resolution)
    assert len({len(text.partition(".")[2]) for text in texts}) == 1
    for number, text in zip(numbers, texts, strict=True):
        read = float(text.replace("\N{MINUS SIGN}", "-").replace(",", ""))
        assert abs(read - number) <= (0.5 if resolution >= 100 else 0.00501 * resolution)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (significant(float("inf")), "not known yet"),
        (significant(-1234567.0, 3), "\N{MINUS SIGN}1,230,000"),
        (duration(12.34), "12.3 s"),
        (duration(3599.7), "1 h 00 min"),
        (percent(1e-5), "< 0.1 %"),
        (percent(0.4), "40.0 %"),
    ],
)
def test_numbers_read_as_people_write_them(text: str, expected: str) -> None:
    assert text == expected
