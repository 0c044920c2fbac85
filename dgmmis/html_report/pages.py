"""The report as pages of PDF: text and tables set by fpdf2, the figures stamped on them as outlines by pypdf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dgmmis.errors import MissingLibrary
from dgmmis.html_report.page_sheets import Sheets
from dgmmis.html_report.page_tables import (
    add_calibrations,
    add_components,
    add_features,
    add_projections,
)

__all__ = ["pages_maker"]

Content = dict[str, Any]


def pages_maker() -> Callable[[Content], bytes]:
    """Give the function that sets pages.

    Raises
    ------
    MissingLibrary
        If a library for them is not installed: before anything is computed.
    """
    try:
        import fpdf  # noqa: F401
        import pypdf  # noqa: F401
    except ImportError as error:
        raise MissingLibrary(
            f"writing pages of PDF needs fpdf2 and pypdf, which cannot be imported ({error}). Install them: "
            'pip install "dgmmis[report]".'
        ) from error
    return _set_pages


def _set_pages(content: Content) -> bytes:
    sheets = Sheets(content["title"], f"dgmmis {content['version']} · {content['written']}")
    _begin(sheets, content)
    if content["components"]:
        sheets.heading("Components")
        add_components(sheets, content)
    _assumed(sheets, content)
    _add_figures(sheets, content, "Rows and model", "corner")
    if content["check"]:
        _check(sheets, content)
    _add_figures(sheets, content, "Convergence", "convergence")
    _add_figures(sheets, content, "", "starts", "amplitudes")
    if content["components"]:
        sheets.paragraph(content["start"], muted=True)
    _add_figures(sheets, content, "Missing features", "patterns")
    _end(sheets, content)
    return sheets.finished()


def _begin(sheets: Sheets, content: Content) -> None:
    sheets.title(content["title"])
    names = ", ".join(f"{name} [{unit}]" if unit else name for name, unit in content["features"])
    sheets.paragraph(f"{content['n_rows']} rows · {names}", muted=True)
    sheets.paragraph(f"{content['outcome']}. {content['meaning']}")
    if content["go_on"]:
        sheets.command(content["go_on"])
    for event in content["events"]:
        sheets.paragraph(event)
    if content["check"]:
        sheets.paragraph(content["check"].verdict)
    if content["check_problem"]:
        sheets.paragraph(f"The model could not be checked against its rows: {content['check_problem']}")
    sheets.facts([(label, f"{number} ({unit})") for label, number, unit in content["headline"]])


def _assumed(sheets: Sheets, content: Content) -> None:
    """Set what the rows are and what is taken for granted."""
    if content["observation"]:
        sheets.heading("How the rows were observed")
        if content["observation"].note:
            sheets.paragraph(content["observation"].note)
        sheets.facts(content["observation"].lines)
        for box in content["observation"].boxes:
            rows = [[name, unit or "-", low, high] for name, unit, low, high in box]
            sheets.table(["box of the background", "unit", "from", "to"], rows, texts=2)
    sheets.heading("Data")
    if content["catalog"].description:
        sheets.facts(content["counts"])
        add_features(sheets, content)
    else:
        sheets.paragraph(f"The catalogue could not be read: {content['catalog'].problem}")
    sheets.heading("What this fit takes for granted")
    for heading, text in content["caveats"]:
        sheets.paragraph(f"{heading}. {text}")


def _add_figures(sheets: Sheets, content: Content, heading: str, *names: str) -> None:
    shown = [content["figures"][name] for name in names if name in content["figures"]]
    if shown:
        sheets.figure(*shown, heading=heading)


def _check(sheets: Sheets, content: Content) -> None:
    check, figures = content["check"], content["figures"]
    sheets.heading("Does the model describe the rows?")
    sheets.paragraph(check.how, muted=True)
    sheets.figure(figures["data_and_model"])
    sheets.figure(figures["residuals"])
    if check.worst:
        sheets.paragraph("Where rows and model differ most:")
        for number, words in enumerate(check.worst, start=1):
            sheets.paragraph(f"{number}. {words}.")
    add_projections(sheets, content)
    sheets.figure(figures["calibration"], heading="Calibration")
    add_calibrations(sheets, content)
    sheets.paragraph(check.reading, muted=True)


def _end(sheets: Sheets, content: Content) -> None:
    sheets.heading("Provenance")
    sheets.facts(content["provenance"])
    sheets.paragraph("To make it again:")
    for command in content["commands"]:
        sheets.command(command)
    if content["unsaid"]:
        sheets.paragraph(content["unsaid"], muted=True)
    sheets.heading("Settings of the fit")
    sheets.facts(content["config"])
    if content["options"]:
        sheets.heading("Options of the catalogue")
        sheets.facts(content["options"])
