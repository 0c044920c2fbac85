"""Straight-line kernels for 4 features.  Written by `generator`; change that, not this."""

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
    c1 = 0.5 * (low[1] + high[1])
    c2 = 0.5 * (low[2] + high[2])
    c3 = 0.5 * (low[3] + high[3])
    w0 = max(high[0] - c0, c0 - low[0])
    w1 = max(high[1] - c1, c1 - low[1])
    w2 = max(high[2] - c2, c2 - low[2])
    w3 = max(high[3] - c3, c3 - low[3])
    for first in range(0, n, TILE):
        for t in range(TILE):
            k = listed[min(first + t, n - 1)]
            tile[0 * TILE + t] = means[k, 0]
            tile[1 * TILE + t] = means[k, 1]
            tile[2 * TILE + t] = means[k, 2]
            tile[3 * TILE + t] = means[k, 3]
            tile[4 * TILE + t] = shapes[k, 0]
            tile[5 * TILE + t] = shapes[k, 1]
            tile[6 * TILE + t] = shapes[k, 2]
            tile[7 * TILE + t] = shapes[k, 3]
            tile[8 * TILE + t] = shapes[k, 4]
            tile[9 * TILE + t] = shapes[k, 5]
            tile[10 * TILE + t] = shapes[k, 6]
            tile[11 * TILE + t] = shapes[k, 7]
            tile[12 * TILE + t] = shapes[k, 8]
            tile[13 * TILE + t] = shapes[k, 9]
        for t in range(TILE):
            x0 = c0 - tile[0 * TILE + t]
            x1 = c1 - tile[1 * TILE + t]
            x2 = c2 - tile[2 * TILE + t]
            x3 = c3 - tile[3 * TILE + t]
            y0 = abs(tile[4 * TILE + t] * x0)
            y1 = abs(tile[5 * TILE + t] * x0 + tile[6 * TILE + t] * x1)
            y2 = abs(tile[7 * TILE + t] * x0 + tile[8 * TILE + t] * x1 + tile[9 * TILE + t] * x2)
            y3 = abs(tile[10 * TILE + t] * x0 + tile[11 * TILE + t] * x1 + tile[12 * TILE + t] * x2 + tile[13 * TILE + t] * x3)
            s0 = abs(tile[4 * TILE + t]) * w0
            s1 = abs(tile[5 * TILE + t]) * w0 + abs(tile[6 * TILE + t]) * w1
            s2 = abs(tile[7 * TILE + t]) * w0 + abs(tile[8 * TILE + t]) * w1 + abs(tile[9 * TILE + t]) * w2
            s3 = abs(tile[10 * TILE + t]) * w0 + abs(tile[11 * TILE + t]) * w1 + abs(tile[12 * TILE + t]) * w2 + abs(tile[13 * TILE + t]) * w3
            p0 = max(y0 - s0, 0.0)
            p1 = max(y1 - s1, 0.0)
            p2 = max(y2 - s2, 0.0)
            p3 = max(y3 - s3, 0.0)
            z0 = y0 + s0
            z1 = y1 + s1
            z2 = y2 + s2
            z3 = y3 + s3
            tile[14 * TILE + t] = p0 * p0 + p1 * p1 + p2 * p2 + p3 * p3
            tile[15 * TILE + t] = z0 * z0 + z1 * z1 + z2 * z2 + z3 * z3
        for t in range(min(TILE, n - first)):
            upper[first + t] = constants[listed[first + t]] - 0.5 * tile[14 * TILE + t]
            lower[first + t] = constants[listed[first + t]] - 0.5 * tile[15 * TILE + t]


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
    c1 = 0.5 * (low[1] + high[1])
    c2 = 0.5 * (low[2] + high[2])
    c3 = 0.5 * (low[3] + high[3])
    w0 = max(high[0] - c0, c0 - low[0])
    w1 = max(high[1] - c1, c1 - low[1])
    w2 = max(high[2] - c2, c2 - low[2])
    w3 = max(high[3] - c3, c3 - low[3])
    o0, q0 = noise_low[0], noise_high[0]
    o1, q1 = noise_low[1], noise_high[1]
    o2, q2 = noise_low[2], noise_high[2]
    o3, q3 = noise_low[3], noise_high[3]
    for first in range(0, n, TILE):
        for t in range(TILE):
            k = listed[min(first + t, n - 1)]
            tile[0 * TILE + t] = means[k, 0]
            tile[1 * TILE + t] = means[k, 1]
            tile[2 * TILE + t] = means[k, 2]
            tile[3 * TILE + t] = means[k, 3]
            tile[4 * TILE + t] = shapes[k, 0]
            tile[5 * TILE + t] = shapes[k, 1]
            tile[6 * TILE + t] = shapes[k, 2]
            tile[7 * TILE + t] = shapes[k, 3]
            tile[8 * TILE + t] = shapes[k, 4]
            tile[9 * TILE + t] = shapes[k, 5]
            tile[10 * TILE + t] = shapes[k, 6]
            tile[11 * TILE + t] = shapes[k, 7]
            tile[12 * TILE + t] = shapes[k, 8]
            tile[13 * TILE + t] = shapes[k, 9]
        for t in range(TILE):
            t00 = tile[4 * TILE + t] + q0
            t10 = tile[5 * TILE + t]
            t11 = tile[6 * TILE + t] + q1
            t20 = tile[7 * TILE + t]
            t21 = tile[8 * TILE + t]
            t22 = tile[9 * TILE + t] + q2
            t30 = tile[10 * TILE + t]
            t31 = tile[11 * TILE + t]
            t32 = tile[12 * TILE + t]
            t33 = tile[13 * TILE + t] + q3
            r0 = 1.0 / t00
            l10 = t10 * r0
            l20 = t20 * r0
            l30 = t30 * r0
            t11 = t11 - l10 * t10
            t21 = t21 - l20 * t10
            t22 = t22 - l20 * t20
            t31 = t31 - l30 * t10
            t32 = t32 - l30 * t20
            t33 = t33 - l30 * t30
            r1 = 1.0 / t11
            l21 = t21 * r1
            l31 = t31 * r1
            t22 = t22 - l21 * t21
            t32 = t32 - l31 * t21
            t33 = t33 - l31 * t31
            r2 = 1.0 / t22
            l32 = t32 * r2
            t33 = t33 - l32 * t32
            r3 = 1.0 / t33
            y0 = c0 - tile[0 * TILE + t]
            y1 = c1 - tile[1 * TILE + t]
            y2 = c2 - tile[2 * TILE + t]
            y3 = c3 - tile[3 * TILE + t]
            y1 = y1 - l10 * y0
            y2 = y2 - l20 * y0
            y2 = y2 - l21 * y1
            y3 = y3 - l30 * y0
            y3 = y3 - l31 * y1
            y3 = y3 - l32 * y2
            n10 = -(l10)
            n20 = -(l20 + l21 * n10)
            n30 = -(l30 + l31 * n10 + l32 * n20)
            n21 = -(l21)
            n31 = -(l31 + l32 * n21)
            n32 = -(l32)
            y0 = abs(y0)
            y1 = abs(y1)
            y2 = abs(y2)
            y3 = abs(y3)
            s0 = abs(1.0) * w0
            s1 = abs(n10) * w0 + abs(1.0) * w1
            s2 = abs(n20) * w0 + abs(n21) * w1 + abs(1.0) * w2
            s3 = abs(n30) * w0 + abs(n31) * w1 + abs(n32) * w2 + abs(1.0) * w3
            p0 = max(y0 - s0, 0.0)
            p1 = max(y1 - s1, 0.0)
            p2 = max(y2 - s2, 0.0)
            p3 = max(y3 - s3, 0.0)
            near = p0 * p0 * r0 + p1 * p1 * r1 + p2 * p2 * r2 + p3 * p3 * r3
            small = r0 * r1 * r2 * r3
            t00 = tile[4 * TILE + t] + o0
            t10 = tile[5 * TILE + t]
            t11 = tile[6 * TILE + t] + o1
            t20 = tile[7 * TILE + t]
            t21 = tile[8 * TILE + t]
            t22 = tile[9 * TILE + t] + o2
            t30 = tile[10 * TILE + t]
            t31 = tile[11 * TILE + t]
            t32 = tile[12 * TILE + t]
            t33 = tile[13 * TILE + t] + o3
            r0 = 1.0 / t00
            l10 = t10 * r0
            l20 = t20 * r0
            l30 = t30 * r0
            t11 = t11 - l10 * t10
            t21 = t21 - l20 * t10
            t22 = t22 - l20 * t20
            t31 = t31 - l30 * t10
            t32 = t32 - l30 * t20
            t33 = t33 - l30 * t30
            r1 = 1.0 / t11
            l21 = t21 * r1
            l31 = t31 * r1
            t22 = t22 - l21 * t21
            t32 = t32 - l31 * t21
            t33 = t33 - l31 * t31
            r2 = 1.0 / t22
            l32 = t32 * r2
            t33 = t33 - l32 * t32
            r3 = 1.0 / t33
            y0 = c0 - tile[0 * TILE + t]
            y1 = c1 - tile[1 * TILE + t]
            y2 = c2 - tile[2 * TILE + t]
            y3 = c3 - tile[3 * TILE + t]
            y1 = y1 - l10 * y0
            y2 = y2 - l20 * y0
            y2 = y2 - l21 * y1
            y3 = y3 - l30 * y0
            y3 = y3 - l31 * y1
            y3 = y3 - l32 * y2
            n10 = -(l10)
            n20 = -(l20 + l21 * n10)
            n30 = -(l30 + l31 * n10 + l32 * n20)
            n21 = -(l21)
            n31 = -(l31 + l32 * n21)
            n32 = -(l32)
            y0 = abs(y0)
            y1 = abs(y1)
            y2 = abs(y2)
            y3 = abs(y3)
            s0 = abs(1.0) * w0
            s1 = abs(n10) * w0 + abs(1.0) * w1
            s2 = abs(n20) * w0 + abs(n21) * w1 + abs(1.0) * w2
            s3 = abs(n30) * w0 + abs(n31) * w1 + abs(n32) * w2 + abs(1.0) * w3
            p0 = y0 + s0
            p1 = y1 + s1
            p2 = y2 + s2
            p3 = y3 + s3
            far = p0 * p0 * r0 + p1 * p1 * r1 + p2 * p2 * r2 + p3 * p3 * r3
            large = r0 * r1 * r2 * r3
            tile[14 * TILE + t] = near - logarithm(large)
            tile[15 * TILE + t] = far - logarithm(small)
        for t in range(min(TILE, n - first)):
            upper[first + t] = constants[listed[first + t]] - 0.5 * tile[14 * TILE + t]
            lower[first + t] = constants[listed[first + t]] - 0.5 * tile[15 * TILE + t]


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
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    for b in range(BLOCK):
        x0 = rows[0 * BLOCK + b] - m0
        x1 = rows[1 * BLOCK + b] - m1
        x2 = rows[2 * BLOCK + b] - m2
        x3 = rows[3 * BLOCK + b] - m3
        y0 = v0 * x0
        y1 = v1 * x0 + v2 * x1
        y2 = v3 * x0 + v4 * x1 + v5 * x2
        y3 = v6 * x0 + v7 * x1 + v8 * x2 + v9 * x3
        value = constant - 0.5 * (y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3)
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_fixed(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    a = 0.0
    h0 = 0.0
    h1 = 0.0
    h2 = 0.0
    h3 = 0.0
    g00 = 0.0
    g10 = 0.0
    g11 = 0.0
    g20 = 0.0
    g21 = 0.0
    g22 = 0.0
    g30 = 0.0
    g31 = 0.0
    g32 = 0.0
    g33 = 0.0
    for b in range(BLOCK):
        q = term[b] * weight[b]
        a = add_free(a, q)
        x0 = rows[0 * BLOCK + b] - m0
        x1 = rows[1 * BLOCK + b] - m1
        x2 = rows[2 * BLOCK + b] - m2
        x3 = rows[3 * BLOCK + b] - m3
        y0 = v0 * x0
        y1 = v1 * x0 + v2 * x1
        y2 = v3 * x0 + v4 * x1 + v5 * x2
        y3 = v6 * x0 + v7 * x1 + v8 * x2 + v9 * x3
        f0 = q * y0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * y0)
        f1 = q * y1
        h1 = add_free(h1, f1)
        g10 = add_free(g10, f1 * y0)
        g11 = add_free(g11, f1 * y1)
        f2 = q * y2
        h2 = add_free(h2, f2)
        g20 = add_free(g20, f2 * y0)
        g21 = add_free(g21, f2 * y1)
        g22 = add_free(g22, f2 * y2)
        f3 = q * y3
        h3 = add_free(h3, f3)
        g30 = add_free(g30, f3 * y0)
        g31 = add_free(g31, f3 * y1)
        g32 = add_free(g32, f3 * y2)
        g33 = add_free(g33, f3 * y3)
    zeroth[k] += a
    first[k, 0] += h0
    first[k, 1] += h1
    first[k, 2] += h2
    first[k, 3] += h3
    second[k, 0] += g00
    second[k, 1] += g10
    second[k, 2] += g11
    second[k, 3] += g20
    second[k, 4] += g21
    second[k, 5] += g22
    second[k, 6] += g30
    second[k, 7] += g31
    second[k, 8] += g32
    second[k, 9] += g33


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
    rows, terms = np.empty(4 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(16 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 4, BLOCK)
        
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
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    for b in range(BLOCK):
        t00 = v0 + rows[4 * BLOCK + b]
        t10 = v1
        t11 = v2 + rows[5 * BLOCK + b]
        t20 = v3
        t21 = v4
        t22 = v5 + rows[6 * BLOCK + b]
        t30 = v6
        t31 = v7
        t32 = v8
        t33 = v9 + rows[7 * BLOCK + b]
        r0 = 1.0 / t00
        l10 = t10 * r0
        l20 = t20 * r0
        l30 = t30 * r0
        t11 = t11 - l10 * t10
        t21 = t21 - l20 * t10
        t22 = t22 - l20 * t20
        t31 = t31 - l30 * t10
        t32 = t32 - l30 * t20
        t33 = t33 - l30 * t30
        r1 = 1.0 / t11
        l21 = t21 * r1
        l31 = t31 * r1
        t22 = t22 - l21 * t21
        t32 = t32 - l31 * t21
        t33 = t33 - l31 * t31
        r2 = 1.0 / t22
        l32 = t32 * r2
        t33 = t33 - l32 * t32
        r3 = 1.0 / t33
        y0 = rows[0 * BLOCK + b] - m0
        y1 = rows[1 * BLOCK + b] - m1
        y2 = rows[2 * BLOCK + b] - m2
        y3 = rows[3 * BLOCK + b] - m3
        y1 = y1 - l10 * y0
        y2 = y2 - l20 * y0
        y2 = y2 - l21 * y1
        y3 = y3 - l30 * y0
        y3 = y3 - l31 * y1
        y3 = y3 - l32 * y2
        rows[8 * BLOCK + b] = y0 * y0 * r0 + y1 * y1 * r1 + y2 * y2 * r2 + y3 * y3 * r3
        rows[9 * BLOCK + b] = r0 * r1 * r2 * r3
    for b in range(BLOCK):
        halves = logarithm(rows[9 * BLOCK + b]) - rows[8 * BLOCK + b]
        value = constant + 0.5 * halves
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_diagonal(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    a = 0.0
    h0 = 0.0
    h1 = 0.0
    h2 = 0.0
    h3 = 0.0
    g00 = 0.0
    g10 = 0.0
    g11 = 0.0
    g20 = 0.0
    g21 = 0.0
    g22 = 0.0
    g30 = 0.0
    g31 = 0.0
    g32 = 0.0
    g33 = 0.0
    for b in range(BLOCK):
        t00 = v0 + rows[4 * BLOCK + b]
        t10 = v1
        t11 = v2 + rows[5 * BLOCK + b]
        t20 = v3
        t21 = v4
        t22 = v5 + rows[6 * BLOCK + b]
        t30 = v6
        t31 = v7
        t32 = v8
        t33 = v9 + rows[7 * BLOCK + b]
        r0 = 1.0 / t00
        l10 = t10 * r0
        l20 = t20 * r0
        l30 = t30 * r0
        t11 = t11 - l10 * t10
        t21 = t21 - l20 * t10
        t22 = t22 - l20 * t20
        t31 = t31 - l30 * t10
        t32 = t32 - l30 * t20
        t33 = t33 - l30 * t30
        r1 = 1.0 / t11
        l21 = t21 * r1
        l31 = t31 * r1
        t22 = t22 - l21 * t21
        t32 = t32 - l31 * t21
        t33 = t33 - l31 * t31
        r2 = 1.0 / t22
        l32 = t32 * r2
        t33 = t33 - l32 * t32
        r3 = 1.0 / t33
        y0 = rows[0 * BLOCK + b] - m0
        y1 = rows[1 * BLOCK + b] - m1
        y2 = rows[2 * BLOCK + b] - m2
        y3 = rows[3 * BLOCK + b] - m3
        y1 = y1 - l10 * y0
        y2 = y2 - l20 * y0
        y2 = y2 - l21 * y1
        y3 = y3 - l30 * y0
        y3 = y3 - l31 * y1
        y3 = y3 - l32 * y2
        n10 = -(l10)
        n20 = -(l20 + l21 * n10)
        n30 = -(l30 + l31 * n10 + l32 * n20)
        n21 = -(l21)
        n31 = -(l31 + l32 * n21)
        n32 = -(l32)
        q = term[b] * weight[b]
        a = add_free(a, q)
        z0 = r0 * y0
        z1 = r1 * y1
        z2 = r2 * y2
        z3 = r3 * y3
        u0 = z0 + n10 * z1 + n20 * z2 + n30 * z3
        u1 = z1 + n21 * z2 + n31 * z3
        u2 = z2 + n32 * z3
        u3 = z3
        e0 = q * r0
        e1 = q * r1
        e2 = q * r2
        e3 = q * r3
        o10 = e1 * n10
        o20 = e2 * n20
        o21 = e2 * n21
        o30 = e3 * n30
        o31 = e3 * n31
        o32 = e3 * n32
        f0 = q * u0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * u0 - e0 - o10 * n10 - o20 * n20 - o30 * n30)
        f1 = q * u1
        h1 = add_free(h1, f1)
        g10 = add_free(g10, f1 * u0 - o10 - o21 * n20 - o31 * n30)
        g11 = add_free(g11, f1 * u1 - e1 - o21 * n21 - o31 * n31)
        f2 = q * u2
        h2 = add_free(h2, f2)
        g20 = add_free(g20, f2 * u0 - o20 - o32 * n30)
        g21 = add_free(g21, f2 * u1 - o21 - o32 * n31)
        g22 = add_free(g22, f2 * u2 - e2 - o32 * n32)
        f3 = q * u3
        h3 = add_free(h3, f3)
        g30 = add_free(g30, f3 * u0 - o30)
        g31 = add_free(g31, f3 * u1 - o31)
        g32 = add_free(g32, f3 * u2 - o32)
        g33 = add_free(g33, f3 * u3 - e3)
    zeroth[k] += a
    first[k, 0] += h0
    first[k, 1] += h1
    first[k, 2] += h2
    first[k, 3] += h3
    second[k, 0] += g00
    second[k, 1] += g10
    second[k, 2] += g11
    second[k, 3] += g20
    second[k, 4] += g21
    second[k, 5] += g22
    second[k, 6] += g30
    second[k, 7] += g31
    second[k, 8] += g32
    second[k, 9] += g33


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
    rows, terms = np.empty(10 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(16 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 4, BLOCK)
        load_rows(noise, start, rows, 4, 4, BLOCK)
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
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    for b in range(BLOCK):
        t00 = v0 + rows[4 * BLOCK + b]
        t10 = v1 + rows[5 * BLOCK + b]
        t11 = v2 + rows[6 * BLOCK + b]
        t20 = v3 + rows[7 * BLOCK + b]
        t21 = v4 + rows[8 * BLOCK + b]
        t22 = v5 + rows[9 * BLOCK + b]
        t30 = v6 + rows[10 * BLOCK + b]
        t31 = v7 + rows[11 * BLOCK + b]
        t32 = v8 + rows[12 * BLOCK + b]
        t33 = v9 + rows[13 * BLOCK + b]
        r0 = 1.0 / t00
        l10 = t10 * r0
        l20 = t20 * r0
        l30 = t30 * r0
        t11 = t11 - l10 * t10
        t21 = t21 - l20 * t10
        t22 = t22 - l20 * t20
        t31 = t31 - l30 * t10
        t32 = t32 - l30 * t20
        t33 = t33 - l30 * t30
        r1 = 1.0 / t11
        l21 = t21 * r1
        l31 = t31 * r1
        t22 = t22 - l21 * t21
        t32 = t32 - l31 * t21
        t33 = t33 - l31 * t31
        r2 = 1.0 / t22
        l32 = t32 * r2
        t33 = t33 - l32 * t32
        r3 = 1.0 / t33
        y0 = rows[0 * BLOCK + b] - m0
        y1 = rows[1 * BLOCK + b] - m1
        y2 = rows[2 * BLOCK + b] - m2
        y3 = rows[3 * BLOCK + b] - m3
        y1 = y1 - l10 * y0
        y2 = y2 - l20 * y0
        y2 = y2 - l21 * y1
        y3 = y3 - l30 * y0
        y3 = y3 - l31 * y1
        y3 = y3 - l32 * y2
        rows[14 * BLOCK + b] = y0 * y0 * r0 + y1 * y1 * r1 + y2 * y2 * r2 + y3 * y3 * r3
        rows[15 * BLOCK + b] = r0 * r1 * r2 * r3
    for b in range(BLOCK):
        halves = logarithm(rows[15 * BLOCK + b]) - rows[14 * BLOCK + b]
        value = constant + 0.5 * halves
        term[b] = value
        top[b] = max(top[b], value)


@compile_rows
def _moments_full(k, rows, term, weight, means, shapes, zeroth, first, second):  # type: ignore[no-untyped-def]
    m0 = means[k, 0]
    m1 = means[k, 1]
    m2 = means[k, 2]
    m3 = means[k, 3]
    v0 = shapes[k, 0]
    v1 = shapes[k, 1]
    v2 = shapes[k, 2]
    v3 = shapes[k, 3]
    v4 = shapes[k, 4]
    v5 = shapes[k, 5]
    v6 = shapes[k, 6]
    v7 = shapes[k, 7]
    v8 = shapes[k, 8]
    v9 = shapes[k, 9]
    a = 0.0
    h0 = 0.0
    h1 = 0.0
    h2 = 0.0
    h3 = 0.0
    g00 = 0.0
    g10 = 0.0
    g11 = 0.0
    g20 = 0.0
    g21 = 0.0
    g22 = 0.0
    g30 = 0.0
    g31 = 0.0
    g32 = 0.0
    g33 = 0.0
    for b in range(BLOCK):
        t00 = v0 + rows[4 * BLOCK + b]
        t10 = v1 + rows[5 * BLOCK + b]
        t11 = v2 + rows[6 * BLOCK + b]
        t20 = v3 + rows[7 * BLOCK + b]
        t21 = v4 + rows[8 * BLOCK + b]
        t22 = v5 + rows[9 * BLOCK + b]
        t30 = v6 + rows[10 * BLOCK + b]
        t31 = v7 + rows[11 * BLOCK + b]
        t32 = v8 + rows[12 * BLOCK + b]
        t33 = v9 + rows[13 * BLOCK + b]
        r0 = 1.0 / t00
        l10 = t10 * r0
        l20 = t20 * r0
        l30 = t30 * r0
        t11 = t11 - l10 * t10
        t21 = t21 - l20 * t10
        t22 = t22 - l20 * t20
        t31 = t31 - l30 * t10
        t32 = t32 - l30 * t20
        t33 = t33 - l30 * t30
        r1 = 1.0 / t11
        l21 = t21 * r1
        l31 = t31 * r1
        t22 = t22 - l21 * t21
        t32 = t32 - l31 * t21
        t33 = t33 - l31 * t31
        r2 = 1.0 / t22
        l32 = t32 * r2
        t33 = t33 - l32 * t32
        r3 = 1.0 / t33
        y0 = rows[0 * BLOCK + b] - m0
        y1 = rows[1 * BLOCK + b] - m1
        y2 = rows[2 * BLOCK + b] - m2
        y3 = rows[3 * BLOCK + b] - m3
        y1 = y1 - l10 * y0
        y2 = y2 - l20 * y0
        y2 = y2 - l21 * y1
        y3 = y3 - l30 * y0
        y3 = y3 - l31 * y1
        y3 = y3 - l32 * y2
        n10 = -(l10)
        n20 = -(l20 + l21 * n10)
        n30 = -(l30 + l31 * n10 + l32 * n20)
        n21 = -(l21)
        n31 = -(l31 + l32 * n21)
        n32 = -(l32)
        q = term[b] * weight[b]
        a = add_free(a, q)
        z0 = r0 * y0
        z1 = r1 * y1
        z2 = r2 * y2
        z3 = r3 * y3
        u0 = z0 + n10 * z1 + n20 * z2 + n30 * z3
        u1 = z1 + n21 * z2 + n31 * z3
        u2 = z2 + n32 * z3
        u3 = z3
        e0 = q * r0
        e1 = q * r1
        e2 = q * r2
        e3 = q * r3
        o10 = e1 * n10
        o20 = e2 * n20
        o21 = e2 * n21
        o30 = e3 * n30
        o31 = e3 * n31
        o32 = e3 * n32
        f0 = q * u0
        h0 = add_free(h0, f0)
        g00 = add_free(g00, f0 * u0 - e0 - o10 * n10 - o20 * n20 - o30 * n30)
        f1 = q * u1
        h1 = add_free(h1, f1)
        g10 = add_free(g10, f1 * u0 - o10 - o21 * n20 - o31 * n30)
        g11 = add_free(g11, f1 * u1 - e1 - o21 * n21 - o31 * n31)
        f2 = q * u2
        h2 = add_free(h2, f2)
        g20 = add_free(g20, f2 * u0 - o20 - o32 * n30)
        g21 = add_free(g21, f2 * u1 - o21 - o32 * n31)
        g22 = add_free(g22, f2 * u2 - e2 - o32 * n32)
        f3 = q * u3
        h3 = add_free(h3, f3)
        g30 = add_free(g30, f3 * u0 - o30)
        g31 = add_free(g31, f3 * u1 - o31)
        g32 = add_free(g32, f3 * u2 - o32)
        g33 = add_free(g33, f3 * u3 - e3)
    zeroth[k] += a
    first[k, 0] += h0
    first[k, 1] += h1
    first[k, 2] += h2
    first[k, 3] += h3
    second[k, 0] += g00
    second[k, 1] += g10
    second[k, 2] += g11
    second[k, 3] += g20
    second[k, 4] += g21
    second[k, 5] += g22
    second[k, 6] += g30
    second[k, 7] += g31
    second[k, 8] += g32
    second[k, 9] += g33


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
    rows, terms = np.empty(16 * BLOCK), np.empty((n_components, BLOCK))
    extras, slots = np.empty((n_extra, BLOCK)), np.empty(n_components, np.intp)
    weight, top, total = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    kept, upper = np.empty((n_levels + 1, n_components), np.intp), np.full(n_components, math.inf)
    counts, lost, lower = np.zeros(n_levels + 1, np.intp), np.zeros(n_levels + 1), np.empty(n_components)
    tile, futile = np.empty(16 * TILE), False
    kept[n_levels] = np.arange(n_components)
    counts[n_levels] = n_components
    for block in range((len(values) + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        load_rows(values, start, rows, 0, 4, BLOCK)
        load_rows(noise, start, rows, 4, 10, BLOCK)
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
