"""Signatures and identifiers in hexadecimal, and their checks."""

from __future__ import annotations

import re
from typing import NamedTuple

from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from fi_workbench.core.errors import LedgerError, SettlementRefused
from fi_workbench.core.identity import BadSignature

_HEX = {n: re.compile(f"[0-9a-f]{{{n}}}") for n in (32, 64, 128)}


class Signed(NamedTuple):
    """One signature that somebody ought to have made, with the words for when it was not."""

    what: str
    verify_key: str
    signature: str
    message: bytes

    def check(self) -> None:
        """Nothing, if the signature is the key's.

        Raises
        ------
        BadSignature
            Otherwise, saying what is not signed.
        """
        try:
            # libsodium's check takes two thirds of OpenSSL's time, and a ledger's check is all signatures
            crypto_sign_open(bytes.fromhex(self.signature) + self.message, bytes.fromhex(self.verify_key))
        except (CryptoError, ValueError, TypeError) as error:
            raise BadSignature(f"{self.what} is not signed by the key {self.verify_key[:16]}.") from error


def checked_key(key: str) -> str:
    """``key``, if it is an Ed25519 key in lower-case hexadecimal: one spelling for each account.

    Raises
    ------
    LedgerError
        Otherwise.
    """
    if not isinstance(key, str) or not _HEX[64].fullmatch(key):
        raise LedgerError(f"{key!r:.80} is no account; an Ed25519 key in 64 lower-case hexadecimal digits is.")
    return key


def checked_round(round_id: str) -> str:
    """``round_id``, if it is 32 lower-case hexadecimal digits.

    Raises
    ------
    LedgerError
        Otherwise.
    """
    if not isinstance(round_id, str) or not _HEX[32].fullmatch(round_id):
        raise LedgerError(f"{round_id!r:.80} is no round; 32 lower-case hexadecimal digits are needed.")
    return round_id


def check_hex(what: str, of: object, **n_digits: int) -> None:
    """Nothing, if the named attributes of ``of`` have so many lower-case hexadecimal digits.

    Raises
    ------
    SettlementRefused
        Naming the first that has not.
    """
    for name, n in n_digits.items():
        value = getattr(of, name)
        if not isinstance(value, str) or len(value) != n or value.strip("0123456789abcdef"):
            raise SettlementRefused(f"{what} has {name} = {value!r:.40}; {n} lower-case hexadecimal digits are needed.")
