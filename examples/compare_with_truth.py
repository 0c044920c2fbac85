"""Print a fit beside the truth it should have found."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from dgmmis import Mixture, Model, open_catalog, open_run
from dgmmis.local_pass import local_summarize
from dgmmis.population import Population


def matching(truth: Mixture, fit: Mixture) -> np.ndarray:
    """For each true component the fitted one nearest to it, in units of the true dispersions."""
    precision = np.linalg.inv(truth.covariances)
    offsets = fit.means[None] - truth.means[:, None]
    distance = np.einsum("kld,kde,kle->kl", offsets, precision, offsets)
    return linear_sum_assignment(np.minimum(distance, 100))[1]


def main() -> None:
    """Compare parameters and likelihoods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("truth", type=Path)
    arguments = parser.parse_args()
    run, truth = open_run(arguments.run), Model.load(arguments.truth)
    fit = run.model()
    which = matching(truth.mixture, fit.mixture)
    header = "".join(f"{name:>22}" for name in ("amplitude", *(f"mean {f}" for f in truth.features)))
    print(f"{'':>9}{header}" + "".join(f"{'sigma ' + f:>22}" for f in truth.features))
    for k, match in enumerate(which):
        pairs = [(truth.mixture.amplitudes[k], fit.mixture.amplitudes[match])]
        pairs += zip(truth.mixture.means[k], fit.mixture.means[match], strict=True)
        sigmas = [
            np.sqrt(np.diagonal(m.covariances[i])) for m, i in ((truth.mixture, k), (fit.mixture, match))
        ]
        pairs += zip(*sigmas, strict=True)
        print("truth|fit" + "".join(f"{a:>11.4f}|{b:<10.4f}" for a, b in pairs))
    catalog = open_catalog(run.data["path"])
    of_truth = local_summarize(catalog)(Population(truth.mixture)).log_likelihood
    latest = run.latest()
    gain = latest.scan.statistics.log_likelihood - of_truth
    free = truth.mixture.n_components * 10 - 1
    print(
        f"\nln L of the fit exceeds that of the truth by {gain:.1f} nats; with {free} free parameters about "
        f"{free / 2:.0f} are expected of the best fit."
    )


if __name__ == "__main__":
    main()
