"""Runs as Prometheus metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from dgmmis.monitor.alarms import WORST_FIRST, alarms_of
from dgmmis.monitor.record import RunRecord
from dgmmis.optional_libraries import load_library

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = (
    "QUEUED",
    "RUNNING",
    "CANCELLING",
    "CANCELLED",
    "SUCCEEDED",
    "STOPPED",
    "FAILED",
    "INTERRUPTED",
    "UNREADABLE",
)
MOST_COMPONENTS = 100
"""Runs with more components get no metric for each of them: every one is a time series."""
GAUGES = {
    "passes": "passes over all rows that are done",
    "log_likelihood_nats": "log-likelihood of all rows after the last pass",
    "predicted_gain_nats": "what further passes are predicted to add to the log-likelihood",
    "tolerance_nats": "predicted gain that counts as converged",
    "left_seconds": "estimated time until it has converged or used up its passes",
    "pass_seconds": "mean time of the last passes",
    "pass_share": "share of the pass under way that is done",
    "rows_per_second": "rows that the last pass went through per second",
    "bytes_per_second": "stored bytes of the catalogue that the last pass went through per second",
    "rows": "rows of the catalogue",
    "quarantined_rows": "rows of the source that could not be used",
    "attempts": "how often it was driven",
    "workers": "workers that drive it now",
    "resubmitted_segments": "segments of this attempt that were sent out again",
    "worker_deaths": "deaths of workers in this attempt",
    "pulse_age_seconds": "time since the driver was last heard of",
    "completeness": "share of the complete sample that the selection kept",
    "log_likelihood_error_nats": "Monte-Carlo error of the log-likelihood under a selection",
    "score_error": "Monte-Carlo error of the parameters, in their standard errors",
}


def metrics_text(records: Iterable[RunRecord]) -> bytes:
    """Write what is known of some runs in Prometheus' text format; what is not known is left out."""
    client = load_library("prometheus_client", "Prometheus metrics", "dashboard")
    registry = client.CollectorRegistry()
    registry.register(_Collector(list(records)))
    return bytes(client.generate_latest(registry))


class _Collector:
    def __init__(self, records: list[RunRecord]) -> None:
        self._records = records

    def describe(self) -> list[Any]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = load_library("prometheus_client.core", "Prometheus metrics", "dashboard").GaugeMetricFamily
        state = family("dgmmis_run_state", "1 for the state that a run is in", labels=["run", "state"])
        alarms = family("dgmmis_run_alarms", "alarms of a run", labels=["run", "level"])
        rows = family(
            "dgmmis_run_component_rows", "effective rows of a component", labels=["run", "component"]
        )
        gauges = {name: family(f"dgmmis_run_{name}", text, labels=["run"]) for name, text in GAUGES.items()}
        for record in self._records:
            for name in STATES:
                state.add_metric([record.name, name], float(record.state == name))
            found: list[str] = [alarm.level for alarm in alarms_of(record)]
            for level in WORST_FIRST:
                alarms.add_metric([record.name, level], found.count(level))
            for k, count in enumerate(_counts(record)):
                rows.add_metric([record.name, str(k)], count)
            for name, value in _values(record).items():
                if value is not None and math.isfinite(value):
                    gauges[name].add_metric([record.name], value)
        yield from (state, alarms, rows, *gauges.values())


def _counts(record: RunRecord) -> list[float]:
    if record.components is None or record.n_components > MOST_COMPONENTS:
        return []
    counts: list[float] = record.components.counts.tolist()
    return [count for count in counts if math.isfinite(count)]


def _values(record: RunRecord) -> dict[str, float | None]:
    if record.state == "UNREADABLE":
        return {}
    last, pulse = record.last, record.pulse
    values: dict[str, float | None] = {
        "passes": len(record.passes),
        "tolerance_nats": record.tolerance,
        "left_seconds": record.seconds_left if record.is_driven else None,
        "pass_seconds": record.pass_seconds,
        "rows": record.n_rows,
        "quarantined_rows": record.quarantined,
        "attempts": record.attempts,
        "resubmitted_segments": record.retries,
    }
    if last is not None:
        values |= {
            "log_likelihood_nats": last.log_likelihood,
            "predicted_gain_nats": last.predicted_gain,
            "rows_per_second": last.rows_per_second,
            "bytes_per_second": last.bytes_per_second,
            "completeness": last.completeness,
            "log_likelihood_error_nats": last.log_likelihood_error,
            "score_error": last.score_error,
        }
    if pulse is not None:
        values |= {
            "pass_share": pulse.done / pulse.of if pulse.of else None,
            "workers": len(pulse.workers),
            "worker_deaths": pulse.deaths,
            "pulse_age_seconds": pulse.age,
        }
    return values
