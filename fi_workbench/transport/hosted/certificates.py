"""The certificate that a hosted link shows: given ones, or its own, which parties know by its fingerprint."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fi_workbench.core.errors import InvalidOption
from fi_workbench.transport.hosted.keeping import write_private

_DAYS, _RENEW_DAYS = 730, 30


@dataclass(frozen=True)
class ServerCertificate:
    """What a link needs for TLS.

    Parameters
    ----------
    certificate, key : Path
        PEM files.
    fingerprint : str
        SHA-256 of the certificate (DER), in hexadecimal.
    """

    certificate: Path
    key: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later with this certificate.

        Raises
        ------
        InvalidOption
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise InvalidOption(
                f"Certificate {self.certificate} and key {self.key} cannot be used together: {error}."
            ) from error
        return context


def given_certificate(certificate: Path, key: Path) -> ServerCertificate:
    """Certificate and key that the host has already.

    Raises
    ------
    InvalidOption
    """
    return ServerCertificate(certificate, key, _fingerprint(certificate))


def own_certificate(folder: Path, host: str) -> ServerCertificate:
    """The link's self-signed certificate in ``folder``; made if there is none, or 30 days before it ends.

    Raises
    ------
    InvalidOption
        If there is one that cannot be read.
    """
    certificate, key = folder / "link.crt", folder / "link.key"
    if not (certificate.exists() and key.exists()) or _ends(certificate) - _now() < dt.timedelta(_RENEW_DAYS):
        _make(certificate, key, host)
    return ServerCertificate(certificate, key, _fingerprint(certificate))


def _make(certificate: Path, key: Path, host: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Federated Inference Workbench")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(_now() + dt.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key, plain)
    write_private(certificate, made.public_bytes(serialization.Encoding.PEM))


def _names(host: str) -> list[x509.GeneralName]:
    """Loopback, the address that is listened on, and this computer's name."""
    names: dict[str, x509.GeneralName] = {}
    for one in ("127.0.0.1", "::1", host):
        try:
            address = ipaddress.ip_address(one)
        except ValueError:
            names[one] = x509.DNSName(one)
        else:
            if not address.is_unspecified:
                names[one] = x509.IPAddress(address)
    for one in ("localhost", socket.gethostname()):
        if one.isascii() and one:
            names.setdefault(one, x509.DNSName(one))
    return list(names.values())


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidOption(f"The certificate {path} cannot be read: {error}. Give another, or remove it.") from error


def _ends(path: Path) -> dt.datetime:
    return _read(path).not_valid_after_utc


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(_read(path).public_bytes(serialization.Encoding.DER)).hexdigest()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
