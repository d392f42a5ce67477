"""Errors that say what happened, to whom, and what to do next.

Every error that the package raises on purpose is a :class:`FederationError`. Each one also derives from the
built-in class that a caller would expect (``ValueError``, ``TimeoutError``, ...).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FederationError(Exception):
    """Base of all errors that the workbench raises on purpose."""


class UnknownName(FederationError, ValueError):
    """A name that no registry knows; the message lists the known ones.

    Parameters
    ----------
    kind : str
        What was looked up, in the singular, e.g. ``"rule"``.
    name : str
        The name as given.
    known : iterable of str
        The names that would have been accepted.
    hint : str, optional
        What is known of that name.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        close = difflib.get_close_matches(str(name), self.known, n=1)
        hint = f" {hint}" if hint else f" Did you mean {close[0]!r}?" if close else ""
        listed = ", ".join(self.known) or "none"
        super().__init__(f"There is no {kind} called {name!r}.{hint} Known: {listed}.")


class DuplicateName(FederationError, ValueError):
    """A name that is registered already."""


class InvalidOption(FederationError, ValueError):
    """An option that does not exist, is out of its range or of the wrong type."""


class InvalidQuery(FederationError, ValueError):
    """A batch of queries that no party can answer (shape, dtype, NaN, empty)."""


class InvalidAnswer(FederationError, ValueError):
    """An answer that breaks its contract (shape, NaN, not a probability distribution)."""


class InvalidParty(FederationError, ValueError):
    """A party whose declaration is incomplete or does not fit the others."""


class InvalidData(FederationError, ValueError):
    """A data set or partition that cannot be used as asked."""


class DoesNotFit(FederationError, ValueError):
    """Settings that do not fit together, refused when the federation is made.

    Parameters
    ----------
    message : str
        What does not fit, and why.
    fits : iterable of str
        What would fit instead; shown in the message and kept for a button that does it.
    setting : str
        Of which setting ``fits`` are values: ``"rule"``, ``"mechanism"`` or ``"contribution"``; empty for another.
    """

    def __init__(self, message: str, fits: Iterable[str] = (), setting: str = "") -> None:
        self.message, self.fits, self.setting = message, tuple(fits), setting
        way_out = f" What fits: {', '.join(self.fits)}." if self.fits else ""
        super().__init__(message + way_out)


class Refused(FederationError):
    """A party refuses a question by its own policy; becomes an absence with this reason."""


class InvalidReply(InvalidAnswer):
    """A reply that a mechanism's step cannot go on with; the coordinator leaves its party out of the round."""

    def __init__(self, party: str, message: str) -> None:
        self.party = party
        super().__init__(message)


class NoAnswer(FederationError):
    """A round to which nobody answered in time; the record that says why is in ``record``."""

    def __init__(self, message: str, record: object = None) -> None:
        self.record = record
        super().__init__(message)


class Closed(FederationError, RuntimeError):
    """Something was used after it was closed."""


class CorruptFile(FederationError, ValueError):
    """A file that cannot be read; it was set aside under another name, never deleted."""


class MissingData(FederationError, FileNotFoundError):
    """A data set that is neither on this machine nor could be downloaded."""


class NotDisclosed(FederationError):
    """Something that the chosen mechanism does not show to who asks for it."""


class LedgerError(FederationError):
    """Something that a ledger cannot book, or cannot do; nothing was booked."""


class InvalidAmount(LedgerError, ValueError):
    """An amount that is no positive whole number of micro-units, or more than a ledger counts."""


class InsufficientFunds(LedgerError):
    """An account that has less than it is asked for; the message says how much, and how to deposit.

    Parameters
    ----------
    account : str
        The Ed25519 key in hexadecimal.
    needed, available : int
        Micro-units.
    message : str
    """

    def __init__(self, account: str, needed: int, available: int, message: str) -> None:
        self.account, self.needed, self.available = account, needed, available
        super().__init__(message)


class UnknownRound(LedgerError, LookupError):
    """A round for which a ledger holds nothing."""


class DuplicateRound(LedgerError, ValueError):
    """A round for which a hold was booked before; a round id is used once."""


class RoundClosed(LedgerError, ValueError):
    """A round that is settled or refunded already."""


class SettlementRefused(LedgerError, ValueError):
    """A settlement that pays for what was not answered, or otherwise than it may."""


class LedgerBusy(LedgerError, TimeoutError):
    """Another process held the ledger for longer than the time-out."""


class NotALedger(CorruptFile):
    """A file that is no ledger, or of another version. It is money: it stays where it is, as it is."""
