"""1,000 malformed inputs: each is refused by name with the way out, or ends in a sound result; never in between.

`make test-chaos` judges 10,000.  What is refused and what is repaired and counted stands in docs/bad_input.md.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from malformed import Attempt, Tally
from malformed_callbacks import malformed_densities, malformed_hooks, malformed_selections
from malformed_faces import malformed_commands, malformed_estimates, malformed_gmms
from malformed_files import Folders, malformed_ingests, malformed_models
from malformed_rows import malformed_rows
from malformed_settings import malformed_constraints, malformed_fits, malformed_verbs

KINDS: dict[str, tuple[Callable[..., st.SearchStrategy[Attempt]], int]] = {
    "rows": (malformed_rows, 300),
    "settings of fit": (malformed_fits, 170),
    "constraints": (malformed_constraints, 150),
    "settings of other verbs": (malformed_verbs, 100),
    "selections": (malformed_selections, 50),
    "densities": (malformed_densities, 40),
    "hooks": (malformed_hooks, 20),
    "estimator": (malformed_estimates, 50),
    "pyGMMis": (malformed_gmms, 50),
    "tables and files": (malformed_ingests, 25),
    "models": (malformed_models, 35),
    "commands": (malformed_commands, 10),
}
"""A strategy of attempts, and how many of the 1,000 are of that kind."""

IN_FOLDERS = (malformed_ingests, malformed_models, malformed_commands)


def judge_many(kind: str, times: int, folder: Path) -> Tally:
    """Judge `times` as many inputs of a kind as its share of the 1,000."""
    strategy, share = KINDS[kind]
    made = strategy(Folders(folder)) if strategy in IN_FOLDERS else strategy()
    tally = Tally()

    @settings(
        max_examples=share * times,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(made)
    def judge(attempt: Attempt) -> None:
        tally.add(attempt)

    with warnings.catch_warnings():  # coroutines that nobody awaited, floats that a strategy let overflow
        warnings.simplefilter("ignore")
        judge()
        gc.collect()
    return tally


def test_the_kinds_add_up_to_a_thousand():
    assert sum(share for _, share in KINDS.values()) == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_inputs_are_refused_by_name_or_end_in_a_sound_result(
    kind: str, tmp_path: Path, capsys: Any
):
    tally = judge_many(kind, 1, tmp_path)
    assert tally.total >= KINDS[kind][1]


@pytest.mark.chaos
@pytest.mark.parametrize("kind", KINDS)
def test_ten_times_as_many_malformed_inputs_are(kind: str, tmp_path: Path, capsys: Any):
    tally = judge_many(kind, 10, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: {tally}\n")
    assert tally.total >= 10 * KINDS[kind][1]
