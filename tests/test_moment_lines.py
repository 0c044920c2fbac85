"""Steps along straight lines of the moments: what rows fix most sharply changes in proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmmis.background import Background
from dgmmis.constraints import TYPES, Constraints
from dgmmis.coordinates import Chart
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.mixture import Mixture
from dgmmis.moment_lines import place_on_line
from dgmmis.outer_products import outer_products
from dgmmis.population import Population
from dgmmis.samples import Samples
from test_coordinates import FROZEN, scene_with

SHORT = 1e-5


def chart_of(covariance_type, **given_settings):
    population, samples, constraints = scene_with(covariance_type, **given_settings)
    return Chart.at(population, summarize_samples(population, samples), constraints)


def direction(chart, seed, reach):
    """Return a step that changes no parameter by more than `reach`."""
    x = np.random.default_rng(seed).normal(size=chart.n_parameters)
    return reach * x / np.abs(x / chart.root_rows).max()


def moments(population):
    """Amplitudes, first and second moments of each component, weighted by its amplitude."""
    mixture, amplitudes = population.mixture, population.amplitudes
    second = mixture.covariances + np.einsum("kd,ke->kde", mixture.means, mixture.means)
    return (
        np.concatenate((amplitudes, population.background_amplitudes)),
        amplitudes[:, None] * mixture.means,
        amplitudes[:, None, None] * second,
    )


def of_type(second, covariance_type):
    """Keep what a covariance type can tell of second moments: of each component or of all, by feature or in all."""
    if covariance_type == "tied":
        return second.sum(axis=0)
    if covariance_type == "diagonal":
        return np.einsum("kdd->kd", second)
    return np.einsum("kdd->k", second) if covariance_type == "spherical" else second


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.booleans())
def test_each_components_moments_change_in_proportion_to_the_step(seed, covariance_type, background):
    chart = chart_of(covariance_type, seed=seed, background=background)
    step = direction(chart, seed, 0.05)
    origin, half, whole = (moments(place_on_line(chart, share * step).population) for share in (0, 0.5, 1))
    for begun, middle, end in zip(origin[:2], half[:2], whole[:2], strict=True):
        assert middle - begun == pytest.approx((end - begun) / 2, abs=1e-12)
    begun, middle, end = (of_type(some[2], covariance_type) for some in (origin, half, whole))
    assert middle - begun == pytest.approx((end - begun) / 2, abs=1e-12)
    on_chart = [
        of_type(moments(chart.place(share * step).population)[2], covariance_type) for share in (0, 0.5, 1)
    ]
    assert np.abs(on_chart[1] - (on_chart[0] + on_chart[2]) / 2).max() > 1e-6  # where the chart's lines bend


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.sampled_from([None, FROZEN]), st.booleans())
def test_a_short_step_leads_where_the_coordinates_say(seed, covariance_type, frozen, floored):
    chart = chart_of(
        covariance_type, seed=seed, frozen=frozen, floor=[1.4, 0.7] if floored else None, background=True
    )
    step = direction(chart, seed, SHORT)
    ahead, there = place_on_line(chart, step).population, chart.place(step).population
    for on_line, at_place in zip(moments(ahead), moments(there), strict=True):
        assert on_line == pytest.approx(at_place, abs=300 * SHORT**2)
    change, back = chart.tangent(step), chart.place(-step).population
    assert change.means == pytest.approx((there.mixture.means - back.mixture.means) / 2, abs=SHORT**2)
    assert change.covariances == pytest.approx(
        (there.mixture.covariances - back.mixture.covariances) / 2, abs=300 * SHORT**2
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(TYPES), st.floats(0.1, 3))
def test_no_step_leads_below_the_floor_or_beyond_a_limit(seed, covariance_type, reach):
    population, samples, constraints = scene_with(
        covariance_type, frozen=FROZEN, floor=[0.2, 0.1], background=True, seed=seed
    )
    around = Background(
        (np.full(2, -9.0), np.full(2, 9.0)), amplitude=0.2, amplitude_min=0.1, amplitude_max=0.3
    )
    limited = Population(population.mixture, (around,))
    chart = Chart.at(limited, summarize_samples(limited, samples), constraints)
    there = place_on_line(chart, direction(chart, seed, reach)).population
    eigenvalues = np.linalg.eigvalsh(there.mixture.covariances / np.outer([0.2, 0.1], [0.2, 0.1]))
    assert eigenvalues.min() > 1 - 1e-9
    assert 0.1 <= there.background_amplitudes[0] <= 0.3
    assert there.amplitudes.min() > 0
    assert there.amplitudes.sum() + there.background_amplitudes.sum() == pytest.approx(1)
    assert there.amplitudes[0] == pytest.approx(limited.amplitudes[0])
    assert np.array_equal(there.mixture.means[1], limited.mixture.means[1])
    assert np.array_equal(there.mixture.covariances[2], limited.mixture.covariances[2])


def test_along_the_flattest_directions_of_overlapping_components_a_line_bends_far_less_than_the_coordinates():
    lost = np.array([second_order_losses(seed) for seed in range(5)])
    on_line, on_chart = np.abs(lost).sum(axis=(0, 1))
    assert on_line < on_chart / 4


def second_order_losses(seed, reach=0.3):
    """What going both ways along each of the three flattest directions loses, on the line and by coordinates [nats]."""
    rng = np.random.default_rng(seed)
    truth = Population(Mixture([0.3, 0.3, 0.4], rng.normal(0, 0.6, (3, 2)), np.stack([np.eye(2)] * 3)), ())
    rows = truth.mixture.draw(10_000, rng) + rng.normal(0, 0.7, (10_000, 2))
    samples = prepare(truth, Samples.from_arrays(rows, noise=np.full(rows.shape, 0.49)))
    statistics = summarize_samples(truth, samples)
    chart = Chart.at(truth, statistics, Constraints.of(3, 2))
    _, directions = np.linalg.eigh(outer_products(chart, samples).matrix.blocks[0])
    losses = []
    for flat in directions.T[:3]:
        step = reach * flat / np.abs(flat / chart.root_rows).max()
        losses.append(
            [
                statistics.log_likelihood
                - sum(
                    summarize_samples(lead(chart, sign * step).population, samples).log_likelihood / 2
                    for sign in (1, -1)
                )
                for lead in (place_on_line, Chart.place)
            ]
        )
    return losses
