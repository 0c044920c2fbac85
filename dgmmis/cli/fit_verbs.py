"""fit, resume."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dgmmis.cli.function_paths import opened_run, trusted_functions
from dgmmis.cli.observation_text import observation_lines, observation_summary
from dgmmis.cli.printing import print_json
from dgmmis.errors import InvalidSetting

if TYPE_CHECKING:
    from distributed import Client

    from dgmmis.cli.observation_options import ObservationOptions
    from dgmmis.fit_result import FitResult
    from dgmmis.stopping import Stop
    from dgmmis.store import Catalog as OpenedCatalog

__all__ = ["fit_verb", "resume_verb", "stated_settings", "using_cluster"]

MOST = 0.99
"""Share of densities computed from which on nothing is said of the others."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
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
Trust = Annotated[
    list[str] | None,
    typer.Option(help="MODULE:FUNCTION that a stored run or model names and that may be imported."),
]
Catalog = Annotated[
    str, typer.Argument(metavar="CATALOG", help="Catalogue that `dgmmis ingest` wrote: a path, or s3://...")
]
Components = Annotated[int, typer.Option("-K", "--components", help="Components of the mixture.")]
Initial = Annotated[
    str | None, typer.Option(help="Run folder of an earlier fit, or saved model (.npz), to start from.")
]
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


@contextmanager
def stoppable(run: str) -> Iterator[Stop]:
    """Have SIGINT and SIGTERM stop the fit at a boundary, and say then how to go on."""
    from dgmmis.signal_stops import heeding_signals
    from dgmmis.stopping import Stop

    stop = Stop()
    with heeding_signals(stop, f"go on with: dgmmis resume {run}"):
        yield stop


@contextmanager
def using_cluster(
    cluster: str | None,
    workers: int | None,
    threads: int,
    memory_limit: str,
    tls: tuple[Path | None, Path | None, Path | None] = (None, None, None),
    insecure: bool = False,
) -> Iterator[Client | None]:
    """Connect to the cluster asked for, or start one on this machine, or use none.

    `tls` is the authority, our certificate and its key.
    """
    from dgmmis.cluster import Access, connect, local_cluster

    if cluster is not None:
        with connect(cluster, access=Access(*tls, insecure)) as client:
            yield client
    elif workers == 0:
        yield None
    else:
        with local_cluster(workers, threads, memory_limit) as client:
            yield client


def stated_settings(
    opened: OpenedCatalog,
    options: ObservationOptions,
    initial: str | None,
    trust: list[str] | None,
    **others: Any,
) -> dict[str, Any]:
    """Give the settings of `dgmmis.fit` that the options of a verb stand for."""
    from dgmmis.cli.observation_options import fit_arguments
    from dgmmis.starting_model import starting_population

    start = starting_population(initial, opened.features, opened.units, trust=trusted_functions(trust))
    return {**fit_arguments(options, opened), "initial": start, **others}


def fit_verb(
    catalog: Catalog,
    n_components: Components,
    run: Annotated[
        str | None,
        typer.Option(help="Run folder, or s3://...: keeps every pass. The same settings continue it."),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Instead of --run: a root, under which the settings name the folder.")
    ] = None,
    tolerance: Tolerance = 0.1,
    max_passes: MaxPasses = 1000,
    method: Method = "auto",
    seed: Seed = 0,
    carried: Carried = 1,
    initial: Initial = None,
    selection: Selection = None,
    keep: Keep = None,
    before_noise: BeforeNoise = False,
    background: Background = None,
    footprint: Footprint = None,
    floor: Floor = None,
    covariance_type: CovarianceType = "full",
    prior: PriorName = "auto",
    pruning: Pruning = 1e-15,
    split_merge: SplitMerge = 0,
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
    """Fit a mixture to a catalogue; kill it at any moment and `resume`."""
    from dgmmis.api import fit
    from dgmmis.cli.observation_options import ObservationOptions
    from dgmmis.progress import fit_display
    from dgmmis.stopping import Heeding
    from dgmmis.store import open_catalog

    opened = open_catalog(catalog)
    settings = stated_settings(
        opened,
        ObservationOptions(
            selection,
            keep or [],
            before_noise,
            background,
            footprint or [],
            floor or [],
            covariance_type,
            prior,
        ),
        initial,
        trust,
        n_components=n_components,
        seed=seed,
        pruning=pruning,
        method=method,
        split_merge=split_merge,
        carried=carried,
    )
    place = _place(opened, run, runs, settings)
    with (
        stoppable(place) as stop,
        using_cluster(
            cluster, workers, threads, memory_limit, (tls_ca, tls_cert, tls_key), insecure_cluster
        ) as client,
        fit_display(tolerance, quiet=as_json) as display,
    ):
        result = fit(
            opened,
            **settings,
            tolerance=tolerance,
            max_passes=max_passes,
            client=client,
            run=place,
            observer=Heeding(display, stop),
        )
    _finish(place, result, as_json)


def _place(opened: OpenedCatalog, run: str | None, runs: Path | None, settings: dict[str, Any]) -> str:
    """Find the run folder that the options name."""
    from dgmmis.service.submission import named_place

    if run is not None and runs is None:
        return run
    if runs is not None and run is None:
        return str(named_place(opened, runs, **settings))
    raise InvalidSetting(
        "give one of --run DIR, which is the run folder, and --runs ROOT, under which the settings name it."
    )


def resume_verb(
    run: Annotated[str, typer.Argument(metavar="RUNDIR", help="Run folder of an earlier fit.")],
    tolerance: Annotated[float | None, typer.Option(help="Default: as before.")] = None,
    max_passes: Annotated[int | None, typer.Option(help="In all; default: as before.")] = None,
    catalog: Annotated[str | None, typer.Option(help="Where the catalogue lies now, if moved.")] = None,
    cluster: Cluster = None,
    workers: Workers = None,
    threads: Threads = 1,
    memory_limit: MemoryLimit = "auto",
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure_cluster: InsecureCluster = False,
    trust: Trust = None,
    queue: Annotated[
        bool, typer.Option("--queue", help="Leave it to a server of its root, and return at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a run from its last checkpoint, with the same bits as if it had never stopped."""
    from dgmmis.api import resume
    from dgmmis.progress import fit_display
    from dgmmis.stopping import Heeding

    if queue:
        _queue(run, tolerance, max_passes, (cluster, catalog), as_json)
        return
    opened = opened_run(run, trust)
    if tolerance is None:
        tolerance = opened.next_budget().get("tolerance")
    with (
        stoppable(run) as stop,
        using_cluster(
            cluster, workers, threads, memory_limit, (tls_ca, tls_cert, tls_key), insecure_cluster
        ) as client,
        fit_display(tolerance or 0, quiet=as_json) as display,
    ):
        result = resume(
            run,
            tolerance=tolerance,
            max_passes=max_passes,
            client=client,
            catalog=catalog,
            observer=Heeding(display, stop),
            trust=trust or (),
        )
    _finish(run, result, as_json)


def _queue(
    run: str,
    tolerance: float | None,
    max_passes: int | None,
    servers: tuple[str | None, str | None],
    as_json: bool,
) -> None:
    """Ask a server to go on with a run."""
    from dgmmis.places import local_path
    from dgmmis.service import Run

    if any(option is not None for option in servers):
        raise InvalidSetting(
            "with --queue the server decides on the cluster, and the catalogue must lie where it was."
        )
    queued = Run(local_path(run))
    queued.queue(tolerance=tolerance, max_passes=max_passes)
    if as_json:
        print_json({"run": run, "state": queued.state})
    else:
        typer.echo(f"{run} is {queued.state}")


def _finish(run: str, result: FitResult, as_json: bool) -> None:
    from dgmmis.runs import open_run

    model_path = open_run(run).write_model(result.model)
    summary: dict[str, Any] = {
        "run": run,
        "model": model_path,
        "converged": result.converged,
        "reason": result.reason,
        "n_passes": result.n_passes,
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
        "evaluated": result.history[-1].evaluated,
        "left_out": result.history[-1].left_out,
        "amplitudes": result.mixture.amplitudes.tolist(),
        "means": result.mixture.means.tolist(),
        "covariances": result.mixture.covariances.tolist(),
    }
    prior = None if result.prior is None else result.prior.describe()
    observation = observation_summary(result.population, result.completion, prior)
    summary |= observation
    if as_json:
        print_json(summary)
        return
    typer.echo(f"{result.reason}")
    typer.echo(
        f"ln L = {result.log_likelihood:.3f}, {result.mean_log_likelihood:.6f} per row, after {result.n_passes} passes"
    )
    for name, value in observation_lines(observation).items():
        typer.echo(f"{name.replace('_', ' ')}: {value}")
    _tell_of_pruning(result)
    typer.echo(f"model: {model_path}")


def _tell_of_pruning(result: FitResult) -> None:
    """Say what was left out in the last pass, if it was more than a little."""
    last = result.history[-1]
    if last.evaluated is not None and last.left_out is not None and last.evaluated < MOST:
        typer.echo(
            f"{last.evaluated:.1%} of all densities computed; the others change ln L by less than {last.left_out:.1g}"
        )
