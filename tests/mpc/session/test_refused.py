"""Who and what is refused: others' keys and plans, queries out of range, answers that are missing or changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidQuery, InvalidReply
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import KeyUsed, SessionKey
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.sealing import SealBroken, Seals
from fi_workbench.mpc.session import BadSession
from tests.mpc.session.rig import LINEAR, N_IN, Board, Model, Rig, queries_of


def test_a_query_out_of_range_is_refused_at_the_client_by_its_number() -> None:
    with Rig(3) as rig:
        queries = queries_of(3)
        queries[1, 2] = -8.01
        with pytest.raises(InvalidQuery, match=r"Query 1 has an entry of size 8.01; .* at most 8"):
            rig.client.ask(queries)
        queries[1, 2] = np.nan
        with pytest.raises(InvalidQuery, match="Query 1"):
            rig.client.ask(queries)
        for wrong in (queries[:, :4], queries[0], queries[:0]):
            with pytest.raises(InvalidQuery):
                rig.client.ask(wrong)
        extreme = np.full((1, N_IN), -8.0)
        np.testing.assert_allclose(rig.ask(extreme), rig.plain(extreme), atol=1e-3)


def test_the_client_opens_a_lot_once_and_needs_every_sender() -> None:
    with Rig(1, 2) as rig:
        queries = queries_of(1)
        lot, sealed = rig.client.ask(queries)
        answers = rig.answers(lot, sealed)
        with pytest.raises(InvalidReply, match=r"helper0.* is missing"):
            rig.client.open(lot, {"owner0": answers["owner0"]})
        with pytest.raises(InvalidReply, match=r"helper0.*cannot be opened") as caught:
            rig.client.open(lot, {**answers, "helper0": bytes(len(answers["helper0"]))})
        assert caught.value.party == "helper0"
        del answers["helper1"]  # the dealer sends nothing that counts
        np.testing.assert_allclose(rig.client.open(lot, answers), rig.plain(queries), atol=1e-3)
        with pytest.raises(InvalidQuery, match="is not open"):
            rig.client.open(lot, answers)
        other, _ = rig.client.ask(queries)
        rig.client.give_up(other)
        with pytest.raises(InvalidQuery, match="is not open"):
            rig.client.open(other, answers)


def test_keys_and_plans_of_others_are_refused() -> None:
    rig = Rig(1, 2)
    peers, compiled = Board().peers("owner0"), rig.models["owner0"].compiled
    with pytest.raises(KeyUsed):
        SecureParty(rig.session, "owner0", rig.keys["owner0"], peers, compiled)
    with pytest.raises(KeyUsed):
        SecureClient(rig.session, rig.client_key)
    with pytest.raises(BadSession, match="another client"):
        SecureClient(rig.session, SessionKey())
    with pytest.raises(BadSession, match="another key for 'owner0'"):
        SecureParty(rig.session, "owner0", SessionKey(), peers, compiled)
    with pytest.raises(BadSession, match="no member"):
        SecureParty(rig.session, "stranger", SessionKey(), peers)
    with pytest.raises(BadSession, match="owns a model in this session, but not here"):
        SecureParty(rig.session, "owner0", rig.keys["owner0"], peers)
    with pytest.raises(BadSession, match="is a helper in this session"):
        SecureParty(rig.session, "helper0", rig.keys["helper0"], peers, compiled)
    with pytest.raises(BadSession, match="not that of its model"):
        SecureParty(rig.session, "owner0", rig.keys["owner0"], peers, Model(0, LINEAR).compiled)
    rig.close()


def test_those_told_of_another_model_version_cannot_open_one_anothers_messages() -> None:
    """One party has another version of another's model in its session: another id, other keys, no answer."""
    rig, client = Rig(3), SessionKey()
    told = replace(rig.session, client_public=client.public)
    other = replace(told, versions={**told.versions, "owner0": "ff"})
    assert told.id != other.id
    lot, sealed = SecureClient(told, client).ask(queries_of(1))
    key = rig.keys["owner2"]
    assert Seals(told, "owner2", key, client.public).open_question(lot, sealed["owner2"]).masked is not None
    with pytest.raises(SealBroken, match="another session"):
        Seals(other, "owner2", key, client.public).open_question(lot, sealed["owner2"])
    rig.close()
