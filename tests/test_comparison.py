"""Models are compared by what they say of rows: criteria, left-out rows, and errors of differences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import xlogy
from scipy.stats import norm

import dgmmis
import oracle
from dgmmis.chunk import ArrayChunks
from dgmmis.compared_model import Fitted, criteria
from dgmmis.comparison import Comparison, compared
from dgmmis.errors import InvalidSetting
from dgmmis.expectation import prepare, summarize_samples
from dgmmis.folds import Folds
from dgmmis.held_out import Chances, Seeing, completeness, predict
from dgmmis.local_pass import LocalPasses
from dgmmis.plots import as_png, draw_comparison
from dgmmis.population import Population
from dgmmis.row_hash import hash_integers
from dgmmis.scoring import Candidate, Scores, Scoring
from dgmmis.seeding import seeded_mixture
from dgmmis.task_settings import build_selecting
from simulated import FOOTPRINT, SELECTION, TRUTH, noisy_rows

FOLDS = Folds(3, 7)
N = 900
SMALL = {"n_components": (1, 3), "folds": 3, "restarts": 2, "max_passes": 40}


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values, noise = noisy_rows(N)
    return values, noise, np.random.default_rng(2).uniform(0.5, 2.0, N)


@pytest.fixture(scope="module")
def comparison(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Comparison:
    return dgmmis.compare(rows[0], noise=rows[1], weights=rows[2], **SMALL)


def dense(values: np.ndarray, noise: np.ndarray, mixture: dgmmis.Mixture) -> tuple[np.ndarray, np.ndarray]:
    """ln p and the entropy of the responsibilities of each row, one by one."""
    parameters = oracle.Parameters(mixture.amplitudes, mixture.means, mixture.covariances)
    log_density, entropy = np.zeros(len(values)), np.zeros(len(values))
    for i, (x, S) in enumerate(zip(values, noise, strict=True)):
        if not np.isnan(x).all():
            log_density[i] = oracle.log_density(x, S, parameters)
            q = oracle.responsibilities(x, S, parameters)
            entropy[i] = -xlogy(q, q).sum()
    return log_density, entropy


def candidates(values: np.ndarray, ks: tuple[int, ...] = (1, 2, 4)) -> tuple[Candidate, ...]:
    """Models that nobody fitted, another one for each fold."""

    def population(k: int, seed: int) -> Population:
        return Population(seeded_mixture(values, k, np.random.default_rng(seed)))

    return tuple(Candidate(population(k, 0), tuple(population(k, 1 + f) for f in range(3))) for k in ks)


def scored(rows, models: tuple[Candidate, ...], chunk_rows: int = 200, share: float = 1.0) -> Scores:
    chunks = ArrayChunks.from_arrays(*rows, chunk_rows=chunk_rows)
    return LocalPasses(chunks, hash_key=FOLDS.key).gather(Scoring(models, FOLDS, share=share))


def sums_compared(scores: Scores) -> Comparison:
    n = len(scores.totals)
    some = Fitted(1, "full", 9, dgmmis.Model(TRUTH), -1.0, True, "", 1, ())
    return compared([some] * n, scores, scored=[True] * n, folds=3, seed=0)


def test_the_criteria_with_missing_features_are_those_of_the_dense_oracle(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], comparison: Comparison
) -> None:
    values, noise, weights = rows
    seen = ~np.isnan(values).all(axis=1)
    assert not seen.all()
    for model, p in zip(comparison.models, (9, 29), strict=True):
        log_density, entropy = dense(values, noise, model.model.mixture)
        L, total = np.sum(weights * log_density), weights[seen].sum()
        assert model.fitted.n_parameters == p
        assert model.bic == pytest.approx(-2 * L + p * math.log(total), abs=1e-8)
        assert model.aic == pytest.approx(-2 * L + 2 * p, abs=1e-8)
        assert model.icl == pytest.approx(model.bic + 2 * np.sum(weights * entropy), abs=1e-8)
    assert comparison.rows == seen.sum()


def test_bic_of_missing_as_large_variance_would_be_another_number(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], comparison: Comparison
) -> None:
    """The test above can fail: 1e10 as the variance of what is missing leaves the fit right and BIC wrong."""
    values, noise, weights = rows
    gaps = np.isnan(values)
    large = noise + 1e10 * np.eye(3) * gaps[:, :, None]
    log_density, _ = dense(np.where(gaps, 0.0, values), large, comparison.models[1].model.mixture)
    wrong, _, _ = criteria(float(np.sum(weights * log_density)), 29, weights.sum(), 0.0)
    assert wrong - comparison.models[1].bic > 1000


def test_each_row_is_scored_by_the_model_that_has_not_seen_it(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, noise, weights = rows
    models = candidates(values)
    scores = scored(rows, models)
    folds = FOLDS.of(hash_integers(np.arange(N), FOLDS.key))
    seen = ~np.isnan(values).all(axis=1)
    each = np.zeros((3, N))
    for m, model in enumerate(models):
        for fold, population in enumerate(model.without):
            mine = folds == fold
            each[m, mine] = dense(values[mine], noise[mine], population.mixture)[0]
    total = weights[seen].sum()
    assert scores.totals == pytest.approx(each @ weights, abs=1e-8)
    assert (scores.rows, scores.weight) == (seen.sum(), pytest.approx(total))
    found = sums_compared(scores)
    for m, model in enumerate(found.models):
        difference = each[m] - each[int(np.argmax(each @ weights))]
        mean = np.sum(weights * difference) / total
        error = math.sqrt(np.sum(weights[seen] * (difference[seen] - mean) ** 2) * total / (total - 1))
        assert model.difference == pytest.approx(mean * total, abs=1e-8)
        assert model.difference_error == pytest.approx(error, abs=1e-8)
    order = np.argsort(scores.sampled)
    number = np.argsort(hash_integers(np.arange(N), FOLDS.key)[seen])
    assert scores.sampled_scores[:, order] == pytest.approx(each[:, seen][:, number], abs=1e-9)


def test_equal_models_differ_by_0_with_error_0(rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    one, other, third = candidates(rows[0])
    found = sums_compared(scored(rows, (one, third, other, third, third)))
    for i in (1, 3, 4):
        assert found.models[i].difference == found.models[1].difference
        assert found.difference_errors[i, [1, 3, 4]].tolist() == [0, 0, 0]
    assert found.difference_errors[0, 1] > 0


def test_scores_do_not_depend_on_chunks_beyond_rounding_nor_the_sample_at_all(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    few, many = (scored(rows, candidates(rows[0]), chunk_rows=c, share=0.3) for c in (60, 10_000))
    assert few.totals == pytest.approx(many.totals, rel=1e-13)
    assert few.differences == pytest.approx(many.differences, rel=1e-12)
    assert sorted(few.sampled) == sorted(many.sampled)
    assert 0.2 < len(few.sampled) / N < 0.4


def test_the_fit_without_a_fold_is_the_fit_of_the_other_rows(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    values, noise, weights = rows
    found = dgmmis.compare(
        values, noise=noise, weights=weights, n_components=(3,), folds=3, restarts=2, seed=7, tolerance=1e-6
    )
    folds, total = Folds(3, 7).of(hash_integers(np.arange(N), Folds(3, 7).key)), 0.0
    for fold in range(3):
        held = folds == fold
        fit = dgmmis.fit(
            values[~held], noise=noise[~held], weights=weights[~held], n_components=3,
            initial=found.models[0].model.mixture, tolerance=1e-6,
        )  # fmt: skip
        total += np.sum(weights[held] * dense(values[held], noise[held], fit.mixture)[0])
    assert found.models[0].cross_validated == pytest.approx(total, abs=0.05)


def test_where_the_fits_begin_leaks_no_more_than_is_said() -> None:
    """Against fits that were converged four orders of magnitude further."""
    values, noise = noisy_rows(1_500, seed=50)
    settings = {"n_components": (3,), "folds": 5, "restarts": 2}
    usual, far = (dgmmis.compare(values, noise=noise, tolerance=t, **settings) for t in (0.1, 1e-7))
    for one, other in zip(usual.models, far.models, strict=True):
        assert one.converged
        assert one.fitted.leak <= 0.5
        assert abs(one.cross_validated - other.cross_validated) < one.fitted.leak


def test_left_out_rows_are_scored_with_background_and_selection() -> None:
    """Against formulas: one feature, two noises, kept below 8, a tenth of the rows uniform."""
    rng = np.random.default_rng(3)
    mixture = dgmmis.Mixture([0.7, 0.3], [[0.0], [6.0]], [[[1.0]], [[1.0]]])
    population = Population(mixture, (dgmmis.Background(([-5.0], [15.0]), amplitude=0.1),))
    noise = np.where(np.arange(400) % 2, 0.25, 4.0)[:, None]
    values = rng.uniform(-4, 7.9, (400, 1))
    selecting = build_selecting(
        dgmmis.selection.HalfSpace([-1.0], -8.0, ("x0",)), ("x0",), before_noise=False, noise_model=None,
        projection=None, oversampling=None, seed=0,
    )  # fmt: skip
    chunks = ArrayChunks.from_arrays(values, noise, chunk_rows=90)
    passes = LocalPasses(chunks, cut=selecting.cut, hash_key=FOLDS.key)
    surveyor = selecting.surveyor(chunks.read_pilot(400).samples(checked=True))
    observation = selecting.observation(passes.survey(surveyor), surveyor, population)
    chances = completeness(population, observation, 2048)
    model = Candidate(population, (population,) * 3, (chances,) * 3)
    work = Scoring((model, model), FOLDS, Seeing(selecting.cut, surveyor.classes), 1.0)
    scores = passes.gather(work)
    spread, inside = np.sqrt(1 + noise[:, 0]), np.linspace(-5, 15, 4001)
    seen = 0.9 * norm.cdf((8 - mixture.means[:, 0]) / spread[:, None]) @ mixture.amplitudes
    seen += 0.1 * norm.cdf((8 - inside) / np.sqrt(noise)).mean(axis=1)
    box = norm.cdf((15 - values) / np.sqrt(noise)) - norm.cdf((-5 - values) / np.sqrt(noise))
    density = (
        0.9 * norm.pdf(values, mixture.means[:, 0], spread[:, None]) @ mixture.amplitudes
        + 0.1 * box[:, 0] / 20
    )
    expected = np.log(density / seen)
    hashes = hash_integers(np.arange(400), FOLDS.key)
    order = np.argsort(scores.sampled)
    assert scores.sampled_scores[0][order] == pytest.approx(expected[np.argsort(hashes)], abs=1e-3)
    error = math.sqrt(np.sum((observation.classes.weights * chances.errors / chances.values) ** 2))
    assert abs(scores.totals[0] - expected.sum()) < 4 * error + 1e-3
    assert scores.differences[0, 1] == 0
    assert scores.class_weights.sum() == 400


@pytest.mark.parametrize("before_noise", [False, True])
@pytest.mark.parametrize(
    "behind", [(), (dgmmis.Background(FOOTPRINT, amplitude=0.1),)], ids=["plain", "background"]
)
def test_scores_of_rows_that_do_not_tell_what_the_selection_saw_add_up_to_the_likelihood(
    behind: tuple, before_noise: bool
) -> None:
    rng = np.random.default_rng(8)
    values, noise = TRUTH.draw(300, rng), rng.uniform(0.01, 0.4, (300, 3))
    values[rng.random(values.shape) < 0.2] = np.nan
    known = np.where(np.isnan(values[:, :2]), 0.0, values[:, :2])
    kept = SELECTION.answer(known) > 0
    values, noise = values[kept], noise[kept]
    selecting = build_selecting(
        SELECTION, ("a", "b", "c"), before_noise=before_noise, noise_model=None, projection=None,
        oversampling=None, seed=0,
    )  # fmt: skip
    cut, population = selecting.cut, Population(TRUTH, behind)
    chunks = ArrayChunks.from_arrays(values, noise).keeping_noise(cut.noise_columns)
    samples = prepare(population, chunks.samples[0], cut)
    surveyor = selecting.surveyor(samples)
    found = predict(population, samples, Seeing(cut, surveyor.classes))
    L = summarize_samples(population, samples, cut=cut).log_likelihood
    expected = L + surveyor.survey(samples).log_selection
    assert found.log_density.sum() == pytest.approx(expected, rel=1e-12)
    assert (found.entropy >= 0).all()


def test_a_slab_of_rows_is_scored_as_all_rows_are(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = ArrayChunks.from_arrays(*rows).samples[0]
    whole = predict(Population(TRUTH), samples)
    monkeypatch.setattr("dgmmis.held_out.SLAB_NUMBERS", 100)
    slabs = predict(Population(TRUTH), samples)
    assert slabs.log_density == pytest.approx(whole.log_density, abs=1e-13)
    assert slabs.entropy == pytest.approx(whole.entropy, abs=1e-13)


def test_errors_of_the_chances_are_part_of_the_errors_of_differences(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    scores = scored(rows, candidates(rows[0]))
    some = Fitted(1, "full", 9, dgmmis.Model(TRUTH), -1.0, True, "", 1, ())
    plain, hazy = (
        compared([replace(some, chance_error=e)] * 3, scores, scored=[True] * 3, folds=3, seed=0)
        for e in (0.0, 5.0)
    )
    for one, other in zip(plain.models, hazy.models, strict=True):
        wanted = math.hypot(one.difference_error, 5 * math.sqrt(2)) if one.difference else 0.0
        assert other.difference_error == pytest.approx(wanted)
        assert other.cross_validated_error == pytest.approx(math.hypot(one.cross_validated_error, 5))


def test_chances_are_known_to_their_errors() -> None:
    values = np.random.default_rng(0).uniform(-1, 2, (50, 1))
    selecting = build_selecting(
        dgmmis.selection.Box([-1.0], [2.0], ("x0",)), ("x0",), before_noise=False, noise_model=None,
        projection=None, oversampling=None, seed=0,
    )  # fmt: skip
    samples = ArrayChunks.from_arrays(values).samples[0]
    surveyor = selecting.surveyor(samples)
    population = Population(dgmmis.Mixture([1.0], [[0.0]], [[[1.0]]]))
    chances: Chances = completeness(
        population, selecting.observation(surveyor.survey(samples), surveyor, population)
    )
    assert abs(chances.values[0] - (norm.cdf(2) - norm.cdf(-1))) < 4 * chances.errors[0] + 1e-6


def test_the_best_and_the_simplest_are_told_from_the_table(comparison: Comparison) -> None:
    best = comparison.best
    assert best.label == "K=3 full"
    assert (best.difference, best.difference_error) == (0, 0)
    assert all(model.difference <= 0 for model in comparison.models)
    assert comparison.simplest is best
    lines = comparison.table()
    assert [line["K"] for line in lines] == ["1", "3"]
    assert "best" in lines[1][""]
    near = replace(comparison.models[0], difference=-1.0, difference_error=2.0)
    assert replace(comparison, models=(near, best)).simplest is near
    stack = comparison.stack()
    assert stack.mixture.amplitudes.sum() == pytest.approx(1)
    assert comparison.stacking.gap < 1e-6


def test_a_model_without_a_score_is_neither_best_nor_in_the_stack(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """As when the fit without some fold failed."""
    scores, some = (
        scored(rows, candidates(rows[0])),
        Fitted(1, "full", 9, dgmmis.Model(TRUTH), -1.0, True, "", 1, ()),
    )
    every = compared([some] * 3, scores, scored=[True] * 3, folds=3, seed=0)
    lost = every.models.index(every.best)
    without = compared([some] * 3, scores, scored=[m != lost for m in range(3)], folds=3, seed=0)
    assert math.isnan(without.models[lost].cross_validated)
    assert without.models.index(without.best) != lost
    assert without.best.difference == 0
    assert sum(one.stacking_weight for m, one in enumerate(without.models) if m != lost) == pytest.approx(1)
    assert without.table()[lost]["CV - best"] == "unknown"
    assert without.stack().mixture.amplitudes.sum() == pytest.approx(1)


def test_without_folds_bic_decides_and_there_is_no_stack(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], comparison: Comparison
) -> None:
    plain = dgmmis.compare(rows[0], noise=rows[1], weights=rows[2], **(SMALL | {"folds": 0}))
    assert [model.bic for model in plain.models] == [model.bic for model in comparison.models]
    assert plain.best.bic == min(model.bic for model in plain.models)
    assert all(math.isnan(model.cross_validated) for model in plain.models)
    with pytest.raises(InvalidSetting, match="folds"):
        plain.stack()


def test_a_model_that_is_far_behind_is_left_early_and_changes_no_other(
    comparison: Comparison, rows: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One component for three blobs: against a comparison in which nothing is far."""
    monkeypatch.setattr("dgmmis.contest.HOPELESS", 1e9)
    patient = dgmmis.compare(rows[0], noise=rows[1], weights=rows[2], **SMALL)
    left, best = comparison.models
    assert left.fitted.note == "far behind, left early"
    assert max(left.fitted.fold_passes) == 6 < max(patient.models[0].fitted.fold_passes)
    assert "far behind" in comparison.table()[0][""]
    assert not left.converged
    assert left.difference < -10 * left.difference_error
    assert (best.cross_validated, best.fitted) == (
        patient.models[1].cross_validated,
        replace(patient.models[1].fitted, model=best.model),
    )


def test_a_model_that_cannot_be_fitted_is_told_of_and_leaves_the_others_alone() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(size=(60, 2)), np.full((40, 2), 9.0)])
    found = dgmmis.compare(values, n_components=(1, 2), folds=0, restarts=2)
    assert [model.label for model in found.models] == ["K=1 full"]
    assert found.failures[0][0] == "K=2 full"
    assert "collapsed" in found.failures[0][1]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"folds": 1}, "at least 2"),
        ({"restarts": 0}, "restarts is 0"),
        ({"n_components": 4}, "expected several"),
        ({"n_components": (2, 2)}, "named once"),
        ({"covariance_types": "full"}, "expected several"),
        ({"covariance_types": ("diag", "diagonal")}, "twice"),
        ({"initial": TRUTH}, "initial belongs"),
        ({"output": "somewhere"}, "ingest the array"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidSetting, match=match):
        dgmmis.compare(np.zeros((20, 2)), **{"n_components": (1, 2), **settings})


def test_the_figure_shows_every_model_and_hollow_what_did_not_converge(comparison: Comparison) -> None:
    apart = [
        replace(one, fitted=replace(one.fitted, converged=m == 0, folds_converged=True))
        for m, one in enumerate(comparison.models)
    ]
    figure = draw_comparison(replace(comparison, models=tuple(apart)))
    left_out, *others = figure.axes
    assert left_out.get_title(loc="left") == "Left-out rows, 3 folds"
    assert [panel.get_title(loc="left") for panel in others] == ["BIC", "AIC", "ICL"]
    for panel in figure.axes:
        markers = [line for line in panel.lines if line.get_marker() == "o"]
        assert [float(line.get_xdata()[0]) for line in markers] == [1, 3]
        assert [line.get_markerfacecolor() == "white" for line in markers] == [False, True]
        assert min(float(line.get_ydata()[0]) for line in markers) == 0
    heights = [float(line.get_ydata()[0]) for line in left_out.lines if line.get_marker() == "o"]
    assert heights == [-one.difference for one in apart]
    assert len(draw_comparison(replace(comparison, folds=0)).axes) == 3
    assert as_png(figure).startswith(b"\x89PNG")
