"""Writes reference.json: elastic nets that scikit-learn fitted to a small simulated gene.

    pip install numpy scikit-learn
    python make_reference.py > reference.json

The design is standardised by the mean and the standard deviation (divisor n) of the rows that are fitted, the outcome
is centred. Then scikit-learn minimises what `training::elastic_net` minimises, with `alpha` for lambda and `l1_ratio`
for alpha. It has no penalty factors: those fits come from the plain coordinate descent below, which is checked here
against scikit-learn without factors, and with factors for the lasso, where scaling the columns does the same.
"""

import json

import numpy as np
import sklearn
from sklearn.linear_model import ElasticNet

PEOPLE, VARIANTS, FOLDS, LAMBDAS, RATIO, ALPHA = 60, 40, 5, 100, 0.01, 0.5


def simulate(rng):
    """Haplotypes that copy the variant before them: neighbours are in linkage disequilibrium."""
    haplotypes = np.zeros((2 * PEOPLE, VARIANTS))
    frequency = rng.uniform(0.08, 0.92, VARIANTS)
    for j in range(VARIANTS):
        fresh = (rng.random(2 * PEOPLE) < frequency[j]).astype(float)
        copied = rng.random(2 * PEOPLE) < 0.85
        haplotypes[:, j] = np.where(copied, haplotypes[:, j - 1], fresh) if j % 10 else fresh
    dosages = haplotypes[:PEOPLE] + haplotypes[PEOPLE:]
    for j in range(3, VARIANTS, 5):  # imputed variants: fractions, exact in three decimals
        dosages[:, j] = np.round(np.clip(dosages[:, j] + rng.normal(0, 0.08, PEOPLE), 0, 2), 3)
    dosages[:, 17] = 1.0  # one that does not vary
    effects = np.zeros(VARIANTS)
    effects[[2, 12, 13, 31]] = [0.8, -0.6, 0.5, 0.4]
    y = 1.7 + dosages @ effects + rng.normal(0, 0.5, PEOPLE)
    return dosages.astype(np.float32).astype(np.float64), np.round(y, 6)


def standardise(x):
    mean, sd = x.mean(axis=0), x.std(axis=0)
    return mean, np.where(sd > 1e-9, sd, np.inf)


def scikit(z, y, lam, alpha):
    model = ElasticNet(alpha=lam, l1_ratio=alpha, fit_intercept=False, tol=1e-13, max_iter=1_000_000)
    return model.fit(z, y).coef_


def plain(z, y, lam, alpha, factors):
    n, b, residual = len(y), np.zeros(z.shape[1]), y.copy()
    square = (z**2).sum(axis=0) / n
    for _ in range(1_000_000):
        largest = 0.0
        for j in np.flatnonzero(square > 0):
            rho = z[:, j] @ residual / n + square[j] * b[j]
            new = np.sign(rho) * max(abs(rho) - lam * alpha * factors[j], 0) / (square[j] + lam * (1 - alpha) * factors[j])
            if new != b[j]:
                residual -= z[:, j] * (new - b[j])
                largest = max(largest, abs(new - b[j]))
                b[j] = new
        if largest < 1e-12:
            return b
    raise RuntimeError("no convergence")


def fit(x, y, lam, alpha=ALPHA, factors=None):
    mean, sd = standardise(x)
    z, centred = (x - mean) / sd, y - y.mean()
    b = scikit(z, centred, lam, alpha) if factors is None else plain(z, centred, lam, alpha, factors)
    return y.mean() - (b / sd) @ mean, b / sd


def largest_lambda(x, y, factors):
    mean, sd = standardise(x)
    return np.max(np.abs((x - mean).T @ (y - y.mean())) / sd / len(y) / factors) / ALPHA


def cross_validate(x, y, folds, factors):
    ones = np.ones(VARIANTS)
    lambdas = largest_lambda(x, y, ones if factors is None else factors) * RATIO ** (np.arange(LAMBDAS) / (LAMBDAS - 1))
    predicted, null = np.zeros((LAMBDAS, PEOPLE)), 0.0
    for fold in range(FOLDS):
        held = folds == fold
        null += ((y[held] - y[~held].mean()) ** 2).sum()
        for at, lam in enumerate(lambdas):
            intercept, weights = fit(x[~held], y[~held], lam, factors=factors)
            predicted[at, held] = intercept + x[held] @ weights
    mse = ((y - predicted) ** 2).mean(axis=1)
    best = int(np.argmin(mse))
    intercept, weights = fit(x, y, lambdas[best], factors=factors)
    return {
        "index": best, "lambda": lambdas[best], "mse": mse[best], "null_mse": null / PEOPLE,
        "errors": mse.tolist(), "out_of_fold": predicted[best].tolist(),
        "intercept": intercept, "weights": weights.tolist(),
    }


def check():
    mean, sd = standardise(X)
    z, centred = (X - mean) / sd, Y - Y.mean()
    for lam in (0.4, 0.1, 0.02):
        assert np.abs(plain(z, centred, lam, ALPHA, np.ones(VARIANTS)) - scikit(z, centred, lam, ALPHA)).max() < 1e-7
        scaled = scikit(z / FACTORS, centred, lam, 1.0) / FACTORS
        assert np.abs(plain(z, centred, lam, 1.0, FACTORS) - scaled).max() < 1e-7


RNG = np.random.default_rng(20)
X, Y = simulate(RNG)
FACTORS = np.exp(RNG.normal(0, 0.8, VARIANTS))
FACTORS /= FACTORS.mean()
check()
ASSIGNED = RNG.permutation(np.arange(PEOPLE) % FOLDS)
fits = []
for alpha in (0.5, 1.0, 0.1):
    for lam in (0.5, 0.2, 0.05, 0.01):
        for factors in (None, FACTORS):
            intercept, weights = fit(X, Y, lam, alpha, factors)
            fits.append({
                "alpha": alpha, "lambda": lam, "factors": factors is not None,
                "intercept": intercept, "weights": weights.tolist(),
            })


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


document = {
    "made_with": f"scikit-learn {sklearn.__version__}, numpy {np.__version__}",
    "people": PEOPLE, "variants": VARIANTS, "largest_lambda": largest_lambda(X, Y, np.ones(VARIANTS)),
    "dosages": X.T.tolist(), "y": Y.tolist(), "factors": FACTORS.tolist(), "folds": ASSIGNED.tolist(),
    "fits": fits, "cross_validation": [cross_validate(X, Y, ASSIGNED, None), cross_validate(X, Y, ASSIGNED, FACTORS)],
}
print("{")
items = list(rounded(document).items())
for at, (key, value) in enumerate(items):
    print(f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" + ("," if at + 1 < len(items) else ""))
print("}")
