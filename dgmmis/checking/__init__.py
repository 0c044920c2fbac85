"""Does a model describe its rows?  Simulated catalogues, compared with the rows as they were observed."""

from dgmmis.checking.calibration import Calibration
from dgmmis.checking.cells import Cells
from dgmmis.checking.model_check import ModelCheck, check_model
from dgmmis.checking.simulated import Simulated, simulate
from dgmmis.checking.worst_cells import WorstCell, cells_beyond, worst_cells

__all__ = [
    "Calibration",
    "Cells",
    "ModelCheck",
    "Simulated",
    "WorstCell",
    "cells_beyond",
    "check_model",
    "simulate",
    "worst_cells",
]
