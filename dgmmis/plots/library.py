"""The parts of matplotlib that the figures use; no other module imports it."""

from __future__ import annotations

from pathlib import Path

from dgmmis.errors import MissingLibrary

try:
    import matplotlib.style
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize, to_hex, to_rgba
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec
    from matplotlib.legend import Legend
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Rectangle
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import (
        FixedFormatter,
        FixedLocator,
        FuncFormatter,
        LogLocator,
        MaxNLocator,
        ScalarFormatter,
    )
except ImportError as error:
    raise MissingLibrary(
        f"drawing figures needs matplotlib, which cannot be imported ({error}). Install it: "
        'pip install "dgmmis[report]".'
    ) from error

style_context = matplotlib.style.context


def font_file(name: str) -> Path:
    """Find a font that comes with matplotlib."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"


__all__ = [
    "Axes",
    "Axis",
    "Colormap",
    "Figure",
    "FixedFormatter",
    "FixedLocator",
    "FuncFormatter",
    "GridSpec",
    "Legend",
    "Line2D",
    "LineCollection",
    "LinearSegmentedColormap",
    "LogLocator",
    "LogNorm",
    "MaxNLocator",
    "Normalize",
    "Patch",
    "Rectangle",
    "ScalarFormatter",
    "ScalarMappable",
    "colormaps",
    "font_file",
    "style_context",
    "to_hex",
    "to_rgba",
    "withStroke",
]
