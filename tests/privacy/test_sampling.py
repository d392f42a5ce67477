"""Noise on the integers: exact laws under fixed keys, and shares that sum to what they are shares of."""

import math

import numpy as np
import pytest
from scipy import stats

from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy.sampling import (
    MAX_SCALE,
    coins,
    discrete_gaussian,
    discrete_laplace,
    laplace_share,
    uniform_below,
)

N = 200_000


def stream(*labels):
    return Keystream.seeded(5, *labels)


def gaussian_pmf(stddev):
    """Exact probabilities of the discrete Gaussian at -reach..reach."""
    reach = int(12 * stddev) + 3
    support = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (support / stddev) ** 2)
    return support, weights / weights.sum()


def laplace_pmf(scale):
    support = np.arange(-40 * scale, 40 * scale + 1)
    return support, stats.dlaplace(1.0 / scale).pmf(support)


def p_value(drawn, support, pmf):
    """Of a chi-square test of the draws against exact probabilities; rare outcomes are pooled."""
    expected = len(drawn) * pmf
    counts = np.array([(drawn == value).sum() for value in support[expected >= 20]])
    common = expected[expected >= 20]
    counts = np.append(counts, len(drawn) - counts.sum())
    common = np.append(common, len(drawn) - common.sum())
    if common[-1] < 5:
        counts, common = np.append(counts[:-2], counts[-2:].sum()), np.append(common[:-2], common[-2:].sum())
    return stats.chisquare(counts, common).pvalue


@pytest.mark.parametrize("scale", [1, 2, 7, 20])
def test_discrete_laplace_has_its_law(scale):
    assert p_value(discrete_laplace(stream("lap", scale), N, scale), *laplace_pmf(scale)) > 1e-3


@pytest.mark.parametrize("stddev", [0.3, 0.8, 1.0, 3.3, 15.0])
def test_discrete_gaussian_has_its_law(stddev):
    assert p_value(discrete_gaussian(stream("gauss", stddev), N, stddev), *gaussian_pmf(stddev)) > 1e-3


def test_a_wrong_law_would_be_seen():
    assert p_value(discrete_laplace(stream("lap"), N, 8), *laplace_pmf(7)) < 1e-9
    assert p_value(discrete_gaussian(stream("gauss"), N, 3.4), *gaussian_pmf(3.3)) < 1e-9
    rounded = np.round(np.random.default_rng(0).normal(scale=0.8, size=N)).astype(int)
    assert p_value(rounded, *gaussian_pmf(0.8)) < 1e-9, "a rounded Gaussian is not a discrete one"


@pytest.mark.parametrize(("scale", "n_shares"), [(1, 3), (7, 1), (7, 4), (20, 10)])
def test_shares_sum_to_a_discrete_laplace(scale, n_shares):
    shares = [laplace_share(stream("share", scale, n_shares, k), N, scale, n_shares) for k in range(n_shares)]
    assert p_value(sum(shares), *laplace_pmf(scale)) > 1e-3
    if n_shares > 1:
        assert p_value(sum(shares[1:]), *laplace_pmf(scale)) < 1e-9, "with a share too few it is none"


def test_each_share_is_polya_less_polya():
    scale, n_shares = 3, 5
    up_to = np.arange(0, 200)
    polya = stats.nbinom(1.0 / n_shares, -math.expm1(-1.0 / scale)).pmf(up_to)
    both = np.convolve(polya, polya[::-1])
    support = np.arange(-199, 200)
    share = laplace_share(stream("one share"), N, scale, n_shares)
    assert p_value(share, support, both / both.sum()) > 1e-3


@pytest.mark.parametrize("scale", [2**20, 2**33 + 5, 2**55])
def test_large_scales_keep_moments_and_parity(scale):
    n = N // 10
    laplace = discrete_laplace(stream("large"), n, scale)
    gaussian = discrete_gaussian(stream("large"), n, float(scale))
    shares = sum(laplace_share(stream("large", k), n, scale, 4) for k in range(4))
    for drawn, law in ((laplace, stats.laplace), (gaussian, stats.norm), (shares, stats.laplace)):
        assert drawn.dtype == np.int64
        assert stats.kstest(drawn / scale, law.cdf).pvalue > 1e-3
        # every residue is as likely as any other: no double was rounded onto a coarser grid
        assert stats.chisquare(np.bincount(drawn % 16, minlength=16)).pvalue > 1e-3


def test_equal_keys_give_equal_noise_and_others_do_not():
    first, again = (discrete_gaussian(stream("a"), 50, 9.0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (discrete_gaussian(stream("b"), 50, 9.0) != first).any()
    assert (discrete_gaussian(Keystream.fresh(), 50, 1e6) != discrete_gaussian(Keystream.fresh(), 50, 1e6)).any()


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 3 * 2**61])
def test_uniform_integers_are_uniform(bound):
    drawn = uniform_below(stream("uniform", bound), 30_000, bound)
    assert drawn.min() >= 0
    assert drawn.max() < bound
    if 1 < bound <= 10:
        assert stats.chisquare(np.bincount(drawn, minlength=bound)).pvalue > 1e-3
    elif bound > 10:
        assert stats.kstest(drawn / bound, stats.uniform.cdf).pvalue > 1e-3, (
            "2^64 mod bound would be 1.5 times as likely"
        )


def test_coins():
    assert not coins(stream("never"), 1000, 0.0).any()
    assert coins(stream("always"), 1000, 1.0).all()
    assert stats.binomtest(int(coins(stream("some"), N, 0.3).sum()), N, 0.3).pvalue > 1e-3


def test_nothing_is_drawn_where_nothing_is_asked():
    assert len(discrete_laplace(stream(), 0, 3)) == len(discrete_gaussian(stream(), 0, 3.0)) == 0
    assert len(laplace_share(stream(), 0, 3, 3)) == 0


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf, 2 * MAX_SCALE])
def test_impossible_noise_is_refused(scale):
    for draw in (discrete_laplace, discrete_gaussian, lambda *given: laplace_share(*given, 3)):
        with pytest.raises(ValueError, match="cannot be drawn"):
            draw(stream(), 3, scale)
    with pytest.raises(ValueError, match="0 shares"):
        laplace_share(stream(), 3, 3, 0)
