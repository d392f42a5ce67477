"""Who carries messages of others reads nothing, and cannot change, drop, repeat or reorder them unnoticed."""

import pytest

from fi_workbench.core.peers import BadPeerMessage, PeerLost
from fi_workbench.transport.peers.inbox import Inbox
from fi_workbench.transport.peers.relaying import Relay
from fi_workbench.transport.peers.sealing import LARGEST_SEALED_BYTES, PIECE_BYTES, Opener, Sealer, direction_key
from tests.transport.peers.groups import SESSION, soon

SECRET = bytes(range(32))


def ends(sender="a", recipient="b", session=SESSION):
    inbox = Inbox("b", "a")
    here = direction_key(SECRET, session, sender, recipient)
    return Sealer(here), Opener(direction_key(SECRET, SESSION, "a", "b"), inbox), inbox


def test_what_is_sealed_is_opened_in_pieces_of_a_mebibyte():
    sealer, opener, inbox = ends()
    large = bytes(k % 251 for k in range(2 * PIECE_BYTES + 5))
    pieces = [*sealer.seal("large", large), *sealer.seal("empty", b""), *sealer.seal("even", large[:PIECE_BYTES])]
    assert len(pieces) == 5
    assert max(map(len, pieces)) <= LARGEST_SEALED_BYTES
    assert not any(large[:64] in piece or b"large" in piece for piece in pieces)
    for piece in pieces:
        opener.open(piece)
    assert bytes(inbox.take("large", len(large), soon())) == large
    assert bytes(inbox.take("empty", 0, soon())) == b""
    assert bytes(inbox.take("even", PIECE_BYTES, soon())) == large[:PIECE_BYTES]


def test_no_bit_can_be_changed():
    whole = next(ends()[0].seal("tag", b"payload"))
    for k in range(len(whole)):
        _, opener, _ = ends()
        with pytest.raises(BadPeerMessage, match="a"):
            opener.open(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
    ends()[1].open(whole)


def test_no_message_is_repeated_left_out_or_reordered():
    sealer, opener, _ = ends()
    first, second, third = (next(sealer.seal(tag, b"")) for tag in ("1", "2", "3"))
    opener.open(first)
    with pytest.raises(BadPeerMessage, match="repeated"):
        opener.open(first)
    with pytest.raises(BadPeerMessage, match="lost or out of order"):
        opener.open(third)
    opener.open(second)


@pytest.mark.parametrize(
    "other",
    [{"sender": "b", "recipient": "a"}, {"sender": "c"}, {"recipient": "c"}, {"session": "00" * 32}],
    ids=["the other direction", "another sender", "another recipient", "another session"],
)
def test_a_seal_is_good_for_one_direction_of_one_pair_in_one_session(other):
    sealer, opener, _ = ends(**other)
    with pytest.raises(BadPeerMessage, match="changed"):
        opener.open(next(sealer.seal("tag", b"payload")))


def test_names_cannot_run_into_one_another():
    assert direction_key(SECRET, SESSION, "ab", "c") != direction_key(SECRET, SESSION, "a", "bc")


@pytest.mark.parametrize("sealed", [b"", bytes(24), bytes(LARGEST_SEALED_BYTES + 1)], ids=len)
def test_what_is_no_message_is_refused_by_its_length(sealed):
    with pytest.raises(BadPeerMessage, match="none of its messages"):
        ends()[1].open(sealed)


def test_what_the_peer_itself_seals_wrongly_is_refused():
    for piece in (b"", b"\x03" + bytes(16), b"\x02" + bytes(16) + b"\xff\xff", b"\x01" + bytes(8) + b"\x01" * 8 + b"t"):
        sealer, opener, _ = ends()
        count = bytes(8)
        sealed = count + sealer._cipher.encrypt(bytes(12), piece, None)
        with pytest.raises(BadPeerMessage):
            opener.open(sealed)


def test_a_message_that_is_too_long_is_refused_before_there_is_room_for_it():
    sealer, opener, inbox = ends()
    huge = b"\x01" + (2**40).to_bytes(8, "big") + bytes(8) + b"t" + bytes(100)
    with pytest.raises(BadPeerMessage, match="is the most"):
        opener.open(bytes(8) + sealer._cipher.encrypt(bytes(12), huge, None))
    assert inbox is not None


def test_a_relay_raises_at_the_receiver_and_knows_its_peers():
    inboxes = {name: {peer: Inbox(name, peer) for peer in "abc" if peer != name} for name in "abc"}
    relays = {name: Relay(SESSION, name, dict.fromkeys(one, SECRET), one) for name, one in inboxes.items()}
    relays["a"].send("b", "tag", b"1")
    ((to, sealed),) = relays["a"].outgoing(1.0)
    assert to == "b"
    assert relays["a"].outgoing(0.0) == []
    relays["b"].incoming("c", sealed)  # says who carries
    with pytest.raises(BadPeerMessage, match="changed"):
        inboxes["b"]["c"].take("tag", 1, soon())
    relays["b"].incoming("a", sealed)
    assert bytes(inboxes["b"]["a"].take("tag", 1, soon())) == b"1"
    relays["b"].incoming("d", sealed)
    relays["a"].close()
    with pytest.raises(PeerLost):
        relays["a"].send("b", "tag2", b"1")
