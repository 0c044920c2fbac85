"""The application: its verbs, and what happens to errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from dgmmis.cli.catalog_verbs import append_verb, describe_verb, ingest_verb, verify_verb
from dgmmis.cli.compare_verb import compare_verb
from dgmmis.cli.dashboard_verb import dashboard_verb
from dgmmis.cli.doctor_verb import doctor_verb
from dgmmis.cli.fit_verbs import fit_verb, resume_verb
from dgmmis.cli.model_verbs import export_verb, import_verb
from dgmmis.cli.plan_verb import plan_verb
from dgmmis.cli.product_verbs import apply_verb, report_verb
from dgmmis.cli.run_verbs import list_verb, status_verb
from dgmmis.cli.service_verbs import cancel_verb, gc_verb, logs_verb, serve_verb, submit_verb
from dgmmis.cli.uncertainty_verb import uncertainty_verb
from dgmmis.errors import DgmmisError

__all__ = ["application", "main"]

application = typer.Typer(
    name="dgmmis",
    invoke_without_command=True,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
WHERE = ("array", "chunk", "rows", "row", "column", "value")
VERBS: dict[str, Callable[..., None]] = {
    "ingest": ingest_verb,
    "append": append_verb,
    "describe": describe_verb,
    "verify": verify_verb,
    "plan": plan_verb,
    "fit": fit_verb,
    "resume": resume_verb,
    "submit": submit_verb,
    "serve": serve_verb,
    "cancel": cancel_verb,
    "compare": compare_verb,
    "status": status_verb,
    "logs": logs_verb,
    "ls": list_verb,
    "dashboard": dashboard_verb,
    "gc": gc_verb,
    "apply": apply_verb,
    "report": report_verb,
    "uncertainty": uncertainty_verb,
    "export": export_verb,
    "import": import_verb,
    "doctor": doctor_verb,
}
for name, verb in VERBS.items():
    application.command(name)(verb)


@application.callback()
def options_of_all(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Fit Gaussian mixtures to catalogues that do not fit in memory, with noisy rows and missing features."""
    if version:
        typer.echo(f"dgmmis {version_of('dgmmis')}")
        raise typer.Exit


def main() -> None:
    """Run the command line and exit with the documented code."""
    try:
        application()
    except DgmmisError as error:
        _show(error)
        sys.exit(error.exit_code)
    except OSError as error:
        _show(error)
        sys.exit(1)


def _show(error: Exception) -> None:
    if "--json" in sys.argv:
        details = {
            key: value
            for key in (*WHERE, "object", "component", "planned", "limit", "knob", "path", "needed", "free")
            if (value := getattr(error, key, None)) is not None
        }
        text = json.dumps({"error": type(error).__name__, "message": str(error), **details}, default=str)
        sys.stdout.write(text + "\n")
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
