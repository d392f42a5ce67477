"""Whole numbers under CKKS: encrypt, add without any key, decrypt. The one module that knows tenseal.

Source: J. H. Cheon, A. Kim, M. Kim, Y. Song, Homomorphic encryption for arithmetic of approximate numbers, ASIACRYPT
2017, in Microsoft SEAL through tenseal. CKKS is approximate; here its error stays so far below a half that rounding
makes sums of whole numbers exact.

128 bits of security come from SEAL's table (Albrecht et al., Homomorphic Encryption Standard, 2018: ternary secret,
classical attacks), by which polynomials of 4,096 coefficients allow a modulus of 109 bits. These take 109, and SEAL
refuses more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit, InvalidAnswer

SLOTS = 2048
"""Numbers in one ciphertext: half the coefficients."""

LIMB_BITS = 28
"""No number of one party is above 2^28; with :data:`MAX_SUMMANDS` and the scale this fits into 60 bits."""

MAX_SUMMANDS = 1024
"""Ciphertexts that may be summed: the error's standard deviation is then 0.02, 23 of which are a half."""

MAX_PUBLIC_BYTES, MAX_CIPHERTEXT_BYTES = 160_000, 80_000
"""More than public keys and ciphertexts have, which are about 125,000 and 66,000 bytes; more is not parsed."""

NOT_HERE = "it computes with tenseal, which is not installed here: pip install 'fi-workbench[he]'"

_DEGREE, _PRIME_BITS = 2 * SLOTS, (60, 49)  # data; key switching, which makes the error of encryption small
_SCALE = 2.0**20
_FARTHEST = 0.25  # from a whole number; what is farther was not encrypted here


def is_installed() -> bool:
    """Whether tenseal is there."""
    return find_spec("tenseal") is not None


class Keys:
    """One client's keys, for one round; the secret key never leaves this object.

    Raises
    ------
    DoesNotFit
        tenseal is not installed.
    """

    def __init__(self) -> None:
        tenseal = _tenseal()
        self._context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS, poly_modulus_degree=_DEGREE, coeff_mod_bit_sizes=list(_PRIME_BITS), n_threads=1
        )

    def public(self) -> bytes:
        """What whoever encrypts needs: parameters and public key; neither secret, Galois nor relinearisation keys."""
        return bytes(self._context.serialize(True, False, False, False))

    def decrypt(self, ciphertexts: Sequence[bytes], n_numbers: int) -> NDArray[np.int64]:
        """The whole numbers, (number,), that were encrypted, or their sums.

        Raises
        ------
        InvalidAnswer
            Something else than ciphertexts of that many numbers, or what does not decrypt to whole numbers.
        """
        if len(ciphertexts) != n_chunks(n_numbers):
            raise InvalidAnswer(f"{len(ciphertexts)} ciphertexts are not those of {n_numbers} numbers.")
        chunks = [_read(self._context, data, _in_chunk(n_numbers, at)) for at, data in enumerate(ciphertexts)]
        decrypted = np.concatenate([np.zeros(0), *(np.asarray(chunk.decrypt()) for chunk in chunks)])
        whole = np.rint(decrypted)
        if not (np.abs(decrypted - whole) <= _FARTHEST).all():  # NaN too
            raise InvalidAnswer("The sum does not decrypt to whole numbers; some party encrypted something else.")
        numbers: NDArray[np.int64] = whole.astype(np.int64)
        return numbers


def encrypt(public: bytes, numbers: NDArray[np.int64]) -> list[bytes]:
    """Whole numbers (number,) from 0 to 2^28 under somebody's public key, in ciphertexts of :data:`SLOTS` each.

    Raises
    ------
    InvalidAnswer
        Something else than a public key of just these parameters: weaker ones could be read by anybody.
    DoesNotFit
        tenseal is not installed.
    """
    tenseal = _tenseal()
    if len(public) > MAX_PUBLIC_BYTES:
        raise InvalidAnswer(f"A public key of {len(public)} bytes is not read; at most {MAX_PUBLIC_BYTES}.")
    try:
        context = tenseal.context_from(public, n_threads=1)
        alike = context.serialize(False, False, False, False) == _parameters()
        usable = alike and context.has_public_key() and not context.is_private()
    except (ValueError, RuntimeError) as error:
        raise InvalidAnswer(f"That is no public key: {error}.") from error
    if not usable:
        raise InvalidAnswer("That is no public key of 4,096 coefficients and 109 bits, or has a secret key beside it.")
    plain = numbers.astype(np.float64)
    return [
        tenseal.ckks_vector(context, plain[start : start + SLOTS].tolist(), scale=_SCALE).serialize()
        for start in range(0, len(plain), SLOTS)
    ]


class Sum:
    """Ciphertexts added up by somebody who has no key at all.

    Parameters
    ----------
    n_numbers : int
        In each summand.
    """

    def __init__(self, n_numbers: int) -> None:
        self.n_numbers, self.n_summands = n_numbers, 0
        self._context = _tenseal().context_from(_parameters(), n_threads=1)
        self._chunks: list[Any] = []

    def add(self, ciphertexts: Sequence[object]) -> None:
        """Add one party's; all of them, or, where it raises, none.

        Raises
        ------
        InvalidAnswer
            Something else than ciphertexts of that many numbers.
        """
        if len(ciphertexts) != n_chunks(self.n_numbers):
            raise InvalidAnswer(f"{len(ciphertexts)} ciphertexts came, {n_chunks(self.n_numbers)} are needed.")
        chunks = [_read(self._context, data, _in_chunk(self.n_numbers, at)) for at, data in enumerate(ciphertexts)]
        if self._chunks:
            for total, chunk in zip(self._chunks, chunks, strict=True):
                total.add_(chunk)
        else:
            self._chunks = chunks
        self.n_summands += 1

    def ciphertexts(self) -> list[bytes]:
        """The sum, for who holds the secret key."""
        return [bytes(chunk.serialize()) for chunk in self._chunks]


def n_chunks(n_numbers: int) -> int:
    """Ciphertexts that so many numbers take."""
    return -(-n_numbers // SLOTS)


def _in_chunk(n_numbers: int, at: int) -> int:
    return min(SLOTS, n_numbers - at * SLOTS)


def _read(context: Any, data: object, n_numbers: int) -> Any:
    """One ciphertext from outside, held against what an honest one is."""
    if not isinstance(data, bytes) or len(data) > MAX_CIPHERTEXT_BYTES:
        raise InvalidAnswer(f"A ciphertext is a byte string of at most {MAX_CIPHERTEXT_BYTES} bytes.")
    try:
        vector = _tenseal().ckks_vector_from(context, data)
        (only,) = vector.ciphertext()
        found = (vector.size(), only.size(), only.poly_modulus_degree(), only.coeff_modulus_size(), only.scale)
    except (ValueError, RuntimeError) as error:
        raise InvalidAnswer(f"That is no ciphertext: {error}.") from error
    if found != (n_numbers, 2, _DEGREE, 1, _SCALE):
        raise InvalidAnswer("That is no fresh ciphertext of the announced numbers.")
    return vector


@cache
def _parameters() -> bytes:
    """The parameters without any key, as tenseal writes them: equal for equal ones, and for no others."""
    return bytes(Keys()._context.serialize(False, False, False, False))


def _tenseal() -> Any:
    if not is_installed():
        raise DoesNotFit(f"Mechanism 'encrypted_sum' cannot run: {NOT_HERE}.")
    import tenseal  # noqa: PLC0415 (an optional extra, 0.15 s to import)

    return tenseal
