"""How long to wait before the next try: exponential, with full jitter, so that parties do not all come back at once."""

from __future__ import annotations

import secrets

_random = secrets.SystemRandom()


class Backoff:
    """Waits that grow until something succeeded.

    Parameters
    ----------
    first_seconds, cap_seconds : float
        The longest first wait, and the longest of all.
    """

    def __init__(self, first_seconds: float = 0.25, cap_seconds: float = 15.0) -> None:
        self._first, self._cap = first_seconds, cap_seconds
        self._tries = 0

    @property
    def tries(self) -> int:
        """Failures since the last success."""
        return self._tries

    def next_seconds(self) -> float:
        """A wait between nothing and twice what the last could have been."""
        longest = min(self._cap, self._first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return _random.uniform(0.0, longest)

    def reset(self) -> None:
        """It worked: the next wait is a first one."""
        self._tries = 0
