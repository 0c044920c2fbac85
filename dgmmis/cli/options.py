"""Options and arguments that several verbs take, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "AsJsonLines",
    "Background",
    "BeforeNoise",
    "Carried",
    "Catalog",
    "Cluster",
    "Components",
    "CovarianceType",
    "Floor",
    "Footprint",
    "Initial",
    "InsecureCluster",
    "Keep",
    "MaxPasses",
    "MemoryLimit",
    "Method",
    "MovedCatalog",
    "Overwrite",
    "PriorName",
    "Pruning",
    "Quiet",
    "Run",
    "Seed",
    "Selection",
    "SplitMerge",
    "Threads",
    "TlsCa",
    "TlsCert",
    "TlsKey",
    "Tolerance",
    "Trust",
    "Workers",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress: on standard error, errors only.")]
Catalog = Annotated[
    str, typer.Argument(metavar="CATALOG", help="Catalogue that `dgmmis ingest` wrote: a path, or s3://...")
]
MovedCatalog = Annotated[str | None, typer.Option(help="Where the catalogue lies now, if moved.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")]
Run = Annotated[str, typer.Argument(metavar="RUNDIR", help="Run folder.")]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="MODULE:FUNCTION that a stored run or model names and that may be imported."),
]

# --- what computes

Cluster = Annotated[
    str | None, typer.Option(help="Scheduler to use (tcp://... or tls://...); default: this machine.")
]
Workers = Annotated[
    int | None, typer.Option(help="Worker processes on this machine; 0 computes in this process.")
]
Threads = Annotated[int, typer.Option(help="Threads per worker.")]
MemoryLimit = Annotated[str, typer.Option(help='Memory of a worker, e.g. "1 GiB".')]
TlsCa = Annotated[
    Path | None, typer.Option(help="PEM file of the authority that signed a tls:// cluster's certificates.")
]
TlsCert = Annotated[Path | None, typer.Option(help="PEM file of our own certificate for a tls:// cluster.")]
TlsKey = Annotated[Path | None, typer.Option(help="PEM file of its key.")]
InsecureCluster = Annotated[
    bool,
    typer.Option("--insecure-cluster", help="Talk in the clear to a tcp:// scheduler on another machine."),
]

# --- how rows came to be observed

Selection = Annotated[
    str | None,
    typer.Option(
        help="MODULE:FUNCTION, importable from here: rows (N, D) to their chances (N,) of being kept."
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(help='Rows were kept inside, e.g. "parallax=0:0.5"; ":0.5" and "0:" are open.'),
]
BeforeNoise = Annotated[
    bool, typer.Option("--before-noise", help="The selection acted on the noise-free values.")
]
Background = Annotated[
    float | None,
    typer.Option(help="Share of the rows behind the mixture, uniform in a box; fitted from there."),
]
Footprint = Annotated[
    list[str] | None,
    typer.Option(help="Its box: FEATURE=LOW:HIGH; data: the rows' range where none is given."),
]

# --- what is fitted, and how

Components = Annotated[int, typer.Option("-K", "--components", help="Components of the mixture.")]
Initial = Annotated[
    str | None,
    typer.Option(
        help="Run folder of an earlier fit, or saved model of this or another program, to start from."
    ),
]
Tolerance = Annotated[
    float, typer.Option(help="Stop when further passes would add less than this to ln L \\[total nats].")
]
MaxPasses = Annotated[int, typer.Option(help="Parameter updates at most.")]
Method = Annotated[
    str, typer.Option(help="auto: steps that need few passes; em: plain expectation maximization.")
]
Seed = Annotated[int, typer.Option(help="Of the starts.")]
Carried = Annotated[
    int, typer.Option(help="Distinct optima of the random sample that are compared on all rows.")
]
Floor = Annotated[
    list[str] | None,
    typer.Option(help="Least dispersion: one number, or FEATURE=NUMBER for each feature."),
]
CovarianceType = Annotated[str, typer.Option(help="full, diagonal, tied or spherical.")]
PriorName = Annotated[
    str, typer.Option(help="auto, none (maximum likelihood), or bovy=W (Bovy et al. 2011, eq. 38).")
]
Pruning = Annotated[
    float,
    typer.Option(help="Share of a row's density that components left out may hold; 0 leaves none out."),
]
SplitMerge = Annotated[
    int, typer.Option(help="Rounds of split and merge at most, once the fit has converged.")
]
