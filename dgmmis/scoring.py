"""Several models scored on rows they have not seen, in one pass: sums, and sums of differences between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dgmmis.background import BackgroundLike
from dgmmis.folds import Folds
from dgmmis.held_out import ALL_SEEN, Chances, Predicted, Seeing, predict
from dgmmis.packed import Array
from dgmmis.population import Population
from dgmmis.row_hash import Hashes
from dgmmis.row_parts import taken
from dgmmis.samples import Samples
from dgmmis.selected_rows import Cut

__all__ = ["Candidate", "Scores", "Scoring"]


@dataclass(frozen=True)
class Candidate:
    """One model: as fitted to all rows, and as fitted without each fold.

    Attributes
    ----------
    whole : Population
    without : tuple of Population
        By fold; none if there are no folds.
    chances : tuple of Chances
        Of the selection, under each of `without`; none without a selection.
    """

    whole: Population
    without: tuple[Population, ...] = ()
    chances: tuple[Chances, ...] = ()


@dataclass(frozen=True)
class Scores:
    """Sums over rows with an observed feature, s being their weights and l the held-out ln p of M models [nats].

    Attributes
    ----------
    rows : int
    weight : float
        sum s.
    totals : (M,)
        sum s l.
    squares : (M,)
        sum s l^2.
    differences : (M, M)
        sum s (l_m - l_n)^2.
    entropies : (M,)
        sum s times the entropy of a row's responsibilities under the model of all rows.
    class_weights : (L, B)
        sum s of each fold and class of the selection.
    sampled : (n,)
        Hashes of the rows whose scores are kept: a random sample, in no order.
    sampled_weights : (n,)
    sampled_scores : (M, n)
    """

    rows: int
    weight: float
    totals: Array
    squares: Array
    differences: Array
    entropies: Array
    class_weights: Array
    sampled: Hashes
    sampled_weights: Array
    sampled_scores: Array

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.rows + other.rows,
            self.weight + other.weight,
            self.totals + other.totals,
            self.squares + other.squares,
            self.differences + other.differences,
            self.entropies + other.entropies,
            self.class_weights + other.class_weights,
            np.concatenate((self.sampled, other.sampled)),
            np.concatenate((self.sampled_weights, other.sampled_weights)),
            np.concatenate((self.sampled_scores, other.sampled_scores), axis=1),
        )


@dataclass(frozen=True)
class Scoring:
    """Scores all candidates on each chunk.

    Attributes
    ----------
    candidates : tuple of Candidate
        All with the same backgrounds but for the amplitudes.
    folds : Folds or None
        None: only the entropies are summed.
    seeing : Seeing
    share : float
        Of the rows, whose scores are kept one by one.
    """

    candidates: tuple[Candidate, ...]
    folds: Folds | None = None
    seeing: Seeing = ALL_SEEN
    share: float = 0.0

    @property
    def backgrounds(self) -> tuple[BackgroundLike, ...]:
        """Those of the candidates."""
        return self.candidates[0].whole.backgrounds

    @property
    def cut(self) -> Cut | None:
        """The selection that rows passed."""
        return self.seeing.cut

    def begin(self) -> Callable[[Samples, int], Scores]:
        """Nothing is to be prepared."""
        return self._score

    def _score(self, samples: Samples, first_row: int) -> Scores:
        n_models = len(self.candidates)
        weights, seen = _row_weights(samples)
        entropies, scores = np.empty(n_models), np.zeros((n_models, samples.n_rows))
        classes = np.zeros(samples.n_rows, np.intp)
        for m, candidate in enumerate(self.candidates):
            found = predict(candidate.whole, samples, self.seeing)
            entropies[m] = np.sum(weights * found.entropy)
            classes = found.classes
        folds = np.zeros(samples.n_rows, np.intp)
        if self.folds is not None:
            assert samples.hashes is not None
            folds = self.folds.of(samples.hashes)
            self._held_out(samples, folds, scores)
        return Scores(
            int(seen.sum()),
            float(weights.sum()),
            np.array([np.sum(weights * one) for one in scores]),
            np.array([np.sum(weights * one**2) for one in scores]),
            _squared_differences(scores, weights),
            entropies,
            self._class_weights(folds, classes, weights),
            *self._sample(samples, seen, weights, scores),
        )

    def _held_out(self, samples: Samples, folds: NDArray[np.intp], scores: Array) -> None:
        """Fill in the scores (M, N), each row's by the fit that has not seen it."""
        assert self.folds is not None
        for fold in range(self.folds.count):
            mine = folds == fold
            rows = taken(samples, mine)
            for m, candidate in enumerate(self.candidates):
                chances = candidate.chances[fold] if candidate.chances else None
                found: Predicted = predict(candidate.without[fold], rows, self.seeing, chances)
                scores[m, mine] = found.log_density

    def _class_weights(self, folds: NDArray[np.intp], classes: NDArray[np.intp], weights: Array) -> Array:
        n_classes = 1 if self.seeing.classes is None else self.seeing.classes.n_classes
        n_folds = 1 if self.folds is None else self.folds.count
        sums = np.bincount(folds * n_classes + classes, weights=weights, minlength=n_folds * n_classes)
        return np.asarray(sums.reshape(n_folds, n_classes), dtype=np.float64)

    def _sample(
        self, samples: Samples, seen: NDArray[np.bool_], weights: Array, scores: Array
    ) -> tuple[Hashes, Array, Array]:
        if self.folds is None or samples.hashes is None:
            return np.zeros(0, np.uint64), np.zeros(0), np.zeros((len(scores), 0))
        kept = seen & self.folds.thinned(samples.hashes, self.share)
        return samples.hashes[kept], weights[kept], scores[:, kept]


def _row_weights(samples: Samples) -> tuple[Array, NDArray[np.bool_]]:
    """Weight (N,) of each row, 0 where nothing was observed; and which rows observed anything."""
    weights, seen = np.zeros(samples.n_rows), np.zeros(samples.n_rows, bool)
    for group in samples.groups:
        weights[group.rows], seen[group.rows] = group.weights, True
    return weights, seen


def _squared_differences(scores: Array, weights: Array) -> Array:
    """Sum s (l_m - l_n)^2 (M, M), each pair by itself: equal scores differ by exactly 0."""
    n_models = len(scores)
    sums = np.zeros((n_models, n_models))
    for m in range(n_models):
        for n in range(m):
            sums[m, n] = sums[n, m] = np.sum(weights * (scores[m] - scores[n]) ** 2)
    return sums
