"""Attacks on a recorded view: each comes to one number, and to what that number stays below where nothing is learnt."""

from __future__ import annotations

import numpy as np
from scipy import stats
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score

LEAST_CELL = 25
"""Of fewer cases expected in a cell, a correlation is not normally distributed."""

RARE = 1e-7
"""A bound is exceeded so rarely by chance alone, however many things are looked at."""


def strongest_correlation(features: np.ndarray, secrets: np.ndarray) -> tuple[float, float]:
    """The largest |z| between any feature and any secret, and its bound (Bonferroni).

    Parameters
    ----------
    features : ndarray
        (query, feature).
    secrets : ndarray
        (query, secret), -1 or 1.
    """
    n = len(features)
    left, right = _standardised(features), _standardised(secrets)
    z = np.abs(left.T @ right) / np.sqrt(n)
    return float(z.max()), float(stats.norm.isf(RARE / (2 * z.size)))


def foretold(features: np.ndarray, secrets: np.ndarray) -> tuple[float, float]:
    """How well least squares, with a ridge, foretells secrets from one half of the queries to the other.

    Returns
    -------
    found, bound : float
        The largest |z| of the correlation of what was foretold with what is, over all secrets.
    """
    half = len(features) // 2
    x, y = _standardised(features), _standardised(secrets)
    gram = x[:half] @ x[:half].T
    gram[np.diag_indices(half)] += 0.1 * np.trace(gram) / half
    told = (x[half:] @ x[:half].T) @ np.linalg.solve(gram, y[:half])
    told = (told - told.mean(axis=0)) / told.std(axis=0)
    truth = y[half:] - y[half:].mean(axis=0)
    truth /= truth.std(axis=0)
    z = np.abs((told * truth).sum(axis=0)) / np.sqrt(len(told))
    return float(z.max()), float(stats.norm.isf(RARE / (2 * len(z))))


def told_apart(one: np.ndarray, other: np.ndarray, trees: int = 30) -> tuple[float, float]:
    """How well trained classifiers tell views of one thing from views of another.

    Parameters
    ----------
    one, other : ndarray
        (query, feature).

    Returns
    -------
    found, bound : float
        The larger distance from 1/2 of the area under the curve, of ridge regression and of random trees.
    """
    features = np.concatenate([one, other])
    labels = np.repeat([-1.0, 1.0], [len(one), len(other)])
    order = np.random.default_rng(7).permutation(len(labels))
    features, labels, half = features[order], labels[order], len(labels) // 2
    x = features - features[:half].mean(axis=0)
    gram = x[:half] @ x[:half].T
    gram[np.diag_indices(half)] += 0.1 * np.trace(gram) / half
    by_ridge = (x[half:] @ x[:half].T) @ np.linalg.solve(gram, labels[:half])
    forest = ExtraTreesClassifier(trees, min_samples_leaf=4, random_state=7, n_jobs=1)
    forest.fit(features[:half], labels[:half])
    by_trees = forest.predict_proba(features[half:])[:, 1]
    areas = [roc_auc_score(labels[half:], scores) for scores in (by_ridge, by_trees)]
    n = len(labels) - half
    spread = np.sqrt((n + 1) / (12 * (n / 2) ** 2))
    return float(max(abs(area - 0.5) for area in areas)), float(stats.norm.isf(RARE / 4) * spread)


def repeated(words: np.ndarray) -> int:
    """How many entries of (query, entry) are what another query has in the same place."""
    return sum(len(column) - len(np.unique(column)) for column in words.T)


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1; columns that are (nearly) constant are left out."""
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    low, high = columns.min(axis=0), columns.max(axis=0)
    # of two values: how often the rarer one occurs
    rarer = np.where(high > low, np.minimum(mean - low, high - mean) / np.maximum(high - low, 1e-30), 0)
    kept = rarer * len(columns) > np.sqrt(LEAST_CELL * len(columns))
    return ((columns[:, kept] - mean[kept]) / spread[kept]).astype(np.float32)
