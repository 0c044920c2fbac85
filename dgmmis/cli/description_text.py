"""A catalogue's description as text for a person."""

from __future__ import annotations

from typing import Any

import typer

from dgmmis.cli.printing import print_pairs, print_table

__all__ = ["print_description"]

MOST_PATTERNS = 12


def print_description(description: dict[str, Any]) -> None:
    """Print what `Catalog.describe` returns."""
    appended = description["provenance"].get("appended", [])
    most = "at most " if appended else ""
    pairs = {
        "catalogue": description["path"],
        "rows": f"{description['rows']:,} ({description['rows_with_nothing_observed']:,} with nothing observed)",
        "chunks": f"{description['chunks']} of {most}{description['chunk_rows']:,} rows, "
        f"{description['bytes_on_disk'] / 1e6:.1f} MB on disk",
    }
    if appended:
        pairs["parts"] = ", ".join(f"{n_rows:,}" for n_rows in description["part_rows"]) + " rows"
    print_pairs(pairs | {"noise": _noise(description["noise"]), "fingerprint": description["fingerprint"]})
    typer.echo("")
    _print_features(description)
    typer.echo("")
    _print_patterns(description)
    typer.echo("")
    _print_quarantine(description["quarantined"])
    for source in (description["provenance"], *appended):
        for note in source.get("notes", []):
            typer.echo(f"note: {note}")


def _noise(noise: dict[str, Any]) -> str:
    text = f"{noise['kind']}, stored as {noise['form']}"
    largest = noise.get("health", {}).get("largest_correlation")
    if largest:
        a, b = largest["features"]
        text += f"; largest |correlation| {largest['size']:.3f} ({a}, {b}) among {noise['health']['rows']:,} pilot rows"
    return text


def _print_features(description: dict[str, Any]) -> None:
    health = description["noise"].get("health", {})
    rows = []
    for j, feature in enumerate(description["features"]):
        errors = [
            _number(_at(health.get(key), j)) for key in ("smallest_error", "typical_error", "largest_error")
        ]
        rows.append(
            [
                feature["name"],
                feature["unit"] or "-",
                f"{feature['observed']:,}",
                f"{100 * feature['observed_fraction']:.2f} %",
                _number(feature["min"]),
                _number(feature["max"]),
                *errors,
            ]
        )
    print_table(
        ["feature", "unit", "observed", "", "min", "max", "least error", "typical", "largest"],
        rows,
    )


def _at(values: list[float] | None, index: int) -> float | None:
    return None if values is None else values[index]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _print_patterns(description: dict[str, Any]) -> None:
    patterns = description["patterns"]
    rows = [
        [", ".join(pattern["missing"]) or "nothing", f"{pattern['rows']:,}"]
        for pattern in patterns[:MOST_PATTERNS]
    ]
    if len(patterns) > MOST_PATTERNS:
        rest = sum(pattern["rows"] for pattern in patterns[MOST_PATTERNS:])
        rows.append([f"{len(patterns) - MOST_PATTERNS} other patterns", f"{rest:,}"])
    print_table(["missing", "rows"], rows)


def _print_quarantine(quarantined: dict[str, Any]) -> None:
    typer.echo(f"quarantined: {quarantined['rows']:,} rows")
    for reason, count in quarantined["reasons"].items():
        typer.echo(f"  {count:,}  {reason}")
