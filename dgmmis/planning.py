"""Plans a fit of a catalogue, and refuses one that cannot fit into memory before anything is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dgmmis.ascent import sample_rows
from dgmmis.calibration import CALIBRATION_ROWS, calibrate, typical_population
from dgmmis.climbing import does_climb
from dgmmis.cluster.supervisor import require_client
from dgmmis.cluster.worker_resources import resources_of, resources_on_this_machine
from dgmmis.errors import InvalidSetting
from dgmmis.fit_plan import Plan
from dgmmis.iterate import Limits
from dgmmis.location import Location
from dgmmis.noise_classes import MOST_CLASSES
from dgmmis.packed import packed_size
from dgmmis.preparation import Prepared, prepare_fit, require_known
from dgmmis.starting_model import Initial
from dgmmis.starts import pilot_rows
from dgmmis.store import Catalog
from dgmmis.task import Task
from dgmmis.workload import DOUBLE, ImputedShape, Workload, box_bytes

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["plan", "require_room", "workload_of"]


def plan(
    catalog: Catalog | str | Location,
    *,
    n_components: int,
    workers: int | None = None,
    threads: int = 1,
    memory_limit: str | int = "auto",
    client: Client | None = None,
    initial: Initial | None = None,
    calibrated: bool = True,
    **settings: Any,
) -> Plan:
    """Say what a fit of a catalogue will read, hold and take.

    Parameters
    ----------
    catalog : Catalog or path
    n_components : int
        K.
    workers, threads, memory_limit
        Of a cluster on this machine, as `dgmmis.cluster.local_cluster` takes them; 0 workers are threads of
        this process.
    client : distributed.Client, optional
        A cluster that is there: its workers count, and the three settings before are not looked at.
    initial : Mixture, Population, Model, FitResult, RunFolder or path, optional
        Where the fit will start; then no start is looked for.
    calibrated : bool
        Measure how fast this machine sums and reads rows: a few seconds.
    **settings
        The observation model, as `fit` takes it: selection, background, floor, prior, ...

    Returns
    -------
    Plan
        In bytes and seconds.  `Plan.verdict` says whether it fits.

    Raises
    ------
    InvalidData, InvalidSetting, SelectionError
        As of `fit`.
    """
    require_known(settings, "plan")
    require_client(client)
    limits = Limits(0.1, 1)
    prepared = prepare_fit(catalog, n_components=n_components, limits=limits, initial=initial, **settings)
    chunks, task = prepared.chunks, prepared.task
    if not isinstance(chunks, Catalog):
        raise InvalidSetting("a plan is made for a catalogue: ingest the array first (dgmmis.ingest).")
    resources = (
        resources_on_this_machine(workers, threads, memory_limit) if client is None else resources_of(client)
    )
    calibration = None
    if calibrated:
        population = prepared.initial or typical_population(
            chunks.read_pilot(CALIBRATION_ROWS), n_components, task.backgrounds
        )
        calibration = calibrate(chunks, population)
    return Plan(workload_of(chunks, task, seek_start=prepared.initial is None), resources, calibration)


def require_room(prepared: Prepared, client: Client | None, *, seek_start: bool | None = None) -> None:
    """Refuse a fit of a catalogue that cannot fit into the memory of workers or of this process.

    Parameters
    ----------
    prepared : Prepared
    client : distributed.Client or None
    seek_start : bool, optional
        Whether a start has to be looked for; default: if none was given.

    Raises
    ------
    MemoryPlanExceeded
    InvalidSetting
        If the client is none.
    """
    require_client(client)
    if not isinstance(prepared.chunks, Catalog):
        return
    seek = prepared.initial is None if seek_start is None else seek_start
    Plan(workload_of(prepared.chunks, prepared.task, seek_start=seek), resources_of(client)).require_fit()


def workload_of(catalog: Catalog, task: Task, *, seek_start: bool) -> Workload:
    """Read off a catalogue and a task the numbers that decide about memory."""
    n_features = catalog.n_features
    kind = catalog.noise_kind
    patterns = catalog.summary["patterns"]
    decoded = [
        DOUBLE * pattern["rows"] * (present + noise + 2)
        + box_bytes(pattern["rows"], min(pattern["rows"], catalog.n_chunks), present, has_noise=noise > 0)
        for pattern in patterns
        if (present := n_features - len(pattern["missing"]))
        for noise in [_noise_numbers(kind, present)]
    ]
    wanted = pilot_rows(task.n_components, n_features)
    climbs = does_climb(task)
    n_parameters = task.constraints.n_parameters(task.n_components, n_features, task.backgrounds)
    return Workload(
        n_rows=catalog.n_rows,
        n_features=n_features,
        n_components=task.n_components,
        noise_numbers=_noise_numbers(kind, n_features),
        column_bytes=catalog.column_nbytes,
        chunk_rows=catalog.chunk_rows,
        pilot_rows=catalog.pilot_rows,
        n_patterns=len(patterns),
        decoded_bytes=sum(decoded),
        disk_bytes=catalog.pass_nbytes,
        metadata_bytes=catalog.metadata_nbytes,
        n_backgrounds=len(task.backgrounds),
        start_rows=min(wanted, catalog.pilot_rows) if seek_start else 0,
        imputed=_imputed(catalog, task),
        n_parameters=n_parameters if climbs else 0,
        sample_rows=min(catalog.pilot_rows, sample_rows(catalog.n_rows, n_parameters)) if climbs else 0,
        short_chunks=catalog.n_chunks - -(-catalog.n_rows // catalog.chunk_rows),
    )


def _noise_numbers(kind: str, n_features: int) -> int:
    return {"diagonal": n_features, "full": packed_size(n_features)}.get(kind, 0)


def _imputed(catalog: Catalog, task: Task) -> ImputedShape | None:
    selecting = task.selecting
    if selecting is None:
        return None
    one_noise = selecting.noise_model is not None or selecting.before_noise
    n_classes = 1 if one_noise or catalog.noise_kind in ("none", "shared") else MOST_CLASSES
    return ImputedShape(len(selecting.columns), n_classes, callable(selecting.noise_model))
