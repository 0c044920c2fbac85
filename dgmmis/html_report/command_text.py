"""The commands that make a run, its errors and its report again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dgmmis.html_report.run_facts import RunFacts

__all__ = ["fit_command", "report_command", "uncertainty_command"]

DEFAULTS = {
    "pruning": 1e-15,
    "method": "auto",
    "carried": 1,
    "split_merge": 0,
    "covariance_type": "full",
    "seed": 0,
}
OPTIONS = {
    "pruning": "--pruning",
    "method": "--method",
    "carried": "--carried",
    "split_merge": "--split-merge",
    "covariance_type": "--covariance-type",
    "seed": "--seed",
}


def fit_command(facts: RunFacts) -> tuple[str, list[str]]:
    """Write the command that makes the run again, and name what the command line cannot say of it."""
    config, data = facts.run.config, facts.run.data
    words = ["dgmmis", "fit", str(data["path"]), "-K", str(config["n_components"]), "--run", "again"]
    for key, option in OPTIONS.items():
        value = config.get(key, DEFAULTS[key])
        if value != DEFAULTS[key] or key == "seed":
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    if facts.tolerance is not None and facts.tolerance != 0.1:
        words += ["--tolerance", f"{facts.tolerance:g}"]
    unsaid: list[str] = []
    for part in (_floor, _prior, _background, _selection):
        more, problem = part(config, facts.features)
        words += more
        unsaid += [problem] if problem else []
    if config.get("frozen"):
        unsaid.append("what was frozen")
    if config.get("initial") is not None:
        unsaid.append("the mixture it began with (--initial)")
    return " ".join(map(shlex.quote, words)), unsaid


def uncertainty_command(facts: RunFacts) -> str:
    """Write the command that estimates a run's standard errors."""
    return f"dgmmis uncertainty {shlex.quote(str(facts.run.path))} -o errors.npz"


def report_command(facts: RunFacts, check_rows: int, seed: int, asked: str) -> str:
    """Write the command that makes the report again."""
    words = ["dgmmis", "report", str(facts.run.path), "-o", "report.html", "--check-rows", str(check_rows)]
    words += ["--seed", str(seed)]
    if asked != "auto":
        words += ["--errors", asked]
    return " ".join(map(shlex.quote, words))


Said = tuple[list[str], str]


def _floor(config: Mapping[str, Any], features: Sequence[str]) -> Said:
    floor = config.get("floor")
    if floor is None:
        return [], ""
    sides = zip(features, floor, strict=True)
    return [word for name, value in sides for word in ("--floor", f"{name}={value!r}")], ""


def _prior(config: Mapping[str, Any], features: Sequence[str]) -> Said:
    if config.get("prior") is None:
        return ["--prior", "none"] if config.get("selection") is not None else [], ""
    return [], "its prior, unless it is the automatic one"


def _background(config: Mapping[str, Any], features: Sequence[str]) -> Said:
    backgrounds = config.get("backgrounds") or []
    if not backgrounds:
        return [], ""
    first = backgrounds[0]
    limited = first.get("fixed") or first.get("amplitude_min") or first.get("amplitude_max", 1.0) != 1.0
    if len(backgrounds) > 1 or first.get("kind") != "uniform" or limited:
        return [], "its background"
    words = ["--background", f"{first['amplitude']!r}"]
    for name, low, high in zip(features, first["low"], first["high"], strict=True):
        words += ["--footprint", f"{name}={low!r}:{high!r}"]
    return words, ""


def _selection(config: Mapping[str, Any], features: Sequence[str]) -> Said:
    said = config.get("selection")
    if said is None:
        return [], ""
    words = _kept(said["what"], features)
    if words is None or said["noise_model"] is not None or said["oversampling"] is not None:
        return [], "its selection"
    return words + (["--before-noise"] if said["before_noise"] else []), ""


def _kept(part: Mapping[str, Any], features: Sequence[str]) -> list[str] | None:
    """Give the options that make a selection; None if there are none."""
    if part["kind"] == "Intersection" and {one["kind"] for one in part["parts"]} == {"Box", "Callback"}:
        both = [_kept(one, features) for one in part["parts"]]
        return None if len(both) != 2 or None in both else [word for one in both for word in one or []]
    if part["kind"] == "Callback" and part.get("reference"):
        return ["--selection", str(part["reference"])]
    if part["kind"] != "Box":
        return None
    names = features if part.get("features") is None else part["features"]
    words: list[str] = []
    for name, low, high in zip(names, part["low"], part["high"], strict=True):
        shown = features[name] if isinstance(name, int) else name
        if low is not None or high is not None:
            words += [
                "--keep",
                f"{shown}={'' if low is None else repr(low)}:{'' if high is None else repr(high)}",
            ]
    return words
