"""Shares of a secret of which any t give it back, and t - 1 say nothing.

Source: A. Shamir, How to share a secret, CACM 22(11), 1979. Over the field of the Mersenne prime 2^521 - 1, in Python's
integers: a secret of 32 bytes is one element. The implementation that comes with pycryptodome shares 16 bytes at a
time, in twenty times the time (bit by bit in GF(2^128)), and cannot tell which share is wrong.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache

PRIME = 2**521 - 1
SHARE_BYTES, SECRET_BYTES = 66, 32

MAX_TRIES = 500
"""So many sets of shares are tried before wrong ones among them make a secret count as lost."""


def random_coefficient() -> int:
    """A uniform element of the field, from the operating system's generator."""
    return secrets.randbelow(PRIME)


def split(secret: bytes, n_shares: int, threshold: int) -> list[bytes]:
    """Shares 1 to ``n_shares`` of a secret of 32 bytes, 66 bytes each; any ``threshold`` of them give it back."""
    coefficients = [random_coefficient() for _ in range(threshold - 1)] + [int.from_bytes(secret, "little")]
    shares = []
    for number in range(1, n_shares + 1):
        value = 0
        for coefficient in coefficients:
            value = value * number + coefficient  # grows by a few bits a step: reduced once, at the end
        shares.append((value % PRIME).to_bytes(SHARE_BYTES, "little"))
    return shares


def join(
    shares: Mapping[int, bytes], threshold: int, is_right: Callable[[bytes], bool]
) -> tuple[bytes | None, set[int]]:
    """The secret, and which of its shares are wrong.

    Parameters
    ----------
    shares : mapping of int to bytes
        By number; at least ``threshold`` of them.
    threshold : int
    is_right : callable
        Whether a secret is the one that was shared: without it nobody could tell who lies.

    Returns
    -------
    secret : bytes or None
        None where no set of shares that was tried gives it.
    wrong : set of int
        Numbers of shares that do not belong to it.
    """
    points = {number: int.from_bytes(share, "little") for number, share in shares.items()}
    tried = tuple(sorted(points))
    if _on_one_polynomial(points, tried, threshold):
        secret = _secret(points, tried[:threshold])
        return (secret, set()) if secret is not None and is_right(secret) else (None, set())
    for chosen in itertools.islice(itertools.combinations(tried, threshold), MAX_TRIES):
        secret = _secret(points, chosen)
        if secret is not None and is_right(secret):
            return secret, {number for number in tried if _value(points, chosen, number) != points[number]}
    return None, set()


def _secret(points: Mapping[int, int], chosen: tuple[int, ...]) -> bytes | None:
    value = _value(points, chosen, 0)
    return value.to_bytes(SECRET_BYTES, "little") if value.bit_length() <= 8 * SECRET_BYTES else None


def _value(points: Mapping[int, int], chosen: tuple[int, ...], at: int) -> int:
    """The polynomial through the chosen points, at another place (Lagrange)."""
    return sum(points[number] * weight for number, weight in zip(chosen, _weights(chosen, at), strict=True)) % PRIME


def _on_one_polynomial(points: Mapping[int, int], numbers: tuple[int, ...], threshold: int) -> bool:
    """Whether all shares agree: the highest divided difference of a polynomial of lower degree is zero."""
    if len(numbers) <= threshold:
        return len(numbers) == threshold
    return (
        sum(points[number] * weight for number, weight in zip(numbers, _differences(numbers), strict=True)) % PRIME == 0
    )


@lru_cache(maxsize=1024)  # where nobody drops out, every secret has the same
def _weights(numbers: tuple[int, ...], at: int) -> tuple[int, ...]:
    weights = []
    for number in numbers:
        above = below = 1
        for other in numbers:
            if other != number:
                above, below = above * (at - other), below * (number - other)
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)


@lru_cache(maxsize=1024)
def _differences(numbers: tuple[int, ...]) -> tuple[int, ...]:
    weights = []
    for number in numbers:
        below = 1
        for other in numbers:
            if other != number:
                below *= number - other
        weights.append(pow(below, -1, PRIME))
    return tuple(weights)
