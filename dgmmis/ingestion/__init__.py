"""From a source's columns to a catalogue."""

from dgmmis.ingestion.appending import append
from dgmmis.ingestion.pipeline import ingest

__all__ = ["append", "ingest"]
