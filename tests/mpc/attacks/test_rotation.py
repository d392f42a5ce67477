"""What one party can make of the three roles that it plays at once, for three models that all get the same queries."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import query_root
from fi_workbench.mpc.streams import query_mask, query_source
from tests.mpc.attacks import attacking
from tests.mpc.session.rig import N_IN, N_OUT, Rig, queries_of

PARTY, N_LOTS, LOT_SIZE = "owner0", 4, 200
ROWS = {"lanes": 16, "thermometer": 45}


def joint_view() -> tuple[np.ndarray, np.ndarray]:
    """(query, feature) of all that the party holds in its three roles, and (query, secret), -1 or 1."""
    parts: dict[tuple, list] = defaultdict(list)
    secrets = []
    seen: list = []
    with Rig(3, pool_size=0, observer=seen.append) as rig:
        mine = {number: triple.role_of(PARTY) for number, triple in enumerate(rig.session.triples)}
        assert sorted(mine.values()) == ["dealer", "evaluator", "owner"]
        for index in range(N_LOTS):
            queries = queries_of(LOT_SIZE, seed=index)
            seen.clear()
            lot, sealed = rig.client.ask(queries)
            rig.answers(lot, sealed)
            words = {}
            for one in seen:
                if one.role == mine[one.number] and one.act != "sends":
                    rows = one.array.reshape(ROWS.get(one.name, 1), LOT_SIZE, -1).transpose(1, 2, 0)
                    place = (one.number, one.phase, one.step, one.name, one.peer)
                    parts[place].append(_bits(rows.reshape(LOT_SIZE, -1)))
                    words[place] = one.array
            (masked,) = (array for place, array in words.items() if place[3] == "masked query")
            for number, role in mine.items():
                if role != "owner":  # it knows the masks of these models' queries
                    evaluator = rig.session.triples[number].evaluator  # itself, or who handed it the root
                    root = query_root(rig.session, number, rig.keys[evaluator], rig.session.client_public)
                    mask = query_mask(query_source(root), lot, (N_IN,))
                    parts[number, "masked query, with the mask of another model"].append(_bits(masked + mask))
            hidden = [queries > 0]
            for model in rig.models.values():
                (w, b), _ = model.layers
                hidden.append(queries @ w.T + b > 0)
            label = rig.plain(queries).argmax(axis=1)[:, None] == np.arange(N_OUT)
            secrets.append(np.where(np.concatenate([*hidden, label], axis=1), 1.0, -1.0))
    features = np.concatenate([np.concatenate(lots) for lots in parts.values()], axis=1)
    return features, np.concatenate(secrets).astype(np.float32)


def _bits(array: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(array.reshape(len(array), -1))
    return np.unpackbits(flat.view(np.uint8), axis=1).astype(np.float32) * 2 - 1


@pytest.mark.parametrize("one_mask", [False, True], ids=["as it is", "one mask for all models"])
def test_three_roles_for_the_same_queries_say_no_more_than_one(monkeypatch, one_mask):
    if one_mask:
        right = SecureClient._mask
        masks: dict = {}

        def shared(self, owner, lot):
            if lot not in masks:
                masks[lot] = right(self, "owner2", lot)
            return masks[lot]

        monkeypatch.setattr(SecureClient, "_mask", shared)
    features, secrets = joint_view()
    for attack in (attacking.strongest_correlation, attacking.foretold):
        found, bound = attack(features, secrets)
        assert found > 1.3 * bound if one_mask else found < bound
