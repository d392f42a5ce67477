"""A stream of random bits from a cipher: masks and privacy noise come from here, never from numpy's generators.

ChaCha20 (RFC 8439) under a key of 32 bytes, of which each is used for one stream only.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from fi_workbench.core.digest import canonical

KEY_BYTES = 32
_NONCE = bytes(16)


class Keystream:
    """Random words under one key; not for use from several threads.

    Parameters
    ----------
    key : bytes
        32 bytes. The same key gives the same words: no key serves two purposes.

    Raises
    ------
    ValueError
        A key of another length.
    """

    def __init__(self, key: bytes) -> None:
        self._encryptor = Cipher(ChaCha20(key, _NONCE), mode=None).encryptor()

    @classmethod
    def fresh(cls) -> Keystream:
        """One that nobody else can know, from the operating system's generator."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def seeded(cls, seed: int, *labels: object) -> Keystream:
        """One that anybody who knows the seed can repeat: for experiments that are declared reproducible, only."""
        text = canonical(["fi-workbench reproducible noise", str(int(seed)), *map(str, labels)])
        return cls(hashlib.blake2b(text, digest_size=KEY_BYTES).digest())

    def bytes(self, n_bytes: int) -> bytes:
        """The next ``n_bytes`` of the stream."""
        return self._encryptor.update(bytes(n_bytes))

    def words(self, n_words: int) -> NDArray[np.uint64]:
        """The next 64-bit words, (word,), each uniform over all of them."""
        return np.frombuffer(self.bytes(8 * n_words), dtype="<u8")

    def uniform(self, shape: int | tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Numbers strictly between 0 and 1, of 53 bits each."""
        n_words = int(np.prod(shape, dtype=np.int64))
        # odd multiples of 2^-54: neither end can come out, so that a logarithm is finite
        halves = (self.words(n_words) >> np.uint64(11)).astype(np.float64)
        return np.asarray(((halves + 0.5) * 2.0**-53).reshape(shape))
