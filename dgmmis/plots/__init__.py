"""Figures of a fit: matplotlib's object interface only, so that no window and no global state is touched."""

from dgmmis.plots.calibration_chart import draw_calibration
from dgmmis.plots.comparison_chart import draw_comparison
from dgmmis.plots.corner_plot import draw_corner
from dgmmis.plots.data_and_model import draw_data_and_model
from dgmmis.plots.drawing import as_pdf, as_png, as_svg
from dgmmis.plots.observed_rows import Observing
from dgmmis.plots.palette import component_colors
from dgmmis.plots.pass_history import draw_amplitudes, draw_convergence, draw_starts
from dgmmis.plots.pattern_chart import draw_missing_patterns
from dgmmis.plots.residual_maps import draw_residuals
from dgmmis.plots.start_paths import draw_start_paths

__all__ = [
    "Observing",
    "as_pdf",
    "as_png",
    "as_svg",
    "component_colors",
    "draw_amplitudes",
    "draw_calibration",
    "draw_comparison",
    "draw_convergence",
    "draw_corner",
    "draw_data_and_model",
    "draw_missing_patterns",
    "draw_residuals",
    "draw_start_paths",
    "draw_starts",
]
