"""Moving rows in and out of blocks, whatever their number of features."""

from __future__ import annotations

import math

from dgmmis.kernels.elementary import add_free, compile_rows, exponential, smaller

__all__ = [
    "add_exponentials",
    "dot",
    "least_gap",
    "load_rows",
    "load_terms",
    "load_weights",
    "lowest",
    "share_out",
    "store_row",
    "weigh_points",
]

MOST_EXCESS = 700.0
"""Largest ln(p / h) of a point."""


@compile_rows
def load_rows(source, start, rows, first, n_columns, block):  # type: ignore[no-untyped-def]
    """Transpose rows `start` on of `source` (n, c) to rows `first` on of flat scratch, `block` numbers each.

    The last row fills the lanes left over.
    """
    last = len(source) - 1
    if start + block <= len(source):
        for b in range(block):
            for c in range(n_columns):
                rows[(first + c) * block + b] = source[start + b, c]
    else:
        for b in range(block):
            for c in range(n_columns):
                rows[(first + c) * block + b] = source[min(start + b, last), c]


@compile_rows
def load_weights(weights, start, block):  # type: ignore[no-untyped-def]
    """Weights of a block, and their sum; the lanes left over weigh nothing."""
    total = 0.0
    for b in range(len(block)):
        block[b] = weights[start + b] if start + b < len(weights) else 0.0
        total = add_free(total, block[b])
    return total


@compile_rows
def load_terms(extra, start, terms, top):  # type: ignore[no-untyped-def]
    """Terms that do not depend on the components, (n, J), to `terms` (J, block); the largest of each row to `top`."""
    last = len(extra) - 1
    top[:] = -math.inf
    for j in range(extra.shape[1]):
        for b in range(len(top)):
            terms[j, b] = extra[min(start + b, last), j]
            top[b] = max(top[b], terms[j, b])


@compile_rows
def store_row(block, start, out):  # type: ignore[no-untyped-def]
    """Write a block's numbers, but those of the lanes left over."""
    for b in range(min(len(block), len(out) - start)):
        out[start + b] = block[b]


@compile_rows
def lowest(row):  # type: ignore[no-untyped-def]
    """Smallest number of a row without NaN."""
    least = row[0]
    for b in range(len(row)):
        least = smaller(row[b], least)
    return least


@compile_rows
def least_gap(top, row):  # type: ignore[no-untyped-def]
    """Smallest difference between two rows without NaN."""
    least = math.inf
    for b in range(len(top)):
        least = smaller(top[b] - row[b], least)
    return least


@compile_rows
def add_exponentials(terms, top, total):  # type: ignore[no-untyped-def]
    """Overwrite terms by exp(terms - top), and add them to the total."""
    for b in range(len(terms)):
        share = exponential(terms[b] - top[b])
        terms[b] = share
        total[b] += share


@compile_rows
def share_out(total, weight):  # type: ignore[no-untyped-def]
    """Divide weights by the totals, which makes weighted responsibilities of terms."""
    for b in range(len(weight)):
        weight[b] /= total[b]


@compile_rows
def weigh_points(proposal, start, top, total, weight):  # type: ignore[no-untyped-def]
    """As `share_out` for rows; points drawn from another density h, ln h being `proposal`, weigh p / h more."""
    if len(proposal) == 0:
        share_out(total, weight)
        return
    last = len(proposal) - 1
    for b in range(len(weight)):
        weight[b] *= exponential(min(top[b] - proposal[min(start + b, last)], MOST_EXCESS))


@compile_rows
def dot(left, right):  # type: ignore[no-untyped-def]
    """Sum of products."""
    total = 0.0
    for b in range(len(left)):
        total = add_free(total, left[b] * right[b])
    return total
