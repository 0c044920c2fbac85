"""What is known of how rows came to be observed, for JSON and for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgmmis.imputed_passes import Completion
from dgmmis.population import Population

__all__ = ["observation_lines", "observation_summary"]


def observation_summary(
    population: Population, completion: Completion | None, prior: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Sum up for JSON; without a selection the rows are complete and nothing was imputed."""
    return {
        "background": population.background_amplitudes.tolist(),
        "completeness": completion.completeness if completion else 1.0,
        "completeness_error": completion.completeness_error if completion else 0.0,
        "log_likelihood_error": completion.log_likelihood_error if completion else 0.0,
        "imputed_points": completion.n_points if completion else 0,
        "score_error": completion.score_error if completion else None,
        "prior": prior,
    }


def observation_lines(summary: Mapping[str, Any]) -> dict[str, str]:
    """Write those parts of a summary for a person that say more than that there is nothing to say."""
    lines = {}
    if summary["background"]:
        lines["background"] = ", ".join(f"{amplitude:.4f}" for amplitude in summary["background"])
    if summary["imputed_points"]:
        error = summary["score_error"]
        known = error is not None and error == error
        lines["completeness"] = f"{summary['completeness']:.4f} +- {summary['completeness_error']:.1g}"
        lines["imputed_points"] = f"{summary['imputed_points']:,}" + (
            f"; they cost {error:.2g} standard errors of the parameters" if known else ""
        )
        lines["log_likelihood_error"] = f"{summary['log_likelihood_error']:.3g}"
    if summary["prior"]:
        lines["prior"] = "; ".join(
            f"{name}: " + ", ".join(f"{key} {value}" for key, value in part.items())
            for name, part in summary["prior"].items()
        )
    return lines
