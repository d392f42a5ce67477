"""Who shares masks with whom: the same graph everywhere, regular, in one piece, of logarithmic degree."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from fi_workbench.privacy.secure_sum.graph import Graph, at_least, degree_of, graph_of, threshold_of


def reached(graph, included):
    """Parties that hang together with the first of ``included``, by walking."""
    start = min(included)
    seen, ahead = {start}, [start]
    while ahead:
        for other in graph.neighbours(ahead.pop()):
            if other in included and other not in seen:
                seen.add(other)
                ahead.append(other)
    return seen


@pytest.mark.parametrize(("n_parties", "degree"), [(3, 2), (5, 4), (13, 12), (14, 12), (40, 12), (101, 16)])
def test_it_is_regular_mutual_and_in_one_piece(n_parties, degree):
    graph = graph_of("ab" * 32, n_parties, degree)
    for party in range(n_parties):
        others = graph.neighbours(party)
        assert len(set(others)) == len(others) == graph.degree == degree
        assert party not in others
        assert all(party in graph.neighbours(other) for other in others)
    assert reached(graph, set(range(n_parties))) == set(range(n_parties))


def test_share_numbers_are_each_holders_own():
    graph = graph_of("ab" * 32, 40, 12)
    for owner in range(40):
        numbers = [graph.share_number(owner, holder) for holder in (owner, *graph.neighbours(owner))]
        assert sorted(numbers) == list(range(1, 14))
        assert numbers[0] == 1
    stranger = next(party for party in range(40) if party not in {0, *graph.neighbours(0)})
    with pytest.raises(KeyError):
        graph.share_number(0, stranger)


def test_it_hangs_on_the_digest_alone():
    graph_of.cache_clear()
    first = graph_of("ab" * 32, 60, 12)
    graph_of.cache_clear()
    assert graph_of("ab" * 32, 60, 12) == first
    assert graph_of("ac" * 32, 60, 12) != first
    assert sorted(first.order) == list(range(60))


def test_every_order_of_the_circle_is_as_likely():
    """Neighbourhoods over many digests: each pair is adjacent in its share of them (fixed digests: cannot flake)."""
    counts = np.zeros(20)
    for number in range(400):
        graph = graph_of(f"{number:064x}", 20, 12)
        counts[list(graph.neighbours(0))] += 1
    expected = 400 * 12 / 19
    assert (np.abs(counts[1:] - expected) < 5 * math.sqrt(expected)).all()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_piece_is_what_a_walk_finds(data):
    n_parties = data.draw(st.integers(4, 30))
    degree = 2 * data.draw(st.integers(1, 4))
    included = data.draw(st.sets(st.integers(0, n_parties - 1), min_size=1))
    graph = graph_of(f"{data.draw(st.integers(0, 9)):064x}", n_parties, degree)
    bits = np.isin(np.arange(n_parties), list(included))
    assert graph.in_one_piece(bits) == (reached(graph, included) == included)


def test_two_runs_of_missing_parties_cut_the_circle():
    graph = Graph(tuple(range(10)), (1, -1, 2, -2))
    assert graph.in_one_piece(~np.isin(np.arange(10), [2, 3]))
    assert not graph.in_one_piece(~np.isin(np.arange(10), [2, 3, 7, 8]))


@pytest.mark.parametrize(("n_parties", "low", "high"), [(3, 2, 2), (10, 9, 9), (100, 16, 24), (1000, 30, 50)])
def test_the_degree_grows_like_a_logarithm(n_parties, low, high):
    assert low <= degree_of(n_parties, 0, 1 / 3, 0.1) <= high


@pytest.mark.parametrize("n_parties", [20, 100, 1000])
def test_the_degree_keeps_what_it_promises(n_parties):
    degree = degree_of(n_parties, 0, 1 / 3, 0.1)
    threshold = threshold_of(degree + 1, 1 / 3)
    colluding, dropping = math.ceil(0.1 * n_parties), math.ceil(0.05 * n_parties)
    assert n_parties * hypergeom.sf(threshold - 1, n_parties - 1, colluding, degree) <= 2.0**-40
    assert n_parties * hypergeom.sf(degree + 1 - threshold, n_parties - 1, dropping, degree) <= 2.0**-20


def test_more_neighbours_may_be_asked_for_never_fewer():
    assert degree_of(1000, 61, 1 / 3, 0.1) == 62
    assert degree_of(1000, 2, 1 / 3, 0.1) == degree_of(1000, 0, 1 / 3, 0.1)
    assert degree_of(10, 500, 1 / 3, 0.1) == 9


@pytest.mark.parametrize("share", [0.0, 0.1, 1 / 3, 0.49])
def test_the_threshold_is_always_more_than_half(share):
    for n_holders in range(3, 60):
        threshold = threshold_of(n_holders, share)
        assert n_holders / 2 < threshold <= n_holders
        assert n_holders - threshold == math.floor(share * n_holders + 1e-9)


@pytest.mark.parametrize("case", [(3, 20, 5, 10), (0, 20, 5, 10), (6, 20, 5, 10), (2, 999, 50, 38)])
def test_the_tail_is_the_hypergeometric_one(case):
    least, n_all, n_marked, n_drawn = case
    np.testing.assert_allclose(at_least(*case), hypergeom.sf(least - 1, n_all, n_marked, n_drawn), atol=1e-12)
