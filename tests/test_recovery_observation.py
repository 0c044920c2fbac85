"""Over 200 simulated catalogues of each kind the fitted parameters scatter about the truth, bias of order 1/N apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from recovery_scenes import MODES, Mode

pytestmark = [pytest.mark.statistical, pytest.mark.timeout(1500)]

N_CATALOGUES, N_HALVED, N_CARELESS = 200, 50, 20
TWO_SIDED_THREE_SIGMA = 0.0027


def bar(n_parameters: int) -> float:
    """Standard errors that all of so many parameters stay within, but for once in 370 times (Sidak)."""
    each = 1 - (1 - TWO_SIDED_THREE_SIGMA) ** (1 / n_parameters)
    return float(-ndtri(each / 2))


def offsets(mode: Mode) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (200, p) of single fits from the truth, and what each contributes to the bias-free mean offset.

    The maximum of the likelihood of n rows is biased by b / n + O(1 / n^2); a variance, for one, by about
    -V / n_k.  The fit of all rows minus the mean of the fits of their halves is -b / n, whatever b is
    (Quenouille's jackknife): added to the offset it leaves no bias of order 1 / n.  It scatters much less than
    the offset, so that a quarter of the catalogues tell it as well.
    """
    single, contributions = [], []
    for seed in range(N_CATALOGUES):
        rows = mode.draw(np.random.default_rng(seed))
        found = rows.fit(seed)
        single.append(found - mode.truth)
        contributions.append(single[-1])
        if seed < N_HALVED:
            halves = [half.fit(seed) for half in rows.halves()]
            contributions[-1] = single[-1] + (N_CATALOGUES / N_HALVED) * (found - np.mean(halves, axis=0))
    return np.array(single), np.array(contributions)


def error_of_the_mean(contributions: np.ndarray) -> np.ndarray:
    """Standard error (p,): the catalogues that were halved scatter more than the others."""
    variance = sum(
        len(part) * part.var(axis=0, ddof=1) for part in (contributions[:N_HALVED], contributions[N_HALVED:])
    )
    return np.sqrt(variance) / N_CATALOGUES


@pytest.mark.parametrize("name", MODES)
def test_parameters_are_right_on_average_but_for_a_bias_that_falls_as_one_over_the_rows(name: str) -> None:
    single, contributions = offsets(MODES[name])
    error = error_of_the_mean(contributions)
    deviation = contributions.mean(axis=0) / error
    scatter = single.std(axis=0, ddof=1)
    bias = single.mean(axis=0) / scatter
    report = f"deviations {deviation.round(2)}, uncorrected bias in single errors {bias.round(2)}"
    assert np.abs(deviation).max() < bar(len(deviation)), report
    # Neither does the correction do all the work, nor its own scatter hide anything.
    assert np.abs(bias).max() < 0.3, report
    assert (error < 2 * scatter / np.sqrt(N_CATALOGUES)).all(), report


@pytest.mark.parametrize(
    ("name", "ignored"), [(name, ignored) for name, mode in MODES.items() for ignored in mode.careless]
)
def test_who_ignores_how_rows_were_observed_fails_by_far(name: str, ignored: str) -> None:
    """Even a tenth of the catalogues shows it, at twice the bar."""
    mode = MODES[name]
    found = []
    for seed in range(N_CARELESS):
        rows = mode.draw(np.random.default_rng(seed))
        found.append(mode.careless[ignored](rows).fit_in_vain(seed))
    off = np.array(found) - mode.truth[: len(found[0])]
    deviation = off.mean(axis=0) / (off.std(axis=0, ddof=1) / np.sqrt(N_CARELESS))
    assert np.abs(deviation).max() > 2 * bar(off.shape[1]), deviation.round(1)
