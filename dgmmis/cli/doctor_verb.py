"""doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dgmmis.cli.options import AsJson
from dgmmis.cli.printing import print_json

__all__ = ["doctor_verb"]

SIGNS = {"good": "ok", "note": "note", "wrong": "WRONG"}


def doctor_verb(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder in which runs are to lie.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Look whether this machine can fit, safely; exit code 1 if something is wrong, with what to do."""
    from dgmmis.doctor import examine_machine

    findings = []
    for finding in examine_machine(root):
        findings.append(finding)
        if not as_json:
            typer.echo(f"{SIGNS[finding.verdict]:<6} {finding.subject:<14} {finding.found}")
            if finding.advice:
                typer.echo(f"       {'':<14} -> {finding.advice}")
    wrong = [finding.subject for finding in findings if finding.verdict == "wrong"]
    if as_json:
        print_json({"healthy": not wrong, "findings": [finding.describe() for finding in findings]})
    else:
        typer.echo(f"wrong: {', '.join(wrong)}" if wrong else "all is well")
    if wrong:
        raise typer.Exit(1)
