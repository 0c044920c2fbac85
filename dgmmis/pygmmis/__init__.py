"""pyGMMis' names on this package's mathematics: a drop-in for data in memory.

`import dgmmis.pygmmis as pygmmis` runs what was written for pyGMMis 1.2.3 (Melchior & Goulding 2018, Astronomy and
Computing 25, 183, arXiv:1611.05806).  Where its results were not those of its own documentation, or not those of the
likelihood, ours are; docs/migrating_from_pygmmis.md lists every difference.
"""

from dgmmis.pygmmis.cross_validation import cv_fit, stack, stack_fit
from dgmmis.pygmmis.drawing import covar_callback_default, draw
from dgmmis.pygmmis.fitting import fit
from dgmmis.pygmmis.gmm import GMM
from dgmmis.pygmmis.neighborhoods import chi2_cutoff
from dgmmis.pygmmis.starting_points import initFromDataAtRandom, initFromDataMinMax, initFromKMeans
from dgmmis.pygmmis.uniform_background import Background

__all__ = [
    "GMM",
    "Background",
    "chi2_cutoff",
    "covar_callback_default",
    "cv_fit",
    "draw",
    "fit",
    "initFromDataAtRandom",
    "initFromDataMinMax",
    "initFromKMeans",
    "stack",
    "stack_fit",
]
