"""Rows for which ln Omega is no constant: the selection saw what they lack, or their noise-free values."""

import pickle

import numpy as np
import pytest
from scipy.special import log_ndtr

import dgmmis
from dgmmis.background import Background
from dgmmis.chunk import ArrayChunks
from dgmmis.density_background import DensityBackground
from dgmmis.errors import InvalidSetting, SelectionError
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.local_pass import LocalPasses
from dgmmis.mixture import Mixture
from dgmmis.noise import Noise
from dgmmis.packed import unpack
from dgmmis.population import Population
from dgmmis.row_scores import row_scores
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut
from dgmmis.selection import Box, Callback, HalfSpace
from dgmmis.store import open_catalog
from dgmmis.survey import surveyor_of
from dgmmis.tilted_background import POINTS, log_kept_share
from oracle import Parameters
from uncertain_oracle import Region, gradient, kept_after_noise, kept_before_noise

INF, NAN = np.inf, np.nan
MIXTURE = Mixture(
    np.array([0.3, 0.7]),
    np.array([[0.3, -0.5], [-0.6, 0.8]]),
    np.array([[[1.0, 0.5], [0.5, 1.3]], [[0.6, -0.2], [-0.2, 0.9]]]),
)
PARAMETERS = Parameters(MIXTURE.amplitudes, MIXTURE.means, MIXTURE.covariances)
LINE = Mixture(MIXTURE.amplitudes, MIXTURE.means[:, :1], MIXTURE.covariances[:, :1, :1])
VALUES = np.array([[0.4, NAN], [-1.1, NAN], [2.0, NAN], [0.2, 0.7], [0.9, NAN]])
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.5, 1.0])
CORRELATED = np.array([[0.5, 0.3], [0.3, 0.7]])
NOISE = {
    "none": None,
    "shared": Noise.shared(CORRELATED),
    "diagonal": Noise.diagonal([[0.4, 0.6], [0.2, 1.5], [1.0, 0.3], [0.5, 0.5], [2.0, 0.9]]),
    "full": Noise.full(CORRELATED * np.array([1.0, 0.4, 2.0, 1.0, 0.7])[:, None, None]),
}


def cut_of(selection, n_features=2, **settings) -> Cut:
    return Cut(selection.bind([f"x{j}" for j in range(n_features)]), **settings)


def samples_of(values, noise, cut: Cut, weights=None) -> Samples:
    return Samples.from_arrays(values, noise, weights, keep_noise=cut.noise_columns)


def row_noise(noise, n, d):
    return Noise.of(noise, n, d).covariances(n, d)


def assert_slopes(found, slopes: Parameters, amplitudes, within=1e-8) -> None:
    np.testing.assert_allclose(found.zeroth / amplitudes, slopes[0], atol=within)
    np.testing.assert_allclose(found.first, slopes[1], atol=within)
    second = unpack(found.second)
    halves = np.where(np.eye(second.shape[1]), 0.5, 1.0) * np.tril(np.ones(second.shape[1:]))
    np.testing.assert_allclose(second * halves, slopes[2], atol=within)


@pytest.mark.parametrize("kind", NOISE)
def test_a_box_on_a_feature_that_rows_lack_has_the_likelihood_and_gradient_of_the_quadrature(kind):
    cut = cut_of(Box([0.2], [1.5], features=["x1"]))
    S = row_noise(NOISE[kind], 5, 2)
    lacking = np.isnan(VALUES[:, 1])

    def log_likelihood(parameters):
        each = [
            kept_after_noise(x, s, parameters, 1, 0.2, 1.5)
            for x, s in zip(VALUES, S, strict=True)
            if np.isnan(x[1])
        ]
        return float(np.sum(WEIGHTS[lacking] * each))

    noise = None if NOISE[kind] is None else NOISE[kind].take(lacking)
    samples = samples_of(VALUES[lacking], noise, cut, WEIGHTS[lacking])
    found = summarize_samples(Population(MIXTURE), samples, cut=cut)
    assert found.log_likelihood == pytest.approx(log_likelihood(PARAMETERS), abs=1e-10)
    assert found.log_likelihood_error == 0
    assert_slopes(found, gradient(log_likelihood, PARAMETERS), MIXTURE.amplitudes)


def test_a_half_space_takes_what_a_row_has_as_known_and_what_it_lacks_as_uncertain():
    cut = cut_of(HalfSpace([-1.0, -2.0], -1.3))  # x0 + 2 x1 <= 1.3
    x, S = np.array([0.4, NAN]), CORRELATED
    [samples] = [samples_of(x[None], Noise.full(S[None]), cut)]

    def log_likelihood(parameters):
        return kept_after_noise(x, S, parameters, 1, -INF, (1.3 - 0.4) / 2)

    found = summarize_samples(Population(MIXTURE), samples, cut=cut)
    assert found.log_likelihood == pytest.approx(log_likelihood(PARAMETERS), abs=1e-10)
    assert_slopes(found, gradient(log_likelihood, PARAMETERS), MIXTURE.amplitudes)


def test_a_selection_before_the_noise_of_one_feature_has_the_quadratures_gradient():
    cut = cut_of(Box([0.1], [2.0]), 1, before_noise=True)
    values, noise = np.array([[0.5], [-1.0], [3.0]]), np.array([[0.25], [2.0], [9.0]])

    def log_likelihood(parameters):
        region = Region((0.1, 2.0))
        return sum(
            kept_before_noise(x, s[:, None], parameters, region, 40)
            for x, s in zip(values, noise, strict=True)
        )

    found = summarize_samples(Population(LINE), samples_of(values, noise, cut), cut=cut)
    line = Parameters(LINE.amplitudes, LINE.means, LINE.covariances)
    assert found.log_likelihood == pytest.approx(log_likelihood(line), abs=1e-10)
    assert_slopes(found, gradient(log_likelihood, line), LINE.amplitudes)


@pytest.mark.parametrize(
    ("selection", "region"),
    [
        (HalfSpace([-1.0, -2.0], -0.5), Region((-9, 9), lambda t: (np.full_like(t, -9), (0.5 - t) / 2))),
        (Box([-0.5, 0.0], [1.0, INF]), Region((-0.5, 1.0), lambda t: (np.zeros_like(t), np.full_like(t, 9)))),
        (
            Box([-0.5], [1.0], features=[0]),
            Region((-0.5, 1.0), lambda t: (np.full_like(t, -9), np.full_like(t, 9))),
        ),
    ],
    ids=["half-space", "box", "box on one feature"],
)
def test_a_selection_before_correlated_noise_has_the_quadratures_gradient(selection, region):
    cut = cut_of(selection, before_noise=True)
    values = np.array([[0.4, 0.9], [-1.0, NAN], [NAN, 0.3]])
    S = CORRELATED * np.array([1.0, 2.0, 0.7])[:, None, None]

    def log_likelihood(parameters):
        return sum(kept_before_noise(x, s, parameters, region) for x, s in zip(values, S, strict=True))

    found = summarize_samples(Population(MIXTURE), samples_of(values, Noise.full(S), cut), cut=cut)
    assert found.log_likelihood == pytest.approx(log_likelihood(PARAMETERS), abs=1e-8)
    assert_slopes(found, gradient(log_likelihood, PARAMETERS), MIXTURE.amplitudes)


def test_the_scores_of_single_rows_sum_to_the_statistics():
    cut = cut_of(Box([0.2, -0.1], [1.5, 2.0]))
    backgrounds = (Background(([-4, -4], [4, 4]), 0.2),)
    population = Population(MIXTURE, backgrounds)
    inside = VALUES.copy()
    inside[[1, 2], 0] = 0.6, 1.1
    samples = prepare(population, samples_of(inside, NOISE["full"], cut, WEIGHTS), cut)
    found = summarize_samples(population, samples, cut=cut)
    sums = [np.zeros_like(a) for a in (found.zeroth, found.first, found.second, found.background)]
    for rows in row_scores(population, samples, cut):
        for total, each in zip(sums, (rows.zeroth, rows.first, rows.second, rows.background), strict=True):
            total += np.tensordot(rows.weights, each, 1)
    for total, expected in zip(
        sums, (found.zeroth, found.first, found.second, found.background), strict=True
    ):
        np.testing.assert_allclose(total, expected, atol=1e-12)


@pytest.mark.parametrize("before_noise", [False, True])
@pytest.mark.parametrize("kind", ["shared", "diagonal", "full"])
def test_a_background_is_weighed_by_its_chance_to_be_kept_within_four_standard_errors(kind, before_noise):
    """E[Omega | x] by quadrature over where in the box the row was."""
    cut = cut_of(Box([0.2], [1.5], features=[1]), before_noise=before_noise)
    background = Background(([-4, -4], [4, 4]), 0.2)
    S = row_noise(NOISE[kind], 5, 2)
    samples = samples_of(VALUES, NOISE[kind], cut)
    for group in samples.groups:
        if len(group.observed) == 2 and not before_noise:
            continue
        value, error = log_kept_share(background, samples, group, cut)
        expected = [kept_share(VALUES[i], S[i], before_noise) for i in group.rows]
        np.testing.assert_array_less(np.abs(value - np.log(expected)), 4 * error + 1e-9)
        assert (error < 0.02).all()
        alike = kind == "diagonal" or (before_noise and len(group.observed) == 1)
        assert (error == 0).all() == alike


def kept_share(x, S, before_noise):
    """Pr(0.2 <= z <= 1.5 | x) for a row uniform in [-4, 4]^2."""
    nodes, weights = Region((-4, 4), lambda t: (np.full_like(t, -4), np.full_like(t, 4))).grid(24)
    O = np.flatnonzero(~np.isnan(x))
    r = x[O] - nodes[:, O]
    weights = weights * np.exp(-0.5 * np.einsum("nd,de,ne->n", r, np.linalg.inv(S[np.ix_(O, O)]), r))
    if before_noise:
        inside = (nodes[:, 1] >= 0.2) & (nodes[:, 1] <= 1.5)
        fine, each = Region((-4, 4), lambda t: (np.full_like(t, 0.2), np.full_like(t, 1.5))).grid(24)
        r = x[O] - fine[:, O]
        each = each * np.exp(-0.5 * np.einsum("nd,de,ne->n", r, np.linalg.inv(S[np.ix_(O, O)]), r))
        assert inside.any()
        return each.sum() / weights.sum()
    slope = S[1, 0] / S[0, 0]
    middle, spread = nodes[:, 1] + slope * r[:, 0], np.sqrt(S[1, 1] - slope * S[1, 0])
    chance = np.exp(log_ndtr((1.5 - middle) / spread)) - np.exp(log_ndtr((0.2 - middle) / spread))
    return (weights * chance).sum() / weights.sum()


def test_likelihood_and_gradient_with_a_background_are_those_of_the_quadrature():
    cut = cut_of(Box([0.2], [1.5], features=[1]))
    population = Population(MIXTURE, (Background(([-4, -4], [4, 4]), 0.2),))
    x, S = np.array([0.4, NAN]), CORRELATED
    samples = prepare(population, samples_of(x[None], Noise.full(S[None]), cut), cut)
    behind = np.exp(samples.groups[0].densities[0, 0])

    def log_likelihood(parameters):
        return float(np.log(np.exp(kept_after_noise(x, S, parameters, 1, 0.2, 1.5)) + 0.2 * behind))

    whole = PARAMETERS._replace(amplitudes=0.8 * MIXTURE.amplitudes)
    found = summarize_samples(population, samples, cut=cut)
    assert found.log_likelihood == pytest.approx(log_likelihood(whole), abs=1e-10)
    assert_slopes(found, gradient(log_likelihood, whole), whole.amplitudes)
    assert found.background[0] == pytest.approx(0.2 * behind / np.exp(found.log_likelihood), abs=1e-12)


def test_a_users_density_is_weighed_as_the_box_that_it_describes():
    cut = cut_of(Box([0.2], [1.5], features=[1]))
    box = Background(([-4, -4], [4, 4]), 0.2)
    own = DensityBackground(
        lambda values, covariances: np.full(len(values), 1 / 64), footprint=([-4, -4], [4, 4])
    )
    samples = samples_of(VALUES[:2], NOISE["diagonal"].take(slice(2)), cut)
    [group] = samples.groups
    (told, error), (exact, none) = (log_kept_share(one, samples, group, cut) for one in (own, box))
    np.testing.assert_array_less(np.abs(told - exact), 4 * error)
    assert (none == 0).all()
    plain = np.sqrt((np.exp(-exact) - 1) / POINTS)
    assert (error < plain).all()  # of as many random points


def test_rows_that_lack_nothing_take_the_ordinary_path_to_the_last_bit():
    rng = np.random.default_rng(0)
    values, cut = rng.normal(size=(50, 2)), cut_of(Box([-9.0], [9.0], features=[0]))
    population = Population(MIXTURE)
    for noise in (None, CORRELATED, rng.uniform(0.1, 1, (50, 2))):
        with_cut = summarize_samples(population, samples_of(values, noise, cut), cut=cut)
        without = summarize_samples(population, Samples.from_arrays(values, noise))
        assert with_cut.log_likelihood == without.log_likelihood
        np.testing.assert_array_equal(with_cut.second, without.second)


def test_without_noise_before_and_after_it_are_the_same():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 2))
    values = values[values[:, 0] > 0]
    values[::3, 0] = NAN
    fits = [
        dgmmis.fit(
            values, n_components=1, noise=noise, selection=Box([0.0], [INF], features=[0]), before_noise=before,
            initial=Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None]), max_passes=5, tolerance=0, prior=None,
        )
        for noise, before in ((None, False), (None, True), (np.zeros_like(values), True))
    ]  # fmt: skip
    assert fits[0].log_likelihood == fits[1].log_likelihood
    assert fits[2].log_likelihood == pytest.approx(fits[0].log_likelihood, abs=1e-9)
    np.testing.assert_allclose(fits[2].mixture.covariances, fits[0].mixture.covariances, atol=1e-12)


def test_a_row_without_noise_among_noisy_ones_is_known_even_on_the_selections_edge():
    cut = cut_of(Box([0.5, -INF], [INF, 2.0]), before_noise=True)
    values = np.array([[0.5, 2.0], [0.7, 0.1], [0.3, 1.0]])
    noise = np.array([[0.0, 0.0], [0.0, 0.3], [0.4, 0.2]])
    population = Population(MIXTURE)
    whole = summarize_samples(population, samples_of(values, noise, cut), cut=cut)
    apart = [
        summarize_samples(population, samples_of(values[i : i + 1], noise[i : i + 1], cut), cut=cut)
        for i in (1, 2)
    ]
    known = summarize_samples(population, Samples.from_arrays(values[:1]))
    total = known + apart[0] + apart[1]
    assert whole.log_likelihood == pytest.approx(total.log_likelihood, abs=1e-10)
    np.testing.assert_allclose(whole.first, total.first, atol=1e-9)
    np.testing.assert_allclose(whole.second, total.second, atol=1e-9)


def test_noise_far_below_the_components_changes_nothing_suddenly():
    """From noise to none the score of a row inside the selection goes over smoothly."""
    cut = cut_of(Box([0.2, 0.0], [INF, INF]), before_noise=True)
    x, population = np.array([[0.4, 0.7]]), Population(MIXTURE)
    known = summarize_samples(population, Samples.from_arrays(x))
    for size in (1e-6, 1e-9, 1e-12, 1e-15, 1e-18):
        found = summarize_samples(
            population, samples_of(x, Noise.full(size * CORRELATED[None]), cut), cut=cut
        )
        np.testing.assert_allclose(found.second, known.second, rtol=1e-4 if size > 1e-9 else 1e-6)


def test_noise_of_a_lacking_feature_follows_the_noise_model_given_the_rows_own():
    box, values = Box([0.2], [1.5], features=[1]), VALUES[:3]
    shared, modelled = cut_of(box), cut_of(box, noise_model=CORRELATED)
    population = Population(MIXTURE)
    told = summarize_samples(population, samples_of(values, CORRELATED, shared), cut=shared)
    unknown = Noise.diagonal(np.tile([CORRELATED[0, 0], NAN], (3, 1)))
    for noise in (CORRELATED, unknown):
        found = summarize_samples(population, samples_of(values, noise, modelled), cut=modelled)
        assert found.log_likelihood == pytest.approx(told.log_likelihood, abs=1e-12)
        np.testing.assert_allclose(found.second, told.second, atol=1e-12)


def test_a_fit_with_a_noise_model_needs_no_noise_of_what_rows_lack():
    values, noise = half_of_them_lacking(300)
    noise = np.where(np.isnan(values), NAN, 0.01)
    settings = {"n_components": 1, "initial": START, "prior": None, "max_passes": 3}
    box, model = Box([-0.3], [INF], features=[0]), 0.01 * np.eye(2)
    found = dgmmis.fit(values, noise=noise, noise_model=model, selection=box, **settings)
    told = dgmmis.fit(values, noise=model, selection=box, **settings)
    np.testing.assert_allclose(found.mixture.covariances, told.mixture.covariances, atol=1e-10)


def by_callable(values):
    return ((values[:, 0] > 0.2) & (values[:, 0] < 1.5)).astype(float)


def test_a_callable_on_a_lacking_feature_agrees_with_the_exact_box_within_its_error():
    exact, sampled = (
        cut_of(s) for s in (Box([0.2], [1.5], features=[1]), Callback(by_callable, features=[1]))
    )
    rng = np.random.default_rng(2)
    values = np.stack([rng.normal(size=200), np.full(200, NAN)], axis=1)
    samples = samples_of(values, CORRELATED, exact)
    told, found = (summarize_samples(Population(MIXTURE), samples, cut=cut) for cut in (exact, sampled))
    assert told.log_likelihood_error == 0
    assert 0 < found.log_likelihood_error < 0.05 * 200
    assert abs(found.log_likelihood - told.log_likelihood) < 4 * found.log_likelihood_error
    np.testing.assert_allclose(found.first, told.first, atol=0.05 * 200)


def test_noise_that_was_not_given_is_refused_by_row_and_column():
    noise = np.array([[0.1, 0.2], [0.3, NAN], [0.3, 0.1]])
    values = np.array([[0.1, NAN], [0.2, NAN], [1.0, 2.0]])
    start = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    with pytest.raises(SelectionError, match=r"'x1', which row 1 lacks.*noise_model") as caught:
        dgmmis.fit(
            values, n_components=1, noise=noise, selection=Box([0.0], [INF], features=[1]), initial=start
        )
    assert (caught.value.row, caught.value.column) == (1, "x1")
    cut = cut_of(Box([0.0], [INF], features=[1]))
    bad = Noise.full(np.array([[[1.0, 2.0], [2.0, 1.0]]]))
    with pytest.raises(SelectionError, match="row 7"):
        surveyor_of(samples_of(values[2:], noise[2:], cut), cut, one_noise=False).survey(
            samples_of(values[:1], bad, cut), first_row=7
        )


def test_a_row_that_no_component_can_have_been_kept_for_is_refused():
    values = np.array([[0.1, NAN], [-2.0, NAN]])
    cut = cut_of(Box([0.0, 0.0], [INF, INF]))
    with pytest.raises(SelectionError, match=r"row 1.*no chance") as caught:
        summarize_samples(Population(MIXTURE), samples_of(values, None, cut), cut=cut)
    assert caught.value.row == 1


def test_projected_rows_that_lack_a_column_of_the_selection_are_refused():
    cut = cut_of(Box([0.0], [INF], features=[1]))
    samples = Samples.from_arrays(VALUES, projection=np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(InvalidSetting, match="lacks, and the rows are projected"):
        summarize_samples(Population(MIXTURE), samples, cut=cut)


def test_catalogues_and_arrays_in_chunks_keep_the_noise_of_what_rows_lack(tmp_path):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 2))
    noise = np.stack([CORRELATED * s for s in rng.uniform(0.3, 2, 60)])
    values[::2, 1] = NAN
    values[1::2, 1] = np.abs(values[1::2, 1])
    cut = cut_of(Box([0.0], [INF], features=[1]))
    population = Population(MIXTURE, (Background(([-9, -9], [9, 9]), 0.1),))
    chunks = ArrayChunks.from_arrays(values, Noise.full(noise), chunk_rows=20)
    told = LocalPasses(chunks, threads=2, cut=cut).summarize(population)
    alone = prepare(population, samples_of(values, Noise.full(noise), cut), cut)
    assert told.log_likelihood == pytest.approx(summarize_samples(population, alone, cut=cut).log_likelihood)
    dgmmis.ingest(values, tmp_path / "c.zarr", features=("x0", "x1"), noise=noise)
    catalog = open_catalog(tmp_path / "c.zarr").keeping_noise(cut.noise_columns)
    assert pickle.loads(pickle.dumps(catalog)).kept_noise == (1,)
    stored = LocalPasses(catalog, cut=cut).summarize(population)
    assert stored.log_likelihood == pytest.approx(told.log_likelihood)
    np.testing.assert_allclose(stored.second, told.second, atol=1e-8)


TRUTH = (np.array([0.0, 1.0]), np.array([[1.0, 0.6], [0.6, 1.5]]))
START = Mixture(np.ones(1), np.array([[0.4, 1.2]]), np.array([[[0.7, 0.2], [0.2, 1.2]]]))


def half_of_them_lacking(n=4000):
    """Rows kept if their noisy x0 > -0.3, of which x0 was lost in half of them afterwards."""
    rng = np.random.default_rng(4)
    noise = np.where(rng.random((n, 1)) < 0.5, 0.01, 1.0) * np.ones((n, 2))
    values = rng.multivariate_normal(*TRUTH, n) + np.sqrt(noise) * rng.normal(size=(n, 2))
    kept = values[:, 0] > -0.3
    values, noise = values[kept], noise[kept]
    values[rng.random(len(values)) < 0.5, 0] = NAN
    return values, noise


def terms_of_lacking(vector, values, noise):
    """Each row's term of the conditional likelihood, written out: m0, m1, V00, V01, V11."""
    m0, m1, V00, V01, V11 = vector
    a, b = V00 + noise[:, 0], V11 + noise[:, 1]
    alone = -0.5 * ((values[:, 1] - m1) ** 2 / b + np.log(2 * np.pi * b))
    center, spread = m0 + V01 / b * (values[:, 1] - m1), a - V01**2 / b
    there = -0.5 * ((values[:, 0] - center) ** 2 / spread + np.log(2 * np.pi * spread))
    kept = log_ndtr((center + 0.3) / np.sqrt(spread))
    return alone + np.where(np.isnan(values[:, 0]), kept, there) - log_ndtr((m0 + 0.3) / np.sqrt(a))


def in_standard_errors(found, truth, terms):
    """Offsets in standard errors, from the outer products of numerical scores."""
    found, truth = np.asarray(found), np.asarray(truth)
    steps = 1e-5 * np.eye(len(found))
    scores = np.stack([(terms(found + h) - terms(found - h)) / 2e-5 for h in steps], axis=1)
    return (found - truth) / np.sqrt(np.diag(np.linalg.inv(scores.T @ scores)))


def numbers(mixture):
    V = mixture.covariances[0]
    return np.array([*mixture.means[0], V[0, 0], V[0, 1], V[1, 1]])


def test_rows_that_lack_the_selected_feature_give_back_the_truth_where_ignoring_it_does_not():
    values, noise = half_of_them_lacking()
    truth = [0.0, 1.0, 1.0, 0.6, 1.5]
    settings = {"n_components": 1, "noise": noise, "initial": START, "prior": None, "max_passes": 150}
    right = dgmmis.fit(values, selection=Box([-0.3], [INF], features=[0]), **settings)
    wrong = dgmmis.fit(values, **settings)
    off = [
        np.abs(
            in_standard_errors(numbers(fit.mixture), truth, lambda v: terms_of_lacking(v, values, noise))
        ).max()
        for fit in (right, wrong)
    ]
    assert off[0] < 4 < off[1]
    climbed = np.diff([scan.log_likelihood for scan in right.history])
    assert climbed.min() > -1e-7
    told = terms_of_lacking(numbers(right.mixture), values, noise).sum()
    assert right.log_likelihood == pytest.approx(told, abs=4 * right.log_likelihood_error + 1)


def test_the_likelihood_does_not_run_away_where_hardly_anything_is_kept():
    """Without the rows' own chance to be kept, -ln Z alone would grow without bound."""
    values, noise = half_of_them_lacking(500)
    lost = np.where([[True, False]], NAN, values)
    fits = [
        dgmmis.fit(
            lost, n_components=1, noise=noise, selection=Box([-0.3], [INF], features=[0]), prior=None, max_passes=0,
            initial=Mixture(np.ones(1), np.array([[m0, 1.3]]), TRUTH[1][None]),
        ).log_likelihood
        for m0 in (0.0, -2.0, -4.0)
    ]  # fmt: skip
    assert fits[0] > fits[1] > fits[2]


def test_a_selection_before_noise_gives_back_the_truth():
    rng = np.random.default_rng(5)
    spread = np.where(rng.random(3000) < 0.5, 0.5, 3.0)
    t = rng.normal(size=3000)
    kept = t > -0.8
    values, noise = (t + spread * rng.normal(size=3000))[kept], spread[kept] ** 2

    def terms(vector):
        m, V = vector
        T = V + noise
        center, left = m + V / T * (values - m), V * noise / T
        kept = log_ndtr((center + 0.8) / np.sqrt(left)) - log_ndtr((m + 0.8) / np.sqrt(V))
        return -0.5 * ((values - m) ** 2 / T + np.log(2 * np.pi * T)) + kept

    settings = {
        "n_components": 1,
        "noise": noise[:, None],
        "prior": None,
        "max_passes": 150,
        "tolerance": 0.01,
    }
    settings["initial"] = Mixture(np.ones(1), np.array([[0.2]]), np.array([[[0.8]]]))
    box = Box([-0.8], [INF])
    off = []
    for before in (True, False):
        fit = dgmmis.fit(values[:, None], selection=box if before else None, before_noise=before, **settings)
        found = [fit.mixture.means[0, 0], fit.mixture.covariances[0, 0, 0]]
        off.append(np.abs(in_standard_errors(found, [0.0, 1.0], terms)).max())
        if before:
            assert np.diff([scan.log_likelihood for scan in fit.history]).min() > -1e-7
    assert off[0] < 4 < off[1]
