"""On a worker: scores of rows, and how they depart from a population."""

from __future__ import annotations

from collections.abc import Sequence

from dgmmis.cluster.worker_side import opened_catalog, sum_chunks, weighed, weighed_sent, with_densities
from dgmmis.misfit import Examiner, Misfit
from dgmmis.outer_products import OuterProducts, Scorer
from dgmmis.resampling import Resample
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut
from dgmmis.tree import Node, sum_leaves

__all__ = ["examine_scattered", "examine_segment", "score_scattered", "score_segment"]


def score_segment(
    path: str,
    fingerprint: str,
    token: str,
    start: int,
    stop: int,
    scorer: Scorer,
    resample: Resample | None = None,
) -> list[Node[OuterProducts]]:
    """Sum the outer products of the scores in chunks `start` to `stop - 1` of a catalogue."""
    columns = scorer.cut.noise_columns if scorer.cut else ()
    catalog = opened_catalog(path, fingerprint).keeping_noise(columns)

    def leaf(chunk: int, samples: Samples) -> OuterProducts:
        samples = with_densities(scorer.chart.origin, samples, token, chunk, scorer.cut)
        return scorer.score(weighed(catalog, chunk, samples, resample))

    return sum_chunks(catalog, start, stop, leaf)


def score_scattered(
    samples: Sequence[Samples],
    token: str,
    start: int,
    chunk_rows: int,
    scorer: Scorer,
    resample: Resample | None = None,
) -> list[Node[OuterProducts]]:
    """Sum the outer products of the scores in chunks that were sent here."""

    def leaf(chunk: int) -> OuterProducts:
        rows = with_densities(scorer.chart.origin, samples[chunk - start], token, chunk, scorer.cut)
        return scorer.score(weighed_sent(chunk * chunk_rows, rows, resample))

    return sum_leaves(start, start + len(samples), leaf)


def examine_segment(
    path: str,
    fingerprint: str,
    token: str,
    start: int,
    stop: int,
    examiner: Examiner,
    cut: Cut | None = None,
    resample: Resample | None = None,
) -> list[Node[Misfit]]:
    """Examine chunks `start` to `stop - 1` of a catalogue."""
    catalog = opened_catalog(path, fingerprint).keeping_noise(cut.noise_columns if cut else ())

    def leaf(chunk: int, samples: Samples) -> Misfit:
        samples = weighed(
            catalog, chunk, with_densities(examiner.population, samples, token, chunk, cut), resample
        )
        return examiner.examine(samples, cut=cut, first_row=catalog.row_range(chunk)[0])

    return sum_chunks(catalog, start, stop, leaf)


def examine_scattered(
    samples: Sequence[Samples],
    token: str,
    start: int,
    chunk_rows: int,
    examiner: Examiner,
    cut: Cut | None = None,
    resample: Resample | None = None,
) -> list[Node[Misfit]]:
    """Examine chunks that were sent here."""

    def leaf(chunk: int) -> Misfit:
        rows = with_densities(examiner.population, samples[chunk - start], token, chunk, cut)
        rows = weighed_sent(chunk * chunk_rows, rows, resample)
        return examiner.examine(rows, cut=cut, first_row=chunk * chunk_rows)

    return sum_leaves(start, start + len(samples), leaf)
