"""The section Link of a workbench whose parties are elsewhere."""

import dataclasses

import pytest

from tests.session.toy_link import ToyLink
from tests.widgets.conftest import eventually
from tests.widgets.linked_bench import bench, come, has, names, over, row_of, said, visible


@pytest.fixture
def federation(linked):
    return linked


@pytest.fixture
def workbench(linked_workbench):
    return linked_workbench


class TestLinkPanel:
    def test_is_there_only_for_a_link(self, workbench, toy, toy_data):
        assert visible(workbench._link.box)
        for embedded in bench(toy, toy_data):
            assert not visible(embedded._link.box)

    def test_what_it_says(self, link, workbench):
        link.status = dataclasses.replace(link.status, fingerprint="0123456789abcdef" * 4)
        come(link, "Ada", "Bo")
        link.leave("Bo")
        assert eventually(lambda: "1 of 2 online" in workbench._link._facts.value)
        assert workbench._link.address.text == "127.0.0.1:9"
        assert eventually(lambda: workbench._link.fingerprint.text == "0123456789abcdef" * 4)
        assert workbench._link.fingerprint.shown == "0123456789ab…89abcdef"

    def test_several_commands(self, link, workbench):
        workbench._link.invite.n_parties.value = 3
        workbench._link.invite.minutes.value = 480.0
        workbench._link.invite.go.click()
        assert eventually(lambda: len(workbench.state.commands) == 3)
        assert workbench._link.invite.commands.text.count("\n") == 2
        assert link.invited == [(3, 480.0)]

    def test_approve_and_refuse(self, link, workbench):
        come(link, "Ada", "Eve", state="waiting")
        assert said(workbench, "Eve waits for approval.")
        assert eventually(lambda: "Ada and Eve wait for approval" in workbench._header.line.sentence)
        row_of(workbench, "Ada").approve.click()
        assert has(workbench, "Ada")
        row_of(workbench, "Eve").refuse.click()
        assert eventually(lambda: link.roster.entry("Eve").state == "expelled")
        assert has(workbench, "Ada")

    def test_expel_asks_once(self, link, workbench):
        come(link, "Ada", "Bo")
        assert has(workbench, "Ada", "Bo")
        row = row_of(workbench, "Bo")
        row.expel.click()
        assert "Expel Bo?" in row._text.value
        assert (visible(row.sure), visible(row.keep), visible(row.expel)) == (True, True, False)
        row.keep.click()
        assert "Expel" not in row._text.value
        assert names(workbench) == ["Ada", "Bo"]
        row.expel.click()
        row.sure.click()
        assert has(workbench, "Ada")
        assert eventually(lambda: visible(row_of(workbench, "Bo").approve))
        row_of(workbench, "Bo").approve.click()
        assert has(workbench, "Ada", "Bo")

    def test_what_fails_is_said(self, link, workbench):
        link.closed = True
        workbench._link.invite.go.click()
        assert eventually(lambda: workbench.state.notice is not None)
        assert workbench.state.notice.text.startswith("Nobody was invited.")

    def test_names_of_strangers_are_no_markup(self, link, workbench):
        entry = "<img src=x onerror=alert(1)>"
        come(link, "Ada")
        link.roster.put(
            dataclasses.replace(link.roster.entry("Ada"), key="ff", name=entry, state="waiting", reason=entry)
        )
        link.roster.put(
            dataclasses.replace(link.roster.entry("Ada"), key="fe", name=entry, state="refused", reason=entry)
        )
        assert eventually(lambda: visible(workbench._link._refused))
        assert "<img" not in workbench._link._refused.value + row_of(workbench, entry)._text.value

    @pytest.mark.parametrize(("kind", "disabled"), [("hosted", False), ("attached", False), ("superlink", True)])
    def test_what_cannot_be_done_there_is_disabled_with_the_reason(self, kind, disabled, toy_data):
        link = ToyLink()
        link.status = dataclasses.replace(link.status, kind=kind)
        with over(link) as federation:
            for workbench in bench(federation, toy_data):
                invite = workbench._link.invite
                assert invite.go.disabled is invite.n_parties.disabled is disabled
                assert ("supernode register" in invite._hint.value) is disabled
                assert visible(workbench._nobody.make) is not disabled

    def test_a_lost_link_is_said_and_found_again(self, link, workbench):
        come(link, "Ada")
        assert has(workbench, "Ada")
        up = link.status
        link.status = dataclasses.replace(up, state="lost", reason="It is tried again in 3 s.")
        assert eventually(lambda: workbench._header.line.status == "lost")
        assert "is lost. It is tried again in 3 s." in workbench._header.line.sentence
        assert said(workbench, "is lost. It is tried again in 3 s.")
        assert workbench._link.invite.go.disabled
        link.status = up
        assert eventually(lambda: workbench._header.line.status == "ready")
        assert said(workbench, "is up again.")
        assert not workbench._link.invite.go.disabled
