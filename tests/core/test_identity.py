"""Signatures and sealed payloads: opened by whom they are for, from whom they are, in the place that they are for."""

from dataclasses import replace

import pytest

from fi_workbench.core.identity import BadSignature, Identity, PublicIdentity, verify

LABEL = b"round 1, phase commit, Ada to Bo"


@pytest.fixture(scope="module")
def people():
    return Identity("Ada"), Identity("Bo"), Identity("Eve")


def test_a_sealed_payload_opens_for_its_recipient(people):
    ada, bo, _ = people
    for content in (b"", b"secret", bytes(10_000)):
        sealed = ada.seal(bo.public, content, LABEL)
        assert bo.open(ada.public, sealed, LABEL) == content
        assert content not in sealed or not content


def test_sealing_twice_gives_different_bytes(people):
    ada, bo, _ = people
    assert ada.seal(bo.public, b"x", LABEL) != ada.seal(bo.public, b"x", LABEL)


@pytest.mark.parametrize("label", [LABEL.replace(b"round 1", b"round 2"), LABEL.replace(b"commit", b"reveal"), b""])
def test_a_payload_replayed_in_another_place_is_refused(people, label):
    ada, bo, _ = people
    sealed = ada.seal(bo.public, b"secret", LABEL)
    with pytest.raises(BadSignature, match="Ada"):
        bo.open(ada.public, sealed, label)


def test_a_payload_from_somebody_else_is_refused(people):
    ada, bo, eve = people
    sealed = eve.seal(bo.public, b"I am Ada", LABEL)
    with pytest.raises(BadSignature):
        bo.open(ada.public, sealed, LABEL)


def test_a_payload_for_somebody_else_is_refused(people):
    ada, bo, eve = people
    with pytest.raises(BadSignature):
        eve.open(ada.public, ada.seal(bo.public, b"secret", LABEL), LABEL)


def test_a_payload_forwarded_as_ones_own_is_refused(people):
    ada, bo, eve = people
    opened = bo.open(ada.public, ada.seal(bo.public, b"secret", LABEL), LABEL)
    forwarded = bo.seal(eve.public, opened, LABEL)
    assert eve.open(bo.public, forwarded, LABEL) == b"secret"
    with pytest.raises(BadSignature):
        eve.open(ada.public, forwarded, LABEL)


def test_any_changed_byte_is_noticed(people):
    ada, bo, _ = people
    sealed = ada.seal(bo.public, b"secret", LABEL)
    for position in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(BadSignature):
            bo.open(ada.public, bytes(changed), LABEL)
    for cut in (b"", sealed[:10], sealed[:-1], sealed + b"\x00"):
        with pytest.raises(BadSignature):
            bo.open(ada.public, cut, LABEL)


def test_a_seal_key_put_in_between_is_noticed(people):
    ada, _, eve = people
    assert ada.public.check() is ada.public
    for false in (
        replace(ada.public, seal_key=eve.public.seal_key),
        replace(ada.public, verify_key=eve.public.verify_key),
        replace(ada.public, name="Adam"),
        PublicIdentity("Ada", b"short", ada.public.seal_key, ada.public.binding),
    ):
        with pytest.raises(BadSignature):
            false.check()


def test_a_signature_belongs_to_one_message_and_key(people):
    ada, bo, _ = people
    signature = ada.sign(b"message")
    verify(ada.public.verify_key, signature, b"message")
    for key, made, message in (
        (bo.public.verify_key, signature, b"message"),
        (ada.public.verify_key, signature, b"massage"),
        (ada.public.verify_key, bo.sign(b"message"), b"message"),
        (ada.public.verify_key, b"", b"message"),
        (b"", signature, b"message"),
    ):
        with pytest.raises(BadSignature):
            verify(key, made, message)


def test_private_keys_show_nowhere(people):
    ada, *_ = people
    secret = ada._signing.private_bytes_raw()
    assert secret not in repr(ada).encode()
    assert "Private" not in repr(ada)
    assert ada.public.fingerprint == ada.public.verify_key.hex()[:16]
