"""A party that joins a federation elsewhere: enrolled once, limited by its owner, remembered over restarts."""

import logging
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidOption, UnknownName
from fi_workbench.core.identity import Identity
from fi_workbench.core.keyfile import ExposedKey, Keys
from fi_workbench.parties.behaviours import make_behaviour
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.policy import Policy
from fi_workbench.session import joining
from fi_workbench.session.joining import Joined, journal_path
from fi_workbench.transport.hosted.enrolment import EnrolRefused
from fi_workbench.transport.tls import WrongCertificate, is_loopback
from tests.harness import CLASSES, HANG, SHAPE, SOON, linear_party, queries, until
from tests.session.far_parties import absences, asked, hosted, invitation, online, protected, sent


@pytest.fixture
def link(tmp_path):
    with hosted(tmp_path / "link") as made:
        yield made


@pytest.fixture
def key(tmp_path):
    return tmp_path / "party.key"


@pytest.fixture
def ada(link, key):
    where, given = invitation(link)
    with fi.join(linear_party("Ada"), where, key=key, **given) as joined:
        assert online(link, "Ada")
        yield joined


def test_a_party_joins_and_answers_as_it_would_here(link, ada):
    assert ada.state == "connected"
    assert link.roster.entry("Ada").card == ada.card
    outcome = asked(link)
    assert absences(outcome) == {}
    here = linear_party("Ada").predict(queries(6))
    np.testing.assert_allclose(outcome.release.answers[0], here, rtol=1e-6)
    assert ada.counts == {"announced": 1, "answered": 1}


def test_each_phase_of_a_round_is_shown_with_who_asked(link, key):
    events = []
    where, given = invitation(link)
    with fi.join(linear_party("Ada"), where, key=key, on_event=events.append, **given):
        assert online(link, "Ada")
        client = ClientSide()
        assert asked(link, mechanism="commit_reveal", client=client).release.present == ("Ada",)
    shown = [event.asked for event in events if event.asked and event.asked.outcome == "answered"]
    assert [one.phase for one in shown] == ["commit", "reveal"]
    assert {one.client for one in shown} == {client.identity.public.verify_key.hex()}
    assert all("6 queries, soft_vote under commit_reveal" in str(one) for one in shown)


def test_it_leaves_in_order_and_comes_back_with_neither_token_nor_fingerprint(link, ada, key):
    ada.stop()
    assert ada.state == "stopped"
    assert link.roster.wait_for(lambda: link.roster.entry("Ada").state == "offline", 10)
    assert not [one for one in threading.enumerate() if one.name == "fi-party-Ada"]
    with fi.join(linear_party("Ada"), link.status.address, key=key) as again:
        assert online(link, "Ada")
        assert again.card == ada.card
        assert absences(asked(link)) == {}


def test_a_restart_forgets_neither_budget_nor_rounds(link, key):
    where, given = invitation(link)
    client, policy = ClientSide(), Policy(query_budget=10)
    with fi.join(linear_party("Ada"), where, key=key, policy=policy, **given):
        assert online(link, "Ada")
        first, settings = protected(link, 6, client=client)
        assert absences(sent(link, first, settings)) == {}
    with fi.join(linear_party("Ada"), where, key=key, policy=policy):
        assert online(link, "Ada")
        assert "asked before" in absences(sent(link, first, settings))["Ada"]
        assert "4 of 10 left" in absences(asked(link, 6, client=client))["Ada"]
        assert absences(asked(link, 4, client=client)) == {}
        assert absences(asked(link, 6)) == {}, "another client has a budget of its own"


def test_its_owners_limits_are_told_by_name_and_logged(link, key, tmp_path):
    where, given = invitation(link)
    friend = ClientSide(Identity("friend"))
    name = friend.identity.public.verify_key.hex()
    limits = Policy(
        clients={name}, mechanisms={"plain"}, rules={"soft_vote"}, max_batch=8, queries_per_minute=10, min_cohort=1
    )
    events = []
    party = linear_party("Ada")
    joined = fi.join(
        party, where, key=key, policy=limits, log=tmp_path / "ada.log", on_event=events.append, **given
    )  # fmt: skip
    with joined:
        assert online(link, "Ada")
        assert "is not on this party's list" in absences(asked(link))["Ada"]
        assert "mechanism 'commit_reveal' is not allowed" in absences(
            asked(link, client=friend, mechanism="commit_reveal")
        )["Ada"]  # fmt: skip
        assert "rule 'hard_vote' is not allowed" in absences(asked(link, client=friend, rule="hard_vote"))["Ada"]
        assert "9 queries at once" in absences(asked(link, 9, client=friend))["Ada"]
        assert absences(asked(link, 6, client=friend)) == {}
        assert "ask again in" in absences(asked(link, 6, client=friend))["Ada"]
        assert dict(joined.counts) == {"announced": 1, "answered": 1, "refused": 5}
    lines = (tmp_path / "ada.log").read_text().splitlines()
    told = [line for line in lines if f"client={name}" in line]
    assert sum(" refused " in line for line in told) == 4
    assert sum(" answered " in line for line in told) == 1
    assert "rule=soft_vote mechanism=plain n_queries=6" in next(line for line in told if " answered " in line)
    assert any("mechanism=commit_reveal" in line and "not allowed" in line for line in told)
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["enrolled", "connected"]
    assert kinds[-1] == "stopped"
    shown = [str(event.asked) for event in events if event.asked and event.asked.outcome == "answered"]
    assert len(shown) == 1
    assert f"for client {name[:16]}: 6 queries, soft_vote under plain" in shown[0]


def test_the_log_holds_what_the_model_raised_and_never_a_query(link, tmp_path):
    def model(asked):
        if asked.any():
            raise LookupError("a reason for its owner")
        return np.full((len(asked), 3), 1 / 3)

    party = fi.Party.from_callable(model, name="Ada", classes=CLASSES, input_shape=SHAPE)
    where, given = invitation(link)
    other, given_other = invitation(link)
    with (
        fi.join(party, where, key=tmp_path / "a.key", log=tmp_path / "ada.log", **given),
        fi.join(linear_party("Bo"), other, key=tmp_path / "b.key", log=tmp_path / "bo.log", **given_other),
    ):
        assert online(link, "Ada", "Bo")
        outcome = asked(link)
        assert absences(outcome) == {"Ada": "raised: LookupError in its model; its own log has more"}
        where_logged = logging.getLogger("fi_workbench.protocol.party_side").handlers
        assert len(where_logged) >= 2
    written = (tmp_path / "ada.log").read_text()
    assert "a reason for its owner" in written
    assert "Traceback" in written
    assert "LookupError" not in (tmp_path / "bo.log").read_text(), "each party's log is its own"
    for value in queries(6).ravel():
        assert f"{value:.4f}" not in written
    assert (tmp_path / "ada.log").stat().st_mode & 0o077 == 0
    left = logging.getLogger("fi_workbench.protocol.party_side").handlers
    assert not [one for one in left if getattr(one, "baseFilename", "").startswith(str(tmp_path))]


def test_what_retrying_cannot_mend_is_raised_at_once(link, key, tmp_path):
    where, given = invitation(link)
    party, patient = linear_party("Ada"), {"wait_seconds": 60.0}
    with pytest.raises(EnrolRefused, match="token"):
        fi.join(party, where, key=key, fingerprint=given["fingerprint"], token="of my own making", **patient)
    with pytest.raises(WrongCertificate, match="fingerprint"):
        fi.join(party, where, key=key, fingerprint="ab" * 32, token=given["token"], **patient)
    with pytest.raises(joining.NodeRefused, match=r"Ask its (host|operator)"):
        fi.join(party, where, key=key, fingerprint=given["fingerprint"], **patient)
    journal = FileJournal(journal_path(key))
    assert journal.pinned(where) is None, "nothing that did not work is relied upon"
    journal.close()
    with fi.join(party, where, key=key, **given):
        assert online(link, "Ada")
    with pytest.raises(EnrolRefused, match="token"):
        fi.join(linear_party("Bo"), where, key=tmp_path / "bo.key", **given, **patient)


def test_an_expelled_party_ends_with_a_reason(link, ada):
    link.expel("Ada")
    assert ada.join(20)
    assert ada.state == "refused"
    assert "expelled" in str(ada.error)
    with pytest.raises(joining.NodeRefused):
        ada.wait()


def test_a_link_that_is_not_there_is_tried_until_it_is(tmp_path, key):
    with hosted(tmp_path / "link") as first:
        where, given = invitation(first)
    events = []
    joined = fi.join(linear_party("Ada"), where, key=key, on_event=events.append, wait_seconds=0.0, **given)
    with joined:
        assert until(lambda: [event.kind for event in events[:2]] == ["retrying"] * 2)
        assert joined.state == "starting"
        with hosted(tmp_path / "link", where) as link:
            assert online(link, "Ada"), "the token given before is good after a restart of the link"
            assert absences(asked(link)) == {}
        assert until(lambda: joined.state == "lost")
        with hosted(tmp_path / "link", where) as link:
            assert online(link, "Ada", seconds=40)
            assert absences(asked(link)) == {}


def test_stopping_while_it_retries_is_quick(tmp_path, key):
    joined = fi.join(linear_party("Ada"), "127.0.0.1:9", key=key, insecure=True, wait_seconds=0.2)
    joined.stop()
    assert joined.join(5)
    assert joined.state == "stopped"


def test_a_message_under_way_is_finished_before_it_leaves(link, key):
    begun, let_go = threading.Event(), threading.Event()

    def model(asked):
        if asked.any():
            begun.set()
            let_go.wait(20)
        return np.full((len(asked), 3), 1 / 3)

    party = fi.Party.from_callable(model, name="Ada", classes=CLASSES, input_shape=SHAPE)
    where, given = invitation(link)
    with fi.join(party, where, key=key, **given) as joined:
        assert online(link, "Ada")
        outcomes = []
        asking = threading.Thread(target=lambda: outcomes.append(asked(link)))
        asking.start()
        assert begun.wait(20)
        stopping = threading.Thread(target=joined.stop, args=(20,))
        stopping.start()
        let_go.set()
        asking.join(20)
        stopping.join(20)
    assert absences(outcomes[0]) == {}
    assert joined.state == "stopped"


def test_a_party_that_waits_to_be_dishonest_does_not_hold_up_its_end(link, key):
    begun = threading.Event()

    def model(asked):
        if asked.any():
            begun.set()
        return np.full((len(asked), 3), 1 / 3)

    party = fi.Party.from_callable(model, name="Ada", classes=CLASSES, input_shape=SHAPE)
    where, given = invitation(link)
    slow = make_behaviour("slow", seconds=HANG)
    with fi.join(party, where, key=key, behaviour=slow, **given) as joined:
        assert online(link, "Ada")
        asking = threading.Thread(target=asked, args=(link,), kwargs={"seconds": HANG})
        asking.start()
        assert begun.wait(SOON)
        joined.stop(seconds=0.2)
        assert joined.join(SOON)
        asking.join(SOON)
        assert not asking.is_alive()


def test_a_dishonest_party_is_dishonest_elsewhere_too(link, key):
    where, given = invitation(link)
    with fi.join(linear_party("Ada"), where, key=key, behaviour="constant_label", **given):
        assert online(link, "Ada")
        assert (asked(link).release.answers[0].argmax(axis=1) == 0).all()


def test_who_overhears_nobody_answers_for_itself(link, key):
    where, given = invitation(link)
    with fi.join(linear_party("Ada"), where, key=key, behaviour="copy_peer", **given):
        assert online(link, "Ada")
        np.testing.assert_allclose(
            asked(link).release.answers[0], linear_party("Ada").predict(queries(6)), rtol=1e-6
        )  # fmt: skip


def test_many_parties_of_one_process_keep_their_keys_in_memory(link):
    joined = []
    for name in ("Ada", "Bo", "Cy"):
        where, given = invitation(link)
        joined.append(fi.join(linear_party(name), where, key=Keys.fresh(name), wait_seconds=0.0, **given))
    try:
        assert online(link, "Ada", "Bo", "Cy")
        assert set(asked(link).release.present) == {"Ada", "Bo", "Cy"}
    finally:
        for one in joined:
            one.stop()


def test_a_watcher_that_fails_stops_nobody(link, key):
    def watch(event):
        raise BrokenPipeError

    where, given = invitation(link)
    with fi.join(linear_party("Ada"), where, key=key, on_event=watch, **given):
        assert online(link, "Ada")
        assert absences(asked(link)) == {}


@pytest.mark.parametrize("host", ["example.org", "192.0.2.7", "[2001:db8::1]"])
def test_plain_http_to_another_computer_must_be_asked_for(host, key):
    with pytest.raises(InvalidOption, match="reads queries and answers"):
        Joined(linear_party("Ada"), f"{host}:9", key=key, insecure=True)
    assert not key.exists(), "nothing was made for what cannot be"
    Joined(linear_party("Ada"), f"{host}:9", key=key, insecure=True, allow_plain_http=True).stop()


def test_what_stays_on_this_computer():
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("localhost.example.org", "0.0.0.0", "::", "192.168.1.1", "")))


def peer_listeners():
    return {thread for thread in threading.enumerate() if thread.name == "fi-peers"}


def test_what_is_wrong_before_anything_is_sent_is_said(key, tmp_path):
    before = peer_listeners()
    party = linear_party("Ada")
    with pytest.raises(InvalidOption, match="no address"):
        Joined(party, "https://host:1", key=key)
    with pytest.raises(UnknownName, match="behaviour"):
        Joined(party, "127.0.0.1:9", key=key, behaviour="nice")
    with pytest.raises(InvalidOption, match="fingerprint"):
        Joined(party, "127.0.0.1:9", key=key, fingerprint="abc")
    with pytest.raises(InvalidOption, match="root certificate"):
        Joined(party, "127.0.0.1:9", key=key, root_certificates=tmp_path / "none.pem")
    with pytest.raises(InvalidOption, match="No log"):
        Joined(party, "127.0.0.1:9", key=key, log=tmp_path)
    assert peer_listeners() == before, "a party that was not made listens for nobody"
    key.chmod(0o644)
    with pytest.raises(ExposedKey):
        Joined(party, "127.0.0.1:9", key=key)
