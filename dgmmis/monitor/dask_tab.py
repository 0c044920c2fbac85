"""A tab beside those of Dask's own dashboard: `dask scheduler --preload dgmmis.monitor.dask_tab --runs ROOT`.

The scheduler of distributed serves Bokeh pages already; this adds ours to its server, and a link to its bar.
"""

from __future__ import annotations

from typing import Any

import click
from distributed.dashboard.scheduler import template_variables

from dgmmis.monitor.bokeh_parts import IOLoop
from dgmmis.monitor.server import served_pages
from dgmmis.monitor.watched import WatchedRoot

__all__ = ["dask_setup"]

TAB = "fits"


@click.command()
@click.option("--runs", required=True, help="Root of runs, or one run.")
def dask_setup(scheduler: Any, runs: str) -> None:
    """Add the tab; called by Dask when its scheduler starts."""
    port = scheduler.http_server.port
    pages = served_pages(WatchedRoot(runs), [f"localhost:{port}", f"127.0.0.1:{port}"], list_at=f"/{TAB}")
    scheduler.http_application.add_application(pages)
    pages.initialize(IOLoop.current())
    pages.start()
    template_variables(scheduler)["pages"].append(TAB)
