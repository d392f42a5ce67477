"""The keys of one session: from one fresh X25519 key of each member and of the client, a key for each pair and purpose.

Every derived key binds the whole of what it is for (session, triple, model version, who, purpose), in a form that two
different labels never share, and nothing of it is cut: two labels that were cut to 16 bytes once gave the same masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import FederationError
from fi_workbench.mpc.session import CLIENT, KEY_BYTES, Session
from fi_workbench.mpc.streams import TripleKeys

_HOUSE = "fi-workbench secure inference"


class KeyUsed(FederationError, RuntimeError):
    """A key of one session was to be used for a second one, or twice in one: masks would be drawn again."""


class SessionKey:
    """A member's, or the client's, private key of one session; never written anywhere.

    All masks come from it, so it serves one session, once: whoever starts again makes a new one, and with it, since
    its public part goes into the session's id, a new session.
    """

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self._lock = Lock()
        self._claimed = False

    @property
    def public(self) -> bytes:
        """What the others may know of it, 32 bytes."""
        return self._private.public_key().public_bytes_raw()

    def claim(self) -> None:
        """Take it for the one use that it has.

        Raises
        ------
        KeyUsed
            It was taken before.
        """
        with self._lock:
            if self._claimed:
                raise KeyUsed(
                    "This session key serves a client or a party already; masks would repeat. Make a new SessionKey, "
                    "announce it, and start a new session."
                )
            self._claimed = True

    def shared_with(self, public: bytes) -> bytes:
        """What only this key and ``public`` give, 32 bytes; to be derived from, never used as it is.

        Raises
        ------
        ValueError
            The public key makes the same secret, zero, with every key; a :class:`~fi_workbench.mpc.session.Session`
            has none such.
        """
        return self._private.exchange(X25519PublicKey.from_public_bytes(public))


def _derived(secret: bytes, session: Session, purpose: str, *label: str | int) -> bytes:
    info = canonical([_HOUSE, session.id, purpose, *label])
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def _pair(session: Session, key: SessionKey, other: str, purpose: str, *label: str | int) -> bytes:
    return _derived(key.shared_with(session.publics[other]), session, purpose, *label)


def channel_secrets(session: Session, me: str, key: SessionKey) -> Mapping[str, bytes]:
    """What :meth:`~fi_workbench.core.peers.PeerNetwork.connect` wants: 32 bytes for each peer of ``me``."""
    return {other: _pair(session, key, other, "channel", *sorted((me, other))) for other in session.peers_of(me)}


def triple_keys(session: Session, number: int, me: str, key: SessionKey, query: bytes | None) -> TripleKeys:
    """What ``me`` holds of the mask keys of a triple, in whatever role it plays there.

    Parameters
    ----------
    session : Session
    number : int
        Of the triple, in the session's order.
    me : str
    key : SessionKey
    query : bytes or None
        The root of the query's masks, 32 bytes; None for the owner, who must not know it.
    """
    triple = session.triples[number]
    version = session.versions[triple.owner]

    def root(pair: str, *names: str) -> bytes | None:
        if me not in names:
            return None
        other = names[0] if names[1] == me else names[1]
        return _pair(session, key, other, "masks", number, version, pair, *names)

    return TripleKeys(
        owner_dealer=root("owner-dealer", triple.owner, triple.dealer),
        owner_evaluator=root("owner-evaluator", triple.owner, triple.evaluator),
        evaluator_dealer=root("evaluator-dealer", triple.evaluator, triple.dealer),
        query=query,
    )


def query_root(session: Session, number: int, key: SessionKey, public: bytes) -> bytes:
    """The root of the masks of the queries to one model, 32 bytes; known to the client and to the evaluator.

    The evaluator hands it to the dealer when the session is set up: both know the mask of the query in any case.

    Parameters
    ----------
    session : Session
    number : int
        Of the triple.
    key : SessionKey
        The client's, or the evaluator's.
    public : bytes
        The other's.
    """
    triple = session.triples[number]
    label = (number, session.versions[triple.owner], triple.owner, triple.evaluator, triple.dealer)
    return _derived(key.shared_with(public), session, "query masks", *label)


def label_keys(session: Session, me: str, key: SessionKey) -> TripleKeys:
    """What ``me`` holds of the mask keys of the label's triple; ``query`` is what hides the counts of votes."""
    triple = session.label_triple

    def root(pair: str, *names: str) -> bytes | None:
        if me not in names:
            return None
        other = names[0] if names[1] == me else names[1]
        return _pair(session, key, other, "label masks", pair, *names)

    return TripleKeys(
        owner_dealer=root("owner-dealer", triple.owner, triple.dealer),
        owner_evaluator=root("owner-evaluator", triple.owner, triple.evaluator),
        evaluator_dealer=root("evaluator-dealer", triple.evaluator, triple.dealer),
        query=root("counts", triple.evaluator, triple.dealer),
    )


def zero_share_key(session: Session, me: str, key: SessionKey, other: str, summed: str = "output") -> bytes:
    """The key of the zero-shares of two senders in the sum of that name, 32 bytes; the same at both."""
    return _pair(session, key, other, f"{summed} zero-shares", *sorted((me, other)))


def seal_keys(session: Session, party: str, key: SessionKey, public: bytes) -> tuple[bytes, bytes]:
    """Keys for what the client seals for a party, and for what the party seals for the client, 32 bytes each.

    Parameters
    ----------
    session : Session
    party : str
    key : SessionKey
        The client's, or the party's.
    public : bytes
        The other's.
    """
    secret = key.shared_with(public)
    return _derived(secret, session, "seal", CLIENT, party), _derived(secret, session, "seal", party, CLIENT)
