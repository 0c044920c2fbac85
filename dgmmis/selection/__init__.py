"""Selection functions: the probability that a row with given values was kept.

Parts (`Box`, `Ball`, `HalfSpace`, `Polygon`, `CompletenessMap`, `HealpixMap`, `Callback`) combine with
``&``, ``|`` and ``~``; `Selection.bind` ties them to the columns of some data.
"""

from dgmmis.selection.algebra import Complement, Intersection, Part, Selection, Union
from dgmmis.selection.binding import BoundSelection, ChangingAnswers, ImpossibleRow
from dgmmis.selection.callback import Callback, as_selection
from dgmmis.selection.maps import CompletenessMap, HealpixMap
from dgmmis.selection.rebuilding import from_description
from dgmmis.selection.shapes import Ball, Box, HalfSpace, Polygon
from dgmmis.selection.tilting import Tilt, is_exact, tilt

__all__ = [
    "Ball",
    "BoundSelection",
    "Box",
    "Callback",
    "ChangingAnswers",
    "Complement",
    "CompletenessMap",
    "HalfSpace",
    "HealpixMap",
    "ImpossibleRow",
    "Intersection",
    "Part",
    "Polygon",
    "Selection",
    "Tilt",
    "Union",
    "as_selection",
    "from_description",
    "is_exact",
    "tilt",
]
