"""Masks: words of a cipher's stream, added and taken off modulo 2^64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy.secure_sum.keys import derived, pair_key
from fi_workbench.privacy.secure_sum.layout import Ring


def stream(key: bytes, n_words: int) -> Ring:
    """The mask under a key, (word,): every mask comes from here."""
    return Keystream(key).words(n_words)


def own_mask(seed: bytes, round_digest: str, party: str, n_words: int) -> Ring:
    """The mask that a party alone puts on, and that comes off once its seed is opened."""
    return stream(derived(seed, round_digest, "own mask", party), n_words)


def add_pairwise(
    total: Ring, party: str, masking: X25519PrivateKey, others: Mapping[str, bytes], round_digest: str
) -> None:
    """Add to ``total``, in place, the masks that a party shares with others; each cancels with the other's.

    Parameters
    ----------
    total : array (word,)
    party : str
    masking : X25519PrivateKey
        The party's.
    others : mapping of str to bytes
        Public keys for masks by name.
    round_digest : str
    """
    for name, public in others.items():
        mask = stream(pair_key(masking, public, round_digest, party, name), len(total))
        if party < name:
            np.add(total, mask, out=total)
        else:
            np.subtract(total, mask, out=total)
