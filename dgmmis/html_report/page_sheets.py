"""A4 sheets: headings, paragraphs, tables and figures one below the other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dgmmis.html_report.figures import Exhibit
from dgmmis.plots.drawing import INK, MUTED, printable
from dgmmis.plots.library import font_file

if TYPE_CHECKING:
    from fpdf import FPDF

__all__ = ["Sheets"]

MARGIN = 44.0
LARGEST_SCALE = 0.8
"""Of a figure: its letters have 9 points, those of the text 8.5."""
BODY, SMALL = 8.5, 7.4
LINE = 1.38
LEAST_BELOW_HEADING = 70.0
ROW_GAP = 2.4
HIGHEST_WHOLE = 260.0
"""Points up to which a table is kept on one page."""
FONTS = (("sans", "", "DejaVuSans"), ("sans", "B", "DejaVuSans-Bold"), ("mono", "", "DejaVuSansMono"))


class _Stamp(NamedTuple):
    """A figure's place: page from 0, lower left corner and scale."""

    page: int
    x: float
    y: float
    scale: float
    content: bytes


class Sheets:
    """Pages under way.

    Parameters
    ----------
    title : str
    footer : str
        Below every page, with its number.
    """

    def __init__(self, title: str, footer: str) -> None:
        self.pdf = _document(printable(footer))
        self.pdf.set_title(printable(title))
        self.pdf.add_page()
        self._stamps: list[_Stamp] = []

    @property
    def width(self) -> float:
        """Of the text, in points."""
        return float(self.pdf.epw)

    def title(self, text: str) -> None:
        """Begin the report."""
        self._write(text, 17, bold=True)
        self.pdf.ln(3)

    def heading(self, text: str) -> None:
        """Begin a section, never at the foot of a page."""
        self._keep(LEAST_BELOW_HEADING)
        self.pdf.ln(9)
        self._write(text, 11.5, bold=True)
        self.pdf.ln(3)

    def paragraph(self, text: str, *, muted: bool = False) -> None:
        """Set some sentences."""
        self._write(text, SMALL if muted else BODY, color=MUTED if muted else INK)
        self.pdf.ln(3.5)

    def command(self, text: str) -> None:
        """Set what is to be typed."""
        self._write(text, SMALL, family="mono")
        self.pdf.ln(3)

    def facts(self, lines: Sequence[tuple[str, str]]) -> None:
        """Set labels and texts side by side."""
        from fpdf.fonts import FontFace

        self._style(SMALL, INK)
        with self.pdf.table(
            borders_layout="NONE", col_widths=(27, 73), width=self.width, text_align="LEFT",
            line_height=LINE * SMALL, first_row_as_headings=False,
        ) as table:  # fmt: skip
            for label, text in lines:
                line = table.row()
                line.cell(printable(label), style=FontFace(color=MUTED))
                line.cell(printable(text))
        self.pdf.ln(3)

    def figure(self, *exhibits: Exhibit, heading: str = "") -> None:
        """Set figures side by side, with their captions, on one page."""
        sizes = [exhibit.figure.get_size_inches() for exhibit in exhibits]
        scale = min(LARGEST_SCALE, self.width / (72 * sum(float(size[0]) for size in sizes)))
        height = 72 * scale * max(float(size[1]) for size in sizes)
        caption = printable(" ".join(sentence for exhibit in exhibits for sentence in exhibit.caption))
        self._keep(height + self._height(caption) + (40 if heading else 10))
        if heading:
            self.heading(heading)
        left, top = float(self.pdf.l_margin), self.pdf.get_y()
        for exhibit, size in zip(exhibits, sizes, strict=True):
            bottom = float(self.pdf.h) - top - 72 * scale * float(size[1])
            self._stamps.append(_Stamp(self.pdf.page - 1, left, bottom, scale, exhibit.pdf))
            left += 72 * scale * float(size[0])
        self.pdf.set_y(top + height + 4)
        if caption:
            self.paragraph(caption, muted=True)
        self.pdf.ln(3)

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        colors: Sequence[str] = (),
        *,
        texts: int = 1,
    ) -> None:
        """Set a table; the first `texts` columns are words, the others numbers, to the right.

        Parameters
        ----------
        headings : sequence of str
        rows : sequence of sequences of str
        colors : sequence of str, optional
            Of the first column's words, "#rrggbb".
        texts : int
        """
        from fpdf.fonts import FontFace

        columns = [[headings[j], *(row[j] for row in rows)] for j in range(len(headings))]
        self._style(SMALL, INK)
        widths = [
            max(
                float(self.pdf.get_string_width(line))
                for cell in column
                for line in printable(cell).split("\n")
            )
            + 14
            for column in columns
        ]
        total = min(sum(widths), self.width)
        lines = 1 + len(rows) + max(cell.count("\n") for cell in headings)
        self._keep(min(lines * (LINE * SMALL + ROW_GAP), HIGHEST_WHOLE))
        align = tuple("LEFT" if j < texts else "RIGHT" for j in range(len(headings)))
        with self.pdf.table(
            borders_layout="HORIZONTAL_LINES", col_widths=tuple(widths), width=total, align="LEFT", text_align=align,
            line_height=LINE * SMALL, padding=ROW_GAP / 2, headings_style=FontFace(color=MUTED, emphasis="BOLD"),
        ) as table:  # fmt: skip
            for cells in (headings, *rows):
                line = table.row()
                for j, cell in enumerate(cells):
                    place = len(table.rows) - 2
                    colored = bool(colors) and j == 0 and place >= 0
                    style = FontFace(color=colors[place], emphasis="BOLD") if colored else None
                    line.cell(printable(cell), style=style)
        self.pdf.ln(6)

    def finished(self) -> bytes:
        """Put the figures on their pages and return the whole."""
        from pypdf import PdfReader, PdfWriter, Transformation

        writer = PdfWriter(clone_from=io.BytesIO(bytes(self.pdf.output())))
        for stamp in self._stamps:
            figure = PdfReader(io.BytesIO(stamp.content)).pages[0]
            moved = Transformation().scale(stamp.scale).translate(stamp.x, stamp.y)
            writer.pages[stamp.page].merge_transformed_page(figure, moved)
        for page in writer.pages:
            page.compress_content_streams()
        buffer = io.BytesIO()
        writer.write(buffer)
        return buffer.getvalue()

    def _height(self, text: str) -> float:
        """Room that a caption takes."""
        self._style(SMALL, MUTED)
        lines = self.pdf.multi_cell(self.width, LINE * SMALL, text, dry_run=True, output="LINES")
        return LINE * SMALL * len(lines) if isinstance(lines, list) else 0.0

    def _write(
        self, text: str, size: float, *, bold: bool = False, color: str = INK, family: str = "sans"
    ) -> None:
        self._style(size, color, bold=bold, family=family)
        self.pdf.multi_cell(
            self.width, LINE * size, printable(text), align="L", new_x="LMARGIN", new_y="NEXT"
        )

    def _style(self, size: float, color: str, *, bold: bool = False, family: str = "sans") -> None:
        self.pdf.set_font(family, "B" if bold else "", size)
        self.pdf.set_text_color(color)

    def _keep(self, height: float) -> None:
        """Turn the page unless so much fits below."""
        room = self.pdf.page_break_trigger - self.pdf.get_y()
        if height > room and self.pdf.get_y() > self.pdf.t_margin + 1:
            self.pdf.add_page()


def _document(footer: str) -> FPDF:
    from fpdf import FPDF

    class Paper(FPDF):
        """A4 with a footer."""

        def footer(self) -> None:
            self.set_y(-30)
            self.set_font("sans", "", 7)
            self.set_text_color(MUTED)
            self.cell(0, 10, footer)
            self.cell(0, 10, str(self.page_no()), align="R")

    pdf = Paper(unit="pt", format="A4")
    for family, style, name in FONTS:
        pdf.add_font(family, style, font_file(name))
    pdf.set_margins(MARGIN, MARGIN, MARGIN)
    pdf.set_auto_page_break(True, margin=MARGIN)
    pdf.set_draw_color("#c5cbd4")
    pdf.set_line_width(0.4)
    return pdf
