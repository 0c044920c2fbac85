"""Colours of components, on paper and on the live page."""

__all__ = ["DISTINCT"]

DISTINCT = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#882255",
    "#332288",
    "#5A2A0E",
    "#4B4BE0",
)
"""Okabe & Ito's colours without black and yellow, and four more chosen so that no pair is closer than theirs
under simulated protanopia and deuteranopia (Machado et al. 2009; CIELAB distance at least 17)."""
