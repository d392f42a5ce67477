"""The app bundle with which a run is started: a ServerApp that never runs, and a ClientApp for stock SuperNodes.

It is made in memory and holds two short files. A stock SuperNode executes it; it imports this package, which must be
installed where the SuperNode is, and answers with the party that the SuperNode's configuration names.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import zipfile
from collections.abc import Mapping

_MANIFEST = ".info/CONTENT"
_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every file, so that equal files make equal bundles."""

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "federated-inference"
version = "1.0.0"
description = "Rounds of inference, asked by a Federated Inference Workbench ({nonce})"
license = "Apache-2.0"

[tool.flwr.app]
publisher = "fi-workbench"

[tool.flwr.app.components]
serverapp = "federated_inference.server:app"
clientapp = "federated_inference.client:app"
"""

_SERVER = """\
from flwr.serverapp import ServerApp

app = ServerApp()  # rounds are asked from elsewhere, through the Runtime API
"""

_CLIENT = """\
from fi_workbench.session.supernode import app

__all__ = ["app"]
"""


def stub_fab() -> bytes:
    """A bundle that no other connection has: its hash says which task is ours."""
    return pack(
        {
            "pyproject.toml": _PROJECT.format(nonce=secrets.token_hex(8)).encode(),
            "federated_inference/__init__.py": b"",
            "federated_inference/server.py": _SERVER.encode(),
            "federated_inference/client.py": _CLIENT.encode(),
        }
    )


def pack(files: Mapping[str, bytes]) -> bytes:
    """Files as an app bundle: a zip with a manifest of names, SHA-256 sums and sizes in bits.

    Not by Flower's builder, which brings its whole command line into the process.
    """
    names = ["pyproject.toml", *sorted(set(files) - {"pyproject.toml"})]
    manifest = [f"{name},{hashlib.sha256(files[name]).hexdigest()},{8 * len(files[name])}" for name in names]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in names:
            bundle.writestr(zipfile.ZipInfo(name, _DATE), files[name])
        bundle.writestr(zipfile.ZipInfo(_MANIFEST, _DATE), "\n".join(manifest))
    return packed.getvalue()
