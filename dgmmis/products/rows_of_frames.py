"""What a model says of each row of a data frame: a function for `map_partitions` of Dask and LSDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgmmis.errors import InvalidSetting
from dgmmis.faults import find_faults
from dgmmis.ingestion.ingest_plan import Options, Plan, make_plan
from dgmmis.ingestion.row_builder import RowBuilder
from dgmmis.model import Model
from dgmmis.noise import Noise
from dgmmis.posterior import infer
from dgmmis.products.per_row import require_units
from dgmmis.products.posterior_columns import posterior_columns, require_distinct_names
from dgmmis.readers.data_frames import open_frame
from dgmmis.rows import Rows

__all__ = ["PosteriorOfRows"]

BATCH_ROWS = 1 << 15


class PosteriorOfRows:
    """Adds to a pandas data frame what a model says of its rows.

    It can be sent to workers, and so be applied to partitions where they are:
    `frame.map_partitions(PosteriorOfRows(model, error=["{}_error"]))` of a Dask data frame or an LSDB catalogue.

    Parameters
    ----------
    model : Model
    error, corr : as in `ingest`
        Which columns of the frame hold errors and correlations of the model's features.
    top : int
        Components to name per row, at most K.
    keep : sequence of str, optional
        Columns of the frame that stay; default all.

    Raises
    ------
    InvalidSetting
        If `top` is none, or two columns would have one name.
    """

    def __init__(
        self,
        model: Model,
        *,
        error: Sequence[str] = (),
        corr: str | None = None,
        top: int = 3,
        keep: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(model, Model):
            raise InvalidSetting(
                f"model is a {type(model).__name__}; expected a Model, for instance result.model."
            )
        if top < 1:
            raise InvalidSetting(f"top is {top}; expected at least 1.")
        require_distinct_names(model.features)
        self._model, self._keep = model, None if keep is None else list(keep)
        self._top = min(top, model.mixture.n_components)
        self._options = Options(features=model.features, error=tuple(error), corr=corr)

    def __call__(self, frame: Any) -> Any:
        """Return the frame with the columns of `dgmmis.apply` to Parquet, NaN and -1 in rows that cannot be used.

        Raises
        ------
        UnknownColumn, UnitMismatch, InvalidData
            If the frame is not of the model's features and units.
        """
        source = open_frame(frame)
        if source is None:
            raise InvalidSetting(f"a {type(frame).__name__} was given; expected a data frame of pandas.")
        plan = make_plan(source, self._options, {})
        require_units(self._model, plan.schema)
        parts = [self._columns(*rows) for rows in self._rows(source, plan)] or [self._no_rows()]
        kept = frame if self._keep is None else frame[self._keep]
        return kept.assign(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _rows(self, source: Any, plan: Plan) -> Iterator[tuple[Rows, NDArray[np.bool_]]]:
        """Yield rows, and which of them cannot be used; these have lost their values."""
        builder = RowBuilder(plan)
        for batch in source.batches(plan.columns, BATCH_ROWS):
            stored = builder.build(batch)
            values = stored.values.astype(np.float64)
            noise = plan.schema.noise(stored.noise)
            unusable = np.zeros(len(values), bool)
            unusable[[fault.row for fault in find_faults(values, noise)]] = True
            values[unusable] = np.nan
            yield Rows(values, noise), unusable

    def _columns(self, rows: Rows, unusable: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        model = self._model
        samples = rows.samples(names=model.features, checked=True)
        found = infer(model.mixture, samples, self._top, backgrounds=model.backgrounds)
        columns = posterior_columns(found, model.features)
        for column in columns.values():
            if unusable.any():
                column[unusable] = -1 if column.dtype.kind == "i" else np.nan
        return columns

    def _no_rows(self) -> dict[str, NDArray[Any]]:
        """Give the columns of a frame without rows, of which Dask learns their types."""
        one = Rows(np.full((1, len(self._model.features)), np.nan), Noise.none())
        return {name: column[:0] for name, column in self._columns(one, np.zeros(1, bool)).items()}
