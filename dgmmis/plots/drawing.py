"""The look that all figures share, and figures as bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dgmmis.plots.library import Figure, style_context

__all__ = [
    "FAINT",
    "INK",
    "MUTED",
    "as_pdf",
    "as_png",
    "as_svg",
    "display_name",
    "look",
    "printable",
    "show_label",
]

INK, MUTED, FAINT = "#1f2733", "#667080", "#d5d9e0"

LOOK: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.edgecolor": "#9aa2ae",
    "axes.linewidth": 0.7,
    "axes.labelcolor": INK,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "xtick.color": "#9aa2ae",
    "ytick.color": "#9aa2ae",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "dgmmis",
    "savefig.facecolor": "white",
}


@contextmanager
def look() -> Iterator[None]:
    """Draw in this package's style, whatever the user's own settings are; they are untouched afterwards."""
    with style_context(["default", LOOK]):
        yield


def as_png(figure: Figure, *, dpi: float = 200) -> bytes:
    """Render a figure as a PNG image; the default is twice the resolution of a page at 100 dots per inch."""
    return _rendered(figure, "png", {"dpi": dpi, "metadata": {"Software": None}})


def as_svg(figure: Figure) -> bytes:
    """Render a figure as an SVG image; text becomes outlines, and equal figures give equal bytes."""
    return _rendered(figure, "svg", {"metadata": {"Date": None, "Creator": None}})


def as_pdf(figure: Figure) -> bytes:
    """Render a figure as one page of PDF, of its own size; equal figures give equal bytes."""
    metadata = {"CreationDate": None, "Creator": None, "Producer": None}
    return _rendered(figure, "pdf", {"dpi": 300, "metadata": metadata})


def _rendered(figure: Figure, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with look(), warnings.catch_warnings():
        # A feature's name may have letters that the font lacks: boxes are drawn for them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


def display_name(name: str, longest: int = 30) -> str:
    """Shorten a feature's name in its middle and make control characters visible."""
    visible = printable(name).replace("\n", "�")
    if len(visible) <= longest:
        return visible
    tail = (longest - 1) // 2
    return f"{visible[: longest - 1 - tail]}…{visible[-tail:]}"


def printable(text: str) -> str:
    """Make control characters visible; ends of lines stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def show_label(set_label: Any, text: str, **properties: Any) -> None:
    """Set a label literally: dollar signs, underscores and backslashes are letters, not mathematics."""
    set_label(text, parse_math=False, **properties)
