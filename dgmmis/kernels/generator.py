"""Writes the straight-line kernels: `python -m dgmmis.kernels.generator` makes straight_1.py to straight_8.py.

Every loop over features is written out for its number d, so that the compiler keeps a row's matrix in registers
and works on a vector of rows at once; what is left are loops over the rows of a block.  `generic` holds the same
algebra with the loops, for any d; the notation is explained there.  Texts below in braces are filled in by `_fill`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dgmmis.kernels import LARGEST
from dgmmis.kernels.templates import BOUNDED, HEAD, KIND

__all__ = ["file_name", "source", "write"]

WIDE = 4
"""Features up to which a block has 128 rows instead of 64: its scratch stays in the first-level cache."""

NOISE_BOUNDS = " noise_low, noise_high,"

Lines = list[str]


def file_name(d: int) -> str:
    """Name of the module for d features."""
    return f"straight_{d}.py"


def source(d: int) -> str:
    """Text of the module for d features."""
    bounded = [_bounded("fixed", "", _fixed_bounds(d)), _bounded("noisy", NOISE_BOUNDS, _noisy_bounds(d))]
    kinds = [_kind(kind, d) for kind in ("fixed", "diagonal", "full")]
    return HEAD.format(d=d, block=128 if d <= WIDE else 64) + "".join(bounded + kinds)


def write(folder: Path) -> None:
    """Write all modules."""
    for d in range(1, LARGEST + 1):
        (folder / file_name(d)).write_text(source(d))


def _bounded(bounded: str, noise_bounds: str, bounds: Lines) -> str:
    """Text of what bounds components: rows that each have their own noise share it, whatever its form."""
    return BOUNDED.format(bounded=bounded, noise_bounds=noise_bounds, bounds="\n".join(bounds))


def _kind(kind: str, d: int) -> str:
    fixed = kind == "fixed"
    n_noise = {"fixed": 0, "diagonal": d, "full": _at(d, 0)}[kind]
    load = "" if fixed else f"load_rows(noise, start, rows, {d}, {n_noise}, BLOCK)"
    fill = {
        "kind": kind,
        "d": d,
        "noise": "" if fixed else " noise,",
        "bounded": "fixed" if fixed else "noisy",
        "noise_bounds": "" if fixed else NOISE_BOUNDS,
        "noise_nodes": "" if fixed else " noise_low[node], noise_high[node],",
        "load_noise": load,
        "proposal": " proposal," if fixed else "",
        "weigh": "weigh_points(proposal, start, top, total, weight)" if fixed else "share_out(total, weight)",
        "rows": d + n_noise + (0 if fixed else 2),
        "tile_rows": d + _at(d, 0) + 2,
        "densities": "\n".join(_fixed_densities(d) if fixed else _noisy_densities(d, kind)),
        "moments": "\n".join(_fixed_moments(d) if fixed else _noisy_moments(d, kind)),
    }
    return KIND.format(**fill)


def _at(i: int, j: int) -> int:
    """Position of entry (i, j <= i) of a packed symmetric matrix."""
    return i * (i + 1) // 2 + j


def _pairs(d: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(d) for j in range(i + 1)]


def _indented(lines: Iterable[str], depth: int) -> Lines:
    return [" " * 4 * depth + line for line in lines]


def _constants(d: int, matrix: str) -> Lines:
    return [
        *(f"m{i} = means[k, {i}]" for i in range(d)),
        *(f"v{_at(i, j)} = {matrix}[k, {_at(i, j)}]" for i, j in _pairs(d)),
    ]


def _decomposed(d: int, total: dict[tuple[int, int], str]) -> Lines:
    """T = L R^-1 L^T: lij of L, ri of R; T's entries are given as texts."""
    lines = [f"t{i}{j} = {total[i, j]}" for i, j in _pairs(d)]
    for j in range(d):
        lines.append(f"r{j} = 1.0 / t{j}{j}")
        lines += [f"l{i}{j} = t{i}{j} * r{j}" for i in range(j + 1, d)]
        lines += [
            f"t{i}{c} = t{i}{c} - l{i}{j} * t{c}{j}" for i in range(j + 1, d) for c in range(j + 1, i + 1)
        ]
    return lines


def _forward(d: int) -> Lines:
    """L y = x - m, for x - m in y."""
    return [f"y{i} = y{i} - l{i}{j} * y{j}" for i in range(d) for j in range(i)]


def _inverse_lower(d: int) -> Lines:
    """M = L^-1, strictly below the diagonal."""
    lines = []
    for j in range(d):
        for i in range(j + 1, d):
            inner = "".join(f" + l{i}{c} * n{c}{j}" for c in range(j + 1, i))
            lines.append(f"n{i}{j} = -(l{i}{j}{inner})")
    return lines


def _product(factors: Iterable[str]) -> str:
    return " * ".join(factors)


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms)


def _total_of_rows(d: int, kind: str) -> dict[tuple[int, int], str]:
    """V + S of a row, S in the rows of scratch behind the values."""
    total = {}
    for i, j in _pairs(d):
        row = d + (_at(i, j) if kind == "full" else i)
        stored = kind == "full" or i == j
        total[i, j] = f"v{_at(i, j)}" + (f" + rows[{row} * BLOCK + b]" if stored else "")
    return total


def _residuals(d: int, name: str = "y") -> Lines:
    return [f"{name}{i} = rows[{i} * BLOCK + b] - m{i}" for i in range(d)]


def _noisy_densities(d: int, kind: str) -> Lines:
    """Two loops: one decomposes, the other takes the logarithm, whose long chain would hold the first one up."""
    distance = d + (_at(d, 0) if kind == "full" else d)
    body = [
        *_decomposed(d, _total_of_rows(d, kind)),
        *_residuals(d),
        *_forward(d),
        f"rows[{distance} * BLOCK + b] = {_sum(f'y{i} * y{i} * r{i}' for i in range(d))}",
        f"rows[{distance + 1} * BLOCK + b] = {_product(f'r{i}' for i in range(d))}",
    ]
    return [
        *_indented(_constants(d, "shapes"), 1),
        "    for b in range(BLOCK):",
        *_indented(body, 2),
        "    for b in range(BLOCK):",
        f"        halves = logarithm(rows[{distance + 1} * BLOCK + b]) - rows[{distance} * BLOCK + b]",
        "        value = constant + 0.5 * halves",
        "        term[b] = value",
        "        top[b] = max(top[b], value)",
    ]


def _whitened(d: int) -> Lines:
    """y = W (x - m)."""
    return [
        *_residuals(d, "x"),
        *(f"y{i} = {_sum(f'v{_at(i, j)} * x{j}' for j in range(i + 1))}" for i in range(d)),
    ]


def _fixed_densities(d: int) -> Lines:
    body = [
        *_whitened(d),
        f"value = constant - 0.5 * ({_sum(f'y{i} * y{i}' for i in range(d))})",
        "term[b] = value",
        "top[b] = max(top[b], value)",
    ]
    return [
        *_indented(_constants(d, "shapes"), 1),
        "    for b in range(BLOCK):",
        *_indented(body, 2),
    ]


def _accumulated(d: int, constants: Lines, body: Lines) -> Lines:
    """Write sums a, hi, gij over the rows of a block, in registers, added to the accumulators at the end."""
    sums = ["a", *(f"h{i}" for i in range(d)), *(f"g{i}{j}" for i, j in _pairs(d))]
    return [
        *_indented(constants, 1),
        *_indented((f"{name} = 0.0" for name in sums), 1),
        "    for b in range(BLOCK):",
        *_indented(body, 2),
        "    zeroth[k] += a",
        *(f"    first[k, {i}] += h{i}" for i in range(d)),
        *(f"    second[k, {_at(i, j)}] += g{i}{j}" for i, j in _pairs(d)),
    ]


def _fixed_moments(d: int) -> Lines:
    """Write sums of q, q y and q y y^T with y = W (x - m): moments of x - m would lose digits of thin components."""
    body = ["q = term[b] * weight[b]", "a = add_free(a, q)", *_whitened(d)]
    for i in range(d):
        body += [f"f{i} = q * y{i}", f"h{i} = add_free(h{i}, f{i})"]
        body += [f"g{i}{j} = add_free(g{i}{j}, f{i} * y{j})" for j in range(i + 1)]
    return _accumulated(d, _constants(d, "shapes"), body)


def _noisy_moments(d: int, kind: str) -> Lines:
    """Write sums of q, q u and q (u u^T - T^-1), T^-1 = M^T R M, with q folded into R."""
    body = [
        *_decomposed(d, _total_of_rows(d, kind)),
        *_residuals(d),
        *_forward(d),
        *_inverse_lower(d),
        "q = term[b] * weight[b]",
        "a = add_free(a, q)",
        *(f"z{i} = r{i} * y{i}" for i in range(d)),
        *(f"u{j} = {_sum([f'z{j}', *(f'n{i}{j} * z{i}' for i in range(j + 1, d))])}" for j in range(d)),
        *(f"e{i} = q * r{i}" for i in range(d)),
        *(f"o{i}{j} = e{i} * n{i}{j}" for i, j in _pairs(d) if i > j),
    ]
    for i in range(d):
        body += [f"f{i} = q * u{i}", f"h{i} = add_free(h{i}, f{i})"]
        for j in range(i + 1):
            own = f"e{i}" if i == j else f"o{i}{j}"
            below = "".join(f" - o{c}{i} * n{c}{j}" for c in range(i + 1, d))
            body.append(f"g{i}{j} = add_free(g{i}{j}, f{i} * u{j} - {own}{below})")
    return _accumulated(d, _constants(d, "shapes"), body)


def _spreads(d: int, matrix: dict[tuple[int, int], str]) -> Lines:
    """Reach s of each coordinate over a box of half-widths w: |lower triangle| w."""
    return [f"s{i} = {_sum(f'abs({matrix[i, j]}) * w{j}' for j in range(i + 1))}" for i in range(d)]


def _fixed_bounds(d: int) -> Lines:
    means, shapes = _tiled(d)
    body = [f"x{i} = c{i} - {means[i]}" for i in range(d)]
    body += [f"y{i} = abs({_sum(f'{shapes[i, j]} * x{j}' for j in range(i + 1))})" for i in range(d)]
    body += _spreads(d, shapes)
    body += [f"p{i} = max(y{i} - s{i}, 0.0)" for i in range(d)]
    body += [f"z{i} = y{i} + s{i}" for i in range(d)]
    return _bound_loops(
        d, [], body, _sum(f"p{i} * p{i}" for i in range(d)), _sum(f"z{i} * z{i}" for i in range(d))
    )


def _noisy_bounds(d: int) -> Lines:
    """Density between those under V + S_low and V + S_high, whichever of distance and volume each makes extreme."""
    body = _reach(d, "noise_high", "max(y{0} - s{0}, 0.0)", "near", "small")
    body += _reach(d, "noise_low", "y{0} + s{0}", "far", "large")
    noise_box = [f"o{i}, q{i} = noise_low[{i}], noise_high[{i}]" for i in range(d)]
    return _bound_loops(d, noise_box, body, "near - logarithm(large)", "far - logarithm(small)")


def _bound_loops(d: int, noise_box: Lines, body: Lines, near: str, far: str) -> Lines:
    """Tiles of components: gathered, so that the arithmetic between is one loop over neighbours in memory."""
    columns = d + _at(d, 0)
    gathered = [f"tile[{i} * TILE + t] = means[k, {i}]" for i in range(d)]
    gathered += [f"tile[{d + c} * TILE + t] = shapes[k, {c}]" for c in range(_at(d, 0))]
    results = [f"tile[{columns} * TILE + t] = {near}", f"tile[{columns + 1} * TILE + t] = {far}"]
    constant = "constants[listed[first + t]] - 0.5 * tile[{0} * TILE + t]"
    return [
        *_indented(_box(d), 1),
        *_indented(noise_box, 1),
        "    for first in range(0, n, TILE):",
        "        for t in range(TILE):",
        "            k = listed[min(first + t, n - 1)]",
        *_indented(gathered, 3),
        "        for t in range(TILE):",
        *_indented([*body, *results], 3),
        "        for t in range(min(TILE, n - first)):",
        f"            upper[first + t] = {constant.format(columns)}",
        f"            lower[first + t] = {constant.format(columns + 1)}",
    ]


def _tiled(d: int) -> tuple[Lines, dict[tuple[int, int], str]]:
    """Where a tile holds a component's mean and shape."""
    means = [f"tile[{i} * TILE + t]" for i in range(d)]
    return means, {(i, j): f"tile[{d + _at(i, j)} * TILE + t]" for i, j in _pairs(d)}


def _box(d: int) -> Lines:
    """Centre and half-widths; the centre may be rounded to a corner, and the box must still hold both."""
    return [
        *(f"c{i} = 0.5 * (low[{i}] + high[{i}])" for i in range(d)),
        *(f"w{i} = max(high[{i}] - c{i}, c{i} - low[{i}])" for i in range(d)),
    ]


def _reach(d: int, noise: str, extreme: str, distance: str, determinant: str) -> Lines:
    means, shapes = _tiled(d)
    level = "q" if noise == "noise_high" else "o"
    total = {(i, j): shapes[i, j] + (f" + {level}{i}" if i == j else "") for i, j in _pairs(d)}
    matrix = {(i, j): "1.0" if i == j else f"n{i}{j}" for i, j in _pairs(d)}
    return [
        *_decomposed(d, total),
        *(f"y{i} = c{i} - {means[i]}" for i in range(d)),
        *_forward(d),
        *_inverse_lower(d),
        *(f"y{i} = abs(y{i})" for i in range(d)),
        *_spreads(d, matrix),
        *(f"p{i} = {extreme.format(i)}" for i in range(d)),
        f"{distance} = {_sum(f'p{i} * p{i} * r{i}' for i in range(d))}",
        f"{determinant} = {_product(f'r{i}' for i in range(d))}",
    ]


if __name__ == "__main__":
    write(Path(__file__).parent)
