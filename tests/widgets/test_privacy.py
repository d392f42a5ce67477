"""Choosing privacy in the workbench, and its page: the promise, who sees what, the parties' budgets."""

import csv
import dataclasses
import io

import pytest

import fi_workbench as fi
from fi_workbench.core.records import Absence
from fi_workbench.widgets.running.choosing import in_force
from fi_workbench.widgets.running.state import Choice
from tests.widgets.conftest import eventually, toy_party
from tests.widgets.linked_bench import come, has


@pytest.fixture
def workbench(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    workbench.state.rate = None
    workbench.state.batch_size = 12
    yield workbench
    workbench.close()
    assert workbench.wait(10)


@pytest.fixture
def picker(workbench):
    return workbench._privacy


@pytest.fixture
def page(workbench):
    workbench._tabs.open("Privacy")
    return workbench._tabs.page


def ran(workbench, n_rounds):
    workbench.run(n_rounds)
    return eventually(lambda: workbench.state.status != "running") and workbench._desk.driver.wait(5)


def stack(workbench):
    return workbench.federation.settings.mechanism.settings()


class TestChoice:
    def test_noise_is_read_off_and_brought_into_force(self, toy):
        noisy = toy.with_(mechanism=[{"name": "laplace", "epsilon": 4.0}, {"name": "rounded"}, "commit_reveal"])
        choice = Choice.of(noisy)
        assert choice.noise == (("laplace", {"epsilon": 4.0}), ("rounded", {}))
        assert (choice.mechanism, choice.mechanism_options) == ("commit_reveal", {})
        again = in_force(toy, choice)
        assert again.settings.mechanism.settings() == noisy.settings.mechanism.settings()
        assert in_force(again, choice) is again

    def test_another_setting_leaves_the_noise_alone(self, toy):
        noisy = toy.with_(mechanism=[{"name": "gaussian", "epsilon": 2.0}, "plain"])
        changed = in_force(noisy, Choice.of(noisy).with_(rule="hard_vote"))
        assert changed.settings.rule == "hard_vote"
        assert changed.settings.mechanism.settings() == noisy.settings.mechanism.settings()

    def test_options_as_by_default_are_no_change(self, toy):
        noisy = in_force(toy, Choice.of(toy).with_(noise=(("laplace", {}),)))
        assert Choice.of(noisy).noise == (("laplace", {}),)
        assert in_force(noisy, Choice.of(toy).with_(noise=(("laplace", {}),))) is noisy


class TestPicker:
    def test_noise_has_sliders_that_take_effect(self, workbench, picker):
        first = picker.noise.pickers[0]
        assert first.list.value == "none"
        first.list.value = "laplace"
        assert [one["name"] for one in stack(workbench)] == ["laplace", "plain"]
        first._controls._controls["epsilon"].value = 8.0
        assert stack(workbench)[0]["epsilon"] == pytest.approx(8.0)
        assert "(8, 0)-differentially private" in picker.noise._promise.value
        assert "with Laplace noise on each answer" in workbench._header.line.sentence
        assert "Laplace noise (epsilon 8" in workbench.state.log[-1][2]
        first.list.value = "none"
        assert [one["name"] for one in stack(workbench)] == ["plain"]
        assert "noise" not in workbench._header.line.sentence

    def test_several_in_order(self, workbench, picker):
        noise = picker.noise
        assert noise._add.layout.display == "none"
        noise.pickers[0].list.value = "top_k"
        noise._add.click()
        assert len(noise._pickers.children) == 2
        noise.pickers[1].list.value = "laplace"
        assert [one["name"] for one in stack(workbench)] == ["top_k", "laplace", "plain"]
        noise.pickers[0].list.value = "none"
        assert [one["name"] for one in stack(workbench)] == ["laplace", "plain"]
        assert noise.pickers[0].list.value == "laplace"
        assert len(noise._pickers.children) == 1

    @pytest.mark.parametrize("by_hand", [True, False])
    def test_a_second_that_stays_none_goes_away(self, workbench, picker, by_hand):
        picker.noise.pickers[0].list.value = "laplace"
        picker.noise._add.click()
        assert len(picker.noise._pickers.children) == 2
        if by_hand:
            picker.noise.pickers[0].list.value = "none"
        else:
            workbench.state.choose(noise=())
        assert len(picker.noise._pickers.children) == 1

    def test_a_public_seed_is_said_in_red(self, workbench, picker):
        picker.noise.pickers[0].list.value = "laplace"
        public = picker._public
        assert public.layout.display == "none"
        picker.noise.pickers[0]._controls._controls["reproducible"].value = True
        assert "protects nobody" in public.value
        assert "fi-error" in public._dom_classes
        assert public.layout.display is None
        assert picker.noise._promise.layout.display == "none"
        assert "protects nobody" in workbench._header.line.sentence
        picker.noise.pickers[0]._controls._controls["reproducible"].value = False
        assert public.layout.display == "none"
        assert "protects nobody" not in workbench._header.line.sentence

    def test_one_public_seed_of_two_is_not_repeatable(self, workbench, picker):
        workbench.state.choose(noise=(("laplace", {"reproducible": True}), ("gaussian", {})))
        assert "Not repeatable" in picker._public.value
        assert "fi-error" not in picker._public._dom_classes
        assert "protects nobody" not in workbench._header.line.sentence


class TestPromise:
    def test_plain_promises_nothing(self, page):
        assert "seen by the client, the coordinator and whoever reads the wire" in page.promise.value
        assert "Nothing bounds what can be learned" in page.promise.value
        assert "fi-error" not in page.promise.value
        assert page.matrix.before == page.matrix.items

    def test_the_sum_hides_answers_without_a_bound(self, workbench, page, only_sum):
        workbench.state.choose(mechanism=only_sum)
        assert "stays with the party" in page.promise.value
        assert "the coordinator learns their sum, the client learns their sum and the label" in page.promise.value
        assert "what the sum tells of it is not bounded" in page.promise.value
        (seen,) = [dots for item, dots in page.matrix.items if item == "each answer"]
        (before,) = [dots for item, dots in page.matrix.before if item == "each answer"]
        assert before[1]
        assert not seen[1]

    def test_noise_is_priced_in_epsilon(self, workbench, page):
        workbench.state.choose(noise=(("laplace", {"epsilon": 2.0}),))
        assert "after Laplace noise, is seen by" in page.promise.value
        assert "at most epsilon 2 of each party:" in page.promise.value
        assert "at delta" not in page.promise.value
        workbench.state.choose(noise=(("gaussian", {"epsilon": 2.0}),))
        assert "at most epsilon 2 of each party, at delta 1e-05:" in page.promise.value
        assert any("(2, 1e-05)-differentially private" in one for one in page.matrix.assumptions)

    def test_what_can_be_taken_off_again_promises_nothing(self, workbench, page):
        workbench.state.choose(noise=(("laplace", {"reproducible": True}),))
        assert 'class="fi-error"' in page.promise.value
        assert "promises nothing" in page.promise.value
        assert "epsilon" not in page.promise.value

    def test_what_each_method_must_see(self, workbench, page, only_sum):
        assert {row[3] for row in page.needs.rows} == {"yes"}
        assert not any(page.needs.faults)
        workbench.state.choose(mechanism=only_sum)
        assert [row[3] for row in page.needs.rows] == ["yes", "yes", "yes", "no", "no", "no", "no"]
        assert [bool(fault) for fault in page.needs.faults] == [False, False, False, True, True, True, True]
        assert page.needs.rows[1][1] == "Equal"

    def test_class_counts_are_said_where_a_rule_asks_for_them(self, demo):
        workbench = fi.Workbench(demo)
        workbench._tabs.open("Privacy")
        page = workbench._tabs.page
        assert "class counts" not in page.promise.value
        workbench.state.choose(rule="class_competence")
        assert (
            "Once per cohort, class counts of the parties are summed for the rule, without noise." in page.promise.value
        )
        workbench.close()


@pytest.fixture
def limited(toy_data):
    """Four parties, of which two keep a privacy budget and one a small one."""
    parties = [toy_party(name, 3.0 + k) for k, name in enumerate("ABCD")]
    policies = {"A": fi.Policy(epsilon=1000.0), "B": fi.Policy(epsilon=30.0)}
    with fi.Federation(parties, history=None, policies=policies, mechanism="laplace") as federation:
        workbench = fi.Workbench(federation, queries=toy_data[0], labels=toy_data[1])
        workbench.state.rate, workbench.state.batch_size = None, 12
        workbench._tabs.open("Privacy")
        yield workbench
        workbench.close()
        assert workbench.wait(10)


class TestBudgets:
    def test_before_anything_is_asked(self, limited):
        part = limited._tabs.page.budgets
        assert part.gauges.kinds == ("open", "open", "unlimited", "unlimited")
        assert part.gauges.spent == (0.0,) * 4
        assert part.gauges.limits == (1000.0, 30.0, None, None)
        assert part.gauges.note == "epsilon at delta 1e-05, RDP accounting"
        assert part._notice.layout.display == "none"

    def test_gauges_follow_the_rounds_and_say_what_the_parties_booked(self, limited):
        part = limited._tabs.page.budgets
        assert ran(limited, 2)
        booked = {row.party: row for row in limited.federation.budget}
        assert part.gauges.spent == pytest.approx([booked[name].epsilon for name in "ABCD"])
        assert part.gauges.left == (*(pytest.approx(booked[name].left) for name in "AB"), None, None)
        assert part.gauges.queries == (24,) * 4
        assert part.gauges.kinds == ("open", "open", "unlimited", "unlimited")
        assert 0 < part.gauges.spent[0] <= 24.0
        assert part.table.rows[1][1:3] == (pytest.approx(booked["B"].epsilon), 30.0)

    def test_a_party_with_nothing_left_refuses_and_can_be_left_out(self, limited):
        part = limited._tabs.page.budgets
        assert ran(limited, 5)
        assert part.gauges.kinds == ("open", "refused", "unlimited", "unlimited")
        assert part._notice.layout.display is None
        assert "privacy budget spent" in part._refused.value
        assert "<b>B</b> refused the last round:" in part._refused.value
        assert "ask the owner" in part._refused.value
        assert part.table.faults[0] == ""
        assert "It refused: privacy budget spent" in part.table.faults[1]
        (leave,) = part._ways.children
        assert leave.description == "Leave out B"
        leave.click()
        assert [party.name for party in limited.federation.parties] == ["A", "C", "D"]
        assert part._notice.layout.display == "none"
        assert part.gauges.parties == ("A", "C", "D")

    def test_who_keeps_a_budget_asks_for_noise(self, limited):
        part = limited._tabs.page.budgets
        limited.state.choose(noise=())
        assert ran(limited, 1)
        assert part.gauges.kinds == ("refused", "refused", "unprotected", "unprotected")
        assert part.gauges.spent == (0.0, 0.0, None, None)
        assert [row[1] for row in part.table.rows] == [0.0, 0.0, "∞", "∞"]
        assert [one.description for one in part._ways.children] == [
            "Use Laplace noise on each answer", "Use Gaussian noise on each answer", "Leave out A and B",
        ]  # fmt: skip
        assert "<b>A and B</b> refused the last round: this party keeps a privacy budget" in part._refused.value
        assert "ask the owner" not in part._refused.value, "a higher limit would not help"
        part._ways.children[0].click()
        assert [one["name"] for one in stack(limited)] == ["laplace", "plain"]
        assert ran(limited, 1)
        assert part.gauges.kinds == ("open", "open", "unprotected", "unprotected")
        assert part._notice.layout.display == "none"

    def test_a_stream_that_all_refuse_stops_and_says_why(self, limited):
        for number in (2, 3):
            assert limited._desk.cohort.enable(number, False)
        limited.state.choose(noise=())
        limited.run()
        assert eventually(lambda: limited.state.status == "spent")
        notice = limited.state.notice
        assert notice.level == "error"
        assert "A refuses: this party keeps a privacy budget" in notice.text
        assert "The rounds before it are kept" in notice.text
        assert eventually(lambda: limited._header._ways.children)
        limited._header._ways.children[0].click()
        assert limited.state.status == "paused"
        assert limited.state.notice is None
        assert ran(limited, 1)
        assert limited.state.record.present == ("A", "B")

    @pytest.mark.parametrize(
        ("kind", "again"), [("late", True), ("raised", True), ("cancelled", False), ("excluded", False)]
    )
    def test_who_is_missing_for_another_reason_is_asked_again(self, limited, kind, again):
        record = limited.federation.ask(limited._desk.driver.sample(2).queries)
        absent = (
            Absence("A", "answer", "refused", "privacy budget spent: epsilon 0 of 8 left."),
            Absence("B", "answer", kind, "no answer within 2 s."),
        )
        nobody = dataclasses.replace(record, present=(), absent=absent)
        assert limited._desk.driver._absences.heard(nobody) is again
        assert limited.state.notice.level == ("warning" if again else "error")

    def test_the_file_holds_whole_keys(self, limited):
        assert ran(limited, 1)
        part = limited._tabs.page.budgets
        name, kind, content = part.save_csv()
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert name.startswith("fi-workbench-budgets-")
        assert kind == "text/csv"
        assert {row["client"] for row in rows} == {limited.federation.client.public.verify_key.hex()}
        assert [float(row["epsilon_spent"]) for row in rows] == pytest.approx(
            [row.epsilon for row in limited.federation.budget]
        )
        assert [row["epsilon_limit"] for row in rows] == ["1000", "30", "", ""]

    def test_of_parties_elsewhere_the_limit_is_not_known_here(self, link, linked_workbench):
        come(link, "Ada", "Bo")
        assert has(linked_workbench, "Ada", "Bo")
        linked_workbench._tabs.open("Privacy")
        part = linked_workbench._tabs.page.budgets
        linked_workbench.state.choose(noise=(("laplace", {"epsilon": 4.0}),))
        assert ran(linked_workbench, 1)
        assert part.gauges.kinds == ("untold", "untold")
        assert part.gauges.limits == (None, None)
        assert all(0 < spent <= 4.0 * 8 for spent in part.gauges.spent)
        assert {row[-1] for row in part.table.rows} == {"client"}
