"""Enrolling a party's keys on a hosted link, for a token: what is sent, how it is checked, the party's end of it."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from base64 import b64decode, b64encode
from dataclasses import dataclass
from http import HTTPStatus

from cryptography.hazmat.primitives.asymmetric import ec

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import FederationError, InvalidParty
from fi_workbench.core.identity import BadSignature, Identity, PublicIdentity, verify
from fi_workbench.protocol.announcement import LONGEST_NAME
from fi_workbench.transport.flower_internals.link import node_key_bytes, read_node_key, signed_headers
from fi_workbench.transport.node.refusal import clock_skew
from fi_workbench.transport.protobuf_http import Address, Connection, Rejected, Unreachable
from fi_workbench.transport.tls import Tls

PATH = "/v1/enrol"
_SECONDS = 20.0
_LONGEST_TOKEN = 200


class EnrolRefused(FederationError):
    """A link does not take these keys; the message says why, and what to do.

    Parameters
    ----------
    status : int
        HTTP status.
    text : str
    """

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(f"The link does not enrol this party: {text}.")


@dataclass(frozen=True)
class EnrolRequest:
    """What a party sends to be enrolled, after it was checked.

    Parameters
    ----------
    token : str
    identity : PublicIdentity
    node_key : bytes
        P-384 public key in Flower's form.
    """

    token: str
    identity: PublicIdentity
    node_key: bytes


@dataclass(frozen=True)
class Enrolment:
    """What a link says to a party that it enrolled.

    Parameters
    ----------
    link : str
        The link's name.
    waiting : bool
        Whether the host has to approve the party before it takes part.
    """

    link: str
    waiting: bool = False


def enrol(address: str, tls: Tls, token: str, identity: Identity, node: ec.EllipticCurvePrivateKey) -> Enrolment:
    """Enrol a party's keys. Doing it again with the same keys changes nothing.

    Parameters
    ----------
    address : str
        ``HOST:PORT``.
    tls : Tls
    token : str
        From the link's host; one use.
    identity : Identity
    node : EllipticCurvePrivateKey
        P-384.

    Raises
    ------
    EnrolRefused
        The token is unknown, used or expired, the name is taken, or the party was expelled.
    Unreachable, WrongCertificate, InvalidOption
    """
    public, node_key = identity.public, node_key_bytes(node)
    plain = {
        "token": token,
        "name": public.name,
        "identity": [public.verify_key.hex(), public.seal_key.hex(), public.binding.hex()],
        "node_key": b64encode(node_key).decode(),
        "signature": identity.sign(_statement(token, node_key)).hex(),
    }
    connection = Connection(Address.parse(address), tls, tls.context())
    try:
        headers = {"content-type": "application/json", "accept": "application/json", **signed_headers(node)}
        answer = json.loads(connection.post(PATH, json.dumps(plain).encode(), headers, _SECONDS))
        return Enrolment(str(answer["link"])[:200], answer.get("waiting") is True)
    except Rejected as error:
        skew = clock_skew(error) if error.status == HTTPStatus.UNAUTHORIZED else ""
        raise EnrolRefused(error.status, skew.removesuffix(".") or error.text or f"HTTP {error.status}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(f"What answers at {address} is no hosted link of the workbench.") from error
    finally:
        connection.close()


def fetch_certificate(address: str, fingerprint: str) -> bytes:
    """The certificate of a link, as PEM, after its fingerprint was checked.

    Raises
    ------
    WrongCertificate
        It has another fingerprint.
    Unreachable
    """
    where, tls = Address.parse(address), Tls(fingerprint=fingerprint)
    context = tls.context()
    if context is None:
        raise Unreachable("A link without TLS has no certificate.")
    try:
        with (
            socket.create_connection((where.host, where.port), _SECONDS) as plain,
            tls.wrap(plain, context, where.host) as wrapped,
        ):
            return ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"").encode()
    except OSError as error:
        raise Unreachable(f"{address}: {error}") from error


def read_request(body: bytes) -> EnrolRequest:
    """What a party sent, every field and signature checked.

    Raises
    ------
    InvalidParty, BadSignature
    """
    try:
        plain = json.loads(body)
        token, name, written = plain["token"], plain["name"], plain["node_key"]
        keys = [bytes.fromhex(text) for text in plain["identity"]]
        signature, node_key = bytes.fromhex(plain["signature"]), b64decode(written, validate=True)
        fits = isinstance(token, str) and len(token) <= _LONGEST_TOKEN and [len(key) for key in keys] == [32, 32, 64]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidParty("this is no enrolment request of this version") from error
    if not fits:
        raise InvalidParty("this is no enrolment request of this version")
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InvalidParty(f"a party's name has between 1 and {LONGEST_NAME} printable characters")
    identity = PublicIdentity(name, *keys)
    try:
        identity.check()
        verify(identity.verify_key, signature, _statement(token, node_key))
    except BadSignature as error:
        raise BadSignature("the keys of this party do not belong together") from error
    read_node_key(node_key)
    return EnrolRequest(token, identity, node_key)


def _statement(token: str, node_key: bytes) -> bytes:
    return canonical(["fi-workbench enrol", hashlib.sha256(token.encode()).digest(), node_key])
