"""Which failures a node cannot mend by trying again, in words for its owner."""

from __future__ import annotations

import time
from http import HTTPStatus

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.protobuf_http import Rejected
from fi_workbench.transport.tls import WrongCertificate

_AHEAD_SECONDS, _BEHIND_SECONDS = 5.0, 300.0
"""A link takes a signature whose time lies this far in its future or past."""


class NodeRefused(FederationError):
    """The link will not have this node, or it is not the link that was meant; the message says what to do."""


def why_refused(error: FederationError, was_connected: bool, is_early: bool) -> str:
    """What to tell the node's owner; empty if it is worth another try.

    A node that was let in before holds out through what may be a restart of its link, or a clock that is being set. A
    SuperLink that takes a former process for online still says the same as one that does not know the key: early on,
    either is worth another try.
    """
    if isinstance(error, WrongCertificate):
        return str(error)
    if not isinstance(error, Rejected):
        return ""
    if error.status == HTTPStatus.FORBIDDEN:
        said = error.text or "no reason given"
        return f"The link does not let this party in ({said}). Ask its host to invite or approve it."
    if error.status == HTTPStatus.CONFLICT:
        return f"Another process uses this party's key ({error.text or 'so the link says'}). Stop one of the two."
    if was_connected:
        return ""
    if error.status == HTTPStatus.UNAUTHORIZED:
        return clock_skew(error) or (
            f"The link does not accept this node's signature ({error.text}). Is its key enrolled there?"
        )
    if error.status == HTTPStatus.PRECONDITION_FAILED and not is_early:
        return f"The link does not know this party's key ({error.text}). Ask its operator to register it."
    return ""


def explained(error: FederationError) -> str:
    """What went wrong, with the clocks compared where the link did not take a signature."""
    if isinstance(error, Rejected) and error.status == HTTPStatus.UNAUTHORIZED:
        return clock_skew(error) or f"the link does not know this node ({error.text})"
    if isinstance(error, Rejected) and error.status == HTTPStatus.PRECONDITION_FAILED:
        return f"the link does not know this key, or takes a process before this one for online still ({error.text})"
    return str(error)


def clock_skew(error: Rejected) -> str:
    """How far this computer's clock is from the one that did not take a signature; empty if near enough."""
    if error.date is None:
        return ""
    ahead = time.time() - error.date
    if -_BEHIND_SECONDS < ahead < _AHEAD_SECONDS:
        return ""
    return (
        f"This computer's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the link's, and a "
        f"signature is good for {_BEHIND_SECONDS:.0f} s only. Set the clock, then start again."
    )
