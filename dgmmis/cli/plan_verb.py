"""plan."""

from __future__ import annotations

import typer

from dgmmis.cli.function_paths import trusted_functions
from dgmmis.cli.machines import using_cluster
from dgmmis.cli.option_groups import MachineOptions, SightOptions, TlsOptions, grouped
from dgmmis.cli.options import AsJson, Catalog, Components, Initial, Trust
from dgmmis.cli.plan_text import plan_summary, print_plan
from dgmmis.cli.printing import print_json

__all__ = ["plan_verb"]


@grouped
def plan_verb(
    catalog: Catalog,
    *,
    n_components: Components,
    initial: Initial = None,
    sight: SightOptions,
    machines: MachineOptions,
    tls: TlsOptions,
    trust: Trust = None,
    as_json: AsJson = False,
) -> None:
    """Say what a fit will read, hold and take, before it begins; exit code 9 if it cannot fit into memory."""
    from contextlib import nullcontext

    from dgmmis.cli.observation_options import sight_arguments
    from dgmmis.errors import MemoryPlanExceeded
    from dgmmis.planning import plan
    from dgmmis.starting_model import starting_population
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    start = starting_population(initial, opened.features, opened.units, trust=trusted_functions(trust))
    there = nullcontext() if machines.cluster is None else using_cluster(machines, tls)
    with there as client:
        planned = plan(
            opened,
            n_components=n_components,
            workers=machines.workers,
            threads=machines.threads,
            memory_limit=machines.memory_limit,
            client=client,
            initial=start,
            **sight_arguments(sight, opened),
        )
    if as_json:
        print_json(plan_summary(planned))
    else:
        print_plan(planned)
    if not planned.fits:
        raise typer.Exit(MemoryPlanExceeded.exit_code)
