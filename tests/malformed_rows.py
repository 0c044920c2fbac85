"""Rows that nobody should give: hypothesis strategies of calls of `dgmmis.fit` with tampered arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import dgmmis
from malformed import Attempt
from strategies import random_covariances, random_mixture

ODD = (np.nan, np.inf, -np.inf, 1e300, -1e300, 1e160, 5e-324, 1e-310, 0.0, -0.0, 1e18)
BAD_VARIANCES = (np.nan, np.inf, -np.inf, -1.0, -1e-12, -1e300, 1e300, 1e30, 5e-324, 0.0)
BAD_WEIGHTS = (np.nan, np.inf, -np.inf, -1.0, -5e-324, 1e300, 5e-324, 0.0)
WRONG_TYPES: tuple[Callable[[np.ndarray], Any], ...] = (
    lambda a: a.astype(object),
    lambda a: np.full(a.shape, "text", dtype=object),
    lambda a: np.full(a.shape, None, dtype=object),
    lambda a: np.full(a.shape, "1.5"),
    lambda a: a.astype(complex),
    lambda a: a > 0,
    lambda a: np.zeros(a.shape, dtype=[("a", float), ("b", float)]),
    lambda a: np.ma.masked_greater(a, 0.5),
    lambda a: np.ma.masked_array(a, mask=True),
    lambda a: np.full(a.shape, np.datetime64("2020-01-01")),
    lambda a: np.full(a.shape, np.timedelta64(1, "s")),
    lambda a: np.full(a.shape, b"1"),
    lambda a: np.array(a.tolist(), dtype=np.float16),
    lambda a: np.array(np.nan_to_num(a) * 9, dtype=np.int8),
    lambda a: np.array(np.nan_to_num(a), dtype=">f4"),
    lambda a: np.array(np.nan_to_num(a), dtype=np.longdouble) * np.longdouble("1e4000"),
    lambda a: a.tolist(),
    lambda a: [*a.tolist(), [1.0]],
    lambda a: {"a": 1},
    lambda a: "a text",
    lambda a: iter(a),
    lambda a: None,
    lambda a: [[object()] * 2] * 3,
)
WRONG_SHAPES: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda a: a[0],
    lambda a: a[:0],
    lambda a: a[:1],
    lambda a: a[..., :0],
    lambda a: a[:, None],
    lambda a: a.T,
    lambda a: a[:-1],
    lambda a: np.concatenate((a, a)),
    lambda a: a.ravel(),
    lambda a: np.array(1.0),
    lambda a: np.empty((0, 0)),
    lambda a: np.broadcast_to(a, (2, *a.shape)),
    lambda a: a[::-1],
    lambda a: np.asfortranarray(a),
    lambda a: a[..., :1],
    lambda a: a.reshape(-1, 1),
)


@dataclass
class Case:
    """Arguments of a fit under construction."""

    rng: np.random.Generator
    arguments: dict[str, Any]
    names: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def values(self) -> Any:
        """The rows as they are by now."""
        return self.arguments["values"]


def plain_case(seed: int, n: int, d: int, k: int, kind: str) -> Case:
    """A fit that nothing is wrong with: a start is given, so that it takes milliseconds."""
    rng = np.random.default_rng(seed)
    mixture = random_mixture(rng, k, d)
    values = mixture.draw(n, rng)
    noise = {
        "none": None,
        "shared": random_covariances(rng, 1, d)[0],
        "diagonal": rng.uniform(0.1, 1, (n, d)),
        "full": random_covariances(rng, n, d),
    }[kind]
    arguments = {
        "values": values,
        "n_components": k,
        "noise": noise,
        "initial": mixture,
        "max_passes": 3,
        "method": ("em", "auto")[int(rng.integers(2))],
    }
    return Case(rng, arguments)


Fault = Callable[[Case, Any], None]


def odd_values(case: Case, draw: Any) -> None:
    """Odd numbers at some places of the values."""
    values = _numbers(case.values)
    if values.ndim != 2 or not values.size:
        return
    for _ in range(draw(st.integers(1, 3))):
        i, j = (int(case.rng.integers(size)) for size in values.shape)
        values[i, j] = draw(st.sampled_from(ODD) | st.floats(width=64))
        case.rows.append(i)
    _put(case, "values", values)


def odd_columns(case: Case, draw: Any) -> None:
    """Whole columns that tell nothing, too little or too much."""
    values = _numbers(case.values)
    if values.ndim != 2 or not values.size:
        return
    j = int(case.rng.integers(values.shape[1]))
    column = {
        "missing": lambda: np.nan,
        "constant": lambda: 3.0,
        "zero": lambda: 0.0,
        "copied": lambda: values[:, 0] * 2,
        "almost copied": lambda: values[:, 0] * (1 + 1e-15),
        "huge offset": lambda: values[:, j] + 1e15,
        "huge scale": lambda: values[:, j] * 1e150,
        "tiny scale": lambda: values[:, j] * 1e-160,
        "subnormal": lambda: values[:, j] * 1e-310,
        "two values": lambda: np.arange(len(values)) % 2,
    }
    values[:, j] = column[draw(st.sampled_from(sorted(column)))]()
    case.names += [f"feature {j}", "component", "values"]
    case.rows += range(len(values))
    _put(case, "values", values)


def odd_rows(case: Case, draw: Any) -> None:
    """Rows that repeat, that say nothing, or are too few."""
    values = _numbers(case.values)
    if values.ndim != 2 or not len(values):
        return
    kind = draw(
        st.sampled_from(("all the same", "one", "two", "all missing", "fewer than components", "far"))
    )
    if kind == "all the same":
        values[:] = values[0]
    elif kind == "all missing":
        values[:] = np.nan
    elif kind == "far":
        values = values + draw(st.sampled_from((1e8, 1e30, 1e154, 1e200)))
    else:
        n = {"one": 1, "two": 2}.get(kind, max(1, case.arguments["n_components"] - 1))
        values = values[:n]
        noise = _numbers(case.arguments["noise"])
        if noise.ndim and len(noise) > n:
            case.arguments["noise"] = noise[:n]
    case.names += ["component", "noise", "rows"]
    case.rows += range(len(values))
    _put(case, "values", values)


def odd_noise(case: Case, draw: Any) -> None:
    """Odd numbers in the noise."""
    noise = _numbers(case.arguments["noise"])
    if noise.ndim < 2 or not noise.size:
        noise = np.ones((max(1, _shape(case)[0]), max(1, _shape(case)[-1])))
    number = draw(st.sampled_from(BAD_VARIANCES) | st.floats(width=64))
    where = draw(
        st.sampled_from(("one entry", "one row", "everything", "asymmetric", "correlation beyond 1"))
    )
    index = tuple(int(case.rng.integers(size)) for size in noise.shape)
    case.rows += [index[0]] if noise.ndim == 3 or len(noise) == _shape(case)[0] else []
    if where == "one entry":
        noise[index] = number
    elif where == "one row":
        noise[index[0]] = number
    elif where == "everything":
        noise[:] = number
        case.rows += range(len(noise))
    else:
        amount = 1e3 if where == "correlation beyond 1" else 0.5
        noise[(*index[:-2], 0, noise.shape[-1] - 1)] += amount
        if where == "correlation beyond 1":
            noise[(*index[:-2], noise.shape[-2] - 1, 0)] += amount
    case.names += ["component"]
    _put(case, "noise", noise)


def odd_weights(case: Case, draw: Any) -> None:
    """Odd numbers in the weights."""
    weights = case.rng.uniform(0.5, 2, size=_shape(case)[0])
    number = draw(st.sampled_from(BAD_WEIGHTS) | st.floats(width=64))
    if draw(st.booleans()) or not len(weights):
        weights[:] = number
        case.rows += range(len(weights))
    else:
        i = int(case.rng.integers(len(weights)))
        weights[i] = number
        case.rows.append(i)
    case.names += ["component"]
    _put(case, "weights", weights)


def wrong_type(case: Case, draw: Any) -> None:
    """An array of another type."""
    name = _some_array(case, draw)
    index = draw(st.integers(0, len(WRONG_TYPES) - 1))
    case.notes.append(f"type {index}")
    case.names += ["row", "component", "rows"]
    _put(case, name, WRONG_TYPES[index](_numbers(case.arguments[name])))
    case.rows += range(200)


def wrong_shape(case: Case, draw: Any) -> None:
    """An array of another shape."""
    name = _some_array(case, draw)
    index = draw(st.integers(0, len(WRONG_SHAPES) - 1))
    case.notes.append(f"shape {index}")
    array = _numbers(case.arguments[name])
    try:
        changed = WRONG_SHAPES[index](array)
    except (IndexError, ValueError):
        changed = np.array([])
    case.names += ["component", "rows", "projection", "covariates", "initial", "noise", "feature"]
    case.rows += range(200)
    _put(case, name, changed)


def odd_projection(case: Case, draw: Any) -> None:
    """A projection that is none."""
    n, d = _shape(case)[0], _shape(case)[-1]
    shape = draw(
        st.sampled_from(((d, d), (n, d, d), (d, d + 1), (d + 1, d), (d,), (), (n, d), (d, 0), (0, d)))
    )
    projection = case.rng.normal(size=shape)
    if projection.size:
        number = draw(st.sampled_from((*ODD, None)) | st.floats(width=64))
        if number is not None:
            projection.flat[int(case.rng.integers(projection.size))] = number
    if draw(st.booleans()):
        projection = np.zeros(shape)
    case.names += ["component", "initial", "row"]
    _put(case, "projection", projection)


def odd_names(case: Case, draw: Any) -> None:
    """Names and units that fit nothing."""
    d = _shape(case)[-1]
    name = draw(st.sampled_from(("features", "units")))
    given = draw(
        st.sampled_from(
            ((), ("a",) * d, ("a",), "ab", 3, None, (1, 2), [None] * d, {"a": 1}, (b"x",) * d, ("",) * d)
        )
        | st.lists(st.text(max_size=3), min_size=d, max_size=d)
    )
    case.names += ["feature", "name"]
    _put(case, name, given)


FAULTS: dict[str, Fault] = {
    function.__name__: function
    for function in (
        odd_values, odd_columns, odd_rows, odd_noise, odd_weights, wrong_type, wrong_shape, odd_projection, odd_names,
    )
}  # fmt: skip


@st.composite
def malformed_rows(draw: Any, faults: tuple[str, ...] = tuple(FAULTS)) -> Attempt:
    """Calls of `dgmmis.fit` whose rows have one or two things wrong with them."""
    case = plain_case(
        draw(st.integers(0, 2**32 - 1)),
        n=draw(st.sampled_from((1, 2, 5, 12, 40))),
        d=draw(st.integers(1, 3)),
        k=draw(st.integers(1, 3)),
        kind=draw(st.sampled_from(("none", "shared", "diagonal", "full"))),
    )
    chosen = draw(st.lists(st.sampled_from(faults), min_size=1, max_size=2))
    for fault in chosen:
        FAULTS[fault](case, draw)
    if draw(st.integers(0, 19)) == 0:
        del case.arguments["initial"]
    if draw(st.integers(0, 3)) == 0:
        case.arguments["floor"] = 0.1
    arguments = case.arguments
    return Attempt(
        lambda: dgmmis.fit(**arguments),
        (*case.names, "values", "noise", "weights", "initial", "rows", "catalogue"),
        tuple(case.rows),
        what=f"{chosen} {case.notes} {_shown(arguments)}",
    )


def _some_array(case: Case, draw: Any) -> str:
    name: str = draw(st.sampled_from(("values", "noise", "weights")))
    if case.arguments.get(name) is None:
        n, d = _shape(case)[0], _shape(case)[-1]
        case.arguments[name] = np.ones((n, d)) if name == "noise" else np.ones(n)
    return name


def _numbers(given: Any) -> np.ndarray:
    """An array to tamper with; a plain one where another fault left none."""
    try:
        return np.array(given, dtype=float)
    except (TypeError, ValueError):
        return np.arange(6.0).reshape(3, 2)


def _shape(case: Case) -> tuple[int, ...]:
    return _numbers(case.values).shape or (1,)


def _put(case: Case, name: str, given: object) -> None:
    case.arguments[name] = given
    case.names.append(name)


def _shown(arguments: dict[str, Any]) -> str:
    shown = {name: given for name, given in arguments.items() if name != "initial"}
    return repr(shown)[:1500]
