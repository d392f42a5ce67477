"""A party that was let in and means no good: huge, odd, never-ending answers, and a card meant for terminals."""

import json

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit, InvalidParty
from fi_workbench.core.identity import Identity
from fi_workbench.protocol.announcement import CARD, SIGNATURE, _signed, card_bytes, read_card
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, ANNOUNCE
from fi_workbench.transport.wire import ARRAYS, BODY, decode
from tests.attacks.far import Memory, soon
from tests.session.far_parties import absences, asked
from tests.transport.hosted.parties import TestParty, ask, toy_party
from tests.transport.hosted.raw import RawNode, tls_socket
from tests.transport.hosted.test_hostile import BOMBS, accepts, head_of

ESCAPES = "\x1b]0;owned\x07\x1b[2J"
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def eve(link, far):
    """Enrolled; a test plays her node by hand. Ada is honest."""
    far("Ada", link)
    party = TestParty(link, "Eve", instance="raw").enrol().start()
    party.stop()
    node = RawNode(link, party)
    assert node.activate()[0] == 200
    return node


@pytest.mark.parametrize("announced", [100_000_000, None])
def test_a_hundred_megabytes_are_neither_kept_nor_waited_for(eve, link, answers, announced):
    with Memory() as memory, tls_socket(link) as sock:
        sock.sendall(head_of(eve.key, "/v1/fleet/push-messages", announced))
        piece = b"\x00" * 1_000_000 if announced else b"f4240\r\n" + b"\x00" * 1_000_000 + b"\r\n"
        accepts(sock, piece, n=100)
        if announced:
            assert b" 413 " in sock.recv(65536)
    assert memory.grown < 150e6, "64 MiB may come, and are dropped with the first byte more"
    soon(lambda: not link._app._decoding)
    with tls_socket(link) as sock:
        sock.sendall(head_of(eve.key, "/v1/fleet/push-messages", 2**40))
        assert b" 413 " in sock.recv(65536), "at once"
    answers(link, "Ada", seconds=1.0)


def test_protobuf_that_would_become_gigabytes_stays_small(eve, link, answers):
    with Memory() as memory:
        for name, bomb in BOMBS.items():
            assert eve.post("push-messages", bomb)[0] == 400, name
    assert memory.grown < 60e6
    answers(link, "Ada", seconds=1.0)


DESCRIPTIONS = [
    *("5", "[]", "null", "{", "[" * 50_000, '{"a": 5}', '{"a": []}', '{"a": [[], 1]}', '{"a": ["<f4", "x"]}'),
    *('{"a": ["<f4", 1.5]}', '{"a": ["<f4", 1e400]}', '{"a": ["|O", 1]}', '{"a": ["<f4", 1000000000000]}'),
    *('{"b": ["<f4", 2]}', '{"a": ["<f4", ' + "9" * 400 + "]}"),
]


def test_no_description_of_arrays_does_more_than_raise_what_is_documented():
    from flwr.app import ConfigRecord, RecordDict

    for described in DESCRIPTIONS:
        with pytest.raises(ValueError, match=r"."):
            decode(RecordDict({BODY: ConfigRecord({ARRAYS: described, "a": b"\x00" * 8})}))


ODD_ANSWERS = {
    "not finite": {"answer": np.full((6, 3), np.nan, np.float32)},
    "endless": {"answer": np.full((6, 3), np.inf, np.float32)},
    "of another shape": {"answer": np.zeros((600, 3), np.float32)},
    "no array": {"answer": "cat"},
    "nothing": {},
    "said in colours": {ABSENT_KIND: "refused", ABSENT_REASON: ESCAPES + "x" * 10_000},
    "an absence of a kind of its own": {ABSENT_KIND: ESCAPES, ABSENT_REASON: 7},
}


def test_an_odd_answer_is_an_absence_in_plain_words(link, far):
    far("Ada", link)
    given = {}
    eve = TestParty(link, "Eve", lambda phase, body: given).enrol().start()
    try:
        for odd, answer in ODD_ANSWERS.items():
            given = answer
            outcome = asked(link)
            assert outcome.release.present == ("Ada",), odd
            why = absences(outcome)["Eve"]
            assert why.isprintable(), odd
            assert len(why) < 600, odd
            assert np.isfinite(outcome.release.answers).all(), odd
    finally:
        eve.stop()


def test_an_exception_with_escapes_in_its_name_is_shown_without(link):
    def raises(phase, body):
        raise type(ESCAPES, (Exception,), {})

    eve = TestParty(link, "Eve", raises).enrol().start()
    try:
        assert absences(asked(link))["Eve"].isprintable()
    finally:
        eve.stop()


def announcing(side, change):
    """An announcement with something odd in its card, rightly signed."""

    def handle(phase, body):
        plain = json.loads(card_bytes(side.card))
        plain.update(change)
        written = json.dumps(plain).encode()
        return {CARD: written, SIGNATURE: side.identity.sign(_signed(body["nonce"], written))}

    return handle


ODD_CARDS = [
    {"name": ESCAPES}, {"name": "x" * 41}, {"model": MARKUP * 10}, {"model": "a\nb"}, {"classes": ["cat", ESCAPES]},
    {"classes": ["cat", "cat"]}, {"classes": ["cat", "d" * 201]}, {"classes": []}, {"facts": [ESCAPES]},
    {"capabilities": ["x" * 1000]}, {"input_shape": [2**40]}, {"input_shape": [1] * 17}, {"input_shape": [-1]},
    {"input_shape": [True]}, {"input_shape": [10**400]}, {"outputs": "pickle"}, {"version": 10**9},
    {"identity": ["00"]},
]  # fmt: skip


@pytest.mark.parametrize("change", ODD_CARDS, ids=lambda change: f"{change!r:.40}")
def test_a_card_with_odd_fields_is_refused_by_name(change):
    side = PartySide(toy_party("Eve"), Identity("Eve"))
    written = announcing(side, change)("announce", {"nonce": b"n" * 32})[CARD]
    with pytest.raises(InvalidParty, match=r"card|version"):
        read_card(written)
    assert read_card(card_bytes(side.card)).name == "Eve", "without the change it is taken"


def test_an_odd_card_is_refused_on_the_roster_and_its_owner_reads_why(link, far, answers):
    far("Ada", link)
    eve = TestParty(link, "Eve").enrol()
    odd = announcing(eve.side, {"classes": ["cat", "dog", ESCAPES]})
    eve._answer = lambda phase, body: odd(phase, body) if phase == ANNOUNCE else {}
    try:
        assert "not printable" in eve.start(wait="refused").entry.reason
        eve.thread.join(20.0)
        assert "not printable" in eve.refusal
    finally:
        eve.stop()
    answers(link, "Ada")


def test_a_hosts_condition_that_raises_keeps_out_only_whom_it_judged(links):
    def judge(card):
        if card.name == "Eve":
            raise DoesNotFit("the host's own condition failed")
        return ""

    link = links(admit=judge)
    eve, ada = TestParty(link, "Eve").enrol(), TestParty(link, "Ada").enrol()
    try:
        eve.start(wait=None)
        soon(lambda: eve.entry.card or "connected" in [event.kind for event in eve.events])
        ada.start()
        assert [entry.name for entry in link.roster.entries if entry.state == "online"] == ["Ada"]
    finally:
        eve.stop()
        ada.stop()


def test_names_that_are_markup_are_text_wherever_they_are_shown(links):
    """In the widgets; the side panel's own tests do the same in a browser."""
    import fi_workbench as fi
    from fi_workbench.widgets.wording import escaped

    assert escaped(MARKUP) == "&lt;img src=x onerror=alert(1)&gt;"
    parties = [toy_party(name) for name in (MARKUP, "Ada")]
    with fi.Federation(parties, history=None) as federation:
        bench = fi.Workbench(federation)
        shown, seen = [bench], []
        while shown:
            widget = shown.pop()
            shown += getattr(widget, "children", ())
            if type(widget).__name__ in ("HTML", "HTMLMath"):
                seen.append(widget.value)
        assert any("&lt;img src=x" in text for text in seen)
        assert not any("<img src=x" in text for text in seen)
        bench.close()


def test_a_party_that_answers_one_byte_at_a_time_costs_a_round_its_deadline_and_no_more(eve, link, answers):
    ids = link.grid.push_messages([link.grid.create_message(_body(), "query.answer", eve.id, "slow", ttl=3.0)])
    with tls_socket(link) as sock:
        sock.sendall(head_of(eve.key, "/v1/fleet/push-messages", 100_000))
        for _ in range(20):
            sock.sendall(b"\x00")
        answers(link, "Ada", seconds=1.5)
    link.grid.discard(ids)
    soon(lambda: not link._app._decoding)
    assert len(ask(link, [link.roster.entry("Ada").node])) == 1


def _body():
    from fi_workbench.transport.wire import encode

    return encode({"n": 1})
