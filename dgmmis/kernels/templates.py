"""What the straight-line kernels have in common, whatever their number of features and kind of noise.

A block of rows goes three ways: its densities under the components that may matter, their normalisation, and the
moments of those that do matter.  Which may matter is decided by boxes: each node of the tree of runs of rows
(`boxes`) has, for each component, an upper and a lower bound of its density anywhere in the box.  A component is
left out of a node if its upper bound is below `share` times a density that every row of the node is known to have;
what is left out in all is counted in `account`.  Bounds that leave out little switch themselves off: of each four
blocks the first one tells whether the boxes of the others are worth a look.
"""

HEAD = '''"""Straight-line kernels for {d} features.  Written by `generator`; change that, not this."""

from __future__ import annotations

import math

import numpy as np

from dgmmis.kd_order import LEAF
from dgmmis.kernels.blocks import add_exponentials, dot, least_gap, load_rows, load_terms, load_weights, lowest, share_out, store_row, weigh_points
from dgmmis.kernels.elementary import add_free, compile_rows, logarithm

BLOCK = {block}
FINEST = {block} // LEAF - 1
FRONT = 4
TILE = 64
FUTILE = 0.9
'''

BOUNDED = """
@compile_rows
def _bounds_{bounded}(listed, n, low, high,{noise_bounds} constants, means, shapes, upper, lower, tile):  # type: ignore[no-untyped-def]
{bounds}


@compile_rows
def _survivors_{bounded}(listed, n, low, high,{noise_bounds} constants, means, shapes, share, upper, lower, tile, kept):  # type: ignore[no-untyped-def]
    _bounds_{bounded}(listed, n, low, high,{noise_bounds} constants, means, shapes, upper, lower, tile)
    known = -math.inf
    for i in range(n):
        known = max(known, lower[i])
    n_kept, most = 0, -math.inf
    for i in range(n):
        if upper[i] < known + share:
            most = max(most, upper[i])
        else:
            kept[n_kept], upper[n_kept] = listed[i], upper[i]
            n_kept += 1
    return n_kept, (n - n_kept) * math.exp(most - known) if n_kept < n else 0.0
"""

KIND = """
@compile_rows
def _densities_{kind}(k, rows, means, shapes, constant, term, top):  # type: ignore[no-untyped-def]
{densities}


@compile_rows
def _moments_{kind}(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
{moments}


@compile_rows
def _evaluate_{kind}(kept, upper, n, rows, constants, means, shapes, share, terms, slots, top):  # type: ignore[no-untyped-def]
    n_slots, n_out, most, known = 0, 0, -math.inf, lowest(top)
    for i in range(n):
        if i < FRONT:
            best = i
            for j in range(i + 1, n):
                best = j if upper[j] > upper[best] else best
            kept[i], kept[best] = kept[best], kept[i]
            upper[i], upper[best] = upper[best], upper[i]
        if upper[i] < known + share:
            most = max(most, upper[i])
            n_out += 1
            continue
        k = kept[i]
        _densities_{kind}(k, rows, means, shapes, constants[k], terms[n_slots], top)
        slots[n_slots] = k
        n_slots += 1
        if i + 1 < n and upper[i + 1] < math.inf:
            known = lowest(top)
    return n_slots, n_out * math.exp(most - known) if n_out else 0.0


@compile_rows
def statistics_{kind}(values,{noise} weights, extra,{proposal} constants, means, shapes, low, high,{noise_bounds} starts, share, zeroth, first, second, log_density, account):  # type: ignore[no-untyped-def]
    n_components, n_extra = len(means), extra.shape[1]
    n_levels = (len(starts) - FINEST) // 2 if share > -math.inf else 0
    rows, terms = np.empty({rows} * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty({tile_rows} * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, {d}, BLOCK)
        {load_noise}
        block_weight = load_weights(weights, start, weight)
        load_terms(extra, start, extras, top)
        for level in range(n_levels - 1, -1, -1):
            if level == 0 and futile and block % 4:
                counts[0], lost[0] = counts[1], lost[1]
                for i in range(counts[1]):
                    kept[0, i], upper[i] = kept[1, i], math.inf
            elif block % (1 << (2 * level)) == 0:
                node, above = starts[FINEST + 2 * level] + (block >> (2 * level)), level + 1
                counts[level], more = _survivors_{bounded}(kept[above], counts[above], low[node], high[node],{noise_nodes} constants, means, shapes, share, upper, lower, tile, kept[level])
                lost[level] = lost[above] + more
                if n_levels > 1 and level == 0 and block % 4 == 0:
                    futile = counts[0] > FUTILE * counts[1]
        n_slots, left_out = _evaluate_{kind}(kept[0], upper, counts[0], rows, constants, means, shapes, share, terms, slots, top)
        left_out += lost[0]
        total[:] = 0.0
        for slot in range(n_slots):
            if share > -math.inf:
                nearest = least_gap(top, terms[slot])
                if -nearest < share:
                    left_out += math.exp(-nearest)
                    slots[slot] = -1
                    continue
            add_exponentials(terms[slot], top, total)
        for j in range(n_extra):
            add_exponentials(extras[j], top, total)
        {weigh}
        for b in range(BLOCK):
            top[b] += logarithm(total[b]) + (total[b] - total[b])  # the logarithm does not pass NaN on
        store_row(top, start, log_density)
        for j in range(n_extra):
            zeroth[n_components + j] += dot(extras[j], weight)
        for slot in range(n_slots):
            if slots[slot] >= 0:
                _moments_{kind}(slots[slot], rows, terms[slot], weight, means, shapes, zeroth, first, second)
        account[0] += n_slots * min(BLOCK, len(values) - start)
        account[1] += block_weight * left_out
"""
