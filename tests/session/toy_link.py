"""A link without a network: parties come, go and are expelled on an embedded grid."""

import time

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.privacy.mechanism import phases_of_all
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import CAPABILITIES
from fi_workbench.transport.announcing import Announcer
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.roster import LinkStatus, Roster, RosterEntry


class ToyLink:
    """A :class:`~fi_workbench.transport.roster.RemoteLink` whose parties are PartySides of this process."""

    def __init__(self, capabilities=None):
        self.grid, self.roster = LocalGrid(through_wire=True), Roster()
        self.status = LinkStatus("hosted", "toy", "127.0.0.1:9")
        self.about, self.invited, self.closed = {}, [], False
        self._capabilities = capabilities or {}
        self._announcer = Announcer(self.grid, self._announced, self._failed)
        self._nodes = {}

    def join(self, party, state="online"):
        """A party comes; it is on the roster once it has announced itself."""
        side = PartySide(party, capabilities=frozenset(self._capabilities.get(party.name, CAPABILITIES)))
        node = self.grid.add(client_app(side.handle, {"announce", "released", *phases_of_all()}))
        self._nodes[node] = state
        self._announcer.ask(node)
        assert self.roster.wait_for(lambda: self.roster.of_node(node) is not None, 10)
        return side

    def leave(self, name):
        entry = self.roster.entry(name)
        self.grid.remove(entry.node)
        self.roster.change(entry.key, state="offline")

    def _announced(self, node, card):
        key = card.identity.verify_key.hex()
        self.roster.put(RosterEntry(key, card.name, self._nodes[node], time.time(), node, card))

    def _failed(self, node, reason):
        self.roster.put(RosterEntry(f"node {node}", "?", "refused", time.time(), node, reason=reason))

    def invite(self, n=1, minutes=60.0):
        if self.closed:
            raise DoesNotFit("closed")
        self.invited.append((n, minutes))
        return tuple(f"fi-workbench join --link toy --token {len(self.invited)}-{k}" for k in range(n))

    def approve(self, name):
        self.roster.change(self.roster.entry(name).key, state="online", reason="")

    def expel(self, name):
        self.roster.change(self.roster.entry(name).key, state="expelled")

    def told(self, about):
        self.about = about

    def close(self):
        self.closed = True
        self._announcer.stop()
        self.grid.close()
