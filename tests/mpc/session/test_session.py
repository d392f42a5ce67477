"""What a session is made of, and the keys that come from it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from fi_workbench.mpc.assignment import Triple, triples_of
from fi_workbench.mpc.keys import (
    KeyUsed,
    SessionKey,
    channel_secrets,
    query_root,
    seal_keys,
    triple_keys,
    zero_share_key,
)
from fi_workbench.mpc.session import BadSession, Session
from tests.mpc.session.rig import LINEAR, PLAN

NAMES = ("a", "b", "c")
KEYS = {name: SessionKey() for name in NAMES}
PUBLICS = {name: key.public for name, key in KEYS.items()}
CLIENT = SessionKey()
BINDING = secrets.token_bytes(32)


def told(**changes: Any) -> dict[str, Any]:
    return {
        "binding": BINDING,
        "client_public": CLIENT.public,
        "triples": triples_of(NAMES),
        "plans": dict.fromkeys(NAMES, PLAN),
        "versions": {"a": "0a", "b": "0b", "c": "0c"},
        "publics": {name: key.public for name, key in KEYS.items()},
        **changes,
    }


def test_those_who_were_told_the_same_have_the_same_id() -> None:
    backwards = dict.fromkeys(reversed(NAMES), PLAN)
    assert Session(**told()).id == Session(**told(plans=backwards)).id
    assert len(Session(**told()).id) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"binding": bytes(32)},
        {"client_public": SessionKey().public},
        {"triples": tuple(reversed(triples_of(NAMES)))},
        {"plans": dict.fromkeys(NAMES, LINEAR)},
        {"plans": dict.fromkeys(NAMES, replace(PLAN, input_bound=7.0))},
        {"versions": {"a": "0a", "b": "0b", "c": "0d"}},
        {"publics": {**{name: key.public for name, key in KEYS.items()}, "c": SessionKey().public}},
        {"pool_size": 5},
        {"first_size": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_makes_another_id(change: dict[str, Any]) -> None:
    assert Session(**told(**change)).id != Session(**told()).id


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"binding": b"short"}, "digest of 32 bytes"),
        ({"client_public": bytes(31)}, "client's key"),
        ({"client_public": bytes(32)}, "every secret is zero"),
        ({"client_public": KEYS["a"].public}, "same key"),
        ({"triples": ()}, "1 to 1024 models"),
        ({"triples": (Triple("a", "b", "b"),)}, "two roles"),
        ({"triples": (Triple("a", "b", "c"), Triple("a", "c", "b"))}, "owns two models"),
        ({"plans": {"a": PLAN, "b": PLAN}}, "one plan.*'c'"),
        ({"versions": {"a": "0a", "b": "0b", "c": "0c", "d": "0d"}}, "one version.*'d'"),
        ({"versions": {"a": "0a", "b": "0b", "c": "XY"}}, "version of 'c'"),
        ({"publics": {"a": KEYS["a"].public}}, "one key"),
        (
            {"publics": {**PUBLICS, "b": (1).to_bytes(32, "little")}},
            "'b'.*zero",
        ),
        ({"plans": {"a": PLAN, "b": PLAN, "c": replace(PLAN, input_shape=(6,))}}, "cannot be added"),
        ({"plans": {"a": PLAN, "b": PLAN, "c": replace(PLAN, steps=PLAN.steps[:1])}}, "cannot be added"),
        ({"pool_size": -1}, "pool"),
        ({"first_size": 1 << 20}, "at most"),
    ],
)
def test_what_does_not_make_a_session_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSession, match=says):
        Session(**told(**change))


def test_a_session_cannot_be_changed_afterwards() -> None:
    versions = {"a": "0a", "b": "0b", "c": "0c"}
    session = Session(**told(versions=versions))
    versions["a"] = "ff"
    assert session.versions["a"] == "0a"
    with pytest.raises(TypeError):
        session.versions["a"] = "ff"  # type: ignore[index]


def test_a_helper_is_a_peer_of_those_whose_models_it_serves() -> None:
    names = ("a", "b", "x", "y")
    keys = {name: SessionKey().public for name in names}
    session = Session(
        **told(
            triples=triples_of(("a", "b"), ("x", "y")),
            plans=dict.fromkeys("ab", PLAN),
            versions={"a": "0a", "b": "0b"},
            publics=keys,
        )
    )
    assert session.peers_of("a") == ("x", "y")
    assert session.peers_of("x") == ("a", "y", "b")
    assert session.senders == ("a", "x", "b")
    assert session.number_owned("b") == 1
    assert session.number_owned("x") is None


def all_keys(session: Session) -> list[tuple[str, bytes]]:
    """Each derived key once, with what it is for."""
    made = []
    for number, triple in enumerate(session.triples):
        roots = triple_keys(session, number, triple.owner, KEYS[triple.owner], None)
        others = triple_keys(session, number, triple.dealer, KEYS[triple.dealer], None)
        made += [
            (f"{number} owner-dealer", roots.owner_dealer),
            (f"{number} owner-evaluator", roots.owner_evaluator),
            (f"{number} evaluator-dealer", others.evaluator_dealer),
            (f"{number} query", query_root(session, number, CLIENT, session.publics[triple.evaluator])),
        ]
    for one, other in ("ab", "ac", "bc"):
        made.append((f"zero {one}{other}", zero_share_key(session, one, KEYS[one], other)))
        made.append((f"channel {one}{other}", channel_secrets(session, one, KEYS[one])[other]))
    for name in NAMES:
        made += [(f"seal {name} {number}", key) for number, key in enumerate(seals(session, name))]
    return [(what, key or b"") for what, key in made]


def seals(session: Session, name: str) -> tuple[bytes, bytes]:
    return seal_keys(session, name, CLIENT, session.publics[name])


def test_every_key_is_for_one_purpose() -> None:
    """Over two sessions that differ in one model version only, no two keys are equal."""
    one = all_keys(Session(**told()))
    other = all_keys(Session(**told(versions={"a": "0a", "b": "0b", "c": "0d"})))
    keys = [key for _, key in one + other]
    assert all(len(key) == 32 for key in keys)
    assert len(set(keys)) == len(keys) == 48


def test_both_ends_have_the_same_keys_and_the_third_has_none() -> None:
    session = Session(**told())
    owner, evaluator, dealer = (triple_keys(session, 0, name, KEYS[name], None) for name in NAMES)
    assert owner.owner_evaluator == evaluator.owner_evaluator
    assert owner.owner_dealer == dealer.owner_dealer
    assert evaluator.evaluator_dealer == dealer.evaluator_dealer
    assert owner.evaluator_dealer is evaluator.owner_dealer is dealer.owner_evaluator is None
    assert query_root(session, 0, CLIENT, session.publics["b"]) == query_root(session, 0, KEYS["b"], CLIENT.public)
    assert zero_share_key(session, "a", KEYS["a"], "c") == zero_share_key(session, "c", KEYS["c"], "a")
    assert channel_secrets(session, "a", KEYS["a"])["b"] == channel_secrets(session, "b", KEYS["b"])["a"]
    assert seals(session, "a") == seal_keys(session, "a", KEYS["a"], CLIENT.public)


def test_a_model_version_is_in_the_keys_of_its_masks_even_were_two_ids_equal() -> None:
    one, other = Session(**told()), Session(**told(versions={"a": "0a", "b": "0b", "c": "0d"}))
    object.__setattr__(other, "id", one.id)
    same = [what for (what, first), (_, second) in zip(all_keys(one), all_keys(other), strict=True) if first == second]
    assert not [what for what in same if what.startswith("2 ")]
    assert len(same) == 24 - 4


def test_a_key_serves_once() -> None:
    key = SessionKey()
    key.claim()
    with pytest.raises(KeyUsed, match="Make a new SessionKey"):
        key.claim()
