"""Catalogues on disk: written once and whole, read chunk by chunk with every byte checked."""

from dgmmis.store.appender import CatalogAppender
from dgmmis.store.catalog import Catalog, open_catalog
from dgmmis.store.schema import NoiseForm, Schema, StoredRows
from dgmmis.store.writer import CatalogWriter

__all__ = ["Catalog", "CatalogAppender", "CatalogWriter", "NoiseForm", "Schema", "StoredRows", "open_catalog"]
