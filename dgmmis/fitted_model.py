"""The model that a fit ends with."""

from __future__ import annotations

from dgmmis.chunk import ArrayChunks
from dgmmis.model import Model
from dgmmis.population import Population
from dgmmis.store import Catalog
from dgmmis.task import Task

__all__ = ["model_of"]


def model_of(population: Population, task: Task, chunks: Catalog | ArrayChunks) -> Model:
    """Name a fitted population's features; those of projected rows are the mixture's own."""
    projected = chunks.projection is not None
    features, units = ((), ()) if projected else (chunks.features, chunks.units)
    selection = None if task.selecting is None or projected else task.selecting.selection.selection
    return Model(population.mixture, features, units, population.backgrounds, selection)
