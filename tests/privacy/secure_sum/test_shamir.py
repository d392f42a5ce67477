"""Shares: any t give the secret back, t - 1 say nothing, wrong ones are found."""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy.secure_sum import shamir
from fi_workbench.privacy.secure_sum.shamir import PRIME, join, split

SECRET = bytes(range(32))


def anything(_secret):
    return True


def is_it(secret):
    return secret == SECRET


def test_a_polynomial_that_is_known(monkeypatch):
    """f(x) = 1234 + 166 x + 94 x^2, the textbook's."""
    monkeypatch.setattr(shamir, "random_coefficient", iter([94, 166]).__next__)
    shares = split((1234).to_bytes(32, "little"), 6, 3)
    assert [int.from_bytes(share, "little") for share in shares] == [1494, 1942, 2578, 3402, 4414, 5614]
    secret, wrong = join({2: shares[1], 4: shares[3], 5: shares[4]}, 3, anything)
    assert (int.from_bytes(secret, "little"), wrong) == (1234, set())


def test_the_field_is_one():
    assert pow(3, PRIME - 1, PRIME) == 1
    assert PRIME == 2**521 - 1


@pytest.mark.parametrize(("n", "threshold"), [(3, 2), (5, 4), (5, 5), (7, 1)])
def test_any_t_shares_give_the_secret(n, threshold):
    shares = dict(enumerate(split(SECRET, n, threshold), start=1))
    assert all(len(share) == shamir.SHARE_BYTES for share in shares.values())
    for size in range(threshold, n + 1):
        for chosen in itertools.combinations(shares, size):
            assert join({number: shares[number] for number in chosen}, threshold, is_it) == (SECRET, set())


def test_fewer_give_nothing():
    shares = dict(enumerate(split(SECRET, 5, 4), start=1))
    assert join({1: shares[1], 2: shares[2], 3: shares[3]}, 4, anything) == (None, set())


def test_t_minus_one_shares_are_uniform_whatever_the_secret(monkeypatch):
    stream = Keystream.seeded(5, "shamir")
    monkeypatch.setattr(shamir, "random_coefficient", lambda: int.from_bytes(stream.bytes(66), "little") % shamir.PRIME)
    for secret in (bytes(32), b"\xff" * 32):
        seen = [share[:64] for _ in range(300) for share in split(secret, 5, 3)[1:3]]
        counts = np.bincount(np.frombuffer(b"".join(seen), np.uint8), minlength=256)
        expected = counts.sum() / 256
        assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-9, 255)


@pytest.mark.parametrize("bad", [(1,), (5,), (2, 4)])
def test_wrong_shares_are_found_where_enough_others_are_left(bad):
    shares = dict(enumerate(split(SECRET, 7, 4), start=1))
    for number in bad:
        shares[number] = bytes([shares[number][0] ^ 1]) + shares[number][1:]
    assert join(shares, 4, is_it) == (SECRET, set(bad))


def test_with_too_few_right_ones_the_secret_is_lost_and_nobody_is_accused():
    shares = dict(enumerate(split(SECRET, 5, 4), start=1))
    for number in (1, 2):
        shares[number] = bytes(66)
    assert join(shares, 4, is_it) == (None, set())
    shares = dict(enumerate(split(bytes(32), 5, 4), start=1))
    assert join(shares, 4, is_it) == (None, set()), "shares that agree, of another secret than was promised"


def test_the_search_has_an_end(monkeypatch):
    tried = []
    monkeypatch.setattr(shamir, "MAX_TRIES", 20)
    shares = {number: bytes([number]) * 66 for number in range(1, 40)}
    assert join(shares, 20, lambda secret: tried.append(secret) or False) == (None, set())
    assert len(tried) <= 20


def test_a_share_beyond_the_field_is_only_wrong():
    shares = dict(enumerate(split(SECRET, 4, 3), start=1)) | {4: b"\xff" * 66}
    assert join(shares, 3, is_it) == (SECRET, {4})
