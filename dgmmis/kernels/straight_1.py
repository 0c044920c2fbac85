"""Straight-line kernels for 1 features.  Written by `generator`; change that, not this."""

from __future__ import annotations

import math

import numpy as np

from dgmmis.kd_order import LEAF
from dgmmis.kernels.blocks import add_exponentials, dot, least_gap, load_rows, load_terms, load_weights, lowest, share_out, store_row, weigh_points
from dgmmis.kernels.elementary import add_free, compile_rows, logarithm

BLOCK = 128
FINEST = 128 // LEAF - 1
FRONT = 4
TILE = 64
FUTILE = 0.9

@compile_rows
def _bounds_fixed(listed, n, low, high, constants, means, shapes, upper, lower, tile):  # type: ignore[no-untyped-def]
    c0 = 0.5 * (low[0] + high[0])
    w0 = max(high[0] - c0, c0 - low[0])
    for first in range(0, n, TILE):
        for t in range(TILE):
            k = listed[min(first + t, n - 1)]
            tile[0 * TILE + t] = means[k, 0]
            tile[1 * TILE + t] = shapes[k, 0]
        for t in range(TILE):
            x0 = c0 - tile[0 * TILE + t]
            y0 = abs(tile[1 * TILE + t] * x0)
            s0 = abs(tile[1 * TILE + t]) * w0
            p0 = max(y0 - s0, 0.0)
            z0 = y0 + s0
            tile[2 * TILE + t] = p0 * p0
            tile[3 * TILE + t] = z0 * z0
        for t in range(min(TILE, n - first)):
            upper[first + t] = constants[listed[first + t]] - 0.5 * tile[2 * TILE + t]
            lower[first + t] = constants[listed[first + t]] - 0.5 * tile[3 * TILE + t]


@compile_rows
def _survivors_fixed(listed, n, low, high, constants, means, shapes, share, upper, lower, tile, kept):  # type: ignore[no-untyped-def]
    _bounds_fixed(listed, n, low, high, constants, means, shapes, upper, lower, tile)
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

@compile_rows
def _bounds_noisy(listed, n, low, high, noise_low, noise_high, constants, means, shapes, upper, lower, tile):  # type: ignore[no-untyped-def]
    c0 = 0.5 * (low[0] + high[0])
    w0 = max(high[0] - c0, c0 - low[0])
    o0, q0 = noise_low[0], noise_high[0]
    for first in range(0, n, TILE):
        for t in range(TILE):
            k = listed[min(first + t, n - 1)]
            tile[0 * TILE + t] = means[k, 0]
            tile[1 * TILE + t] = shapes[k, 0]
        for t in range(TILE):
            t00 = tile[1 * TILE + t] + q0
            r0 = 1.0 / t00
            y0 = c0 - tile[0 * TILE + t]
            y0 = abs(y0)
            s0 = abs(1.0) * w0
            p0 = max(y0 - s0, 0.0)
            near = p0 * p0 * r0
            small = r0
            t00 = tile[1 * TILE + t] + o0
            r0 = 1.0 / t00
            y0 = c0 - tile[0 * TILE + t]
            y0 = abs(y0)
            s0 = abs(1.0) * w0
            p0 = y0 + s0
            far = p0 * p0 * r0
            large = r0
            tile[2 * TILE + t] = near - logarithm(large)
            tile[3 * TILE + t] = far - logarithm(small)
        for t in range(min(TILE, n - first)):
            upper[first + t] = constants[listed[first + t]] - 0.5 * tile[2 * TILE + t]
            lower[first + t] = constants[listed[first + t]] - 0.5 * tile[3 * TILE + t]


@compile_rows
def _survivors_noisy(listed, n, low, high, noise_low, noise_high, constants, means, shapes, share, upper, lower, tile, kept):  # type: ignore[no-untyped-def]
    _bounds_noisy(listed, n, low, high, noise_low, noise_high, constants, means, shapes, upper, lower, tile)
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

@compile_rows
def _densities_fixed(k, rows, means, shapes, constant, term, top):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    for b in range(BLOCK):
        x0 = rows[0 * BLOCK + b] - m0
        y0 = v0 * x0
        value = constant - 0.5 * (y0 * y0)
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_fixed(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    a = 0.0
    h0 = 0.0
    g00 = 0.0
    for b in range(BLOCK):
        q = term[b] * weight[b]
        a = add_free(a, q)
        x0 = rows[0 * BLOCK + b] - m0
        y0 = v0 * x0
        f0 = q * y0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * y0)
    zeroth[k] += a
    first[k, 0] += h0
    second[k, 0] += g00


@compile_rows
def _evaluate_fixed(kept, upper, n, rows, constants, means, shapes, share, terms, slots, top):  # type: ignore[no-untyped-def]
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
        _densities_fixed(k, rows, means, shapes, constants[k], terms[n_slots], top)
        slots[n_slots] = k
        n_slots += 1
        if i + 1 < n and upper[i + 1] < math.inf:
            known = lowest(top)
    return n_slots, n_out * math.exp(most - known) if n_out else 0.0


@compile_rows
def statistics_fixed(values, weights, extra, proposal, constants, means, shapes, low, high, starts, share, zeroth, first, second, log_density, account):  # type: ignore[no-untyped-def]
    n_components, n_extra = len(means), extra.shape[1]
    n_levels = (len(starts) - FINEST) // 2 if share > -math.inf else 0
    rows, terms = np.empty(1 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(4 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 1, BLOCK)
        
        block_weight = load_weights(weights, start, weight)
        load_terms(extra, start, extras, top)
        for level in range(n_levels - 1, -1, -1):
            if level == 0 and futile and block % 4:
                counts[0], lost[0] = counts[1], lost[1]
                for i in range(counts[1]):
                    kept[0, i], upper[i] = kept[1, i], math.inf
            elif block % (1 << (2 * level)) == 0:
                node, above = starts[FINEST + 2 * level] + (block >> (2 * level)), level + 1
                counts[level], more = _survivors_fixed(kept[above], counts[above], low[node], high[node], constants, means, shapes, share, upper, lower, tile, kept[level])
                lost[level] = lost[above] + more
                if n_levels > 1 and level == 0 and block % 4 == 0:
                    futile = counts[0] > FUTILE * counts[1]
        n_slots, left_out = _evaluate_fixed(kept[0], upper, counts[0], rows, constants, means, shapes, share, terms, slots, top)
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
        weigh_points(proposal, start, top, total, weight)
        for b in range(BLOCK):
            top[b] += logarithm(total[b]) + (total[b] - total[b])  # the logarithm does not pass NaN on
        store_row(top, start, log_density)
        for j in range(n_extra):
            zeroth[n_components + j] += dot(extras[j], weight)
        for slot in range(n_slots):
            if slots[slot] >= 0:
                _moments_fixed(slots[slot], rows, terms[slot], weight, means, shapes, zeroth, first, second)
        account[0] += n_slots * min(BLOCK, len(values) - start)
        account[1] += block_weight * left_out

@compile_rows
def _densities_diagonal(k, rows, means, shapes, constant, term, top):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    for b in range(BLOCK):
        t00 = v0 + rows[1 * BLOCK + b]
        r0 = 1.0 / t00
        y0 = rows[0 * BLOCK + b] - m0
        rows[2 * BLOCK + b] = y0 * y0 * r0
        rows[3 * BLOCK + b] = r0
    for b in range(BLOCK):
        halves = logarithm(rows[3 * BLOCK + b]) - rows[2 * BLOCK + b]
        value = constant + 0.5 * halves
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_diagonal(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    a = 0.0
    h0 = 0.0
    g00 = 0.0
    for b in range(BLOCK):
        t00 = v0 + rows[1 * BLOCK + b]
        r0 = 1.0 / t00
        y0 = rows[0 * BLOCK + b] - m0
        q = term[b] * weight[b]
        a = add_free(a, q)
        z0 = r0 * y0
        u0 = z0
        e0 = q * r0
        f0 = q * u0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * u0 - e0)
    zeroth[k] += a
    first[k, 0] += h0
    second[k, 0] += g00


@compile_rows
def _evaluate_diagonal(kept, upper, n, rows, constants, means, shapes, share, terms, slots, top):  # type: ignore[no-untyped-def]
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
        _densities_diagonal(k, rows, means, shapes, constants[k], terms[n_slots], top)
        slots[n_slots] = k
        n_slots += 1
        if i + 1 < n and upper[i + 1] < math.inf:
            known = lowest(top)
    return n_slots, n_out * math.exp(most - known) if n_out else 0.0


@compile_rows
def statistics_diagonal(values, noise, weights, extra, constants, means, shapes, low, high, noise_low, noise_high, starts, share, zeroth, first, second, log_density, account):  # type: ignore[no-untyped-def]
    n_components, n_extra = len(means), extra.shape[1]
    n_levels = (len(starts) - FINEST) // 2 if share > -math.inf else 0
    rows, terms = np.empty(4 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(4 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 1, BLOCK)
        load_rows(noise, start, rows, 1, 1, BLOCK)
        block_weight = load_weights(weights, start, weight)
        load_terms(extra, start, extras, top)
        for level in range(n_levels - 1, -1, -1):
            if level == 0 and futile and block % 4:
                counts[0], lost[0] = counts[1], lost[1]
                for i in range(counts[1]):
                    kept[0, i], upper[i] = kept[1, i], math.inf
            elif block % (1 << (2 * level)) == 0:
                node, above = starts[FINEST + 2 * level] + (block >> (2 * level)), level + 1
                counts[level], more = _survivors_noisy(kept[above], counts[above], low[node], high[node], noise_low[node], noise_high[node], constants, means, shapes, share, upper, lower, tile, kept[level])
                lost[level] = lost[above] + more
                if n_levels > 1 and level == 0 and block % 4 == 0:
                    futile = counts[0] > FUTILE * counts[1]
        n_slots, left_out = _evaluate_diagonal(kept[0], upper, counts[0], rows, constants, means, shapes, share, terms, slots, top)
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
        share_out(total, weight)
        for b in range(BLOCK):
            top[b] += logarithm(total[b]) + (total[b] - total[b])  # the logarithm does not pass NaN on
        store_row(top, start, log_density)
        for j in range(n_extra):
            zeroth[n_components + j] += dot(extras[j], weight)
        for slot in range(n_slots):
            if slots[slot] >= 0:
                _moments_diagonal(slots[slot], rows, terms[slot], weight, means, shapes, zeroth, first, second)
        account[0] += n_slots * min(BLOCK, len(values) - start)
        account[1] += block_weight * left_out

@compile_rows
def _densities_full(k, rows, means, shapes, constant, term, top):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    for b in range(BLOCK):
        t00 = v0 + rows[1 * BLOCK + b]
        r0 = 1.0 / t00
        y0 = rows[0 * BLOCK + b] - m0
        rows[2 * BLOCK + b] = y0 * y0 * r0
        rows[3 * BLOCK + b] = r0
    for b in range(BLOCK):
        halves = logarithm(rows[3 * BLOCK + b]) - rows[2 * BLOCK + b]
        value = constant + 0.5 * halves
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_full(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    v0 = shapes[k, 0]
    a = 0.0
    h0 = 0.0
    g00 = 0.0
    for b in range(BLOCK):
        t00 = v0 + rows[1 * BLOCK + b]
        r0 = 1.0 / t00
        y0 = rows[0 * BLOCK + b] - m0
        q = term[b] * weight[b]
        a = add_free(a, q)
        z0 = r0 * y0
        u0 = z0
        e0 = q * r0
        f0 = q * u0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * u0 - e0)
    zeroth[k] += a
    first[k, 0] += h0
    second[k, 0] += g00


@compile_rows
def _evaluate_full(kept, upper, n, rows, constants, means, shapes, share, terms, slots, top):  # type: ignore[no-untyped-def]
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
        _densities_full(k, rows, means, shapes, constants[k], terms[n_slots], top)
        slots[n_slots] = k
        n_slots += 1
        if i + 1 < n and upper[i + 1] < math.inf:
            known = lowest(top)
    return n_slots, n_out * math.exp(most - known) if n_out else 0.0


@compile_rows
def statistics_full(values, noise, weights, extra, constants, means, shapes, low, high, noise_low, noise_high, starts, share, zeroth, first, second, log_density, account):  # type: ignore[no-untyped-def]
    n_components, n_extra = len(means), extra.shape[1]
    n_levels = (len(starts) - FINEST) // 2 if share > -math.inf else 0
    rows, terms = np.empty(4 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(4 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 1, BLOCK)
        load_rows(noise, start, rows, 1, 1, BLOCK)
        block_weight = load_weights(weights, start, weight)
        load_terms(extra, start, extras, top)
        for level in range(n_levels - 1, -1, -1):
            if level == 0 and futile and block % 4:
                counts[0], lost[0] = counts[1], lost[1]
                for i in range(counts[1]):
                    kept[0, i], upper[i] = kept[1, i], math.inf
            elif block % (1 << (2 * level)) == 0:
                node, above = starts[FINEST + 2 * level] + (block >> (2 * level)), level + 1
                counts[level], more = _survivors_noisy(kept[above], counts[above], low[node], high[node], noise_low[node], noise_high[node], constants, means, shapes, share, upper, lower, tile, kept[level])
                lost[level] = lost[above] + more
                if n_levels > 1 and level == 0 and block % 4 == 0:
                    futile = counts[0] > FUTILE * counts[1]
        n_slots, left_out = _evaluate_full(kept[0], upper, counts[0], rows, constants, means, shapes, share, terms, slots, top)
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
        share_out(total, weight)
        for b in range(BLOCK):
            top[b] += logarithm(total[b]) + (total[b] - total[b])  # the logarithm does not pass NaN on
        store_row(top, start, log_density)
        for j in range(n_extra):
            zeroth[n_components + j] += dot(extras[j], weight)
        for slot in range(n_slots):
            if slots[slot] >= 0:
                _moments_full(slots[slot], rows, terms[slot], weight, means, shapes, zeroth, first, second)
        account[0] += n_slots * min(BLOCK, len(values) - start)
        account[1] += block_weight * left_out
