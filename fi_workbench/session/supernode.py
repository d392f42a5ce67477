"""A party behind a stock SuperNode of Flower's: what its interpreter imports for each message.

    flower-supernode --superlink HOST:PORT --node-config "party='my_party.py:party' key='party.key'" ...

The interpreter ends with the message, so such a party cannot take part in rounds of several phases; what must outlive
it (budgets, rounds answered) is beside the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fi_workbench.core.errors import InvalidParty
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.parties.files import party_of
from fi_workbench.privacy.mechanism import phases_of_all
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ANNOUNCE, CAPABILITIES
from fi_workbench.session.joining import journal_path
from fi_workbench.session.limits import read_limits
from fi_workbench.transport.client_app import Handle
from fi_workbench.transport.node.stock import stock_app

FIELDS = ("party", "key", "schema", "name", "limits")
"""What the SuperNode's ``--node-config`` may say: as the options of ``fi-workbench join``."""


class Configured(Protocol):
    """What is needed of the context that Flower hands over."""

    @property
    def node_config(self) -> Mapping[str, Any]:
        """What the SuperNode was started with."""


def handle_of(context: Configured) -> Handle:
    """The side of the party that the SuperNode was started with.

    Raises
    ------
    InvalidParty
        ``party`` or ``key`` is missing from its ``--node-config``, or it says something else.
    """
    config = {name: str(value) for name, value in context.node_config.items()}
    if missing := {"party", "key"} - set(config):
        raise InvalidParty(
            f"The SuperNode's --node-config lacks {', '.join(sorted(missing))}: "
            "--node-config \"party='my_party.py:party' key='party.key'\"."
        )
    if unknown := sorted(set(config) - set(FIELDS)):
        raise InvalidParty(f"The SuperNode's --node-config has {', '.join(unknown)}. Known: {', '.join(FIELDS)}.")
    schema, limits = (Path(config[name]) if name in config else None for name in ("schema", "limits"))
    party = party_of(config["party"], schema, config.get("name"))
    keys = KeyFile.load_or_create(config["key"], party.name)
    side = PartySide(
        party, keys.identity, read_limits(limits), FileJournal(journal_path(config["key"])),
        capabilities=CAPABILITIES - {"phases"},
    )  # fmt: skip
    return side.handle


app = stock_app(handle_of, {ANNOUNCE, *phases_of_all()})
