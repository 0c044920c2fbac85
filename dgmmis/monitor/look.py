"""Colours and manners that all panels share."""

from __future__ import annotations

from typing import Any

from dgmmis.distinct_colors import DISTINCT
from dgmmis.monitor.bokeh_parts import Plasma256, figure

__all__ = [
    "BLUE",
    "INK",
    "MUTED",
    "ORANGE",
    "component_color",
    "empty_figure",
    "feature_name",
    "ink_on",
]

BLUE, ORANGE = "#0072B2", "#D55E00"
INK, MUTED, GRID = "#1f2733", "#5b6675", "#e6e9ef"
FONT = "system-ui, sans-serif"
LONGEST = 28
LIGHT = 140
"""Brightness, of 255, from which on dark letters are read better."""


def component_color(k: int, n_components: int) -> str:
    """Colour of a component; it stays the same while the fit moves."""
    if n_components <= len(DISTINCT):
        return DISTINCT[k]
    return str(Plasma256[int(0.84 * 255 * k / (n_components - 1))])


def ink_on(color: str) -> str:
    """Choose white or dark, whichever can be read on a colour."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < LIGHT else INK


def feature_name(name: str, unit: str) -> str:
    """Name a feature with its unit, cut where it would be too long for an axis."""
    text = f"{name} [{unit}]" if unit else name
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def empty_figure(title: str, height: int, **settings: Any) -> figure:
    """Make a figure without anything in it yet."""
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        min_width=260,
        title=title,
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_scroll=None,
        toolbar_location="right",
        background_fill_color="#ffffff",
        border_fill_color="#ffffff",
        outline_line_color=None,
        output_backend="canvas",
        **settings,
    )
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.title.text_font = FONT
    made.title.text_font_size = "13px"
    made.title.text_color = INK
    for axis in (*made.xaxis, *made.yaxis):
        style_axis(axis)
    if "x_range" not in settings:  # passes and components are whole numbers
        made.xaxis.ticker.min_interval, made.xaxis.ticker.num_minor_ticks = 1, 0
    made.xgrid.grid_line_color = None
    made.ygrid.grid_line_color = GRID
    return made


def style_axis(axis: Any) -> None:
    """Give an axis quiet lines and readable labels."""
    axis.axis_label_text_font = FONT
    axis.axis_label_text_font_style = "normal"
    axis.axis_label_text_font_size = "12px"
    axis.axis_label_text_color = INK
    axis.major_label_text_font = FONT
    axis.major_label_text_font_size = "11px"
    axis.major_label_text_color = INK
    axis.axis_line_color = "#9aa4b2"
    axis.major_tick_line_color = "#9aa4b2"
    axis.minor_tick_line_color = None
    axis.axis_label_standoff = 4


def style_legend(made: figure, columns: int = 3) -> None:
    """Put the legend of a figure above it, where it hides nothing."""
    legend = made.legend[0]
    made.add_layout(legend, "above")
    legend.orientation, legend.ncols, legend.location = "horizontal", columns, "top_left"
    legend.label_text_font = FONT
    legend.label_text_font_size = "11px"
    legend.label_text_color = INK
    legend.border_line_color = None
    legend.padding, legend.spacing, legend.margin = 0, 10, 0
    legend.label_standoff, legend.glyph_height, legend.label_height = 4, 14, 14
    legend.glyph_width = 18
