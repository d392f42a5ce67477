"""``fi-workbench key``: shows the public half of a party's or client's keys; makes them at first use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from fi_workbench.core.errors import InvalidOption


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("key", help="show a party's keys; makes them if there are none")
    parser.add_argument("file", help="the key file: whoever can read it can speak in its owner's name")
    parser.add_argument("--name", default="", help="what their owner is called; a comment in the public key")
    parser.add_argument(
        "--flower-key", metavar="OUT",
        help="write the node's key as flower-supernode wants it, and OUT.pub, which a SuperLink's operator registers",
    )  # fmt: skip
    parser.set_defaults(run=_key)


def _key(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.core.keyfile import (
        KeyFile,
        Keys,
        write_once,
    )  # cryptography takes a moment: --help answers at once

    def written(path: Path, content: bytes) -> None:
        try:
            if not write_once(path, content):
                raise InvalidOption(f"{path} is there already and was left as it is; name another file.")
        except OSError as error:
            raise InvalidOption(f"{path} cannot be written: {error.strerror or error}.") from error
        console.print(f"written to {path}", soft_wrap=True, markup=False)

    keys: Keys = KeyFile.load_or_create(options.file, options.name)
    public = keys.identity.public
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print(f"fingerprint  {public.fingerprint}")
    out.print(f"ed25519      {public.verify_key.hex()}")
    out.print(f"node         {keys.node_public.decode()}")
    if options.flower_key:
        comment = f" {options.name}" if options.name.isprintable() and options.name else ""
        written(Path(options.flower_key), keys.node_private)
        written(Path(f"{options.flower_key}.pub"), keys.node_public + comment.encode() + b"\n")
    return 0
