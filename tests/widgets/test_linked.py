"""A workbench whose parties are elsewhere: who joins, leaves and is left out, while rounds run."""

import dataclasses
import re
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit, FederationError
from fi_workbench.widgets.running.link_view import LinkView, happened
from tests.session.toy_link import ToyLink
from tests.widgets.conftest import CLASSES, eventually
from tests.widgets.linked_bench import asks, bench, come, has, member, over, said, visible

TITLES = (
    *("Live", "Rewards", "Queries", "Compare", "Agreement", "Gaming"),
    *("Privacy", "Leakage", "Trade-off", "Cost", "Log", "Export"),
)


@pytest.fixture
def federation(linked):
    return linked


@pytest.fixture
def workbench(linked_workbench):
    return linked_workbench


class TestNobody:
    def test_says_what_goes_on_and_makes_a_command(self, link, workbench):
        assert workbench.state.status == workbench._header.line.status == "empty"
        assert "Nobody has joined yet" in workbench._header.line.sentence
        assert "Nobody has joined yet" in workbench._nobody._text.value
        assert visible(workbench._nobody.box)
        assert not visible(workbench._tabs.box)
        workbench._nobody.make.click()
        assert eventually(lambda: workbench._nobody.commands.text.startswith("fi-workbench join --link"))
        assert workbench._link.invite.commands.text == workbench._nobody.commands.text
        assert link.invited == [(1, 60.0)]

    @pytest.mark.parametrize("title", TITLES)
    def test_no_page_and_no_key_fails(self, workbench, title):
        workbench._tabs.open(title)
        for kind in ("run_pause", "stop", "next", "previous", "next_disagreement"):
            workbench._pressed(kind)
        assert workbench.state.status == "empty"
        assert "Nobody has joined yet" in workbench.state.notice.text
        assert workbench._controls.run.disabled

    def test_settings_can_be_chosen_before(self, link, workbench):
        workbench.state.choose(rule="hard_vote")
        workbench.state.choose(mechanism="commit_reveal")
        assert workbench.state.status == "empty"
        come(link, "Bo", "Ada")
        assert has(workbench, "Ada", "Bo")
        workbench.run(2)
        assert eventually(lambda: workbench.state.status == "paused")
        record = workbench.state.record
        assert record.present == ("Ada", "Bo")
        assert (record.settings["rule"], record.settings["mechanism"][-1]["name"]) == ("hard_vote", "commit_reveal")

    def test_comes_to_life_by_itself(self, link, workbench):
        workbench._tabs.open("Cost")
        come(link, "Ada")
        assert has(workbench, "Ada")
        assert eventually(lambda: workbench.state.status == "ready")
        assert not visible(workbench._nobody.box)
        assert visible(workbench._tabs.box)
        assert "One party answers" in workbench._header.line.sentence
        workbench.run(2)
        assert eventually(lambda: workbench.state.status == "paused")
        assert workbench._tabs.page.traffic.rows

    def test_queries_that_nobody_there_can_answer(self, link, federation):
        workbench = fi.Workbench(federation, queries=np.zeros((4, 7), np.float32))
        come(link, "Ada")
        assert eventually(lambda: workbench.state.notice is not None)
        assert "nothing to ask" in workbench.state.notice.text
        workbench.run()
        assert workbench.state.status == "ready"
        workbench.close()


class TestFollowing:
    def test_joins_and_leaves_while_rounds_run(self, link, workbench):
        come(link, "Ada", "Bo")
        assert has(workbench, "Ada", "Bo")
        workbench.run()
        assert eventually(lambda: workbench.state.frame.round > 2)
        come(link, "Cy")
        assert asks(workbench, ("Ada", "Bo", "Cy"))
        assert said(workbench, "Cy joined.")
        link.leave("Bo")
        assert eventually(lambda: member(workbench, "Bo").away == "offline")
        assert "Two of three parties answer" in workbench._header.line.sentence
        assert said(workbench, "Bo is offline.")
        assert eventually(lambda: "offline" in workbench._tabs.page.bars.statuses)
        place = workbench._tabs.page.bars.parties.index("Bo")
        assert re.match(r"Offline since \d\d:\d\d:\d\d", workbench._tabs.page.bars.reasons[place])
        assert "offline" in workbench._parties._rows[member(workbench, "Bo").number]._text.value
        link.expel("Bo")
        assert has(workbench, "Ada", "Cy")
        assert asks(workbench, ("Ada", "Cy"))
        assert workbench.state.status == "running"
        assert not any(level == "error" for _, level, _ in workbench.state.log)

    def test_an_absence_that_the_link_told_of_is_not_told_again(self, link, workbench):
        come(link, "Ada", "Bo")
        assert said(workbench, "Bo joined.")
        link.leave("Bo")
        assert said(workbench, "Bo is offline.")
        assert eventually(lambda: member(workbench, "Bo").away == "offline")
        workbench.run(3)
        assert eventually(lambda: workbench.state.status == "paused")
        assert sum("Bo" in text for _, _, text in workbench.state.log) == 2  # it joined, it is offline

    def test_colours_stay(self, link, workbench):
        come(link, "Cy", "Ada")
        assert has(workbench, "Ada", "Cy")
        assert {one.party.name: one.number for one in workbench.state.members} == {"Cy": 0, "Ada": 1}
        link.expel("Cy")
        assert has(workbench, "Ada")
        come(link, "Bo")
        assert has(workbench, "Ada", "Bo")
        link.approve("Cy")
        assert has(workbench, "Ada", "Bo", "Cy")
        assert {one.party.name: one.number for one in workbench.state.members} == {"Cy": 0, "Ada": 1, "Bo": 2}

    def test_who_comes_back_keeps_its_counts(self, link, workbench):
        come(link, "Ada", "Bo")
        assert has(workbench, "Ada", "Bo")
        workbench.run(4)
        assert eventually(lambda: workbench.state.status == "paused")
        before = {one.name: one.accuracy for one in workbench.state.frame.parties}
        key = link.roster.entry("Bo").key
        link.roster.change(key, state="offline")
        assert eventually(lambda: member(workbench, "Bo").away == "offline")
        link.roster.change(key, state="online")
        assert eventually(lambda: not member(workbench, "Bo").away)
        assert {one.name: one.accuracy for one in workbench.state.frame.parties} == before
        assert workbench.state.frame.n_window == 4
        assert said(workbench, "Bo is back.")

    def test_all_are_gone_and_one_comes_back(self, link, workbench):
        come(link, "Ada")
        assert has(workbench, "Ada")
        workbench.run()
        assert eventually(lambda: workbench.state.frame.round > 2)
        link.expel("Ada")
        assert has(workbench)
        assert workbench.state.status == "empty"
        assert "Nobody is left" in workbench._header.line.sentence
        assert "Nobody is left to ask" in workbench.state.notice.text
        link.approve("Ada")
        assert has(workbench, "Ada")
        assert workbench.state.status == "ready"
        workbench.run(2)
        assert eventually(lambda: workbench.state.status == "paused")

    def test_who_is_not_ticked_is_not_asked(self, link, workbench):
        come(link, "Ada", "Bo")
        assert has(workbench, "Ada", "Bo")
        assert workbench._desk.cohort.enable(member(workbench, "Bo").number, False)
        come(link, "Cy")
        assert has(workbench, "Ada", "Bo", "Cy")
        workbench.run(2)
        assert eventually(lambda: workbench.state.status == "paused")
        assert workbench.state.record.parties == ("Ada", "Cy")
        link.expel("Ada")
        link.expel("Cy")
        assert has(workbench, "Bo")
        workbench.run()
        assert workbench.state.status != "running"
        assert "tick one" in workbench.state.notice.text
        assert workbench._desk.cohort.enable(member(workbench, "Bo").number, True)
        workbench.run(1)
        assert asks(workbench, ("Bo",))

    def test_who_cannot_answer_so_is_left_out_with_its_reason(self, toy_data):
        link = ToyLink(capabilities={"Bo": ()})
        with over(link) as federation:
            for workbench in bench(federation, toy_data):
                come(link, "Ada", "Bo", "Cy")
                assert has(workbench, "Ada", "Bo", "Cy")
                workbench.state.choose(mechanism="commit_reveal")
                assert workbench.state.notice is None
                assert member(workbench, "Bo").away == "left out"
                assert "cannot do phases" in member(workbench, "Bo").reason
                assert said(workbench, "Bo is left out: ")
                assert workbench._parties._rows[member(workbench, "Bo").number].asked.disabled
                assert "Two of three parties answer" in workbench._header.line.sentence
                workbench.run(2)
                assert asks(workbench, ("Ada", "Cy"))
                workbench.state.choose(mechanism="plain")
                assert not member(workbench, "Bo").away
                workbench.run(2)
                assert asks(workbench, ("Ada", "Bo", "Cy"))

    def test_what_nobody_could_do_is_refused(self, toy_data):
        link = ToyLink(capabilities={"Ada": (), "Bo": ()})
        with over(link) as federation:
            for workbench in bench(federation, toy_data):
                come(link, "Ada", "Bo")
                assert has(workbench, "Ada", "Bo")
                workbench.state.choose(mechanism="commit_reveal")
                assert workbench.state.status == "refused"
                assert "cannot do phases" in workbench.state.notice.text
                assert workbench.federation.settings.mechanism.name == "plain"

    def test_parties_that_differ_are_not_asked_together(self, link, workbench):
        come(link, "Ada")
        assert has(workbench, "Ada")
        other = fi.Party.from_callable(lambda q: q, name="Bo", classes=("x", "y"), input_shape=(2,), probe=False)
        link.join(other)
        assert has(workbench, "Ada", "Bo")
        assert member(workbench, "Bo").away == "left out"
        assert "same classes" in member(workbench, "Bo").reason
        workbench.run(1)
        assert asks(workbench, ("Ada",))

    def test_a_cohort_that_was_given_is_kept_to(self, link, federation, toy_data):
        come(link, "Ada", "Bo")
        for workbench in bench(federation.with_(parties=["Bo"]), toy_data):
            assert [one.enabled for one in workbench.state.members] == [False, True]
            assert [party.name for party in workbench.federation.parties] == ["Bo"]

    def test_two_on_one_link_follow_each_by_itself(self, link, federation, toy_data):
        for one in bench(federation, toy_data):
            come(link, "Bo", "Ada")
            assert has(one, "Ada", "Bo")
            with over(link) as attached:  # another federation on the same link, as in another kernel
                for other in bench(attached, toy_data):
                    one._desk.cohort.enable(member(one, "Bo").number, False)
                    assert [member.enabled for member in other.state.members] == [True, True]
                    come(link, "Cy")
                    assert has(one, "Ada", "Bo", "Cy")
                    assert has(other, "Ada", "Bo", "Cy")
                    colours = [[member.number for member in each.state.members] for each in (one, other)]
                    assert colours[0] == colours[1] == [1, 0, 2]
                    other.run(2)
                    assert eventually(lambda other=other: other.state.status == "paused")
                    assert other.state.record.present == ("Ada", "Bo", "Cy")
                    assert one.state.status == "ready"

    def test_the_thread_ends_with_the_workbench(self, link, federation, toy_data, threads):
        for workbench in bench(federation, toy_data):
            come(link, "Ada")
            assert has(workbench, "Ada")
            assert threads() == ["fi-workbench-link"]
        assert not threads()

    def test_the_thread_ends_with_the_federation(self, link, toy_data, threads):
        with over(link) as federation:
            workbench = fi.Workbench(federation, queries=toy_data[0], labels=toy_data[1])
        assert eventually(lambda: not threads())
        assert "The link was closed" in workbench._header.line.sentence
        assert workbench._link.invite.go.disabled
        workbench.close()


def test_happened_says_nothing_of_what_was_there_before(link):
    view = LinkView(link.status, link.roster.entries)
    assert not list(happened(None, view))
    assert not list(happened(view, view))


def test_who_enrolled_and_never_came_has_not_joined_yet(link):
    """A party's first lines in the log: it is there when it is a member, not when its key is known."""
    come(link, "Ada")
    online = link.roster.entry("Ada")
    enrolled = dataclasses.replace(online, state="offline", node=None, card=None, reason="enrolled")
    nobody, known, there, away = (
        LinkView(link.status, entries)
        for entries in ((), (enrolled,), (online,), (dataclasses.replace(online, state="offline"),))
    )
    assert not list(happened(nobody, known))
    assert list(happened(known, there)) == [("Ada joined.", False)]
    assert list(happened(there, away)) == [("Ada is offline.", True)]
    assert list(happened(away, there)) == [("Ada is back.", False)]
    assert list(happened(there, nobody)) == [("Ada has left.", True)]


def test_changes_from_many_threads_come_to_the_same_end(link, workbench):
    """Joins and expulsions by several at once while rounds run: the list is the roster's, no round fails."""
    come(link, "Zoe")
    assert has(workbench, "Zoe")
    workbench.run()

    def work(prefix):
        for k in range(4):
            come(link, f"{prefix}{k}")
            if k % 2:
                link.expel(f"{prefix}{k}")

    workers = [threading.Thread(target=work, args=(prefix,)) for prefix in "ABC"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert has(workbench, "A0", "A2", "B0", "B2", "C0", "C2", "Zoe")
    assert asks(workbench, ("A0", "A2", "B0", "B2", "C0", "C2", "Zoe"))
    assert len({one.number for one in workbench.state.members}) == 7
    assert workbench.state.status == "running"


def test_embedded_federations_have_no_link_to_pin(toy):
    with pytest.raises(FederationError):
        toy.with_(parties=None)
    with pytest.raises(DoesNotFit):
        toy.invite()
    assert toy.classes == CLASSES
