"""plan."""

from __future__ import annotations

import typer

from dgmmis.cli.fit_verbs import (
    AsJson,
    Background,
    BeforeNoise,
    Catalog,
    Cluster,
    Components,
    Footprint,
    Initial,
    InsecureCluster,
    Keep,
    MemoryLimit,
    Selection,
    Threads,
    TlsCa,
    TlsCert,
    TlsKey,
    Trust,
    Workers,
    using_cluster,
)
from dgmmis.cli.function_paths import trusted_functions
from dgmmis.cli.plan_text import plan_summary, print_plan
from dgmmis.cli.printing import print_json

__all__ = ["plan_verb"]


def plan_verb(
    catalog: Catalog,
    n_components: Components,
    initial: Initial = None,
    selection: Selection = None,
    keep: Keep = None,
    before_noise: BeforeNoise = False,
    background: Background = None,
    footprint: Footprint = None,
    cluster: Cluster = None,
    workers: Workers = None,
    threads: Threads = 1,
    memory_limit: MemoryLimit = "auto",
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure_cluster: InsecureCluster = False,
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Say what a fit will read, hold and take, before it begins; exit code 9 if it cannot fit into memory."""
    from contextlib import nullcontext

    from dgmmis.cli.observation_options import ObservationOptions, fit_arguments
    from dgmmis.errors import MemoryPlanExceeded
    from dgmmis.planning import plan
    from dgmmis.starting_model import starting_population
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    options = ObservationOptions(
        selection, keep or [], before_noise, background, footprint or [], [], "full", "auto"
    )
    start = starting_population(initial, opened.features, opened.units, trust=trusted_functions(trust))
    wanted = (cluster, workers, threads, memory_limit, (tls_ca, tls_cert, tls_key), insecure_cluster)
    there = nullcontext() if cluster is None else using_cluster(*wanted)
    with there as client:
        planned = plan(
            opened,
            n_components=n_components,
            workers=workers,
            threads=threads,
            memory_limit=memory_limit,
            client=client,
            initial=start,
            **fit_arguments(options, opened),
        )
    if as_json:
        print_json(plan_summary(planned))
    else:
        print_plan(planned)
    if not planned.fits:
        raise typer.Exit(MemoryPlanExceeded.exit_code)
