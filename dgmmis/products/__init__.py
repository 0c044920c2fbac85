"""What a model says of every row of a catalogue, written next to it."""

from dgmmis.products.per_row import apply
from dgmmis.products.rows_of_frames import PosteriorOfRows

__all__ = ["PosteriorOfRows", "apply"]
