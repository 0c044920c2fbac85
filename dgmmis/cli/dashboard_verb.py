"""dashboard."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from dgmmis.cli.options import AsJson
from dgmmis.cli.printing import print_json

__all__ = ["dashboard_verb"]


def dashboard_verb(
    root: Annotated[
        str, typer.Argument(metavar="ROOT_OR_RUN", help="Folder with run folders, or one run folder.")
    ] = ".",
    address: Annotated[
        str,
        typer.Option(help="Address to listen on; beyond this machine anybody who reaches it sees the runs."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8788,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="HOST:PORT that browsers have in their address line, if it is another."),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in a browser of this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show runs in a browser while they run, and give metrics; SIGTERM and Ctrl-C stop it, and no fit notices."""
    from dgmmis.monitor.server import serve_dashboard

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "metrics": f"{url}metrics", "health": f"{url}health"})
        else:
            typer.echo(f"watching {root} at {url} (stop with Ctrl-C)")
        if open_browser:
            webbrowser.open(url)

    serve_dashboard(root, address=address, port=port, origins=origin or (), ready=ready)
