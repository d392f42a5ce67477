"""Join tokens: each lets one new key in, once, for a while. Kept as hashes only."""

from __future__ import annotations

import hashlib
import secrets
import time

from fi_workbench.core.errors import InvalidOption

LONGEST_MINUTES = 60.0 * 24 * 365
MOST_AT_ONCE = 1000

_REMEMBERED_SECONDS = 86400.0
"""So long after its end a token is still known to have been one, so that its bearer learns what is wrong with it."""


class Tokens:
    """Tokens that were given out.

    Parameters
    ----------
    kept : mapping of str to (float, bool)
        What :meth:`kept` gave: by hash, when it ends in seconds since the epoch, and whether it was used.
    """

    def __init__(self, kept: dict[str, tuple[float, bool]] | None = None) -> None:
        self._known = dict(kept or {})

    @property
    def kept(self) -> dict[str, tuple[float, bool]]:
        """What is to be kept over a restart; no token can be made of it."""
        now = time.time()
        self._known = {key: one for key, one in self._known.items() if now < one[0] + _REMEMBERED_SECONDS}
        return dict(self._known)

    def issue(self, n: int, minutes: float) -> list[str]:
        """``n`` fresh tokens.

        Raises
        ------
        InvalidOption
        """
        if not 1 <= n <= MOST_AT_ONCE:
            raise InvalidOption(f"Between 1 and {MOST_AT_ONCE} parties are invited at once, not {n}.")
        if not 0 < minutes <= LONGEST_MINUTES:
            raise InvalidOption(
                f"An invitation is good for some minutes, at most {LONGEST_MINUTES:.0f}, not {minutes}."
            )
        tokens = [_fresh() for _ in range(n)]
        end = time.time() + minutes * 60.0
        self._known.update({_hash(token): (end, False) for token in tokens})
        return tokens

    def wrong_with(self, token: str) -> str:
        """Why this token lets nobody in; empty if it does."""
        end, used = self._known.get(_hash(token), (None, False))
        if end is None:
            return "this token is not known here; ask the host for a new one"
        if used:
            return "this token was used already; ask the host for a new one"
        if end <= time.time():
            return "this token has expired; ask the host for a new one"
        return ""

    def use(self, token: str, *, back: bool = False) -> None:
        """From now on this token lets nobody in; or, taken ``back``, it does again."""
        end, _ = self._known[_hash(token)]
        self._known[_hash(token)] = (end, not back)


def _hash(token: str) -> str:
    # what is looked up is the hash of 192 random bits: how long that takes tells nothing of them
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _fresh() -> str:
    """192 random bits for a command line, where what begins with a dash would be an option."""
    while (token := secrets.token_urlsafe(24)).startswith("-"):
        pass
    return token
