"""A federation over a link: its cohort follows who is there, and what does not fit is left out by name."""

import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit, NotDisclosed, UnknownName
from tests.harness import linear_party, queries
from tests.session.toy_link import ToyLink


@pytest.fixture
def link():
    link = ToyLink()
    yield link
    link.close()


def over(link, **settings):
    return fi.Federation._over(link, None, None, {"history": None, **settings})


def test_nobody_yet(link):
    with over(link) as federation:
        assert federation.parties == ()
        assert "nobody yet" in repr(federation)
        with pytest.raises(fi.NoAnswer, match=r"Nobody has joined .*invite"):
            federation.ask(queries())
        with pytest.raises(fi.NoAnswer, match=r"0 of 1 parties are online after 0\.01 s: nobody came"):
            federation.wait_for(1, 0.01)
    assert link.closed


def test_who_waits_for_approval_is_named_where_nobody_answers(link):
    with over(link) as federation:
        link.join(linear_party("Bo"), state="waiting")
        with pytest.raises(fi.NoAnswer, match=r"approve\(name\) lets in who waits: Bo\."):
            federation.ask(queries())


def test_same_digest_as_embedded_and_whoever_joins_is_asked(link):
    names = ("Ada", "Bo", "Cy")
    with over(link) as federation, fi.Federation([linear_party(n) for n in names], history=None) as embedded:
        for name in reversed(names):
            link.join(linear_party(name))
        assert tuple(party.name for party in federation.parties) == names
        assert federation.ask(queries()).digest == embedded.ask(queries()).digest
        link.join(linear_party("Di"))
        record = federation.ask(queries())
        assert record.parties == (*names, "Di")
        assert link.about["rule"] == "soft_vote"
        assert link.about["mechanism"] == "plain"


def test_a_copy_keeps_to_the_parties_it_was_given(link):
    with over(link) as federation:
        for name in ("Ada", "Bo"):
            link.join(linear_party(name))
        pair, alone = federation.with_(rule="hard_vote"), federation.with_(parties=["Bo"])
        link.join(linear_party("Cy"))
        assert [party.name for party in pair.parties] == ["Ada", "Bo", "Cy"]
        assert [party.name for party in alone.parties] == ["Bo"]
        assert alone.ask(queries()).parties == ("Bo",)


def test_who_left_is_an_absence_that_says_so(link):
    with over(link) as federation:
        link.join(linear_party("Ada"))
        link.join(linear_party("Bo"))
        link.leave("Bo")
        record = federation.ask(queries())
        assert record.present == ("Ada",)
        [absence] = record.absent
        assert (absence.party, absence.kind) == ("Bo", "unreachable")


def test_waiting_and_expelled_are_not_asked(link):
    with over(link) as federation:
        link.join(linear_party("Ada"))
        link.join(linear_party("Bo"), state="waiting")
        assert [party.name for party in federation.parties] == ["Ada"]
        federation.approve("Bo")
        assert [party.name for party in federation.parties] == ["Ada", "Bo"]
        federation.expel("Ada")
        assert [party.name for party in federation.parties] == ["Bo"]
        with pytest.raises(UnknownName, match="Known: Ada, Bo"):
            federation.expel("Eve")


def test_a_party_that_lacks_a_capability_is_left_out_by_name():
    link = ToyLink(capabilities={"Bo": ()})
    with over(link, mechanism="commit_reveal") as federation:
        for name in ("Ada", "Bo", "Cy"):
            link.join(linear_party(name))
        assert [party.name for party in federation.parties] == ["Ada", "Cy"]
        assert "'Bo' cannot do phases, which 'commit_reveal' needs" in federation.left_out["Bo"]
        assert federation.ask(queries()).present == ("Ada", "Cy")
        plain = federation.with_(mechanism="plain")
        assert len(plain.parties) == 3
        assert not plain.left_out
        with pytest.raises(DoesNotFit, match="'Bo' cannot do phases"):
            federation.with_(parties=list(plain.parties))


def test_what_is_the_owners_stays_there(link):
    with over(link) as federation:
        link.join(linear_party("Ada"))
        [ada] = federation.parties
        with pytest.raises(NotDisclosed, match="Ada's model is on its owner's host"):
            ada.predict(queries())
        with pytest.raises(DoesNotFit, match="join --behave"):
            federation.behave("Ada", "constant_label")
        assert not federation.behaviours
        with pytest.raises(DoesNotFit, match=r"fi\.join"):
            federation.with_(parties=[linear_party("Cy")])
        assert not ada.facts.names()


def test_settings_that_do_not_fit_are_refused_before_anybody_joins(link):
    with pytest.raises(fi.FederationError):
        over(link, mechanism="sums_only_that_is_not_there")
    assert link.closed


def test_waiting_for_parties_wakes_when_they_come(link):
    with over(link) as federation:
        came = threading.Thread(target=lambda: [link.join(linear_party(name)) for name in ("Ada", "Bo")])
        came.start()
        assert federation.wait_for(2, 20) is federation
        came.join()


def test_an_embedded_federation_has_no_link():
    with fi.Federation([linear_party("Ada")], history=None) as federation:
        assert federation.link is None
        with pytest.raises(DoesNotFit, match="host"):
            federation.invite()


def test_enrolment_and_payments_work_as_they_do_here(link, tmp_path):
    with over(link, rule="class_competence", ledger=tmp_path / "l.sqlite") as federation:
        for name in ("Ada", "Bo"):
            link.join(linear_party(name))
        with fi.Federation([linear_party(n) for n in ("Ada", "Bo")], history=None, rule="class_competence") as same:
            federation.deposit(5 * fi.MICRO)
            record = federation.ask(queries())
            assert record.payment == "settled"
            np.testing.assert_array_equal(record.scores, same.ask(queries()).scores)
