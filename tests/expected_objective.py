"""The expected objective of the maximization step, and its maximum by numerical search.

Nothing here shares code with the package: moments come from the oracle row by row, and the search knows
the constraints only through how it writes the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

import oracle
from oracle import Parameters


@dataclass(frozen=True)
class Allowed:
    """Where the search may go: `start` with some parameters replaced."""

    start: Parameters
    covariance_type: str
    floor: list[float] | None
    frozen: Mapping[str, list[int]]

    def free(self, kind: str) -> list[int]:
        return [k for k in range(len(self.start.amplitudes)) if k not in self.frozen.get(kind, ())]

    @property
    def n_roots(self) -> int:
        """Covariances that the search chooses."""
        return (
            min(1, len(self.free("covariances")))
            if self.covariance_type == "tied"
            else len(self.free("covariances"))
        )

    def parameters(self, vector: np.ndarray) -> Parameters:
        """Amplitudes by softmax, means as they are, covariances as floor + root root^T."""
        a, m, V = (array.copy() for array in self.start)
        free, d = self.free("amplitudes"), m.shape[1]
        logits, rest = np.split(vector, [len(free)])
        a[free] = np.exp(logits) / np.exp(logits).sum() * (1 - a[self.frozen.get("amplitudes", [])].sum())
        offsets, roots = np.split(rest, [len(self.free("means")) * d])
        m[self.free("means")] = offsets.reshape(-1, d)
        for k, root in zip(self.free("covariances"), self._roots(roots, d), strict=True):
            V[k] = self._covariance(root, d)
        return Parameters(a, m, V)

    def _roots(self, numbers: np.ndarray, d: int) -> np.ndarray:
        roots = numbers.reshape(self.n_roots, -1)
        return (
            np.repeat(roots, len(self.free("covariances")), axis=0)
            if self.covariance_type == "tied"
            else roots
        )

    def _covariance(self, root: np.ndarray, d: int) -> np.ndarray:
        lowest = np.zeros(d) if self.floor is None else np.array(self.floor) ** 2
        if self.covariance_type == "spherical":
            return (lowest.max() + root[0] ** 2) * np.eye(d)
        if self.covariance_type == "diagonal":
            return np.diag(lowest + root**2)
        lower = np.zeros((d, d))
        lower[np.tril_indices(d)] = root
        return np.diag(lowest) + lower @ lower.T

    def first_vector(self) -> np.ndarray:
        m, d = self.start.means, self.start.means.shape[1]
        root = {"spherical": np.ones(1), "diagonal": np.ones(d)}.get(
            self.covariance_type, np.eye(d)[np.tril_indices(d)]
        )
        return np.concatenate(
            (
                np.zeros(len(self.free("amplitudes"))),
                m[self.free("means")].ravel(),
                np.tile(root, self.n_roots),
            )
        )


def expected_objective(values, noise, weights, allowed: Allowed, psi, rows, alpha) -> Callable:
    """E[ln p(rows, hidden)] under the start plus the logarithm of the prior, as a function of parameters."""
    start = allowed.start
    observed = list(oracle.informative(values, noise, weights))
    shares = np.array([s * oracle.responsibilities(x, S, start) for x, S, s in observed])
    K = len(start.amplitudes)
    moments = [
        [oracle.condition(x, S, start.means[k], start.covariances[k]) for x, S, _ in observed]
        for k in range(K)
    ]
    centres = [np.array([b for b, _ in component]) for component in moments]
    spreads = [np.einsum("n,nde->de", shares[:, k], [B for _, B in moments[k]]) for k in range(K)]
    counts = shares.sum(axis=0)
    once = allowed.free("covariances")[: allowed.n_roots]
    more = np.array([alpha - 1 if k in allowed.free("amplitudes") else 0.0 for k in range(K)])

    def objective(parameters: Parameters | tuple) -> float:
        a, m, V = parameters
        total = float(((counts + more) * np.log(a)).sum())
        for k in range(K):
            r = centres[k] - m[k]
            scatter = spreads[k] + np.einsum("n,nd,ne->de", shares[:, k], r, r)
            n = counts[k] + (rows if k in once else 0.0)
            scatter = scatter + (psi if k in once else 0.0)
            total -= 0.5 * (n * np.linalg.slogdet(V[k])[1] + np.trace(np.linalg.solve(V[k], scatter)))
        return total

    return objective


def best_population(objective: Callable, allowed: Allowed) -> tuple[Parameters, float]:
    """Search numerically from a plain point."""
    found = minimize(
        lambda vector: -objective(allowed.parameters(vector)),
        allowed.first_vector(),
        method="BFGS",
        options={"gtol": 1e-6, "maxiter": 2000},
    )
    return allowed.parameters(found.x), -found.fun
