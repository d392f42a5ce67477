"""Whom a party trusts at the other end of its link, and when it may do without."""

from __future__ import annotations

import os
from pathlib import Path

from fi_workbench.core.errors import InvalidOption
from fi_workbench.protocol.journal import FileJournal, Journal
from fi_workbench.transport.protobuf_http import Address
from fi_workbench.transport.tls import Tls, is_loopback


def check_plain_http(link: str, insecure: bool, allow_plain_http: bool) -> None:
    """Nothing, if ``link`` is an address that may be spoken to so.

    Raises
    ------
    InvalidOption
        It is no address, or plain HTTP would leave this computer and nobody said that it may.
    """
    host = Address.parse(link).host
    if insecure and not (allow_plain_http or is_loopback(host)):
        raise InvalidOption(
            f"Without TLS, whoever is between here and {host} reads queries and answers, and can change them. Give the "
            "link's fingerprint or root certificate; or say by allow_plain_http (--allow-plain-http) that something "
            "else encrypts."
        )


def trust(
    journal: Journal,
    link: str,
    fingerprint: str | None,
    root_certificates: bytes | str | os.PathLike[str] | None,
    insecure: bool,
) -> Tls:
    """Whom to trust at ``link``: what is given, else what the party relied on there before, else this computer's roots.

    Raises
    ------
    InvalidOption
        What is given contradicts itself, or cannot be read.
    """
    if isinstance(root_certificates, str | os.PathLike):
        try:
            root_certificates = Path(root_certificates).read_bytes()
        except OSError as error:
            raise InvalidOption(f"The root certificate cannot be read: {error}.") from error
    if fingerprint is None and root_certificates is None and not insecure and isinstance(journal, FileJournal):
        fingerprint = journal.pinned(link)
    return Tls(insecure, root_certificates, fingerprint)
