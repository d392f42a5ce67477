"""The same over the channels that parties of one process really have, and with their secrets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

import numpy as np

from fi_workbench.core.peers import PeerFault, PeerLost
from fi_workbench.mpc.assignment import triples_of
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import SessionKey, channel_secrets
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.session import Session, SessionEnded
from fi_workbench.mpc.streams import Lot
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard
from tests.mpc.session.rig import PLAN, Model, at_once, first_error, queries_of, soon

OWNERS = ("a", "b", "c", "d")


def session_of(keys: dict[str, SessionKey], client: SessionKey) -> Session:
    return Session(
        binding=secrets.token_bytes(32),
        client_public=client.public,
        triples=triples_of(OWNERS),
        plans=dict.fromkeys(OWNERS, PLAN),
        versions=dict.fromkeys(OWNERS, "01"),
        publics={name: key.public for name, key in keys.items()},
        pool_size=2,
        first_size=1,
    )


def connected(session: Session, keys: dict[str, SessionKey], models: dict[str, Model]) -> dict[str, SecureParty]:
    switchboard, end = Switchboard(), soon()
    networks = {name: InProcessNetwork(switchboard, name) for name in OWNERS}
    announced = {name: network.announce(session.id) for name, network in networks.items()}

    def party(name: str) -> SecureParty:
        pair_secrets = channel_secrets(session, name, keys[name])
        peers = {other: announced[other] for other in session.peers_of(name)}
        channels = networks[name].connect(session.id, name, peers, pair_secrets, end)
        assert not channels.relayed
        return SecureParty(session, name, keys[name], channels, models[name].compiled)

    parties = at_once({name: lambda name=name: party(name) for name in OWNERS})
    assert first_error(parties) is None
    return parties


def answered(parties: dict[str, SecureParty], lot: Lot, sealed: Mapping[str, bytes]) -> dict[str, object]:
    end = soon()
    return at_once({n: lambda n=n, p=p: p.answer(lot, sealed[n], end) for n, p in parties.items()})


def test_answers_are_right_and_a_party_that_leaves_is_named() -> None:
    keys, client_key = {name: SessionKey() for name in OWNERS}, SessionKey()
    models = {name: Model(number) for number, name in enumerate(OWNERS)}
    session = session_of(keys, client_key)
    parties = connected(session, keys, models)
    client = SecureClient(session, client_key)
    try:
        assert first_error(at_once({n: lambda p=p: p.set_up(soon()) for n, p in parties.items()})) is None
        for number in range(4):
            queries = queries_of(1 + number % 2, number)
            lot, sealed = client.ask(queries)
            answers = answered(parties, lot, sealed)
            plain = sum(model(queries) for model in models.values())
            np.testing.assert_allclose(client.open(lot, answers), plain, atol=1e-3)
        parties["b"].close()
        lot, sealed = client.ask(queries_of(1))
        began = time.monotonic()
        results = answered({name: party for name, party in parties.items() if name != "b"}, lot, sealed)
        assert time.monotonic() - began < 10, "they need not wait for the deadline"
        # whose pool was at work has found out before it was asked
        assert all(isinstance(fault, PeerFault | SessionEnded) for fault in results.values())
        assert any("b has closed its channel" in str(fault) for fault in results.values())
    finally:
        for party in parties.values():
            party.close()


def test_those_of_another_session_cannot_connect() -> None:
    """Told of another model version, two derive other secrets, even were they to meet under the same name."""
    keys, client_key = {name: SessionKey() for name in OWNERS}, SessionKey()
    one, other = session_of(keys, client_key), session_of(keys, client_key)
    switchboard, end = Switchboard(), soon(0.5)
    networks = {name: InProcessNetwork(switchboard, name) for name in "ab"}
    results = at_once(
        {
            name: lambda name=name, session=session, peer=peer: networks[name].connect(
                one.id,
                name,
                {peer: networks[peer].announce(one.id)},
                {peer: channel_secrets(session, name, keys[name])[peer]},
                end,
            )
            for name, session, peer in (("a", one, "b"), ("b", other, "a"))
        }
    )
    refused = [error for error in results.values() if isinstance(error, PeerLost)]
    assert refused
    assert "secret" in str(refused[0])
    for network in networks.values():
        network.close()
