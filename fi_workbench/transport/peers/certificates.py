"""The key and certificate that a party makes for one session, and TLS 1.3 with nobody but the pinned peers."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import ssl
import tempfile
from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS_DAYS = 3650


class SessionCertificate:
    """A fresh self-signed certificate; its key is in memory only, and good for one session.

    Attributes
    ----------
    der : bytes
        The certificate, which peers are told and pin.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        # A subject of its own: verification finds an issuer by its name, and peers must not be taken for one another.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"peer {secrets.token_hex(16)}")])
        now = dt.datetime.now(dt.UTC)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            # It is pinned for a session, and so cannot expire before it; clocks differ.
            .not_valid_before(now - dt.timedelta(days=_YEARS_DAYS))
            .not_valid_after(now + dt.timedelta(days=_YEARS_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.der = self._certificate.public_bytes(serialization.Encoding.DER)

    def contexts(self, peers: Collection[bytes]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """For those who connect here, and for connecting; both ends must show one of ``peers``' certificates.

        Which one is the right one for a connection is for the caller to compare.

        Parameters
        ----------
        peers : collection of bytes
            DER.

        Raises
        ------
        ssl.SSLError
            One of them is no certificate.
        """
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.num_tickets = 0  # a connection is written to by one end only
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.check_hostname = False  # in its place, the certificate itself is compared
            context.verify_mode = ssl.CERT_REQUIRED
            for der in peers:
                context.load_verify_locations(cadata=der)
        self._load_into(server, client)
        return server, client

    def _load_into(self, *contexts: ssl.SSLContext) -> None:
        """By way of a file, since ssl reads nothing else: encrypted, in a folder of its own, gone when this returns."""
        password = secrets.token_bytes(32).hex().encode()
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        ) + self._certificate.public_bytes(serialization.Encoding.PEM)
        with tempfile.TemporaryDirectory(prefix="fi-peer-") as folder:
            path = Path(folder) / "session.pem"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
            for context in contexts:
                context.load_cert_chain(path, password=password)


def is_certificate(der: bytes) -> bool:
    """Whether these bytes are one X.509 certificate."""
    try:
        x509.load_der_x509_certificate(der)
    except ValueError:
        return False
    return True
