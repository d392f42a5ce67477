"""Whom a connection trusts: an authority's certificates, one pinned certificate, or, where asked for, nobody."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import ssl
from dataclasses import dataclass

from fi_workbench.core.errors import FederationError, InvalidOption


class WrongCertificate(FederationError):
    """The other end showed a certificate that is not the one expected; nothing was sent to it."""


@dataclass(frozen=True)
class Tls:
    """Whom to trust at the other end of a connection.

    Parameters
    ----------
    insecure : bool
        Plain HTTP: for loopback, or where something else encrypts.
    root_certificates : bytes or None
        PEM; the authorities that may vouch for the other end. None means those of this computer.
    fingerprint : str or None
        SHA-256 of the other end's certificate (DER), in hexadecimal; colons and case do not matter. Given, this
        certificate alone is trusted, whoever issued it, and the name in it is not looked at.

    Raises
    ------
    InvalidOption
        If these contradict one another, or the fingerprint is none.
    """

    insecure: bool = False
    root_certificates: bytes | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.insecure and (self.root_certificates or self.fingerprint):
            raise InvalidOption("Without TLS no certificate is checked: leave out insecure, or the certificate.")
        if self.fingerprint is not None:
            plain = self.fingerprint.replace(":", "").strip().lower()
            if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
                raise InvalidOption(f"{self.fingerprint!r:.80} is no SHA-256 fingerprint: 64 hexadecimal digits.")
            object.__setattr__(self, "fingerprint", plain)

    def context(self) -> ssl.SSLContext | None:
        """How to open connections; None for plain HTTP. Making one reads files: make one, not one a connection.

        Raises
        ------
        InvalidOption
            If the root certificates cannot be read.
        """
        if self.insecure:
            return None
        if self.fingerprint is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # in its place, wrap() compares the certificate itself
        elif self.root_certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                context.load_verify_locations(cadata=self.root_certificates.decode("ascii"))
            except (ssl.SSLError, UnicodeDecodeError) as error:
                raise InvalidOption("The root certificates cannot be read: they are no PEM certificates.") from error
        else:
            context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def wrap(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        """TLS over a connected socket, after the other end's certificate was checked.

        Raises
        ------
        WrongCertificate
        OSError
            If there is no TLS at the other end, or the connection breaks.
        """
        try:
            wrapped = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise WrongCertificate(
                f"The certificate of {host} is not trusted: {error.verify_message}. Give the root certificate that "
                "vouches for it, or its fingerprint."
            ) from error
        if self.fingerprint is not None:
            shown = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
            if not hmac.compare_digest(shown, self.fingerprint):
                wrapped.close()
                raise WrongCertificate(
                    f"The certificate of {host} has the fingerprint {shown}; expected was {self.fingerprint}. "
                    "Somebody stands in between, or it has a new one: ask its host for the fingerprint."
                )
        return wrapped


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
