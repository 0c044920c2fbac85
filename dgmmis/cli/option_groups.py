"""Options that verbs take together: one record each, which a verb names instead of all of its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Any, TypeGuard, get_type_hints

from dgmmis.cli.options import (
    Background,
    BeforeNoise,
    Carried,
    Cluster,
    Components,
    CovarianceType,
    Floor,
    Footprint,
    Initial,
    InsecureCluster,
    Keep,
    MaxPasses,
    MemoryLimit,
    Method,
    PriorName,
    Pruning,
    Seed,
    Selection,
    SplitMerge,
    Threads,
    TlsCa,
    TlsCert,
    TlsKey,
    Tolerance,
    Trust,
    Workers,
)

__all__ = ["FitOptions", "MachineOptions", "ObservationOptions", "SightOptions", "TlsOptions", "grouped"]


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """What computes."""

    cluster: Cluster = None
    workers: Workers = None
    threads: Threads = 1
    memory_limit: MemoryLimit = "auto"


@dataclass(frozen=True, kw_only=True)
class TlsOptions:
    """How a cluster that is there already is reached."""

    tls_ca: TlsCa = None
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    insecure_cluster: InsecureCluster = False


@dataclass(frozen=True, kw_only=True)
class SightOptions:
    """Which rows were kept, and what lies behind the mixture."""

    selection: Selection = None
    keep: Keep = None
    before_noise: BeforeNoise = False
    background: Background = None
    footprint: Footprint = None


@dataclass(frozen=True, kw_only=True)
class ObservationOptions(SightOptions):
    """The same, and what is asked of the components."""

    floor: Floor = None
    covariance_type: CovarianceType = "full"
    prior: PriorName = "auto"


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What is fitted, from where and how far."""

    n_components: Components
    tolerance: Tolerance = 0.1
    max_passes: MaxPasses = 1000
    method: Method = "auto"
    seed: Seed = 0
    carried: Carried = 1
    initial: Initial = None
    pruning: Pruning = 1e-15
    split_merge: SplitMerge = 0
    trust: Trust = None


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Let a verb take records of options: on the command line each of their fields is an option of its own."""
    taken = inspect.signature(verb, eval_str=True).parameters
    groups: dict[str, type[Any]] = {
        name: each.annotation for name, each in taken.items() if _is_group(each.annotation)
    }
    options: list[inspect.Parameter] = []
    for name, each in taken.items():
        options += _options_of(groups[name]) if name in groups else [each.replace(kind=each.KEYWORD_ONLY)]

    @wraps(verb)
    def flat(**given: Any) -> None:
        records = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        verb(**given, **records)

    flat.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    flat.__annotations__ = {each.name: each.annotation for each in options}
    return flat


def _is_group(annotation: object) -> TypeGuard[type[Any]]:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=types[field.name],
        )
        for field in fields(group)
    ]
