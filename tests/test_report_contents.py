"""What a report adds to the run: the check of the model, standard errors, commands, pages and figures."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

import dgmmis
from dgmmis import Background, Mixture, Model, Noise
from dgmmis.checking import check_model
from dgmmis.cli.application import application
from dgmmis.constraints import Constraints
from dgmmis.errors import AlreadyExists, InvalidData, InvalidSetting, MissingLibrary
from dgmmis.html_report import Wanted, write_report
from dgmmis.html_report.catalog_facts import consult
from dgmmis.html_report.check_facts import CheckFacts, check_run
from dgmmis.html_report.check_text import check_text
from dgmmis.html_report.command_text import fit_command
from dgmmis.html_report.component_table import component_rows, feature_blocks
from dgmmis.html_report.error_facts import find_errors
from dgmmis.html_report.run_facts import gather
from dgmmis.run_preparation import prepare_run
from dgmmis.runs import RunFolder, open_run
from dgmmis.selection import Box
from dgmmis.spread import Errors
from dgmmis.task import Task
from test_report import Page

MIXTURE = Mixture([0.6, 0.4], [[0, 0], [2.5, 1.0]], [[[1, 0.4], [0.4, 1.5]], [[0.3, 0], [0, 0.5]]])
BOX = Background(footprint=([-4.0, -5.0], [6.0, 6.0]), amplitude=0.15)
CUT = Box.of(colour=(0.3, None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def catalog(folder: Path) -> dgmmis.Catalog:
    """Rows of two populations and a background, cut, noisy, weighted and with gaps."""
    rng = np.random.default_rng(3)
    model, n = Model(MIXTURE, ("colour", "magnitude"), (), (BOX,)), 1_500
    errors = rng.choice([0.2, 0.6], size=(n, 2))
    values = model.draw(n, rng, noise=Noise.diagonal(errors**2), selection=CUT)
    values[rng.random(n) < 0.2, 1] = np.nan
    table = {"colour": values[:, 0], "magnitude": values[:, 1], "w": rng.uniform(0.5, 1.5, n)}
    errors_of = {f"{name}_error": errors[:, j] for j, name in enumerate(model.features)}
    units = dict.fromkeys((*model.features, *errors_of), "mag")
    return dgmmis.ingest(
        table | errors_of,
        folder / "rows.zarr",
        features=model.features,
        error=["{}_error"],
        weights="w",
        units=units,
    )


def fitted(catalog: dgmmis.Catalog, path: Path, **settings: object) -> RunFolder:
    dgmmis.fit(
        catalog, n_components=2, initial=MIXTURE, run=path, **{"max_passes": 60, "tolerance": 1.0} | settings
    )
    return open_run(path)


@pytest.fixture(scope="module")
def selected(catalog: dgmmis.Catalog, folder: Path) -> RunFolder:
    return fitted(catalog, folder / "selected", selection=CUT, background=BOX, max_passes=3)


@pytest.fixture(scope="module")
def plain(catalog: dgmmis.Catalog, folder: Path) -> RunFolder:
    """A model that knows nothing of the cut."""
    return fitted(catalog, folder / "plain")


@pytest.fixture(scope="module")
def written(plain: RunFolder, folder: Path) -> Path:
    place = folder / "out"
    return write_report(plain, place / "report.html", pdf=place / "report.pdf", wanted=Wanted(seed=3))


@pytest.fixture(scope="module")
def queued(catalog: dgmmis.Catalog, folder: Path) -> RunFolder:
    """A run without a pass: its only figure is that of what is missing."""
    return prepare_run(folder / "queued", catalog, Task(2, Constraints.of(2, 2)), initial=None)


@pytest.mark.thorough
def test_a_cut_that_was_not_said_is_found_and_named_and_one_that_was_said_is_not(
    plain: RunFolder, selected: RunFolder, written: Path
) -> None:
    page = Page.of(written).words
    assert "The model does not describe these rows in every detail" in page
    assert re.search(r"colour (below|from) .* mag.*(too few|too many) by", page)
    assert "by ranks" in page  # of the density
    assert "The seed is 3" in page
    facts = gather(selected)
    found = check_text(check_run(facts, consult(selected, None), 1_500, 0))
    assert found is not None
    assert "Nothing here speaks against the model" in found.verdict
    assert found.worst == []
    assert {one.method for one in found.calibrations} == {"by ranks"}
    assert "until the selection kept it" in found.how
    assert "background included" in found.how
    assert "units of weight" in found.how


def test_features_whose_calibration_is_uneven_are_named() -> None:
    values = Model(MIXTURE).draw(800, np.random.default_rng(0))
    values[:, 1] = 0.5 * (values[:, 1] - values[:, 1].mean()) + values[:, 1].mean()
    found = check_text(CheckFacts(check_model(Model(MIXTURE, ("colour", "magnitude")), values), "", 0))
    assert found is not None
    named = re.search(r"own distributions say in: (.*)\. The model does not describe", found.verdict)
    assert named is not None
    assert "magnitude (off by" in named.group(1)
    assert "colour" not in named.group(1)


def test_the_same_seed_makes_the_same_figures(plain: RunFolder) -> None:
    facts, catalog = gather(plain), consult(plain, None)
    first, again, other = (check_run(facts, catalog, 300, seed).check for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    np.testing.assert_array_equal(first.pairs[0].significance, again.pairs[0].significance)
    assert not np.array_equal(first.pairs[0].significance, other.pairs[0].significance)


def test_the_table_has_the_standard_errors_of_the_fit(plain: RunFolder, written: Path) -> None:
    known = dgmmis.uncertainty(plain)
    page = Page.of(written).words
    shown = [float(text) for text in re.findall(r"± ([0-9.]+)", page)]
    dispersions = np.sqrt(np.diagonal(known.population.mixture.covariances, axis1=1, axis2=2))
    spreads = np.diagonal(known.covariances, axis1=1, axis2=2) / (2 * dispersions)
    for error in np.r_[known.amplitudes, known.means.ravel(), spreads.ravel()]:
        assert any(abs(number - error) <= 0.06 * error for number in shown), error
    assert "standard errors, from the information" in page


def test_errors_can_come_from_a_file_and_only_from_that_of_this_fit(
    plain: RunFolder, selected: RunFolder, tmp_path: Path
) -> None:
    known, file = dgmmis.uncertainty(plain, method="sandwich"), tmp_path / "errors.npz"
    known.save(file)
    facts = gather(plain)
    read = find_errors(facts, None, str(file))
    assert read.errors is not None
    np.testing.assert_array_equal(read.errors.means, known.means)
    assert "sandwich" in read.sentences[0]
    assert read.notes == known.notes
    with pytest.raises(InvalidData, match="another fit"):
        find_errors(gather(selected), None, str(file))
    for wrong in (plain.path / "model.npz", tmp_path / "nothing.npz"):
        with pytest.raises(InvalidData, match="dgmmis uncertainty"):
            find_errors(facts, None, str(wrong))
    none = find_errors(facts, None, "none")
    assert none.errors is None
    assert f"dgmmis uncertainty {plain.path}" in none.sentences[0]


def test_errors_that_cost_too_much_are_left_out_and_it_is_said_how_to_get_them(
    plain: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgmmis.html_report.error_facts.MOST_DENSITIES", 1_000)
    found = find_errors(gather(plain), consult(plain, None).catalog, "auto")
    assert found.errors is None
    assert "1,500 rows" in found.sentences[0]
    assert "--errors errors.npz" in found.sentences[0]


def test_held_and_unknown_numbers_have_no_error_but_a_word() -> None:
    model = Model(MIXTURE)
    errors = Errors(
        np.array([0.01, 0.0]), np.array([[0.02, np.inf], [0.1, 0.0]]), np.full((2, 2, 2), 0.05), np.empty(0)
    )
    rows = component_rows(model, np.array([600.0, 400.0]), errors)
    assert [row.amplitude_error for row in rows] == ["0.0100", "held"]
    assert rows[0].mean_errors == ["0.020", "unknown"]
    assert rows[1].mean_errors == ["0.100", "held"]
    assert len(feature_blocks(model, rows)) == 1


def test_the_pages_say_what_the_page_says(written: Path, plain: RunFolder) -> None:
    pages = PdfReader(written.with_suffix(".pdf"))
    text = " ".join(" ".join(page.extract_text() for page in pages.pages).split())
    latest = plain.latest()
    assert latest is not None
    for words in (
        "A mixture of 2 Gaussians",
        "Does the model describe the rows?",
        "Provenance",
        latest.digest,
    ):
        assert words in text
    assert all(abs(float(page.mediabox.width) - 595.28) < 1 for page in pages.pages)
    assert "observed less expected, in standard deviations" in text  # letters of a figure, as letters
    assert len(Page.of(written).images) == 7


def test_every_figure_of_the_page_is_written_as_pixels_and_as_outlines(
    queued: RunFolder, tmp_path: Path
) -> None:
    page = write_report(
        queued, tmp_path / "report.html", pdf=tmp_path / "report.pdf", figures=tmp_path / "figures"
    )
    assert len(Page.of(page).images) == 1
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"patterns.png", "patterns.pdf"}
    assert (tmp_path / "figures" / "patterns.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figures" / "patterns.pdf").read_bytes().startswith(b"%PDF")
    assert "Not begun" in PdfReader(tmp_path / "report.pdf").pages[0].extract_text()


def test_nothing_is_written_if_one_of_the_files_is_there(queued: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "patterns.png").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"patterns\.png"):
        write_report(queued, tmp_path / "report.html", figures=tmp_path / "figures")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["patterns.png"]
    (tmp_path / "report.pdf").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"report\.pdf"):
        write_report(queued, tmp_path / "report.html", pdf=tmp_path / "report.pdf")
    with pytest.raises(AlreadyExists, match="is a file"):
        write_report(queued, tmp_path / "report.html", figures=tmp_path / "report.pdf")


def test_without_its_library_pages_are_refused_before_anything_is_computed(
    queued: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(MissingLibrary, match="dgmmis\\[report\\]"):
        write_report(queued, tmp_path / "report.html", pdf=tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())


def test_the_command_makes_the_same_run(selected: RunFolder, catalog: dgmmis.Catalog, tmp_path: Path) -> None:
    command, unsaid = fit_command(gather(selected))
    assert unsaid == ["the mixture it began with (--initial)"]
    start = tmp_path / "start.npz"
    Model(MIXTURE, catalog.features, ("mag", "mag")).save(start)
    words = shlex.split(command)[1:]
    words[words.index("--run") + 1] = str(tmp_path / "again")
    words += ["--initial", str(start), "--max-passes", "0", "--workers", "0", "--json"]
    answer = CliRunner().invoke(application, words, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    before, after = selected.config, open_run(tmp_path / "again").config
    assert after == before


def test_a_selection_that_cannot_be_had_leaves_the_check_out_and_says_so(
    selected: RunFolder,
) -> None:
    facts = gather(selected)
    object.__setattr__(facts, "selection", (None, "the function cuts:faint is not trusted"))
    found = check_run(facts, consult(selected, None), 100, 0)
    assert found.check is None
    assert "not trusted" in found.problem


@pytest.mark.parametrize("wrong", [{"check_rows": -1}, {"seed": -1}, {"check_rows": 1.5}])
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting, match="expected an integer"):
        Wanted(**wrong)  # type: ignore[arg-type]
