"""Keys of a round: what is derived is bound to its whole label, what is announced to the whole question."""

from dataclasses import fields, replace

import pytest

from fi_workbench.core.identity import BadSignature, Identity, statement
from fi_workbench.privacy.secure_sum.keys import (
    ANNOUNCED_BYTES,
    Announced,
    RoundKeys,
    commitment,
    derived,
    pair_key,
    public_part,
    shared_secret,
)
from fi_workbench.privacy.secure_sum.masking import own_mask, stream

ROUND, DIGEST = "ab" * 16, "cd" * 32
ADA = Identity("Ada")


def announced(round_id=ROUND, digest=DIGEST, who=ADA):
    return RoundKeys.fresh().announced(digest, "Ada", lambda message: who.sign(statement(round_id, "Ada", message)))


@pytest.mark.parametrize(
    "other",
    [
        (b"t" * 32, DIGEST, "mask", "Ada", "Bo"),
        (b"s" * 32, "ce" * 32, "mask", "Ada", "Bo"),
        (b"s" * 32, DIGEST, "shares", "Ada", "Bo"),
        (b"s" * 32, DIGEST, "mask", "Bo", "Ada"),
        (b"s" * 32, DIGEST, "mask", "AdaBo"),
        (b"s" * 32, DIGEST, "mask", "Ada", "Bo", ""),
    ],
)
def test_a_derived_key_changes_with_all_of_its_label(other):
    assert derived(b"s" * 32, DIGEST, "mask", "Ada", "Bo") != derived(*other)
    assert derived(b"s" * 32, DIGEST, "mask", "Ada", "Bo") == derived(b"s" * 32, DIGEST, "mask", "Ada", "Bo")


def test_two_parties_come_to_one_key_and_a_third_does_not():
    ada, bo, cy = (RoundKeys.fresh().masking for _ in range(3))
    one = pair_key(ada, public_part(bo), DIGEST, "Ada", "Bo")
    assert one == pair_key(bo, public_part(ada), DIGEST, "Bo", "Ada")
    assert one != pair_key(cy, public_part(bo), DIGEST, "Ada", "Bo")
    assert one != shared_secret(ada, public_part(bo)), "never the secret as it is"


def test_the_key_that_seals_is_not_the_one_that_may_be_opened():
    keys = RoundKeys.fresh()
    told = announced()
    assert public_part(keys.sealing) != public_part(keys.masking)
    assert told.sealing != told.masking


def test_a_commitment_is_bound_to_round_party_and_seed():
    assert len({commitment(*args) for args in [(DIGEST, "Ada", b"s"), ("x", "Ada", b"s"), (DIGEST, "Bo", b"s"),
                                               (DIGEST, "Ada", b"t")]}) == 4  # fmt: skip


def test_masks_are_bound_to_round_and_party():
    masks = [own_mask(b"s" * 32, *args, 4).tobytes() for args in [(DIGEST, "Ada"), ("x", "Ada"), (DIGEST, "Bo")]]
    assert len(set(masks)) == 3
    assert (stream(b"k" * 32, 8)[:4] == stream(b"k" * 32, 4)).all()


def test_what_was_announced_is_read_back_and_checked():
    told = announced()
    assert len(told.to_bytes()) == ANNOUNCED_BYTES
    assert Announced.of_bytes(told.to_bytes()) == told
    told.check(ROUND, DIGEST, ADA.public)
    with pytest.raises(ValueError, match="160 bytes"):
        Announced.of_bytes(told.to_bytes()[:-1])


@pytest.mark.parametrize("field", [field.name for field in fields(Announced)])
def test_a_change_to_any_part_of_it_is_seen(field):
    told = announced()
    value = getattr(told, field)
    with pytest.raises(BadSignature, match="not signed"):
        replace(told, **{field: bytes([value[0] ^ 1]) + value[1:]}).check(ROUND, DIGEST, ADA.public)


@pytest.mark.parametrize(
    "other", [{"round_id": "ff" * 16}, {"digest": "ff" * 32}, {"who": Identity("Ada")}], ids=lambda other: str(*other)
)
def test_it_says_nothing_of_another_question_or_by_another_key(other):
    with pytest.raises(BadSignature, match="for this question"):
        announced(**other).check(ROUND, DIGEST, ADA.public)
