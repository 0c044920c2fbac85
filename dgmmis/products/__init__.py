"""What a model says of every row of a catalogue, written next to it."""

from dgmmis.products.per_row import apply

__all__ = ["apply"]
